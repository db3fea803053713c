"""From two hashed files to two shipments that the journal can store.

1. The Hodemelding round each file: who sends what to whom, under which ids. HER-ids come from the year's profile and
   the configuration, names and queue ids from Adresseregisteret (HIS 1153-2 AD2.3, AD2.4; HITS 1216). Where it is not
   asked, they are those of ``[sender]`` and ``[receiver]``, and of the profile.
2. With ``hodemelding.xmldsig``, an XML signature as its last element.
3. The sealed bytes (``sealing``), whose length is known before they are made, as a stream: the journal pulls them, the
   seal pulls the Hodemelding, the Hodemelding pulls the file. So memory stays flat from file to journal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from kpr_sender.cms.certificates import named
from kpr_sender.cms.port import Malformed, Signer
from kpr_sender.errors import InputRefused
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.values import NewShipment, NewSubmission
from kpr_sender.messages.hodemelding import END, Hodemelding, frame
from kpr_sender.model import Certificates, MessageType, Party, Shipment
from kpr_sender.outbound.payload_file import PayloadFile
from kpr_sender.outbound.port import Route, Sealing, Unsealed
from kpr_sender.profiles import Profile
from kpr_sender.registry.port import Counterpart, RegisterEntry
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is chosen before a shipment is built: its two ids, and when its Hodemelding was made (GenDate)."""

    msg_id: str
    message_id: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Parties:
    """Both sides of a message."""

    sender: Party
    receiver: Party
    addresses: Route

    @classmethod
    def of(
        cls, settings: Settings, known: Party, counterpart: Counterpart, own: RegisterEntry | None, sealing: Sealing
    ) -> Parties:
        """Return both sides as the register has them now.

        Raises:
            ConfigInvalid: An address is not known, or not the one that is configured.
        """
        sender = settings.sender.party
        if own is not None:
            sender = _named(sender, own.party.parent_name, own.party.name)
        receiver = _named(known, counterpart.organisation_name, counterpart.name)
        return cls(sender, receiver, sealing.addresses(known, counterpart, own))

    def differences(self, settings: Settings) -> Iterator[str]:
        """Yield a sentence for each name in the configuration that is another in the register."""
        for key, configured, registered in (
            ("sender.name", settings.sender.name, self.sender.name),
            ("sender.service_name", settings.sender.service_name, self.sender.service_name),
            ("receiver.name", settings.receiver.name, self.receiver.name),
            ("receiver.service_name", settings.receiver.service_name, self.receiver.service_name),
        ):
            if configured and configured != registered:
                yield Text(
                    "{key} is {configured}; the message says {registered}, as Adresseregisteret has it.",
                    key=key,
                    configured=configured,
                    registered=registered,
                )


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds shipments. Everything is passed in, so that the same values give the same Hodemelding.

    Attributes:
        counterpart: The receiver as the register has it now, checked.
        parties: Both sides, by the names and addresses that the message says.
        sealing: Seals, for the way that it goes.
        signer: Our signing key, checked.
    """

    settings: Settings
    profile: Profile
    counterpart: Counterpart
    parties: Parties
    sealing: Sealing
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
        kept: frozenset[str] = frozenset(),
    ) -> NewSubmission:
        """Build a new submission; its bytes are sealed while the journal writes them.

        Args:
            files: What is to be sent, in that order: both files, or one where the other half is kept.
            lopenr: The EPJ's running number in each.
            replaces: The submission it replaces.
            reason: Why it does.
            accepted: How many findings of each rule a person has accepted.
            by: Who submits.
            kept: MsgIds of the half that it keeps, which FHI has, of the submission it replaces.

        Raises:
            InputRefused: A shipment would be larger than may be sent, or a file has no canonical form to sign.
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
                self._shipment(kind, file, lopenr[kind], Fixed(self.new_id(), self.new_id(), self.now()))
                for kind, file in files.items()
            ),
            kept=kept,
        )

    def anew(self, shipment: Shipment, fixed: Fixed, file: PayloadFile) -> NewShipment:
        """Build a shipment of the journal once more, as configured now and sealed for the present certificate.

        Raises:
            InputRefused: As for ``submission``.
        """
        return self._shipment(shipment.type, file, shipment.lopenr, fixed)

    def _shipment(self, kind: MessageType, file: PayloadFile, lopenr: str, fixed: Fixed) -> NewShipment:
        hodemelding = self._hodemelding(kind, fixed)
        head, tail = frame(hodemelding)
        message = _Message(head, file, tail)
        if self.settings.hodemelding.xmldsig:
            message = self._signed(message)
        unsealed = Unsealed(
            type=kind,
            msg_id=fixed.msg_id,
            message_id=fixed.message_id,
            made_at=hodemelding.generated_at,
            sender=hodemelding.sender,
            receiver=hodemelding.receiver,
            addresses=self.parties.addresses,
            where=str(file.path),
            length=message.length,
            chunks=message.chunks,
        )
        sealed = self.sealing.seal(unsealed, self.counterpart, self.signer)
        if sealed.concern:
            self.observe(Event(EventKind.WARNING, sealed.concern, type=kind))
        return NewShipment(
            type=kind,
            msg_id=fixed.msg_id,
            message_id=fixed.message_id,
            receiver_her_id=hodemelding.receiver.service_her_id,
            envelope=sealed.envelope,
            payload_sha256=file.sha256,
            payload_bytes=file.length,
            lopenr=lopenr,
            hodemelding_sha256=hashlib.sha256(head + tail).hexdigest(),
            certificates=Certificates(named(self.counterpart.encryption), named(self.signer.certificate)),
            sealed_bytes=sealed.length,
            sealed=sealed.chunks,
            file=file.source,
        )

    def _hodemelding(self, kind: MessageType, fixed: Fixed) -> Hodemelding:
        texts = self.settings.hodemelding
        return Hodemelding(
            type=kind,
            type_text=texts.type_text_ipl if kind is MessageType.KPR_IPL else texts.type_text_ide,
            msg_id=fixed.msg_id,
            generated_at=fixed.made_at.astimezone().replace(microsecond=0),
            sender=self.parties.sender,
            receiver=self.parties.receiver,
            ack=texts.ack,
            processing_status=texts.processing_status,
        )

    def _signed(self, message: _Message) -> _Message:
        """Return the message with a ds:Signature last in its root; it is held in memory meanwhile."""
        # Only where it is asked for: signxml takes its time to be imported.
        from kpr_sender.messages.xml_signature import signature  # noqa: PLC0415

        try:
            element = signature(b"".join(message.chunks()), self.signer)
        except Malformed as error:
            raise InputRefused(
                Text("It cannot be signed: {error}.", error=error), where=str(message.file.path)
            ) from None
        return _Message(message.head, message.file, message.tail.removesuffix(END) + element + END)


@dataclass(frozen=True, slots=True)
class _Message:
    """The Hodemelding as a stream: head, the payload's own bytes, tail."""

    head: bytes
    file: PayloadFile
    tail: bytes

    @property
    def length(self) -> int:
        """In bytes."""
        return len(self.head) + self.file.length + len(self.tail)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes.

        Raises:
            InputMissing: The file cannot be read any more.
            InputRefused: The file is not the one that was hashed.
        """
        yield self.head
        yield from self.file.chunks()
        yield self.tail


def _named(party: Party, name: str, service_name: str) -> Party:
    return replace(party, name=name or party.name, service_name=service_name or party.service_name)
