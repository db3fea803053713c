"""Sealed bytes whose receiver has another certificate now: sealed anew where nobody has seen them, else not sent.

The rules, for a pair that is gone on with:

1. What is to be published was sealed for the certificate that is registered now, or it is not published.
2. What was never offered to the bus, not once, is sealed anew from the very same file: MsgId, message-id, Hodemelding
   and what stands outside stay as they are; the journal keeps both digests (promises G1 and G3).
3. Anything else is for a person: FHI may have it, and two versions under one MsgId must never be.
4. Nothing is sealed anew before it is clear that all of the pair may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from kpr_sender.cms.certificates import named
from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError, LastError
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.port import Journal, NewShipment
from kpr_sender.messages.transport import made_at
from kpr_sender.model import CertificateName, MessageType, Shipment, Submission
from kpr_sender.outbound.build import PayloadFile, Sealing
from kpr_sender.registry.port import Counterpart
from kpr_sender.states import may_be_published

_WHERE: Final = "the receiver's certificate for encryption"
_WHY: Final = "The receiver's certificate for encryption is another now, and the bus has never seen it."


@dataclass(frozen=True, slots=True)
class Rotation:
    """Brings what is sealed up to the receiver's present certificate.

    Attributes:
        counterpart: Asks the register for the receiver as it is now.
        sealing: Returns what to seal with, all of it checked, for that receiver.
    """

    journal: Journal
    counterpart: Callable[[], Counterpart]
    sealing: Callable[[Counterpart], Sealing]
    observe: Observer

    def catch_up(self, submission: Submission, files: Mapping[MessageType, PayloadFile]) -> Submission:
        """Seal anew what has to be, before it is published.

        Args:
            submission: What is gone on with.
            files: Its two files, by type: their digests are those in the journal.

        Returns:
            The submission as it stands now.

        Raises:
            AccessRefused: It was offered to the bus for a certificate that is not the receiver's any more, or a key or
                certificate was refused.
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
            behind = [shipment for shipment in waiting if self._is_behind(shipment, present)]
            if not behind:
                return submission
            for shipment in behind:
                _demand_never_offered(shipment, present)
            for new in self._sealed_anew(behind, self.sealing(counterpart), files):
                self._exchange(new, present)
        except KprError as error:
            for shipment in waiting:
                self.journal.note_error(shipment.msg_id, LastError.of(error))
            raise
        return self.journal.submission(submission.submission_id) or submission

    def _is_behind(self, shipment: Shipment, present: CertificateName) -> bool:
        if shipment.certificates is not None:
            return shipment.certificates.encryption.sha1 != present.sha1
        text = f"{shipment.msg_id} was sealed before the journal kept for which certificate: it is sent as it is."
        self.observe(Event(EventKind.WARNING, text, shipment.msg_id, shipment.type))
        return False

    def _sealed_anew(
        self, behind: list[Shipment], sealing: Sealing, files: Mapping[MessageType, PayloadFile]
    ) -> list[NewShipment]:
        made = []
        for shipment in behind:
            envelope = self.journal.envelope(shipment.msg_id)
            new = sealing.again(shipment, made_at(envelope.properties), files[shipment.type])
            if new.hodemelding_sha256 != shipment.hodemelding_sha256 or new.envelope != envelope:
                raise ConfigInvalid(
                    f"The {shipment.type.norwegian} ({shipment.msg_id}) was sealed for an earlier certificate of the "
                    "receiver and cannot be sealed anew as the same message: parties, queue, texts or time zone are "
                    "configured or registered differently now.",
                    next_step="If that is a mistake, put it right and run the same command again. If not: "
                    + _new_submission(shipment),
                )
            made.append(new)
        return made

    def _exchange(self, new: NewShipment, present: CertificateName) -> None:
        shipment = self.journal.reseal(new, why=_WHY)
        text = (
            f"FHI's certificate for encryption is another now (SHA-1 thumbprint {present.sha1}): the "
            f"{shipment.type.norwegian} ({shipment.msg_id}), which was never sent, is sealed anew for it."
        )
        self.observe(Event(EventKind.SEALED, text, shipment.msg_id, shipment.type))


def _demand_never_offered(shipment: Shipment, present: CertificateName) -> None:
    if shipment.attempts == 0 and not shipment.receipts:
        return
    was = shipment.certificates.encryption.sha1 if shipment.certificates else "unknown"
    raise AccessRefused(
        f"The {shipment.type.norwegian} ({shipment.msg_id}) is sealed for the certificate with SHA-1 thumbprint {was}; "
        f"the receiver's is {present.sha1} now. It was offered to the bus before, so it is neither sent for the old "
        "certificate nor sealed anew.",
        where=_WHERE,
        next_step="Ask kpr@fhi.no whether the MsgId has arrived and whether the old certificate is still in use. If it "
        "has not arrived: " + _new_submission(shipment),
    )


def _new_submission(shipment: Shipment) -> str:
    return (
        "make a new extract of both files in the EPJ and send it with "
        f"--replaces {shipment.submission_id} --reason TEXT, which cancels what was not sent."
    )
