"""Seals anew: what waits for a certificate that is no longer the receiver's, and what a person lets go again.

The rules, for a submission that is continued:

1. What is to be published was sealed for the certificate that is registered now, or it is not published.
2. What was never offered to the bus under its message-id is sealed anew from the very same file: MsgId, message-id,
   Hodemelding and envelope stay as they are; the journal stores both versions (promises G1 and G3).
3. What a person let go again is sealed anew as the message is configured and registered now, as ``resend`` does, also
   where our own HER-id is another; under another message-id where the bus was offered the present one since (it
   certainly does not have it).
4. Anything else is for a person: the bus was offered these bytes under that name.
5. Nothing is sealed anew before it is clear that all of the pair may be.

Which ids it gets when a person sends it again is HITS 1216 2.2.5: after an error the same MsgId under a new message-id,
since a message-id seen before is dropped without any answer (2.2.3); after a negative receipt a new MsgId, since that
one is answered for good. What the bus certainly never had keeps both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from kpr_sender.cms.certificates import named
from kpr_sender.errors import AccessRefused, ConfigInvalid, InputRefused, KprError, LastError
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.port import Journal
from kpr_sender.journal.values import NewShipment
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.transport import SEALED_MESSAGE_ID, made_at
from kpr_sender.model import CertificateName, MessageType, Shipment, Submission
from kpr_sender.outbound.build import Builder, Fixed
from kpr_sender.outbound.payload_file import PayloadFile
from kpr_sender.outbound.sender import is_let_go, sealed_from
from kpr_sender.registry.port import Counterpart
from kpr_sender.states import ShipmentState, may_be_published, was_offered
from kpr_sender.texts import Text

_WHY: Final = Text("The receiver's certificate for encryption is another now, and it was not offered for the other.")
_WHY_ENVELOPE: Final = Text("Its envelope was answered, and FHI has not got it: another one is sealed.")
_WHY_SENDER: Final = Text("The sender's HER-id is configured differently now, and a person let it go again.")


@dataclass(frozen=True, slots=True)
class _NewIds:
    """Which ids change; GenDate belongs to the MsgId."""

    msg_id: bool
    message_id: bool


_NEW_IDS: Final[Mapping[ShipmentState, _NewIds]] = {
    ShipmentState.SEALED: _NewIds(msg_id=False, message_id=True),  # the other way
    ShipmentState.REJECTED: _NewIds(msg_id=True, message_id=True),
    ShipmentState.FAULTED: _NewIds(msg_id=False, message_id=True),
    ShipmentState.CANCELLED: _NewIds(msg_id=False, message_id=False),
}


@dataclass(frozen=True, slots=True)
class Resealer:
    """Brings what waits to be published up to the receiver's present certificate, and what goes again up to all of it.

    Attributes:
        sender_her_id: The HER-id that we send from, as configured now.
        counterpart: Asks the register for the receiver as it is now.
        builder: Returns what builds shipments for that receiver, its certificates and our keys checked.
        require_openable: Refuses where receipts would come that none of our keys opens, as ``builder`` does.
        now: The clock; aware datetimes.
        new_id: Makes lower-case UUIDs.
    """

    journal: Journal
    sender_her_id: int
    counterpart: Callable[[], Counterpart]
    builder: Callable[[Counterpart], Builder]
    require_openable: Callable[[], object]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    observe: Observer

    def reseal(self, submission: Submission, files: Mapping[MessageType, PayloadFile]) -> Submission:
        """Seal anew what has to be, before it is published.

        Args:
            submission: What is continued.
            files: Its two files, by type: their digests are those in the journal.

        Returns:
            The submission as it is now.

        Raises:
            AccessRefused: It was offered to the bus for a certificate that is no longer the receiver's, none of our
                keys would open its receipts, or a key or certificate was refused.
            ConfigInvalid: Its Hodemelding would be another now.
            InputMissing: A file cannot be read any more.
            InputRefused: A file was changed while it was read.
            RegistryUnreachable: The register does not answer, and no earlier answer may be used.
        """
        waiting = [shipment for shipment in submission.shipments if may_be_published(shipment)]
        if not waiting:
            return submission
        try:
            counterpart = self.counterpart()
            present = named(counterpart.encryption)
            outdated = [shipment for shipment in waiting if self._is_outdated(shipment, present)]
            if not outdated:
                self.require_openable()
                return submission
            let_go = [is_let_go(self.journal, shipment) for shipment in outdated]
            for shipment, free in zip(outdated, let_go, strict=True):
                if not free:
                    _require_never_offered(shipment, present)
            builder = self.builder(counterpart)
            built = [
                self._built_anew(builder, shipment, files[shipment.type], let_go=free)
                for shipment, free in zip(outdated, let_go, strict=True)
            ]
            for new in built:
                self._exchange(new, present)
        except KprError as error:
            for shipment in waiting:
                self.journal.note_error(shipment.msg_id, LastError.of(error))
            raise
        return self.journal.submission(submission.submission_id) or submission

    def resend(self, shipments: Mapping[Shipment, Path], *, reason: str, by: str) -> list[Shipment]:
        """Seal them anew; the next run publishes them. Nothing is stored before it is clear that all may be.

        Args:
            shipments: What a person may send again, each with its file.
            reason: Why, in the person's words.
            by: The person.

        Returns:
            The shipments now: sealed.

        Raises:
            InputMissing: A file is missing or cannot be read.
            InputRefused: It is another than the one that was sent, or too large now.
            RegistryUnreachable: The register does not answer, and no earlier answer may be used.
            AccessRefused: A key or certificate was refused.
            ConfigInvalid: A key or certificate file is missing.
            JournalUnwritable: The decision could not be stored; nothing has changed.
        """
        files = {shipment: _same_file(shipment, path) for shipment, path in shipments.items()}
        builder = self.builder(self.counterpart())
        built = {one.msg_id: builder.anew(one, self._new_ids(one), file) for one, file in files.items()}
        resealed = self.journal.resend(built, reason=reason, by=by)
        for sealed in resealed:
            text = Text(
                "The {norwegian} is sealed anew as {msg_id}, {sealed_bytes:,} bytes.",
                norwegian=sealed.type.norwegian,
                msg_id=sealed.msg_id,
                sealed_bytes=sealed.sealed_bytes,
            )
            self.observe(Event(EventKind.SEALED, text, sealed.msg_id, sealed.type))
        return resealed

    def _new_ids(self, shipment: Shipment) -> Fixed:
        change = _NEW_IDS[shipment.state]
        return Fixed(
            msg_id=self.new_id() if change.msg_id else shipment.msg_id,
            message_id=self.new_id() if change.message_id or shipment.id_is_sealed else shipment.message_id,
            made_at=self.now() if change.msg_id else made_at(self.journal.envelope(shipment.msg_id).properties),
        )

    def _is_within(self, shipment: Shipment) -> bool:
        """Tell whether the sealed bytes are those of its present message-id, where they hold one."""
        properties = self.journal.envelope(shipment.msg_id).properties
        return properties.get(SEALED_MESSAGE_ID, shipment.message_id) == shipment.message_id

    def _is_outdated(self, shipment: Shipment, present: CertificateName) -> bool:
        if not self._is_within(shipment):
            return True
        if self._is_from_another(shipment) and is_let_go(self.journal, shipment):
            return True
        if shipment.certificates is not None:
            return shipment.certificates.encryption.sha1 != present.sha1
        text = Text(
            "{msg_id} was sealed before the journal kept for which certificate: it is sent as it is.",
            msg_id=shipment.msg_id,
        )
        self.observe(Event(EventKind.WARNING, text, shipment.msg_id, shipment.type))
        return False

    def _is_from_another(self, shipment: Shipment) -> bool:
        return sealed_from(self.journal, shipment) not in {None, self.sender_her_id}

    def _built_anew(self, builder: Builder, shipment: Shipment, file: PayloadFile, *, let_go: bool) -> NewShipment:
        envelope = self.journal.envelope(shipment.msg_id)
        message_id = self.new_id() if was_offered(shipment) else shipment.message_id
        new = builder.anew(shipment, Fixed(shipment.msg_id, message_id, made_at(envelope.properties)), file)
        same = new.hodemelding_sha256 == shipment.hodemelding_sha256 and new.envelope == envelope
        if same or let_go:
            return new
        raise ConfigInvalid(
            Text(
                "The {norwegian} ({msg_id}) was sealed for an earlier certificate of the receiver and cannot be "
                "sealed anew as the same message: parties, queue, texts or time zone are configured or registered "
                "differently now.",
                norwegian=shipment.type.norwegian,
                msg_id=shipment.msg_id,
            ),
            next_step=Text(
                "If that is a mistake, put it right and run the same command again. If not: make a new extract "
                "of both files in the EPJ and send it with kpr-send send --replaces {submission_id} --reason "
                "TEXT, which cancels what was not sent.",
                submission_id=shipment.submission_id,
            ),
        )

    def _exchange(self, new: NewShipment, present: CertificateName) -> None:
        before = self.journal.shipment(new.msg_id)
        if before is not None and self._is_from_another(before):
            why, what = _WHY_SENDER, Text("Our HER-id is {sender_her_id} now", sender_her_id=self.sender_her_id)
        elif before is not None and not self._is_within(before):
            why, what = _WHY_ENVELOPE, Text("Its envelope was acknowledged before")
        else:
            why, what = (
                _WHY,
                Text("FHI's certificate for encryption is another now (SHA-1 thumbprint {sha1})", sha1=present.sha1),
            )
        shipment = self.journal.reseal(new, why=why)
        text = Text(
            "{what}: the {norwegian} ({msg_id}), which is not sent yet, is sealed anew for it.",
            what=what,
            norwegian=shipment.type.norwegian,
            msg_id=shipment.msg_id,
        )
        self.observe(Event(EventKind.SEALED, text, shipment.msg_id, shipment.type))


def _require_never_offered(shipment: Shipment, present: CertificateName) -> None:
    if not was_offered(shipment) and not any(receipt.verified for receipt in shipment.receipts):
        return
    was = shipment.certificates.encryption.sha1 if shipment.certificates else Text("unknown")
    raise AccessRefused(
        Text(
            "The {norwegian} ({msg_id}) is sealed for the certificate with SHA-1 thumbprint {was}; the receiver's "
            "is {sha1} now. It was offered before, so it is neither sent for the old certificate nor "
            "sealed anew.",
            norwegian=shipment.type.norwegian,
            msg_id=shipment.msg_id,
            was=was,
            sha1=present.sha1,
        ),
        where=Text("the receiver's certificate for encryption"),
        next_step=Text(
            "Ask kpr@fhi.no whether the MsgId has arrived and whether the old certificate is still in use. If "
            "it has not arrived: make a new extract of both files in the EPJ and send it with kpr-send send "
            "--replaces {submission_id} --reason TEXT, which cancels what was not sent.",
            submission_id=shipment.submission_id,
        ),
    )


def _same_file(shipment: Shipment, path: Path) -> PayloadFile:
    try:
        file = PayloadFile.hashed(path)
    except MessageRefused:
        file = None
    if file is None or file.sha256 != shipment.payload_sha256:
        raise InputRefused(
            Text(
                "This is not the {norwegian} that was sent as {msg_id}.",
                norwegian=shipment.type.norwegian,
                msg_id=shipment.msg_id,
            ),
            where=str(path),
            next_step=Text(
                "Name the very file that was sent; a new extract goes with kpr-send send --replaces ID --reason TEXT."
            ),
        )
    return file
