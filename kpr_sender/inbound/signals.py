"""What a mail says of a mail that we sent (EDI): it is stored, and what it does is a row in the table of states.

1. An Acknowledgment or MessageError counts only where the receiver's registered certificate signed it, for us.
2. Digests that an Acknowledgment repeats must be those that we sent: one that is different acknowledges something else.
   Where the journal's own copy is damaged, nothing can be compared, and nothing is acknowledged.
3. A bounce and a SOAP Fault are signed by nobody. They lead back to a mail by the id that it was sent under.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.x509 import Certificate

from kpr_sender.ebxml.answers import Acknowledgment, Answer, Assurance, Digests, MessageError, compare
from kpr_sender.ebxml.envelope import Severity
from kpr_sender.ebxml.reports import Bounce, ReportedDelivery, SoapFault
from kpr_sender.errors import JournalUnwritable
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.inbound.mails import own_references
from kpr_sender.journal.port import Journal
from kpr_sender.journal.values import Signal
from kpr_sender.model import NoteKind, Shipment, Transport
from kpr_sender.states import Cause
from kpr_sender.texts import Text, quoted

_ANOTHER: Final = Text("it acknowledges something else than what we sent: its digests are not ours")
_NO_DIGESTS: Final = Text("it does not repeat our digests, which edi.require_digests asks for")
_DAMAGED: Final = Text(
    "what it acknowledges cannot be read in the journal, or is damaged there: its digests prove nothing"
)
_NOT_OURS: Final = Text("it names no mail of this journal")
_SEVERE: Final = {True: (Cause.MESSAGE_ERROR, None), False: (Cause.SIGNAL_NOTED, NoteKind.WARNING)}
_REPORTED: Final[Mapping[ReportedDelivery, tuple[Cause, NoteKind | None]]] = {
    ReportedDelivery.FAILED: (Cause.BOUNCED, None),
    ReportedDelivery.DELAYED: (Cause.SIGNAL_NOTED, NoteKind.DELAYED),
    ReportedDelivery.OTHER: (Cause.SIGNAL_NOTED, NoteKind.OTHER),
}


@dataclass(frozen=True, slots=True)
class Read:
    """What a signal means.

    Attributes:
        cause: What it does; None where it is not verified, or about nothing of ours.
        problem: Why it is not, as a clause with *it* for the mail; also what is odd about what is.
        kind: What it is, where it moves nothing.
    """

    cause: Cause | None
    problem: str = ""
    condition: str = ""
    description: str = ""
    kind: NoteKind | None = None


@dataclass(frozen=True, slots=True)
class SignalHandler:
    """Records what mails say of mails.

    Attributes:
        require_digests: ``edi.require_digests``.
        usable: Returns why a certificate may not be used now, as a clause; empty where it may.
    """

    journal: Journal
    require_digests: bool
    usable: Callable[[Certificate], str]
    observe: Observer

    def record(self, answer: Answer, raw: bytes) -> tuple[Shipment | None, bool, str]:
        """Record a signal.

        Returns:
            The shipment that it is recorded for, whether that is new, and why it is not verified or not ours.

        Raises:
            JournalUnwritable: It could not be made durable; it must not be taken.
        """
        named = next(filter(None, map(self._shipment, _named(answer))), None)
        if named is None:
            return None, False, _NOT_OURS
        shipment, message_id = named
        read = self._read(answer, shipment, message_id)
        if read.cause is None:
            self._report(EventKind.WARNING, shipment, Text("A mail is not verified: {why}.", why=quoted(read.problem)))
            return None, False, read.problem
        signal = Signal(
            message_id=message_id,
            sha256=hashlib.sha256(raw).hexdigest(),
            condition=read.condition,
            description=read.description or read.problem,
            kind=read.kind,
        )
        new = self.journal.note_signal(shipment.msg_id, read.cause, signal)
        if new:
            self._report(*_event(read, shipment))
        return shipment, new, ""

    def _shipment(self, message_id: str) -> tuple[Shipment, str] | None:
        found = self.journal.shipment_by_message_id(message_id)
        return None if found is None or found.transport is not Transport.EDI else (found, message_id)

    def _read(self, answer: Answer, shipment: Shipment, message_id: str) -> Read:
        match answer:
            case Acknowledgment() | MessageError() if problem := self._problem(answer.assurance):
                return Read(None, problem)
            case Acknowledgment():
                return self._acknowledgment(answer, shipment, message_id)
            case MessageError():
                worst = answer.errors[0] if answer.errors else None
                cause, kind = _SEVERE[answer.severity is Severity.ERROR]
                said = (worst.code, worst.description) if worst else ("", "")
                return Read(cause, "", *said, kind)
            case Bounce():
                cause, kind = _REPORTED[answer.delivery]
                return Read(cause, condition=answer.status, description=answer.diagnostic, kind=kind)
            case SoapFault():
                return Read(Cause.BOUNCED, condition=answer.code, description=answer.text)
        return Read(None, _NOT_OURS)

    def _problem(self, assurance: Assurance) -> str:
        return assurance.problem if assurance.certificate is None else self.usable(assurance.certificate)

    def _acknowledgment(self, answer: Acknowledgment, shipment: Shipment, message_id: str) -> Read:
        if message_id != shipment.message_id:
            return Read(Cause.ACKNOWLEDGED)  # of an envelope that was given up: it moves nothing
        try:
            body = self.journal.sealed(shipment.msg_id)
        except JournalUnwritable:
            # Pruned: it is over. Else the mail waits until the journal has the bytes again.
            return Read(None, _DAMAGED) if shipment.pruned_at is None else Read(Cause.ACKNOWLEDGED)
        sent = own_references(body, self.journal.envelope(shipment.msg_id).content_type)
        found = compare(sent, answer.references)
        if found is Digests.DIFFERENT:
            return Read(Cause.SIGNAL_NOTED, _ANOTHER, kind=NoteKind.UNCOUNTED)
        if found is not Digests.ALL and self.require_digests:
            return Read(Cause.SIGNAL_NOTED, _NO_DIGESTS, kind=NoteKind.UNCOUNTED)
        return Read(Cause.ACKNOWLEDGED)

    def _report(self, kind: EventKind, shipment: Shipment, text: Text) -> None:
        self.observe(Event(kind, text, shipment.msg_id, shipment.type))


def _named(answer: Answer) -> tuple[str, ...]:
    """Return the eb:MessageIds of ours that a signal is about."""
    match answer:
        case Acknowledgment():
            return (answer.acknowledged,)
        case MessageError():
            return (answer.refused,)
        case Bounce() | SoapFault():
            return answer.message_ids
    return ()


def _event(read: Read, shipment: Shipment) -> tuple[EventKind, Shipment, Text]:
    name = f"{shipment.type.norwegian} ({shipment.msg_id})"
    said = quoted(*filter(None, (read.condition, read.description)))
    match read.cause:
        case Cause.ACKNOWLEDGED:
            text = Text("KPR's message server has acknowledged the {name}; FHI's receipt decides.", name=name)
            return EventKind.ACKNOWLEDGED, shipment, text
        case Cause.MESSAGE_ERROR:
            text = Text("KPR's message server has refused the {name}: {said}.", name=name, said=said)
            return EventKind.FAULTED, shipment, text
        case Cause.BOUNCED:
            text = Text("The mail with the {name} came back: {said}.", name=name, said=said)
            return EventKind.FAULTED, shipment, text
    why = said or quoted(read.problem)
    return EventKind.WARNING, shipment, Text("A mail about the {name} says: {why}.", name=name, why=why)
