"""What a person must know of a pair: one error, by its shipments' states and receipts.

Which of several things counts is ``errors.ORDER``'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kpr_sender.errors import (
    BY_CODE,
    AnswerUnopened,
    BusUnreachable,
    InDoubt,
    KprError,
    NeedsPerson,
    Overdue,
    ReadyToSend,
    ReceiptPending,
    ReceiptUnverified,
    RejectedByReceiver,
    worst,
)
from kpr_sender.lifecycle import words_of
from kpr_sender.model import (
    OTHER_SENDER,
    Environment,
    Receipt,
    Shipment,
    Submission,
    SubmissionState,
    Transport,
    rfc3339,
)
from kpr_sender.settings.kinds import write_duration
from kpr_sender.standing import standing
from kpr_sender.states import UNANSWERED, ReceiptStatus, ShipmentState
from kpr_sender.texts import Text, as_text, paragraph, quoted
from kpr_sender.wording import all_of

_S = ShipmentState
_NOT_ACCEPTED_AFTER: Final = timedelta(hours=96)


def _ask_to_resend(_shipment: Shipment, _receipt: Receipt) -> Text:
    return Text(
        "Do not send again. It cannot be read, which is no matter of certificates: show kpr@fhi.no the receipt "
        "(kpr-send receipts) and ask for it anew."
    )


def _ask_whose(_shipment: Shipment, receipt: Receipt) -> Text:
    return Text(
        "Do not send again. Ask kpr@fhi.no whether it is theirs; if it is, kpr-send receipts accept {number} "
        "--reason TEXT --by NAME.",
        number=receipt.receipt_id,
    )


def _ask_why_open(shipment: Shipment, _receipt: Receipt) -> Text:
    return Text(
        "Do not send again. Ask kpr@fhi.no whether it is theirs: FHI's answers are sealed unless "
        "receiver.unsealed_receipts says otherwise. If it is, kpr-send resolve {msg_id} --settled --reason TEXT "
        "--by NAME.",
        msg_id=shipment.msg_id,
    )


def _usual(_shipment: Shipment, _receipt: Receipt) -> Text:
    return ReceiptUnverified.advice


_DOUBTS: Final = (
    # Its signature holds where nothing but its sender is said to be wrong (inbound/examine).
    (OTHER_SENDER, _ask_whose),
    ("it is not sealed and ", _ask_to_resend),
    ("it is not sealed", _ask_why_open),
    ("it is signed by the receiver but ", _ask_to_resend),
    ("certificate", _usual),
    ("sign", _usual),
    ("", _ask_to_resend),
)
"""What to do about a receipt that is not verified, by its problem in English: the first that is part of it."""


def environment_mark(environment: Environment) -> str:
    """Return what every result begins with outside production; nothing there."""
    return "" if environment is Environment.PRODUKSJON else f"TEST {environment.value}: "


def named(shipments: Sequence[Shipment]) -> Text:
    """Return shipments as they are called in a sentence."""
    names = [f"{shipment.type} (MsgId {shipment.msg_id})" for shipment in shipments]
    return as_text(all_of(names) if names else "")


def in_question(submission: Submission, error: KprError | None) -> str:
    """Return the MsgId that a result's commands are about: its error's, else one that is not delivered."""
    if error is not None and error.about:
        return error.about
    left = [one for one in submission.shipments if not one.settled and one.state is not _S.DELIVERED]
    return min(left, key=lambda one: one.state is not _S.IN_DOUBT).msg_id if left else ""


def error_of(
    submission: Submission, *, overdue_after: float, at: datetime, beside: Sequence[KprError | None] = ()
) -> KprError | None:
    """Return what a person must know of the pair; None when all is delivered or settled by a person.

    Args:
        submission: As the journal has it.
        overdue_after: How long a receipt may take, in seconds.
        at: The time now; aware.
        beside: What is known besides, of pairs whose place it has taken.
    """
    unsettled, alarm = _unsettled(submission), _alarmed(submission)
    if unsettled is None:
        return worst([*beside, alarm])
    late = _Late(submission, overdue_after, at)
    known = [*beside, alarm, *(what(unsettled) for what in (*_WHATEVER_REPLACED_IT, *_KNOWN))]
    return worst([*known, late.error()], [what(unsettled, late) for what in _KEEPS_US])


def error_beside_replacement(submission: Submission) -> KprError | None:
    """Return what a person must know of a pair although another has taken its place."""
    unsettled, alarm = _unsettled(submission), _alarmed(submission)
    return alarm if unsettled is None else worst([alarm, *(what(unsettled) for what in _WHATEVER_REPLACED_IT)])


def _unsettled(submission: Submission) -> Submission | None:
    unsettled = tuple(shipment for shipment in submission.shipments if not shipment.settled)
    return replace(submission, shipments=unsettled) if unsettled else None


def _in(submission: Submission, *states: ShipmentState) -> list[Shipment]:
    return [shipment for shipment in submission.shipments if shipment.state in states]


class _Late:
    """Which receipts are overdue.

    It counts from when the bus said *accepted* or a person that it has arrived, whichever was later; a time in the
    future, because the clock was set back, is not overdue.
    """

    def __init__(self, submission: Submission, overdue_after: float, at: datetime) -> None:
        times = {
            one.msg_id: max(filter(None, (one.published_at, one.arrived_at)), default=at)
            for one in _in(submission, _S.PUBLISHED)
            if not one.settled
        }
        self._shipments = [
            one
            for one in submission.shipments
            if one.msg_id in times and (at - times[one.msg_id]).total_seconds() > overdue_after
        ]
        oldest = min(self._shipments, key=lambda one: times[one.msg_id], default=None)
        self._since = at if oldest is None else times[oldest.msg_id]
        self._by_word = oldest is not None and oldest.arrived_at == self._since
        self._after, self._at = overdue_after, at

    @property
    def text(self) -> Text:
        """In a sentence; empty where none is."""
        since, after, shipments = rfc3339(self._since), write_duration(self._after), named(self._shipments)
        if not self._shipments:
            return Text("")
        if self._by_word:
            return Text(
                "A person said that it has arrived at {since}, more than {after} ago, and no receipt came: "
                "{shipments}.",
                since=since,
                after=after,
                shipments=shipments,
            )
        return Text(
            "Published at {since}, more than {after} ago, and no receipt came: {shipments}.",
            since=since,
            after=after,
            shipments=shipments,
        )

    def error(self) -> KprError | None:
        if not self._shipments:
            return None
        lost = Text(
            "It may never have reached FHI: the bus says accepted also for a message that it cannot route, or that "
            "expires or is pushed out of the receiver's queue unread."
        )
        if all(one.transport is Transport.EDI for one in self._shipments):
            lost = Text(
                "It may never have reached FHI: the mail server took it, and KPR's message server has not acknowledged "
                "it."
            )
            if all(one.acknowledged_at is not None for one in self._shipments):
                lost = Text("KPR's message server has acknowledged it, which says nothing of what FHI did with it.")
        text = paragraph(self.text, lost, _nationally(self._at - self._since))
        return Overdue(text, about=self._shipments[0].msg_id)


def is_overdue(submission: Submission, *, overdue_after: float, at: datetime) -> bool:
    """Whether a receipt is overdue, whatever else is known of the pair."""
    unsettled = _unsettled(submission)
    return unsettled is not None and bool(_Late(unsettled, overdue_after, at).text)


def _nationally(length: timedelta) -> Text:
    """Return what HITS 1168 (9.1) says of a message that no AppRec has come to for so long."""
    if length > _NOT_ACCEPTED_AFTER:
        return Text("After 96 hours without AppRec it counts nationally as not accepted (HITS 1168).")
    return Text("Without AppRec it counts nationally as not accepted from 96 hours on (HITS 1168).")


# What is known: each returns nothing where it is not so. Of two that count alike the first is shown.


def _in_doubt(submission: Submission) -> KprError | None:
    doubtful = _in(submission, _S.IN_DOUBT, _S.PUBLISHING)
    if not doubtful:
        return None
    text = Text("It is not known whether the bus has {shipments}.", shipments=named(doubtful))
    if all(one.transport is Transport.EDI for one in doubtful):
        text = Text("It is not known whether the mail server has {shipments}.", shipments=named(doubtful))
    return InDoubt(text, about=doubtful[0].msg_id)


def _unverified(submission: Submission) -> KprError | None:
    """An answer is not verified: the latest one, while no verified answer has settled the matter."""
    for shipment in _in(submission, *UNANSWERED):
        receipt = next((one for one in reversed(shipment.receipts) if one.in_question), None)
        if receipt is not None:
            return _doubted(shipment, receipt)
    return None


def _doubted(shipment: Shipment, receipt: Receipt) -> KprError:
    name, problem = named([shipment]), quoted(receipt.problem)
    if receipt.unopened:
        return AnswerUnopened(Text("An answer for {name} cannot be opened: {problem}.", name=name, problem=problem))
    next_step = next(advice for part, advice in _DOUBTS if part in receipt.problem)(shipment, receipt)
    text = Text("A receipt for {name} is not verified: {problem}.", name=name, problem=problem)
    return ReceiptUnverified(text, next_step=next_step, about=shipment.msg_id)


def _alarmed(submission: Submission) -> KprError | None:
    alarmed = next((shipment for shipment in submission.shipments if shipment.alarm), None)
    if alarmed is None:
        return None
    return NeedsPerson(
        as_text(alarmed.alarm),
        next_step=Text(
            "Send nothing before it is clear who sent it: another machine, another journal, another program, this "
            "journal before it was restored? Ask kpr@fhi.no what it has, then kpr-send resolve {msg_id} --settled "
            "--reason TEXT: that settles the alarm alone.",
            msg_id=alarmed.msg_id,
        ),
    )


def _contradicted(submission: Submission) -> KprError | None:
    contradicted = [shipment for shipment in submission.shipments if shipment.needs_person]
    if not contradicted:
        return None
    return NeedsPerson(
        Text(
            "The receipts for {shipments} contradict each other or what is known of it.", shipments=named(contradicted)
        ),
        next_step=_advice(_in(submission, _S.SEALED)) if contradicted[0].state is _S.SEALED else Text(""),
        about=contradicted[0].msg_id,
    )


def _partly(submission: Submission) -> KprError | None:
    if submission.state is not SubmissionState.PARTLY_DELIVERED:
        return None
    lost = _in(submission, _S.REJECTED, _S.FAULTED, _S.CANCELLED)
    faulted, state, other = _in(submission, _S.FAULTED), words_of(lost[0].state), named(lost)
    text = Text("Only one of the pair is delivered. The other is {state}: {other}.", state=state, other=other)
    if faulted:
        text = Text(
            "Only one of the pair is delivered. The other is {state}: {other}: {why}.",
            state=state,
            other=other,
            why=_why(faulted),
        )
    return NeedsPerson(text, next_step=_advice(lost), about=lost[0].msg_id)


def _with_errors(submission: Submission) -> KprError | None:
    arrived = _in(submission, _S.DELIVERED_WITH_ERRORS)
    if not arrived:
        return None
    shipments, why = named(arrived), _why(arrived)
    text = Text("Arrived with errors (status 3): {shipments}: {why}.", shipments=shipments, why=why)
    return NeedsPerson(text, next_step=_advice(arrived), about=arrived[0].msg_id)


def _ok_with_errors(submission: Submission) -> KprError | None:
    """FHI says OK and names errors all the same: only a person can tell what it means (HIS 80415 4.3)."""
    odd = [
        shipment
        for shipment in _in(submission, _S.DELIVERED)
        if any(one.verified and one.status is ReceiptStatus.OK and one.errors for one in shipment.receipts)
    ]
    if not odd:
        return None
    shipments, why = named(odd), _why(odd)
    return NeedsPerson(
        Text(
            "FHI says OK (status 1) to {shipments}, and names errors all the same: {why}.",
            shipments=shipments,
            why=why,
        )
    )


def _cancelled(submission: Submission) -> KprError | None:
    cancelled = _in(submission, _S.CANCELLED)
    if not cancelled or submission.state is SubmissionState.REJECTED:
        return None  # a rejected half says more
    text = Text("Cancelled, and will not be sent: {shipments}.", shipments=named(cancelled))
    return NeedsPerson(text, next_step=_advice(cancelled), about=cancelled[0].msg_id)


def _rejected(submission: Submission) -> KprError | None:
    refused = _in(submission, _S.REJECTED, _S.FAULTED)
    if not refused:
        return None
    # What was rejected needs a new extract, for which FHI is asked anyway; what was faulted mostly needs none.
    first = _in(submission, _S.REJECTED) or refused
    text = Text("{shipments} did not get through: {why}.", shipments=named(refused), why=_why(refused))
    return RejectedByReceiver(text, next_step=_advice(first), about=first[0].msg_id)


def _ready(submission: Submission) -> KprError | None:
    waiting = [one for one in _in(submission, _S.SEALED) if one.last_error is None]
    if not waiting:
        return None
    return ReadyToSend(Text("Sealed, and not sent yet: {shipments}.", shipments=named(waiting)))


def _pending(submission: Submission) -> KprError | None:
    pending = _in(submission, _S.PUBLISHED)
    if not pending or any(one.last_error and one.last_error.code == ReceiptPending.code for one in pending):
        return None  # what stands before the receipts says more, under the same code
    if all(one.acknowledged_at is not None for one in pending):
        return ReceiptPending(
            Text(
                "Published, acknowledged by KPR's message server, and no receipt is here yet: {shipments}. That is not "
                "delivered: FHI has not answered.",
                shipments=named(pending),
            )
        )
    if all(one.transport is Transport.EDI for one in pending):
        return ReceiptPending(
            Text(
                "Published, and no receipt is here yet: {shipments}. That is not delivered: the mail server has taken "
                "it, no more is known.",
                shipments=named(pending),
            )
        )
    return ReceiptPending(
        Text(
            "Published, and no receipt is here yet: {shipments}. That is not delivered: the bus says accepted also "
            "when it cannot route a message.",
            shipments=named(pending),
        )
    )


def _not_sent(submission: Submission, late: _Late) -> KprError | None:
    waiting = _in(submission, _S.SEALED)
    last = next((shipment.last_error for shipment in waiting if shipment.last_error), None)
    if last is None:
        return None
    text = paragraph(Text("Not sent: {shipments}.", shipments=named(waiting)), last.text, late.text)
    return BY_CODE.get(last.code, BusUnreachable)(text)


def _not_fetched(submission: Submission, late: _Late) -> KprError | None:
    pending = _in(submission, _S.PUBLISHED)
    obstacle = next((shipment.last_error for shipment in pending if shipment.last_error), None)
    if obstacle is None:
        return None
    text = Text(
        "Published: {shipments}, but receipts cannot be fetched: {obstacle}",
        shipments=named(pending),
        obstacle=obstacle.text,
    )
    return BY_CODE[obstacle.code](paragraph(text, late.text))


_WHATEVER_REPLACED_IT: Final = (_in_doubt, _unverified, _contradicted)
_KNOWN: Final = (_partly, _with_errors, _ok_with_errors, _cancelled, _rejected, _ready, _pending)
_KEEPS_US: Final = (_not_sent, _not_fetched)


def _why(shipments: Sequence[Shipment]) -> str:
    """Return what the receiver says is wrong."""
    codes = [
        f"{error.code} {error.text}"
        for shipment in shipments
        for receipt in shipment.receipts
        for error in receipt.errors
        if receipt.verified
    ]
    faults = [shipment.error_message.text for shipment in shipments if shipment.error_message]
    notes = [shipment.last_error.text for shipment in shipments if shipment.last_error]
    return quoted(*(codes or faults or notes or [Text("no error code was given")]))


def _advice(shipments: Sequence[Shipment]) -> Text:
    """Return what to do about shipments, each thing once; empty where the error's own advice says it."""
    return paragraph(*dict.fromkeys(standing(one).advice(one) for one in shipments))
