"""What a message from one of our queues means: examine it, record it, and say what to do with it.

The queue is the municipality's "Saksbehandling" queue: other systems' messages arrive there, too. The rules:

1. Ours is what names one of our shipments, or is from the receiver while one waits. Everything else is left unsettled.
2. What is verified (``examine``) moves its shipment (promise G4).
3. What claims to be ours and cannot be verified is stored, within bounds, shown, and left on the queue. Its stored
   bytes are evaluated anew at each run: certificates, keys, roots, policy and clock change.
4. Nothing is settled before what it says is durable.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.cms.certificates import named
from kpr_sender.ebxml.answers import PayloadMessage
from kpr_sender.edi.port import InboundMail
from kpr_sender.errors import UsageError
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.inbound.examine import Examined, Examiner
from kpr_sender.inbound.mails import looks_like_mail, stored_form
from kpr_sender.inbound.signals import SignalHandler
from kpr_sender.journal.port import Journal, JournalView
from kpr_sender.journal.values import ReceiptDocument
from kpr_sender.messages import error_queue
from kpr_sender.messages.apprec import MOST_ERRORS, AppRec
from kpr_sender.messages.transport import FROM_HER_ID, plain_id
from kpr_sender.model import Receipt, ReceiptError, Shipment
from kpr_sender.privacy import redact_text
from kpr_sender.registry.latest import AT_MOST_EVERY
from kpr_sender.registry.port import Counterpart
from kpr_sender.states import CAUSE_OF_STATUS, ReceiptStatus
from kpr_sender.texts import Text, quoted

# What anybody can put on our queue: how many of them, and how many bytes, are stored at most.
_MOST_THAT_NAME_ONE: Final = (20, 32_000_000)
"""For each shipment."""
_MOST_THAT_NAME_NOBODY: Final = (5, 20_000_000)
"""In all."""


class Handling(enum.StrEnum):
    """What the owner of the queue link does with the message now."""

    SETTLE = "settle"
    """Ours, and what it says is durable: accept it."""
    HOLD = "hold"
    """Not ours, or not verified: leave it unsettled."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a message turned out to be.

    Attributes:
        msg_ids: The shipments it is recorded for; empty when it is not ours.
        problem: Why it is not verified, or not ours: a clause with *it* for the message; empty when it is verified.
        new: Whether the journal holds something that it did not hold before.
        names_ours: Whether it is stored because it names one of our ids, not only because of whom it claims to be from.
        answers_another: Whether it claims to be the receiver's answer to a message that is not in this journal.
        for_another_key: Whether it is sealed for a key that we do not hold, and nothing says whose it is.
    """

    handling: Handling
    msg_ids: tuple[str, ...] = ()
    problem: str = ""
    new: bool = False
    names_ours: bool = False
    answers_another: bool = False
    for_another_key: bool = False


@dataclass(slots=True)
class ReceiptHandler:
    """Evaluates each message from our queues and records it in the journal.

    Attributes:
        her_id: The HER-id that we send from, as configured now.
        archive: Called with each receipt that could be read and its XML, after it is durable.
        signals: Records what a mail says of a mail.
        acknowledge: Acknowledges a receipt that came by mail, after it is durable, and returns whether that was sent;
            None where nothing is acknowledged.
    """

    journal: Journal
    examiner: Examiner
    her_id: int
    observe: Observer
    archive: Callable[[Receipt, bytes], None]
    signals: SignalHandler
    acknowledge: Callable[[PayloadMessage], bool] | None = None
    _evaluated_at: datetime | None = field(default=None, init=False)

    @property
    def receiver_her_id(self) -> int:
        """Who answers us, by its level 2 HER-id."""
        return self.examiner.sender.her_id

    @property
    def counterpart(self) -> Counterpart:
        """Who answers us, as the register has it; raises as ``AddressRegistry.counterpart`` does."""
        return self.examiner.sender.current

    def handle(self, inbound: Inbound) -> Handling:
        """Evaluate a message, after what is stored if that is due, and say what to do with it. Raises as ``evaluate``.

        For who reads the queue in place of ``Listener``, perhaps for months.
        """
        at, before = self.examiner.now(), self._evaluated_at
        if before is None or not timedelta() <= at - before < timedelta(seconds=AT_MOST_EVERY):
            self.reevaluate()
        return self.evaluate(inbound).handling

    def evaluate(self, inbound: Inbound, *, by_hand: bool = False) -> Evaluation:
        """Take one message as far as it can be taken, and record what it says.

        Args:
            inbound: The message.
            by_hand: Whether a person chose the file: one that is no receipt of ours says nothing about our queue.

        Raises:
            JournalUnwritable: What it says could not be made durable; it must not be settled.
            KeyUnavailable: Our key's token is away: an outage of ours, which says nothing about the message.
        """
        reached(FaultPoint.ANSWER_RECEIVED)
        if inbound.source is Source.ERRORS:
            return self._evaluate_error(inbound)
        if looks_like_mail(inbound.body):
            return self._evaluate_mail(replace(inbound, body=stored_form(inbound.body)), by_hand=by_hand)
        return self._evaluate_receipt(inbound, by_hand=by_hand)

    def _evaluate_mail(self, inbound: Inbound, *, by_hand: bool) -> Evaluation:
        mail = inbound.mail if isinstance(inbound, InboundMail) else None
        answer = self.examiner.mails.read(inbound.body, mail)
        if not isinstance(answer, PayloadMessage):
            shipment, new, problem = self.signals.record(answer, inbound.body)
            if shipment is None:
                return Evaluation(Handling.HOLD, (), problem)
            return Evaluation(Handling.SETTLE, (shipment.msg_id,), new=new)
        found = self._evaluate_receipt(inbound, by_hand=by_hand, message=answer)
        counts = found.handling is Handling.SETTLE and not found.problem and answer.assurance.is_verified
        if counts and not by_hand and self.acknowledge is not None and not self.acknowledge(answer):
            return replace(found, handling=Handling.HOLD)  # it comes again, and is acknowledged then
        return found

    def _evaluate_receipt(
        self, inbound: Inbound, *, by_hand: bool, message: PayloadMessage | None = None
    ) -> Evaluation:
        found = self.examiner.examine(inbound, message)
        shipment = found.shipment
        # Not for each message of others: a look must get past a thousand of them in its time.
        claims = shipment is not None or self.examiner.names_receiver(inbound)
        stored = self._stored(found, inbound.body) if found.problem and claims else None
        if stored is not None and not stored.in_question:  # a person decided on it, or it was verified before
            return Evaluation(Handling.SETTLE, (stored.msg_id,), "" if stored.verified else found.problem)
        if shipment is None:
            if found.unknown and found.apprec is not None and not by_hand:
                self._record_unknown(found.apprec)
            return Evaluation(
                Handling.HOLD,
                problem=found.problem,
                answers_another=found.answers_another,
                for_another_key=found.for_another_key,
            )
        if not found.problem:
            return self._record_verified(shipment, found, inbound.body)
        unverified = self._record_unverified(shipment, found, inbound.body, stored)
        settle = found.readable_by_nobody and (unverified.new or stored is not None)
        return replace(unverified, handling=Handling.SETTLE) if settle else unverified

    def reevaluate(self) -> bool:
        """Evaluate each stored receipt that is not verified anew, from its stored bytes. Raises as ``evaluate`` does.

        Returns:
            Whether one is verified now. Its copy on the queue, if it is still there, is a duplicate then.
        """
        verified = False
        self._evaluated_at = self.examiner.now()
        for receipt_id in self.journal.unverified_receipts():
            stored = self.journal.receipt_document(receipt_id)
            shipment = None if stored is None else self.journal.shipment(stored.receipt.msg_id)
            if stored is not None and shipment is not None:
                verified |= self._reevaluate(stored, shipment)
        return verified

    def accept(self, receipt_id: int, *, reason: str, by: str) -> Shipment:
        """Let a person accept a receipt whose signature holds, and whose sender does not say that it is the receiver.

        Args:
            receipt_id: As ``receipts`` prints it.
            reason: Why, in the person's words.
            by: The person.

        Returns:
            Its shipment.

        Raises:
            UsageError: There is no such receipt, or more speaks against it than its sender.
        """
        stored, shipment = undecided(self.journal, receipt_id)
        if stored.receipt.pruned:
            raise UsageError(
                Text("The content of receipt {number} was removed: nothing of it can be accepted.", number=receipt_id),
                where="N",
                next_step=Text("kpr-send journal log says who decided it and why. Ask kpr@fhi.no to send it again."),
            )
        found = self.examiner.examine(self._as_inbound(stored, shipment))
        if found.shipment is None or not found.only_sender:
            raise UsageError(
                Text(
                    "Receipt {receipt_id} cannot be accepted: {problem}.",
                    receipt_id=receipt_id,
                    problem=quoted(found.problem or _VERIFIED_NOW),
                ),
                where="N",
                next_step=Text(
                    "Only a receipt that FHI's registered certificate signed, for our MsgId and type, can be."
                ),
            )
        accepted = replace(found, remark=quoted(found.problem, found.remark), problem="")
        self._record_verified(found.shipment, accepted, stored.sealed, accepted=(reason, by))
        return found.shipment

    def _reevaluate(self, stored: ReceiptDocument, shipment: Shipment) -> bool:
        receipt = stored.receipt
        found = self.examiner.examine(self._as_inbound(stored, shipment))
        moved = found.apprec is not None and (found.shipment is None or found.shipment.msg_id != shipment.msg_id)
        if found.shipment is not None and not found.problem:
            self._record_verified(found.shipment, found, stored.sealed)
        elif found.shipment is not None and moved:
            self._record_unverified(found.shipment, found, stored.sealed, None)
        elif found.shipment is not None and found.problem != receipt.problem:
            status, errors = _says(found)
            changed = self.journal.change_unverified(
                receipt.receipt_id, status=status, errors=errors, problem=found.problem, xml=found.xml
            )
            if found.xml is not None:
                self.archive(changed, found.xml)
        if moved:
            reason = Text("It could be opened now, and is about another message.")
            self.journal.discard_receipt(receipt.receipt_id, reason=reason, by="kpr-sender")
        return found.shipment is not None and not found.problem

    def _stored(self, found: Examined, sealed: bytes) -> Receipt | None:
        """Return these bytes as they are stored already, unless as what they turned out not to be."""
        shipment = found.shipment
        stored = self.journal.stored_receipt(sealed, "" if shipment is None else shipment.msg_id)
        if stored is None or found.claim or stored.verified:
            return stored
        same = found.apprec is None if shipment is None else stored.msg_id in shipment.msg_ids
        return stored if same else None

    def _as_inbound(self, stored: ReceiptDocument, shipment: Shipment) -> Inbound:
        """Return a stored receipt as it would come now: what stood outside it has said its part."""
        outside = {FROM_HER_ID: str(self.examiner.sender.her_id)}
        return Inbound(None, Source.RECEIPTS, "", shipment.message_id, "", "", outside, stored.sealed)

    def _evaluate_error(self, inbound: Inbound) -> Evaluation:
        """Record an error-queue message for the shipment it names. It is never signed: that is no receipt."""
        fault = error_queue.parse(inbound.properties, inbound.subject, inbound.body, inbound.correlation_id)
        shipment = self.journal.shipment_by_message_id(fault.original_message_id)
        if shipment is None:
            return Evaluation(Handling.HOLD, (), Text("it names no message of this journal"))
        if inbound.properties.get(FROM_HER_ID, "").strip() != str(shipment.receiver_her_id):
            return Evaluation(Handling.HOLD, (), Text("it comes from another HER-id than we sent to"))
        reached(FaultPoint.ANSWER_OPENED)
        faulted = self.journal.fault(
            shipment.msg_id,
            condition=fault.condition,
            description=fault.description,
            data=fault.data,
            message_id=fault.original_message_id,
        )
        said, name = "" if faulted.error_message is None else faulted.error_message.text, _name(shipment)
        text = Text("The receiver could not take the {name}.", name=name)
        if said:
            text = Text("The receiver could not take the {name}: {said}.", name=name, said=quoted(said))
        self._report(EventKind.FAULTED, shipment, text)
        return Evaluation(Handling.SETTLE, (shipment.msg_id,), new=True)

    def _record_verified(
        self, shipment: Shipment, found: Examined, sealed: bytes, *, accepted: tuple[str, str] | None = None
    ) -> Evaluation:
        if found.apprec is None or found.apprec.status is None or found.xml is None:
            raise AssertionError("what is verified says so")
        status, errors = found.apprec.status, found.apprec.errors
        reached(FaultPoint.ANSWER_OPENED)
        recorded = self.journal.add_receipt(
            found.apprec.original_msg_id,
            status=status,
            errors=errors,
            verified=True,
            problem=found.remark,
            xml=found.xml,
            sealed=sealed,
            cause=CAUSE_OF_STATUS[status],
            signer=None if found.signer is None else named(found.signer),
            accepted=accepted,
        )
        if recorded is None:
            text = Text("The receipt for {msg_id} came once more: harmless.", msg_id=shipment.msg_id)
            self._report(EventKind.DUPLICATE, shipment, text)
            return Evaluation(Handling.SETTLE, (shipment.msg_id,))
        self.archive(recorded, found.xml)
        if recorded.problem != found.remark:
            problem = quoted(recorded.problem)
            text = Text("The receipt for {msg_id}: {problem}.", msg_id=shipment.msg_id, problem=problem)
            self._report(EventKind.CONTRADICTION, shipment, text)
        else:
            self._report(EventKind.RECEIPT, shipment, _result_text(shipment, status, errors), {"status": status})
        return Evaluation(Handling.SETTLE, (shipment.msg_id,), new=True)

    def _record_unverified(
        self, shipment: Shipment, found: Examined, sealed: bytes, stored: Receipt | None
    ) -> Evaluation:
        """Record what cannot be verified, as far as it can be read and is not too much, and leave it on the queue.

        Beyond the bound it is only left there, and never settled: nobody else has its bytes.
        """
        evaluation = Evaluation(Handling.HOLD, (shipment.msg_id,), found.problem, names_ours=not found.claim)
        if stored is not None:
            return evaluation
        most, most_bytes = _MOST_THAT_NAME_NOBODY if found.claim else _MOST_THAT_NAME_ONE
        msg_id = shipment.msg_id
        if found.apprec is not None and found.apprec.original_msg_id in shipment.msg_ids:
            msg_id = found.apprec.original_msg_id  # perhaps one that it does not have any more
        number, stored_bytes = self.journal.unverified_stored(None if found.claim else msg_id)
        if number >= most or stored_bytes + len(sealed) + len(found.xml or b"") > most_bytes:
            return replace(evaluation, names_ours=False)
        status, errors = _says(found)
        recorded = self.journal.add_receipt(
            msg_id,
            status=status,
            errors=errors,
            verified=False,
            problem=found.problem,
            xml=found.xml,
            sealed=sealed,
            cause=None,
            names_nobody=found.claim,
        )
        if recorded is not None:
            if found.xml is not None:
                self.archive(recorded, found.xml)
            text = Text(
                "A receipt for the {name} is stored but not verified: {problem}.",
                name=_name(shipment),
                problem=quoted(found.problem),
            )
            self._report(EventKind.RECEIPT_UNVERIFIED, shipment, text)
        return replace(evaluation, new=recorded is not None)

    def _record_unknown(self, answer: AppRec) -> None:
        """Record an answer to a message that somebody else sent for this municipality: a person must know of it."""
        submissions = self.journal.submissions()
        ours = {self.her_id, *(one.sender_her_id for one in submissions)}  # it may have been corrected since
        if not submissions or (answer.receiver_her_ids and ours.isdisjoint(answer.receiver_her_ids)):
            return
        msg_id = redact_text(plain_id(answer.original_msg_id))
        text = Text(
            "FHI has answered a {type} with MsgId {msg_id}, which this journal does not know: another machine, program "
            "or journal delivers for this municipality.",
            type=answer.original_type,
            msg_id=msg_id[:60],
        )
        if self.journal.has_forgotten(msg_id):
            text = Text(
                "FHI has answered a {type} with MsgId {msg_id}, which this journal does not know: it was begun before "
                "this journal was restored from backup or begun anew: FHI has it.",
                type=answer.original_type,
                msg_id=msg_id[:60],
            )
        shipment = submissions[0].own[0]  # what it keeps of another submission has arrived
        if self.journal.note_unknown_receipt(shipment.msg_id, original_msg_id=msg_id, text=text):
            self._report(EventKind.WARNING, shipment, text)

    def _report(
        self, kind: EventKind, shipment: Shipment, text: str, details: dict[str, str | int] | None = None
    ) -> None:
        self.observe(Event(kind, text, shipment.msg_id, shipment.type, details or {}))


def undecided(journal: JournalView, receipt_id: int) -> tuple[ReceiptDocument, Shipment]:
    """Return a receipt that a person may decide on, and its shipment. Asks no register and opens no key.

    Raises:
        UsageError: There is no such receipt, or it is verified.
    """
    stored = journal.receipt_document(receipt_id)
    shipment = None if stored is None else journal.shipment(stored.receipt.msg_id)
    if stored is None or shipment is None:
        text, next_step = (
            Text("There is no receipt {receipt_id} in this journal.", receipt_id=receipt_id),
            Text("kpr-send receipts shows the numbers."),
        )
        raise UsageError(text, where="N", next_step=next_step)
    if stored.receipt.verified:
        text = Text(
            "Receipt {receipt_id} is verified: it cannot be discarded, and need not be accepted.", receipt_id=receipt_id
        )
        raise UsageError(text, where="N", next_step=Text("kpr-send receipts shows which are not."))
    return stored, shipment


def _says(found: Examined) -> tuple[ReceiptStatus | None, tuple[ReceiptError, ...]]:
    return (None, ()) if found.apprec is None else (found.apprec.status, found.apprec.errors[:MOST_ERRORS])


_VERIFIED_NOW: Final = Text("it is verified now")


def _result_text(shipment: Shipment, status: ReceiptStatus, errors: tuple[ReceiptError, ...]) -> Text:
    name, why = _name(shipment), quoted(*(f"{one.code} {one.text}" for one in errors))
    match status, bool(why):
        case ReceiptStatus.OK, False:
            return Text("The {name} is delivered.", name=name)
        case ReceiptStatus.OK, True:
            return Text("The {name} is delivered: {why}.", name=name, why=why)
        case ReceiptStatus.OK_WITH_ERRORS, False:
            return Text("The {name} is delivered with errors (status 3).", name=name)
        case ReceiptStatus.OK_WITH_ERRORS, True:
            return Text("The {name} is delivered with errors (status 3): {why}.", name=name, why=why)
        case _, False:
            return Text("The {name} is rejected.", name=name)
    return Text("The {name} is rejected: {why}.", name=name, why=why)


def _name(shipment: Shipment) -> str:
    return f"{shipment.type.norwegian} ({shipment.msg_id})"
