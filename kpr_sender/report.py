"""What a submission amounts to: exit code, text and JSON, all from the same rows (promise G5).

Nothing here looks at what a run did, only at what the journal says and what time it is: ``status`` tomorrow gives
the same answer as ``send`` tomorrow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kpr_sender import profiles
from kpr_sender.errors import (
    BY_CODE,
    EXIT_OK,
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
    sentence,
)
from kpr_sender.journal.port import REVIEWED, JournalView
from kpr_sender.messages.error_conditions import advice
from kpr_sender.model import OTHER_SENDER, Environment, Receipt, Shipment, Submission, SubmissionState
from kpr_sender.profiles.profile import Deadline
from kpr_sender.settings.kinds import write_duration
from kpr_sender.settings.values import Settings
from kpr_sender.states import UNANSWERED, ReceiptStatus, ShipmentState, awaits_answer

_NOT_ACCEPTED_AFTER: Final = timedelta(hours=96)


def _named(shipments: list[Shipment]) -> str:
    return " and ".join(f"{shipment.type} (MsgId {shipment.msg_id})" for shipment in shipments)


def _in(submission: Submission, *states: ShipmentState) -> list[Shipment]:
    return [shipment for shipment in submission.shipments if shipment.state in states]


def _in_doubt(submission: Submission) -> KprError:
    doubtful = _in(submission, ShipmentState.IN_DOUBT, ShipmentState.PUBLISHING)
    return InDoubt(f"It is not known whether the bus has {_named(doubtful)}.")


def _partly(submission: Submission) -> KprError:
    lost = _in(submission, ShipmentState.REJECTED, ShipmentState.FAULTED, ShipmentState.CANCELLED)
    text = f"Only one of the pair is delivered. The other is {lost[0].state.value}: {_named(lost)}"
    faulted = _in(submission, ShipmentState.FAULTED)
    return NeedsPerson(sentence(text, *(_why(faulted) if faulted else ())), next_step=_advice(faulted))


def _rejected(submission: Submission) -> KprError:
    refused = _in(submission, ShipmentState.REJECTED, ShipmentState.FAULTED)
    # What was rejected needs a new extract, for which FHI is asked anyway; what was faulted mostly needs none.
    next_step = "" if _in(submission, ShipmentState.REJECTED) else _advice(refused)
    text = sentence(f"{_named(refused)} did not get through", *_why(refused))
    return RejectedByReceiver(text, next_step=next_step)


def _why(shipments: list[Shipment]) -> list[str]:
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
    return codes or faults or notes or ["no error code was given"]


def _advice(faulted: list[Shipment]) -> str:
    """Return what to do about what the error queue says, each thing once; empty where it says nothing."""
    return " ".join(dict.fromkeys(advice(one.error_message.condition) for one in faulted if one.error_message))


def _cancelled(submission: Submission) -> KprError:
    return NeedsPerson(f"Cancelled, and will not be sent: {_named(_in(submission, ShipmentState.CANCELLED))}.")


def _sealed(submission: Submission) -> KprError:
    waiting = _in(submission, ShipmentState.SEALED)
    last = next((shipment.last_error for shipment in waiting if shipment.last_error), None)
    if last is None:
        return ReadyToSend(f"Sealed, and not sent yet: {_named(waiting)}.")
    return BY_CODE.get(last.code, BusUnreachable)(f"Not sent: {_named(waiting)}. {last.text}")


def _with_errors(submission: Submission) -> KprError:
    partly = _in(submission, ShipmentState.DELIVERED_WITH_ERRORS)
    return NeedsPerson(sentence(f"Arrived with errors (status 3): {_named(partly)}", *_why(partly)))


def _published(submission: Submission) -> KprError:
    pending = _in(submission, ShipmentState.PUBLISHED)
    obstacle = next((shipment.last_error for shipment in pending if shipment.last_error), None)
    if obstacle is not None:
        return BY_CODE[obstacle.code](f"Published: {_named(pending)}, but receipts cannot be fetched: {obstacle.text}")
    return ReceiptPending(
        f"Published, and no receipt is here yet: {_named(pending)}. That is not delivered: the bus says accepted also "
        "when it cannot route a message."
    )


def _nationally(length: timedelta) -> str:
    """Return what HITS 1168 (9.1) says of a message that no AppRec has come to for so long."""
    if length > _NOT_ACCEPTED_AFTER:
        return " After 96 hours without AppRec it counts nationally as not accepted (HITS 1168)."
    return " Without AppRec it counts nationally as not accepted from 96 hours on (HITS 1168)."


def _overdue(submission: Submission, *, overdue_after: float, at: datetime) -> KprError | None:
    """Return that a receipt is overdue, when it is.

    A time of publishing in the future, because the clock was set back, does not count as overdue.
    """
    limit = timedelta(seconds=overdue_after)
    late = [
        shipment
        for shipment in _in(submission, ShipmentState.PUBLISHED)
        if shipment.published_at is not None and at - shipment.published_at > limit
    ]
    if not late:
        return None
    since = min(shipment.published_at for shipment in late if shipment.published_at is not None)
    return Overdue(
        f"Published at {rfc3339(since)}, more than {write_duration(overdue_after)} ago, and no receipt "
        f"came: {_named(late)}. "
        "It may never have reached FHI: the bus says accepted also for a message that it cannot route, or that expires "
        f"or is pushed out of the receiver's queue unread.{_nationally(at - since)}"
    )


_LOOK_AT_IT: Final = (
    "Look at the data in FHI's feedback view (tilbakemeldingsvisning) during the reception period: FHI's letter "
    "24/04733-1 requires it. What is wrong is corrected and sent anew after contact with kpr@fhi.no. Then note it with "
    "kpr-send reviewed --by NAME."
)


def _delivered_yet(submission: Submission) -> KprError | None:
    """Return that FHI says OK and names errors all the same: only a person can tell what it means (HIS 80415 4.3)."""
    odd = [
        shipment
        for shipment in _in(submission, ShipmentState.DELIVERED)
        if any(one.verified and one.status is ReceiptStatus.OK and one.errors for one in shipment.receipts)
    ]
    if not odd:
        return None
    return NeedsPerson(sentence(f"FHI says OK (status 1) to {_named(odd)}, and names errors all the same", *_why(odd)))


_BY_STATE: Final[Mapping[SubmissionState, Callable[[Submission], KprError | None]]] = {
    SubmissionState.DELIVERED: _delivered_yet,
    SubmissionState.IN_DOUBT: _in_doubt,
    SubmissionState.PARTLY_DELIVERED: _partly,
    SubmissionState.REJECTED: _rejected,
    SubmissionState.CANCELLED: _cancelled,
    SubmissionState.SEALED: _sealed,
    SubmissionState.DELIVERED_WITH_ERRORS: _with_errors,
    SubmissionState.PUBLISHED: _published,
}


def _unverified(submission: Submission) -> KprError | None:
    """Return that an answer is not verified: the latest one, while no verified answer has settled the matter."""
    for shipment in _in(submission, *UNANSWERED):
        receipt = next((one for one in reversed(shipment.receipts) if one.in_question), None)
        if receipt is not None:
            return _doubted(shipment, receipt)
    return None


def _doubted(shipment: Shipment, receipt: Receipt) -> KprError:
    if receipt.unopened:
        return AnswerUnopened(sentence(f"An answer for {_named([shipment])} cannot be opened", receipt.problem))
    # Its signature holds where nothing but its sender is said to be wrong (inbound/examine).
    accept = (
        "Do not send again. Ask kpr@fhi.no whether it is theirs; if it is, kpr-send receipts accept "
        f"{receipt.receipt_id} --reason TEXT --by NAME."
    )
    next_step = accept if OTHER_SENDER in receipt.problem else ""
    text = sentence(f"A receipt for {_named([shipment])} is not verified", receipt.problem)
    return ReceiptUnverified(text, next_step=next_step)


def error_of(submission: Submission, *, overdue_after: float, at: datetime) -> KprError | None:
    """Return what a person must know of the pair, worst first; None when all is delivered or settled by a person.

    Order: in doubt, a receipt that is not verified, receipts that contradict each other, the pair's state. What keeps
    receipts from being fetched comes before overdue: they may lie on our queue.

    Args:
        submission: As the journal has it.
        overdue_after: How long a receipt may take, in seconds.
        at: The time now; aware.
    """
    unsettled = tuple(shipment for shipment in submission.shipments if not shipment.settled)
    if not unsettled:
        return None
    submission = replace(submission, shipments=unsettled)
    if submission.state is SubmissionState.IN_DOUBT:
        return _in_doubt(submission)
    if (doubted := _unverified(submission)) is not None:
        return doubted
    contradicted = [shipment for shipment in submission.shipments if shipment.needs_person]
    if contradicted:
        return NeedsPerson(f"The receipts for {_named(contradicted)} contradict each other or what is known of it.")
    error = _BY_STATE[submission.state](submission)
    if isinstance(error, ReceiptPending):
        return _overdue(submission, overdue_after=overdue_after, at=at) or error
    return error


@dataclass(frozen=True, slots=True)
class Review:
    """That a person looked at a submission's data in FHI's feedback view.

    Attributes:
        at: When it was noted, UTC.
        by: Who looked.
        note: What the person noted; may be empty.
    """

    at: datetime
    by: str
    note: str


def review_of(journal: JournalView | None, submission: Submission) -> Review | None:
    """Return the latest review of a submission that the journal has; None where it has none."""
    if journal is None or submission.state is not SubmissionState.DELIVERED:
        return None
    events = journal.events(submission.own[0].msg_id)
    return next((Review(one.at, one.who, one.why) for one in reversed(events) if one.what == REVIEWED), None)


def deadline_of(settings: Settings, year: int) -> Deadline:
    """Return the last day to report a year's data: the configuration's for its own year, else the profile's.

    Raises:
        ConfigInvalid: Nothing is known of the year.
    """
    told = settings.report
    day = profiles.load(year).deadline
    if year != told.year:
        return Deadline(day)
    day = told.deadline or day
    return Deadline(day) if told.extended_to is None else Deadline(told.extended_to, day, told.extension_letter)


@dataclass(frozen=True, slots=True)
class NextLook:
    """When a queue is looked at again that others' messages lie on, and that is not looked at now (promise G8).

    Attributes:
        at: From when on.
        queue: What it is called.
        others: How many messages of others lay there at the last look.
    """

    at: datetime
    queue: str
    others: int

    @property
    def text(self) -> str:
        """The same in a sentence."""
        return f"{self.others} messages of others lie on our {self.queue}; it is looked at from {rfc3339(self.at)} on."


@dataclass(frozen=True, slots=True)
class LastLook:
    """What the last look at our queues has left.

    Attributes:
        answers_to_others: How many answers to messages that are not in this journal lay on our queue.
        next_look: When a queue is looked at again; None where none is waited for.
    """

    answers_to_others: int = 0
    next_look: NextLook | None = None


_NO_LOOK: Final = LastLook()


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a submission.

    Attributes:
        submission: As the journal has it.
        sent: How many shipments this call handed to the bus; 0 when there was nothing to do.
        taken: How many receipts ``add_receipt`` was the first to bring.
        overdue_after: How long a receipt may take, in seconds.
        asked_at: The time at which this is known; aware.
        deadline: The last day to report the submission's year.
        reviewed: That a person looked at the data in FHI's feedback view; None where nobody has said so.
        last_look: What the last look at our queues has left.
    """

    submission: Submission
    sent: int = 0
    taken: int = 0
    overdue_after: float = field(kw_only=True)
    asked_at: datetime = field(kw_only=True)
    deadline: Deadline | None = field(default=None, kw_only=True)
    reviewed: Review | None = field(default=None, kw_only=True)
    last_look: LastLook = field(default=_NO_LOOK, kw_only=True)

    @classmethod
    def of(
        cls,
        settings: Settings,
        submission: Submission,
        *,
        at: datetime,
        reviewed: Review | None = None,
        last_look: LastLook = _NO_LOOK,
        sent: int = 0,
        taken: int = 0,
    ) -> Report:
        """Return what is known of a submission by a configuration's limits; the arguments are its attributes."""
        return cls(
            submission,
            sent,
            taken,
            overdue_after=settings.report.overdue_after,
            asked_at=at,
            deadline=deadline_of(settings, submission.year),
            reviewed=reviewed,
            last_look=last_look,
        )

    @property
    def answers_to_others(self) -> int:
        """How many answers to messages that are not in this journal lay on our queue at the last look."""
        return self.last_look.answers_to_others

    @property
    def next_look(self) -> NextLook | None:
        """When the queue is looked at again where a receipt may come; None where it is looked at by every run."""
        return self.last_look.next_look if any(map(awaits_answer, self.submission.shipments)) else None

    @property
    def error(self) -> KprError | None:
        """What a person must know; None when all is delivered."""
        return error_of(self.submission, overdue_after=self.overdue_after, at=self.asked_at)

    @property
    def exit_code(self) -> int:
        """The exit code of ``kpr-send`` for this state."""
        error = self.error
        return EXIT_OK if error is None else error.exit_code

    def raise_for_state(self) -> None:
        """Do nothing when all is delivered.

        Raises:
            KprError: The class that goes with the exit code.
        """
        if (error := self.error) is not None:
            raise error

    @property
    def next_step(self) -> str:
        """What to do next, in a sentence or two; also where there is no error."""
        error = self.error
        if error is not None:
            return error.next_step
        if self.reviewed is not None:
            return f"Nothing: {self.reviewed.by} looked at FHI's feedback view ({rfc3339(self.reviewed.at)})."
        if self.submission.environment is not Environment.PRODUKSJON:
            return "Nothing: this was a test. What goes to produksjon must be looked at in FHI's feedback view as well."
        return _LOOK_AT_IT

    def text(self) -> str:
        """Return the result in one or two sentences, for a person."""
        error = self.error
        if error is not None:
            return str(error)
        settled = [shipment for shipment in self.submission.shipments if shipment.settled]
        if not settled:
            return "Both shipments are delivered: FHI has confirmed them."
        states = " and ".join(f"{_named([shipment])} is {shipment.state.value}" for shipment in settled)
        return f"A person has settled it, nothing is left to do: {states}."

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints: see ``kpr_sender.render.json.report_json``."""
        from kpr_sender.render.json import report_json  # noqa: PLC0415 - rendering is above this module

        return report_json(self)


def rfc3339(at: datetime) -> str:
    """Write a time as RFC 3339 in UTC, whole seconds, for example ``2025-01-06T09:15:00Z``."""
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
