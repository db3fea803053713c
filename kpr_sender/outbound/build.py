"""From two hashed files to two shipments that the journal can store: framed, addressed, sealed while it writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from kpr_sender.cms.certificates import named
from kpr_sender.cms.errors import Malformed
from kpr_sender.cms.port import Signer
from kpr_sender.cms.write import seal, sealed_length
from kpr_sender.errors import InputMissing, InputRefused
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.port import NewShipment, NewSubmission
from kpr_sender.messages.hodemelding import END, Hodemelding, frame
from kpr_sender.messages.splice import splice
from kpr_sender.messages.transport import CONTENT_TYPE, application_properties
from kpr_sender.model import Certificates, Envelope, MessageType, Shipment
from kpr_sender.profiles import Profile
from kpr_sender.registry.port import Counterpart
from kpr_sender.settings.values import Settings

_CHUNK_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class PayloadFile:
    """A file as it is spliced into its Hodemelding.

    Attributes:
        path: Where the file is; it is read again when it is sealed.
        sha256: Hex digest of the bytes as they are spliced; 64 digits.
        length: Number of those bytes.
    """

    path: Path
    sha256: str
    length: int


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in chunks.

    Raises:
        InputMissing: It is not there or cannot be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise InputMissing(f"The file cannot be read: {error.strerror}.", where=str(path)) from error


def changed_while_read(path: Path) -> InputRefused:
    """Return the error for a file whose bytes are not those that were hashed first."""
    return InputRefused(
        "The file was changed while it was read.",
        where=str(path),
        next_step="Let the extract finish, then run the same command again; nothing was sent.",
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """What is a shipment's own and stays so: its two ids, and when its Hodemelding was made."""

    msg_id: str
    message_id: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Sealing:
    """Everything the pair is sealed with; handed in, so that the same values give the same Hodemelding."""

    settings: Settings
    profile: Profile
    counterpart: Counterpart
    signer: Signer
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    observe: Observer

    def submission(
        self,
        files: Mapping[MessageType, PayloadFile],
        *,
        lopenr: Mapping[MessageType, str],
        replaces: str | None,
        reason: str,
        accepted: Mapping[str, int],
        by: str,
    ) -> NewSubmission:
        """Describe the new submission; the bytes themselves are sealed while the journal writes them.

        Args:
            files: The two files, in the order they are to be sent.
            lopenr: The EPJ's running number in each.
            replaces: The submission it replaces.
            reason: Why it does.
            accepted: How many findings of each rule a person has accepted.
            by: Who submits.

        Raises:
            InputRefused: A shipment's sealed bytes would be larger than ``limits.refuse_bytes``.
        """
        sender = self.settings.sender
        year = self.profile.year
        return NewSubmission(
            submission_id=f"{year}-{self.new_id()[:8]}",
            environment=self.settings.environment,
            sender_her_id=sender.party.service_her_id,
            kommunenummer=sender.kommunenummer,
            bydel=sender.bydel,
            year=year,
            replaces=replaces,
            reason=reason,
            accepted=accepted,
            by=by,
            shipments=tuple(
                self._shipment(message_type, file, lopenr[message_type], self._names())
                for message_type, file in files.items()
            ),
        )

    def again(self, shipment: Shipment, made_at: datetime, file: PayloadFile) -> NewShipment:
        """Describe a shipment as it was, to be sealed anew.

        Args:
            shipment: As the journal has it.
            made_at: When its Hodemelding was made.
            file: Its file.

        Raises:
            InputRefused: Its sealed bytes would be larger than ``limits.refuse_bytes``.
        """
        names = _Names(shipment.msg_id, shipment.message_id, made_at)
        return self._shipment(shipment.type, file, shipment.lopenr, names)

    def _names(self) -> _Names:
        return _Names(self.new_id(), self.new_id(), self.now())

    def _shipment(self, message_type: MessageType, file: PayloadFile, lopenr: str, names: _Names) -> NewShipment:
        hodemelding = self._hodemelding(message_type, names)
        head, tail = frame(hodemelding)
        message = self._message(head, tail, file)
        length = sealed_length(message.length, self.signer, self.counterpart.encryption)
        self._check_size(length, file.path, message_type)
        return NewShipment(
            type=message_type,
            msg_id=hodemelding.msg_id,
            message_id=names.message_id,
            receiver_her_id=hodemelding.receiver.service_her_id,
            envelope=self._envelope(hodemelding, names.message_id),
            payload_sha256=file.sha256,
            payload_bytes=file.length,
            lopenr=lopenr,
            hodemelding_sha256=hashlib.sha256(head + tail).hexdigest(),
            certificates=Certificates(named(self.counterpart.encryption), named(self.signer.certificate)),
            sealed_bytes=length,
            sealed=seal(message.chunks(), message.length, signer=self.signer, recipient=self.counterpart.encryption),
        )

    def _hodemelding(self, message_type: MessageType, names: _Names) -> Hodemelding:
        texts = self.settings.hodemelding
        return Hodemelding(
            type=message_type,
            type_text=texts.type_text_ipl if message_type is MessageType.KPR_IPL else texts.type_text_ide,
            msg_id=names.msg_id,
            generated_at=names.made_at.astimezone().replace(microsecond=0),
            sender=self.settings.sender.party,
            receiver=self.profile.receivers[self.settings.environment],
            ack=texts.ack,
        )

    def _message(self, head: bytes, tail: bytes, file: PayloadFile) -> _Streamed:
        streamed = _Streamed(head, file, tail)
        if not self.settings.hodemelding.xmldsig:
            return streamed
        # Only where it is asked for: signxml takes its time to be imported, and the whole document in memory.
        from kpr_sender.messages.xml_signature import signature  # noqa: PLC0415

        try:
            made = signature(b"".join(streamed.chunks()), self.signer)
        except Malformed as error:
            raise InputRefused(f"It cannot be signed: {error}.", where=str(file.path)) from None
        return _Streamed(head, file, tail.removesuffix(END) + made + END)

    def _check_size(self, length: int, path: Path, message_type: MessageType) -> None:
        limits = self.settings.limits
        if length > limits.refuse_bytes:
            raise InputRefused(
                f"The sealed {message_type.norwegian} would be {length:,} bytes; "
                f"limits.refuse_bytes is {limits.refuse_bytes:,}.",
                where=str(path),
                next_step="Agree on the size with FHI and NHN, then raise the limit; nothing was sent.",
            )
        if length > limits.warn_bytes:
            self.observe(
                Event(
                    EventKind.WARNING,
                    f"The sealed {message_type.norwegian} is {length:,} bytes; "
                    "NHN wants messages above about 1 MB to be agreed beforehand.",
                    type=message_type,
                )
            )

    def _envelope(self, hodemelding: Hodemelding, message_id: str) -> Envelope:
        return Envelope(
            queue=self.counterpart.queue,
            subject=hodemelding.type.value,
            reply_to=self.settings.bus.receipts_queue,
            # The reference client's default: a message that answers nothing correlates with itself.
            correlation_id=message_id,
            content_type=CONTENT_TYPE,
            properties=application_properties(
                sender_her_id=hodemelding.sender.service_her_id,
                receiver_her_id=hodemelding.receiver.service_her_id,
                at=hodemelding.generated_at,
                cpa_id=self.settings.hodemelding.cpa_id,
            ),
        )


class _Streamed:
    """The Hodemelding as a stream: head, the payload's own bytes, tail. The payload is never held."""

    def __init__(self, head: bytes, file: PayloadFile, tail: bytes) -> None:
        self._head, self._file, self._tail = head, file, tail
        self.length = len(head) + file.length + len(tail)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes.

        Raises:
            InputRefused: The file is not the one that was hashed.
        """
        digest = hashlib.sha256()
        yield self._head
        for chunk in splice(read_chunks(self._file.path)):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != self._file.sha256:
            raise changed_while_read(self._file.path)
        yield self._tail
