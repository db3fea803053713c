"""From two files to two sealed shipments that the journal can keep: checked, framed, addressed, not yet sent."""

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
from kpr_sender.messages.xml_signature import signature
from kpr_sender.model import Certificates, Envelope, MessageType, Shipment
from kpr_sender.preflight import Payload, Report, check
from kpr_sender.profiles import Profile
from kpr_sender.registry.port import Counterpart
from kpr_sender.settings.values import Settings

_CHUNK_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that passed the checks.

    Attributes:
        path: Where it lies; it is read once more when it is sealed.
    """

    path: Path
    payload: Payload


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in pieces.

    Raises:
        InputMissing: It is not there or cannot be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise InputMissing(f"The file cannot be read: {error.strerror}.", where=str(path)) from error


def check_files(
    files: Mapping[MessageType, Path],
    *,
    settings: Settings,
    is_test_person: Callable[[str], bool],
    observe: Observer,
) -> tuple[dict[MessageType, Checked], Report]:
    """Read both files once and check what FHI would refuse, drop or blank.

    Args:
        files: Path by type; the pair, in the order they are to be sent.
        settings: Which year, where to, and whose municipality and bydel the fagmelding must be for.
        is_test_person: Whether a national id is on the municipality's own list of test persons.
        observe: Told of each file that is what it must be.

    Returns:
        The files, and what was found in them.

    Raises:
        InputMissing: A file is not there or cannot be read.
        InputRefused: A file is not what it must be, or it is another municipality's.
    """
    fagmelding, identmelding = files[MessageType.KPR_IPL], files[MessageType.KPR_IDE]
    report = check(
        read_chunks(fagmelding),
        read_chunks(identmelding),
        settings.report.year,
        environment=settings.environment,
        organisation_number=settings.sender.party.organisation_number or "",
        is_test_person=is_test_person,
        names=(str(fagmelding), str(identmelding), ""),
    )
    checked = {}
    for message_type, path in files.items():
        payload = next((each for each in report.payloads if each and each.type is message_type), None)
        if payload is None:  # its header is wrong, which the report says
            raise report.refusal or InputRefused("The file is not what it must be.", where=str(path))
        demand_owner(payload, settings, name=str(path))
        checked[message_type] = Checked(path, payload)
        observe(
            Event(
                EventKind.CHECKED,
                f"{path.name} is the {message_type.norwegian} for {payload.year}, {payload.length:,} bytes.",
                type=message_type,
                details={"payload_sha256": payload.sha256, "lopenr": payload.lopenr},
            )
        )
    return checked, report


def demand_owner(payload: Payload, settings: Settings, *, name: str) -> None:
    """Refuse another municipality's file.

    Raises:
        InputRefused: Its kommunenummer or bydel is not the configured one.
    """
    sender = settings.sender
    wanted = {"kommunenummer": (payload.kommunenummer, sender.kommunenummer), "bydel": (payload.bydel, sender.bydel)}
    for key, (found, configured) in wanted.items():
        if found is not None and found != configured:
            raise InputRefused(
                f"The file is for {key} {found}, the configuration says {configured}.",
                where=name,
                next_step=f"Take the right file, or mend sender.{key} in {settings.origin}; nothing was sent.",
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
        checked: Mapping[MessageType, Checked],
        *,
        replaces: str | None,
        reason: str,
        accepted: Mapping[str, int],
        by: str,
    ) -> NewSubmission:
        """Describe the new submission; the bytes themselves are sealed while the journal writes them.

        Args:
            checked: The two files.
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
            shipments=tuple(self._shipment(message_type, one, self._names()) for message_type, one in checked.items()),
        )

    def again(self, shipment: Shipment, made_at: datetime, checked: Checked) -> NewShipment:
        """Describe a shipment as it was, to be sealed anew.

        Args:
            shipment: As the journal has it.
            made_at: When its Hodemelding was made.
            checked: Its file.

        Raises:
            InputRefused: Its sealed bytes would be larger than ``limits.refuse_bytes``.
        """
        return self._shipment(shipment.type, checked, _Names(shipment.msg_id, shipment.message_id, made_at))

    def _names(self) -> _Names:
        return _Names(self.new_id(), self.new_id(), self.now())

    def _shipment(self, message_type: MessageType, checked: Checked, names: _Names) -> NewShipment:
        hodemelding = self._hodemelding(message_type, names)
        head, tail = frame(hodemelding)
        message = self._message(head, tail, checked)
        length = sealed_length(message.length, self.signer, self.counterpart.encryption)
        self._check_size(length, checked.path, message_type)

        def write_sealed(write: Callable[[bytes | memoryview], object]) -> None:
            seal(
                message.chunks(), message.length, signer=self.signer, recipient=self.counterpart.encryption, write=write
            )

        return NewShipment(
            type=message_type,
            msg_id=hodemelding.msg_id,
            message_id=names.message_id,
            receiver_her_id=hodemelding.receiver.service_her_id,
            envelope=self._envelope(hodemelding, names.message_id),
            payload_sha256=checked.payload.sha256,
            payload_bytes=checked.payload.length,
            lopenr=checked.payload.lopenr,
            hodemelding_sha256=hashlib.sha256(head + tail).hexdigest(),
            certificates=Certificates(named(self.counterpart.encryption), named(self.signer.certificate)),
            sealed_bytes=length,
            write_sealed=write_sealed,
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

    def _message(self, head: bytes, tail: bytes, checked: Checked) -> _Streamed:
        streamed = _Streamed(head, checked, tail)
        if not self.settings.hodemelding.xmldsig:
            return streamed
        # The file is read once more for it, so that neither document nor canonical form is ever held.
        try:
            made = signature(streamed.chunks(), self.signer)
        except Malformed as error:
            raise InputRefused(f"It cannot be signed: {error}.", where=str(checked.path)) from None
        return _Streamed(head, checked, tail.removesuffix(END) + made + END)

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

    def __init__(self, head: bytes, checked: Checked, tail: bytes) -> None:
        self._head, self._checked, self._tail = head, checked, tail
        self.length = len(head) + checked.payload.length + len(tail)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes.

        Raises:
            InputRefused: The file is not the one that was checked.
        """
        digest = hashlib.sha256()
        yield self._head
        for chunk in splice(read_chunks(self._checked.path)):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != self._checked.payload.sha256:
            raise InputRefused(
                "The file was changed while it was read.",
                where=str(self._checked.path),
                next_step="Let the extract finish, then run the same command again; nothing was sent.",
            )
        yield self._tail
