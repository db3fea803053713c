"""A shipment's life, and what a pair of shipments amounts to. The only file that knows these states.

The rules:

1. Whatever happens to a shipment goes through ``apply``. ``TABLE`` says what a cause does in a state; what it does not
   list is impossible, whoever asks. A new way on is a new row there, and a word in ``SIDE_EFFECTS``.
2. ``publishing -> sealed`` only when it is certain that the bus does not have the message (promise G1).
3. Nothing leaves an end state: a later, contradicting answer is stored and shown, changes nothing and calls for a
   person. A sealed shipment that was answered all the same is never published (``NEEDS_PERSON_TABLE``).
4. An answer that overtakes the bus's outcome waits for it and takes effect after it.
5. A person may decide what a program must not: that a shipment without an answer has arrived, has not, or is given up.
6. A submission's state is a function of its shipments' states (``PAIR_RULES``, first match wins).

``docs/states.md`` is generated from these tables.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from kpr_sender.errors import InDoubt, LastError, RejectedByReceiver


class ShipmentState(enum.StrEnum):
    """What is known of one shipment."""

    SEALED = "sealed"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    IN_DOUBT = "in_doubt"
    DELIVERED = "delivered"
    DELIVERED_WITH_ERRORS = "delivered_with_errors"
    REJECTED = "rejected"
    FAULTED = "faulted"
    CANCELLED = "cancelled"


class Cause(enum.StrEnum):
    """What can happen to a shipment, in the words of the journal's history."""

    PUBLISH_BEGINS = "publish-begins"
    NOT_SENT = "not-sent"
    ACCEPTED = "accepted"
    NO_OUTCOME = "no-outcome"
    RECEIPT_OK = "receipt-ok"
    RECEIPT_OK_WITH_ERRORS = "receipt-ok-with-errors"
    RECEIPT_REJECTED = "receipt-rejected"
    ERROR_QUEUE = "error-queue"
    PERSON_ARRIVED = "person-arrived"
    PERSON_NOT_ARRIVED = "person-not-arrived"
    PERSON_CANCELS = "person-cancels"
    REPLACED = "replaced"
    RESTORED = "restored"
    RECEIPT_UNVERIFIED = "receipt-unverified"


class ReceiptStatus(enum.IntEnum):
    """AppRec/Status V, kodeverk 8258. Any other value is no status to us, and never success."""

    OK = 1
    REJECTED = 2
    OK_WITH_ERRORS = 3


class Arrival(enum.Enum):
    """How a receipt compares with the stored one of the same bytes: the history's word, and why."""

    NEW = "receipt-kept", "A receipt came."
    VERIFIED_NOW = "receipt-verified", "A receipt that was stored unverified is verified now."
    DUPLICATE = "receipt-duplicate", "The same bytes came again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """How far a shipment has come: all that the rules look at, and all that they change.

    Attributes:
        attempts: How many times a transfer was begun.
        published_at: When the bus said *accepted*, or a person that it has arrived, whichever was later; UTC.
        needs_person: True when an answer contradicts what was known.
        early_answer: The answer that came before the bus's outcome, and takes effect after it.
    """

    state: ShipmentState
    attempts: int = 0
    published_at: datetime | None = None
    last_error: LastError | None = None
    needs_person: bool = False
    early_answer: Cause | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something that happens to a shipment.

    Attributes:
        error: What went wrong, where something did.
        why: In words, where there is more to say than the cause does: a person's reason, why a receipt is not verified.
        who: The person who decided it, where it was one.
        arrival: Of a receipt: whether it is new.
    """

    cause: Cause
    at: datetime
    error: LastError | None = None
    why: str = ""
    who: str = ""
    evidence: Mapping[str, str | int] = field(default_factory=dict)
    arrival: Arrival | None = None


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """What the history says of a change.

    Attributes:
        what: A stable word.
        who: The person who decided it; empty where it was none.
        moved: The states it moved from (None when it was created) and to; None where it moved nothing.
    """

    what: str
    why: str
    who: str = ""
    moved: tuple[ShipmentState | None, ShipmentState] | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What a trigger does to a shipment: its life from now on, and what the history says of it, in order.

    Attributes:
        contradiction: How it contradicts what was known, in words; empty where it does not.
    """

    after: Lifecycle
    lines: tuple[HistoryLine, ...] = ()
    contradiction: str = ""


class ImpossibleTransition(RuntimeError):
    """Something was asked for that the table does not have: an error in the program, never a user's."""

    def __init__(self, state: ShipmentState, cause: Cause) -> None:
        super().__init__(f"a shipment that is {state.value} cannot be moved by {cause.value}")
        self.state = state
        self.cause = cause


class Reaction(enum.Enum):
    """What a cause does to a shipment that stays in its state: the history's word after the cause's own, and why."""

    WAITS = "-early", "It came before the bus's outcome, and takes effect after it."
    AGAIN = "-again", "It says what is known."
    CONTRADICTS = "-contradicts", "It contradicts the journal, where the shipment is {state}."
    NOTED = "", ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A cause that the history records for another one, with its own words and error where it has some."""

    cause: Cause
    why: str = ""
    error: LastError | None = None


@dataclass(frozen=True, slots=True)
class SideEffects:
    """What a cause changes besides the state, and what the history says where the trigger has no words of its own.

    Attributes:
        keeps_error: Whether what last went wrong is kept; else it is what the trigger says, or ``error``.
    """

    why: str = ""
    attempts: int = 0
    published_at: Literal["kept", "now", "cleared"] = "kept"
    keeps_error: bool = False
    error: LastError | None = None


_S, _C, _R = ShipmentState, Cause, Reaction

SIDE_EFFECTS: Final[Mapping[Cause, SideEffects]] = {
    _C.PUBLISH_BEGINS: SideEffects("The transfer is about to begin.", attempts=1, keeps_error=True),
    _C.ACCEPTED: SideEffects("The bus answered accepted.", published_at="now"),
    _C.NOT_SENT: SideEffects("It is certain that the bus does not have it."),
    _C.NO_OUTCOME: SideEffects("The transfer began and no outcome is known."),
    _C.RECEIPT_OK: SideEffects("A verified receipt says OK."),
    _C.RECEIPT_OK_WITH_ERRORS: SideEffects("A verified receipt says OK, but with errors."),
    _C.RECEIPT_REJECTED: SideEffects("A verified receipt says rejected."),
    # An AppRec says itself what is wrong; a message on the error queue is no document that a person could read.
    _C.ERROR_QUEUE: SideEffects(
        "A message on the error queue names it.",
        error=LastError(RejectedByReceiver.code, "A message on the error queue names this shipment."),
    ),
    # Whoever says that it has arrived starts the wait for the receipt anew; the history keeps the first time.
    _C.PERSON_ARRIVED: SideEffects(published_at="now"),
    _C.PERSON_NOT_ARRIVED: SideEffects(published_at="cleared"),
    _C.PERSON_CANCELS: SideEffects(),
}

_MAYBE_SENT: Final = "The journal was restored from backup; it may have been sent in the meantime."
_TAKEN_AS_SENT: Final = (
    Recorded(_C.PUBLISH_BEGINS, "Taken as begun: the journal was restored from backup, and may not know of it."),
    Recorded(_C.NO_OUTCOME, _MAYBE_SENT, LastError(InDoubt.code, _MAYBE_SENT)),
)
_ANSWERED: Final = {
    _C.RECEIPT_OK: _S.DELIVERED,
    _C.RECEIPT_OK_WITH_ERRORS: _S.DELIVERED_WITH_ERRORS,
    _C.RECEIPT_REJECTED: _S.REJECTED,
    _C.ERROR_QUEUE: _S.FAULTED,
}
# What only a person may say of a shipment that no answer has come to.
_DECIDED: Final = {
    _C.PERSON_ARRIVED: _S.PUBLISHED,
    _C.PERSON_NOT_ARRIVED: _S.SEALED,
    _C.PERSON_CANCELS: _S.CANCELLED,
}
_ALWAYS: Final = {_C.RECEIPT_UNVERIFIED: _R.NOTED}

Row = Mapping[Cause, ShipmentState | Reaction | tuple[Recorded, ...]]
"""The state that follows, what happens where it stays, or what the history records instead, in order."""


def _ended(state: ShipmentState) -> Row:
    answers = {cause: _R.AGAIN if to is state else _R.CONTRADICTS for cause, to in _ANSWERED.items()}
    return {**answers, _C.REPLACED: _R.NOTED, **_ALWAYS}


TABLE: Final[Mapping[ShipmentState, Row]] = {
    _S.SEALED: {
        _C.PUBLISH_BEGINS: _S.PUBLISHING,
        _C.PERSON_CANCELS: _S.CANCELLED,
        _C.REPLACED: (Recorded(_C.PERSON_CANCELS),),
        _C.RESTORED: _TAKEN_AS_SENT,
        **dict.fromkeys(_ANSWERED, _R.CONTRADICTS),
        **_ALWAYS,
    },
    _S.PUBLISHING: {
        _C.ACCEPTED: _S.PUBLISHED,
        _C.NOT_SENT: _S.SEALED,
        _C.NO_OUTCOME: _S.IN_DOUBT,
        **dict.fromkeys(_ANSWERED, _R.WAITS),
        **_ALWAYS,
    },
    _S.PUBLISHED: {**_ANSWERED, **_DECIDED, _C.REPLACED: _R.NOTED, **_ALWAYS},
    _S.IN_DOUBT: {**_ANSWERED, **_DECIDED, **_ALWAYS},
    **{one: _ended(one) for one in (_S.DELIVERED, _S.DELIVERED_WITH_ERRORS, _S.REJECTED, _S.FAULTED, _S.CANCELLED)},
}

NEEDS_PERSON_TABLE: Final[Mapping[ShipmentState, Row]] = {
    # FHI has answered what the journal holds as not sent: sending it might be sending twice (promise G1).
    _S.SEALED: {c: cell for c, cell in TABLE[_S.SEALED].items() if c not in {_C.PUBLISH_BEGINS, _C.REPLACED}},
}
"""The rows that take the place of ``TABLE``'s while a shipment needs a person."""

TRANSITIONS: Final[Mapping[ShipmentState, Mapping[Cause, ShipmentState]]] = {
    state: {cause: cell for cause, cell in row.items() if isinstance(cell, ShipmentState)}
    for state, row in TABLE.items()
}
"""The part of ``TABLE`` that moves a shipment by one line of the history."""

CAUSE_OF_STATUS: Final = {status: Cause[f"RECEIPT_{status.name}"] for status in ReceiptStatus}
ANSWERS: Final = frozenset(_ANSWERED)
OUTCOMES: Final = frozenset(TRANSITIONS[_S.PUBLISHING])
PERSON_CAUSES: Final = frozenset(cause for cause in Cause if cause.name.startswith("PERSON_"))
AWAITING_RECEIPT: Final = frozenset({_S.PUBLISHED, _S.IN_DOUBT})
UNANSWERED: Final = AWAITING_RECEIPT | {_S.SEALED, _S.PUBLISHING}
ENDED: Final = frozenset(state for state, ways_on in TRANSITIONS.items() if not ways_on)


def apply(shipment: Lifecycle, trigger: Trigger) -> Change:
    """Return what a trigger does to a shipment.

    Raises:
        ImpossibleTransition: The table does not have it.
    """
    cell = _row(shipment).get(trigger.cause)
    if cell is None:
        raise ImpossibleTransition(shipment.state, trigger.cause)
    if trigger.arrival is not None:
        return _receipt(shipment, trigger, trigger.arrival)
    if isinstance(cell, ShipmentState):
        return _move(shipment, trigger)
    if isinstance(cell, Reaction):
        return _stay(shipment, trigger, cell)
    change = Change(shipment)
    for one in cell:
        own = replace(trigger, cause=one.cause, error=one.error or shipment.last_error, why=one.why or trigger.why)
        move = _move(change.after, own)
        change = Change(move.after, change.lines + move.lines)
    return change


def moved(shipment: Lifecycle, cause: Cause, *, at: datetime, error: LastError | None = None) -> Lifecycle:
    """Return a shipment after one move by itself, before an early answer takes effect; raises as ``after`` does."""
    brings = SIDE_EFFECTS.get(cause, SideEffects())
    return replace(
        shipment,
        state=after(shipment.state, cause),
        attempts=shipment.attempts + brings.attempts,
        published_at={"kept": shipment.published_at, "now": at, "cleared": None}[brings.published_at],
        last_error=shipment.last_error if brings.keeps_error else error or brings.error,
        early_answer=None,
    )


def after(state: ShipmentState, cause: Cause) -> ShipmentState:
    """Return the state that follows; raises ``ImpossibleTransition`` where ``TRANSITIONS`` has none."""
    try:
        return TRANSITIONS[state][cause]
    except KeyError:
        raise ImpossibleTransition(state, cause) from None


def _row(shipment: Lifecycle) -> Row:
    if shipment.needs_person and shipment.state in NEEDS_PERSON_TABLE:
        return NEEDS_PERSON_TABLE[shipment.state]
    return TABLE[shipment.state]


def _move(shipment: Lifecycle, trigger: Trigger) -> Change:
    cause = trigger.cause
    on = moved(shipment, cause, at=trigger.at, error=trigger.error)
    why = trigger.why or SIDE_EFFECTS[cause].why
    line = HistoryLine(cause.value, why, trigger.who, (shipment.state, on.state), trigger.evidence)
    if shipment.early_answer is None:
        return Change(on, (line,))
    answered = apply(on, Trigger(shipment.early_answer, trigger.at))
    return replace(answered, lines=(line, *answered.lines))


def _receipt(shipment: Lifecycle, trigger: Trigger, arrival: Arrival) -> Change:
    """A receipt is recorded as such first; only a verified one that was not known as such does more."""
    word, text = arrival.value
    why = trigger.why if arrival is Arrival.NEW else ""
    line = HistoryLine(word, why or text, details=trigger.evidence)
    if arrival is Arrival.DUPLICATE or trigger.cause is Cause.RECEIPT_UNVERIFIED:
        return Change(shipment, (line,))
    answered = apply(shipment, Trigger(trigger.cause, trigger.at))
    return replace(answered, lines=(line, *answered.lines))


def _stay(shipment: Lifecycle, trigger: Trigger, reaction: Reaction) -> Change:
    if reaction is Reaction.NOTED:
        return Change(shipment, (HistoryLine(trigger.cause.value, trigger.why, trigger.who, details=trigger.evidence),))
    if reaction is Reaction.WAITS and shipment.early_answer not in {None, trigger.cause}:
        reaction = Reaction.CONTRADICTS
    word, text = reaction.value
    why = text.format(state=shipment.state.value)
    line = HistoryLine(trigger.cause.value + word, why, details=trigger.evidence)
    if reaction is Reaction.WAITS:
        return Change(replace(shipment, early_answer=trigger.cause), (line,))
    if reaction is Reaction.CONTRADICTS:
        return Change(replace(shipment, needs_person=True), (line,), contradiction=why)
    return Change(shipment, (line,))


def noted(shipment: Lifecycle, error: LastError | None) -> Change:
    """Return what it means that something went wrong, or that nothing does any more (None): it moves nothing."""
    if error == shipment.last_error:
        return Change(shipment)  # a cron job that meets the same error every ten minutes does not fill the history
    why = "What went wrong before is over." if error is None else error.text
    line = HistoryLine("error-noted", why, details={} if error is None else {"code": error.code})
    return Change(replace(shipment, last_error=error), (line,))


# What others ask of a shipment.


def may_be_published(shipment: Lifecycle) -> bool:
    """Whether a run may publish it: it is sealed, and FHI has not answered it."""
    return Cause.PUBLISH_BEGINS in _row(shipment)


def may_be_resealed(shipment: Lifecycle) -> bool:
    """Whether its bytes may still be exchanged: no transfer of it was ever begun (promise G3)."""
    return may_be_published(shipment) and shipment.attempts == 0


def answered_though_unsent(shipment: Lifecycle) -> bool:
    """Whether FHI has answered what the journal holds as not sent: a person must look, and it is never published."""
    return shipment.state is ShipmentState.SEALED and not may_be_published(shipment)


def awaits_answer(shipment: Lifecycle) -> bool:
    """Whether a receipt or a message on the error queue may come for it."""
    return shipment.state in AWAITING_RECEIPT


def blocks_replacement(shipment: Lifecycle) -> bool:
    """Whether it could still arrive without our knowing, so that nothing may take its place."""
    return Cause.REPLACED not in _row(shipment)


def open_decisions(shipment: Lifecycle, *, replaced: bool) -> frozenset[Cause]:
    """Return what a person may decide of it now; what another submission has replaced must not be sent any more."""
    if may_be_published(shipment):
        return frozenset()  # what is sealed needs no decision, but for one that FHI has answered all the same
    decisions = PERSON_CAUSES & _row(shipment).keys()
    return decisions - {Cause.PERSON_NOT_ARRIVED} if replaced else decisions


class SubmissionState(enum.StrEnum):
    """What the pair amounts to."""

    IN_DOUBT = "in_doubt"
    DELIVERED = "delivered"
    PARTLY_DELIVERED = "partly_delivered"
    REJECTED = "rejected"
    DELIVERED_WITH_ERRORS = "delivered_with_errors"
    SEALED = "sealed"
    PUBLISHED = "published"
    CANCELLED = "cancelled"

    @staticmethod
    def of(states: tuple[ShipmentState, ...]) -> SubmissionState:
        """Return the pair's state: the first rule of ``PAIR_RULES`` that holds.

        Args:
            states: The shipments' states, in any order; at least one.
        """
        if not states:
            raise ValueError("a submission has at least one shipment")
        present = frozenset(states)
        return next(result for result, holds in PAIR_RULES if holds(present))


_LOST: Final = frozenset({_S.REJECTED, _S.FAULTED, _S.CANCELLED})
_ARRIVED: Final = frozenset({_S.DELIVERED, _S.DELIVERED_WITH_ERRORS})

# Worst first: the worst shipment decides, and a pair of which only one half arrived is a state of its own.
PAIR_RULES: Final[tuple[tuple[SubmissionState, Callable[[frozenset[ShipmentState]], bool]], ...]] = (
    (SubmissionState.IN_DOUBT, lambda present: bool(present & {_S.IN_DOUBT, _S.PUBLISHING})),
    (SubmissionState.PARTLY_DELIVERED, lambda present: bool(present & _LOST) and bool(present & _ARRIVED)),
    (SubmissionState.REJECTED, lambda present: bool(present & {_S.REJECTED, _S.FAULTED})),
    (SubmissionState.CANCELLED, lambda present: _S.CANCELLED in present),
    (SubmissionState.SEALED, lambda present: _S.SEALED in present),
    (SubmissionState.DELIVERED_WITH_ERRORS, lambda present: _S.DELIVERED_WITH_ERRORS in present),
    (SubmissionState.PUBLISHED, lambda present: _S.PUBLISHED in present),
    (SubmissionState.DELIVERED, lambda present: present == {_S.DELIVERED}),
)
