"""A shipment's life: the only file that knows what may follow what. The values themselves are in ``lifecycle.py``.

The rules:

1. Whatever happens to a shipment goes through ``apply``. ``TABLE`` says what a cause does in a state; what it does not
   list is impossible, whoever asks. A new way on is a new row there, and a word in ``SIDE_EFFECTS``.
2. ``publishing -> sealed`` only when it is certain that the bus does not have the message (promise G1).
3. A verified receipt for the present MsgId moves a shipment from every state that has no verified answer. A later,
   contradicting one is stored and shown, changes nothing and calls for a person.
4. A message on the error queue is not signed: it counts for less than a verified receipt, whenever that comes, and only
   while it is about the present message-id. What is about an earlier MsgId or message-id moves nothing (``EARLIER``).
   With EDI the same holds for a bounce and a SOAP Fault, which nobody signs: they count for less than any verified
   answer. An Acknowledgment says that the receiver's message server has it, no more; of that and a MessageError, which
   are both signed, the later one counts.
5. An answer that overtakes the bus's outcome waits for it and takes effect after it.
6. A person may decide what a program must not: that a shipment without an answer has arrived, has not, or is given up;
   that its content goes again after a fault, a rejection or a cancellation, or is not sent though it may be; that it
   is settled and nobody need look.
   While there is an alarm, which is about somebody else's message, nothing of the submission is published and nothing
   takes its place; that word ends the alarm alone, in every state.
7. A submission's state is a function of its shipments' states (``PAIR_RULES`` of ``model.py``, first match wins).

``docs/states.md`` is generated from these tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kpr_sender.errors import InDoubt, LastError, RejectedByReceiver
from kpr_sender.lifecycle import Arrival as Arrival
from kpr_sender.lifecycle import Cause as Cause
from kpr_sender.lifecycle import Change as Change
from kpr_sender.lifecycle import HistoryLine as HistoryLine
from kpr_sender.lifecycle import ImpossibleTransition as ImpossibleTransition
from kpr_sender.lifecycle import Lifecycle as Lifecycle
from kpr_sender.lifecycle import Reaction as Reaction
from kpr_sender.lifecycle import ReceiptStatus as ReceiptStatus
from kpr_sender.lifecycle import Recorded as Recorded
from kpr_sender.lifecycle import ShipmentState as ShipmentState
from kpr_sender.lifecycle import SideEffects as SideEffects
from kpr_sender.lifecycle import Trigger as Trigger
from kpr_sender.lifecycle import words_of
from kpr_sender.texts import Text

_S, _C, _R = ShipmentState, Cause, Reaction

SIDE_EFFECTS: Final[Mapping[Cause, SideEffects]] = {
    _C.PUBLISH_BEGINS: SideEffects(Text("The transfer is about to begin."), attempts=1, keeps_error=True),
    _C.ACCEPTED: SideEffects(Text("The bus answered accepted."), published_at="now", hands_over=True),
    _C.NOT_SENT: SideEffects(Text("It is certain that the bus does not have it.")),
    _C.NO_OUTCOME: SideEffects(Text("The transfer began and no outcome is known."), hands_over=True),
    _C.RECEIPT_OK: SideEffects(Text("A verified receipt says OK.")),
    _C.RECEIPT_OK_WITH_ERRORS: SideEffects(Text("A verified receipt says OK, but with errors.")),
    _C.RECEIPT_REJECTED: SideEffects(Text("A verified receipt says rejected.")),
    # An AppRec says itself what is wrong; a message on the error queue is no document that a person could read.
    _C.ERROR_QUEUE: SideEffects(
        Text("A message on the error queue names it."),
        error=LastError(RejectedByReceiver.code, Text("A message on the error queue names this shipment.")),
    ),
    _C.ACKNOWLEDGED: SideEffects(
        Text("KPR's message server has acknowledged it."), published_at="first", hands_over=True, acknowledges=True
    ),
    _C.MESSAGE_ERROR: SideEffects(
        Text("KPR's message server has refused it."),
        error=LastError(RejectedByReceiver.code, Text("KPR's message server has refused this shipment.")),
    ),
    _C.BOUNCED: SideEffects(
        Text("A mail server could not deliver it, or the receiver's could not read it."),
        error=LastError(RejectedByReceiver.code, Text("The mail with this shipment came back.")),
    ),
    # It starts the wait for the receipt anew (``Shipment.arrived_at``); when the bus said *accepted* stays known.
    _C.PERSON_ARRIVED: SideEffects(published_at="first", hands_over=True),
    _C.PERSON_NOT_ARRIVED: SideEffects(published_at="cleared", lets_go=True),
    _C.PERSON_RESENDS: SideEffects(published_at="cleared", lets_go=True),
    _C.PERSON_CANCELS: SideEffects(),
}

_MAYBE_SENT: Final = Text("The journal was restored from backup; it may have been sent in the meantime.")
_TAKEN_AS_SENT: Final = (
    Recorded(_C.PUBLISH_BEGINS, Text("Taken as begun: the journal was restored from backup, and may not know of it.")),
    Recorded(_C.NO_OUTCOME, _MAYBE_SENT, LastError(InDoubt.code, _MAYBE_SENT)),
)
_RECEIVED: Final = {
    _C.RECEIPT_OK: _S.DELIVERED,
    _C.RECEIPT_OK_WITH_ERRORS: _S.DELIVERED_WITH_ERRORS,
    _C.RECEIPT_REJECTED: _S.REJECTED,
}
_ANSWERED: Final = {**_RECEIVED, _C.ERROR_QUEUE: _S.FAULTED}
# What only a person may say of a shipment that no answer has come to.
_DECIDED: Final = {
    _C.PERSON_ARRIVED: _S.PUBLISHED,
    _C.PERSON_NOT_ARRIVED: _S.SEALED,
    _C.PERSON_CANCELS: _S.CANCELLED,
}
_ALWAYS: Final = {_C.RECEIPT_UNVERIFIED: _R.NOTED, _C.RECEIPT_UNKNOWN: _R.ALARMS, _C.SIGNAL_NOTED: _R.NOTED}
# What a mail brings of what was sent by mail, while the shipment has no answer. No handling runs beside a transfer.
_SIGNALLED: Final = {_C.MESSAGE_ERROR: _S.FAULTED, _C.BOUNCED: _S.FAULTED}
_OUTWEIGHED: Final = {_C.ACKNOWLEDGED: _R.ACKNOWLEDGES, _C.MESSAGE_ERROR: _R.OUTWEIGHED, _C.BOUNCED: _R.LESS}
_SETTLED: Final = {_C.PERSON_SETTLES: _R.SETTLES}

Row = Mapping[Cause, ShipmentState | Reaction | tuple[Recorded, ...]]
"""The state that follows, what happens where it stays, or what the history records instead, in order."""


def _verified(state: ShipmentState) -> Row:
    """What a verified receipt has ended: other receipts contradict it, and an error counts for less."""
    receipts = {cause: _R.AGAIN if to is state else _R.CONTRADICTS for cause, to in _RECEIVED.items()}
    return {**receipts, _C.ERROR_QUEUE: _R.LESS, **_OUTWEIGHED, _C.REPLACED: _R.NOTED, **_SETTLED, **_ALWAYS}


_GIVEN_UP: Final[Row] = {
    **_RECEIVED,
    _C.ERROR_QUEUE: _R.LESS,
    **_OUTWEIGHED,
    _C.REPLACED: _R.NOTED,
    **_SETTLED,
    **_ALWAYS,
}

TABLE: Final[Mapping[ShipmentState, Row]] = {
    _S.SEALED: {
        _C.PUBLISH_BEGINS: _S.PUBLISHING,
        _C.PERSON_CANCELS: _S.CANCELLED,
        _C.PERSON_RESENDS: _S.SEALED,  # the other way: what waits is sealed anew for it
        _C.REPLACED: (Recorded(_C.PERSON_CANCELS),),
        _C.RESTORED: _TAKEN_AS_SENT,
        **_ANSWERED,
        # Nothing was offered under its present ids: whatever it is that they are about, it is still to be sent.
        **dict.fromkeys((_C.ACKNOWLEDGED, *_SIGNALLED), _R.NOTED),
        **_ALWAYS,
    },
    _S.PUBLISHING: {
        _C.ACCEPTED: _S.PUBLISHED,
        _C.NOT_SENT: _S.SEALED,
        _C.NO_OUTCOME: _S.IN_DOUBT,
        **dict.fromkeys(_ANSWERED, _R.WAITS),
        **dict.fromkeys((_C.ACKNOWLEDGED, *_SIGNALLED), _R.NOTED),
        **_ALWAYS,
    },
    # What has no answer could still arrive beside what takes its place.
    _S.PUBLISHED: {
        **_ANSWERED,
        _C.ACKNOWLEDGED: _R.ACKNOWLEDGES,
        **_SIGNALLED,
        **_DECIDED,
        **_SETTLED,
        **_ALWAYS,
    },
    _S.IN_DOUBT: {**_ANSWERED, _C.ACKNOWLEDGED: _S.PUBLISHED, **_SIGNALLED, **_DECIDED, **_ALWAYS},
    _S.DELIVERED: _verified(_S.DELIVERED),
    _S.DELIVERED_WITH_ERRORS: _verified(_S.DELIVERED_WITH_ERRORS),
    _S.REJECTED: {**_verified(_S.REJECTED), _C.PERSON_RESENDS: _S.SEALED},
    _S.FAULTED: {
        **_GIVEN_UP,
        **dict.fromkeys((_C.ERROR_QUEUE, *_SIGNALLED), _R.AGAIN),
        _C.ACKNOWLEDGED: _S.PUBLISHED,
        _C.PERSON_RESENDS: _S.SEALED,
    },
    # What the bus may have had goes again only after FHI's word that it has not arrived.
    _S.CANCELLED: {**_GIVEN_UP, _C.PERSON_NOT_ARRIVED: _S.SEALED},
}


@dataclass(frozen=True, slots=True)
class Variant:
    """The row that takes the place of ``TABLE``'s for some shipments in a state; the first that holds counts.

    Attributes:
        name: Which shipments, in words.
    """

    name: str
    state: ShipmentState
    holds: Callable[[Lifecycle], bool]
    row: Row


def _without(row: Row, *causes: Cause) -> Row:
    return {cause: cell for cause, cell in row.items() if cause not in causes}


_ACKNOWLEDGED: Final = {_C.ACKNOWLEDGED: _R.AGAIN, _C.BOUNCED: _R.LESS}
"""After a verified Acknowledgment."""

VARIANTS: Final = (
    # FHI has answered a MsgId of it that was given up: sending it might be sending twice (promise G1).
    Variant(
        "needs a person",
        _S.SEALED,
        lambda shipment: shipment.needs_person,
        {
            **_without(TABLE[_S.SEALED], _C.PUBLISH_BEGINS, _C.REPLACED, _C.PERSON_RESENDS),
            _C.PERSON_NOT_ARRIVED: _S.SEALED,
        },
    ),
    # A person let it go again as it is: what KPR's message server has all the same is not sent once more (promise G1).
    # That it came back is why; the bounce is noted.
    Variant(
        "offered under its present ids",
        _S.SEALED,
        lambda shipment: shipment.attempts > shipment.earlier_attempts,
        {**TABLE[_S.SEALED], _C.ACKNOWLEDGED: _S.PUBLISHED, _C.MESSAGE_ERROR: _S.FAULTED},
    ),
    Variant(
        "acknowledged, settled by a person",
        _S.PUBLISHED,
        lambda shipment: shipment.settled and shipment.acknowledged_at is not None,
        {**TABLE[_S.PUBLISHED], **_ACKNOWLEDGED, _C.REPLACED: _R.NOTED},
    ),
    Variant(
        "settled by a person",
        _S.PUBLISHED,
        lambda shipment: shipment.settled,
        {**TABLE[_S.PUBLISHED], _C.REPLACED: _R.NOTED},
    ),
    Variant(
        "acknowledged",
        _S.PUBLISHED,
        lambda shipment: shipment.acknowledged_at is not None,
        {**TABLE[_S.PUBLISHED], **_ACKNOWLEDGED},
    ),
    Variant(
        "the bus never had it",
        _S.CANCELLED,
        lambda shipment: not shipment.handed_over,
        {**_without(TABLE[_S.CANCELLED], _C.PERSON_NOT_ARRIVED), _C.PERSON_RESENDS: _S.SEALED},
    ),
)

EARLIER: Final[Row] = {
    # Only what was rejected is given another MsgId: that answer is known, any other contradicts it.
    **dict.fromkeys(_RECEIVED, _R.CONTRADICTS_EARLIER),
    _C.RECEIPT_REJECTED: _R.AGAIN,
    **dict.fromkeys((_C.ERROR_QUEUE, _C.ACKNOWLEDGED, *_SIGNALLED), _R.EARLIER),
    **_ALWAYS,
}
"""What an answer does, in every state, that is about a MsgId or message-id which the shipment has no more."""

TRANSITIONS: Final[Mapping[ShipmentState, Mapping[Cause, ShipmentState]]] = {
    state: {
        cause: cell
        for one in (row, *(variant.row for variant in VARIANTS if variant.state is state))
        for cause, cell in one.items()
        if isinstance(cell, ShipmentState)
    }
    for state, row in TABLE.items()
}
"""The part of ``TABLE`` and ``VARIANTS`` that moves a shipment by one line of the history."""

CAUSE_OF_STATUS: Final = {status: Cause[f"RECEIPT_{status.name}"] for status in ReceiptStatus}
ANSWERS: Final = frozenset(_ANSWERED)
OUTCOMES: Final = frozenset(TRANSITIONS[_S.PUBLISHING])
PERSON_CAUSES: Final = frozenset(cause for cause in Cause if cause.name.startswith("PERSON_"))
RECEIPTS: Final = frozenset(_RECEIVED)
REFUSING_SIGNALS: Final = frozenset(_SIGNALLED)
SIGNALS: Final = frozenset({_C.ACKNOWLEDGED, *_SIGNALLED, _C.SIGNAL_NOTED})
"""What a mail server or the receiver's message server says of a mail, not FHI."""
RESEALED: Final = "resealed"
"""The history's word for sealed bytes that are exchanged without a person's word."""
SENT_AGAIN: Final = frozenset(cause for cause, effects in SIDE_EFFECTS.items() if effects.lets_go)
"""A person's words by which content goes again."""
AWAITING_RECEIPT: Final = frozenset({_S.PUBLISHED, _S.IN_DOUBT})
UNANSWERED: Final = AWAITING_RECEIPT | {_S.SEALED, _S.PUBLISHING}
ENDED: Final = frozenset(state for state, ways_on in TRANSITIONS.items() if not ways_on)


def apply(shipment: Lifecycle, trigger: Trigger) -> Change:
    """Return what a trigger does to a shipment.

    Raises:
        ImpossibleTransition: The table does not have it.
    """
    cell = (EARLIER if trigger.earlier else _row(shipment)).get(trigger.cause)
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


def moved(
    shipment: Lifecycle, cause: Cause, *, at: datetime, error: LastError | None = None, same_ids: bool = False
) -> Lifecycle:
    """Return a shipment after one move by itself, before an early answer takes effect; raises as ``after`` does."""
    brings = SIDE_EFFECTS.get(cause, SideEffects())
    acknowledged_at = None if brings.lets_go else shipment.acknowledged_at
    return replace(
        shipment,
        state=after(shipment.state, cause),
        attempts=shipment.attempts + brings.attempts,
        earlier_attempts=shipment.attempts if brings.lets_go and not same_ids else shipment.earlier_attempts,
        handed_over=shipment.handed_over or brings.hands_over,
        needs_person=shipment.needs_person and not brings.lets_go,
        settled=False,
        published_at={
            "kept": shipment.published_at,
            "now": at,
            "first": shipment.published_at or at,
            "cleared": None,
        }[brings.published_at],
        acknowledged_at=acknowledged_at or (at if brings.acknowledges else None),
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
    rows = (one.row for one in VARIANTS if one.state is shipment.state and one.holds(shipment))
    row = next(rows, TABLE[shipment.state])
    if not shipment.alarm:
        return row
    # Who else delivers must be clear before another message goes. It was never about this one: it goes after that.
    stopped = (Cause.PUBLISH_BEGINS, Cause.REPLACED, *([Cause.PERSON_RESENDS] if Cause.PUBLISH_BEGINS in row else []))
    return {**_without(row, *stopped), Cause.PERSON_SETTLES: Reaction.ENDS_ALARM}


def _move(shipment: Lifecycle, trigger: Trigger) -> Change:
    cause = trigger.cause
    on = moved(shipment, cause, at=trigger.at, error=trigger.error, same_ids=trigger.same_ids)
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
    answered = apply(shipment, Trigger(trigger.cause, trigger.at, earlier=trigger.earlier))
    return replace(answered, lines=(line, *answered.lines))


def _stay(shipment: Lifecycle, trigger: Trigger, reaction: Reaction) -> Change:
    if reaction is Reaction.WAITS:
        reaction = _beside(shipment.early_answer, trigger.cause)
    word, text = reaction.value
    known = text if isinstance(text, str) else text(words_of(shipment.state))
    why = known if word else trigger.why or known
    line = HistoryLine(trigger.cause.value + word, why, trigger.who, details=trigger.evidence)
    after, contradiction = shipment, ""
    match reaction:
        case Reaction.WAITS:
            after = replace(shipment, early_answer=trigger.cause)
        case Reaction.ACKNOWLEDGES:
            after = replace(shipment, acknowledged_at=shipment.acknowledged_at or trigger.at)
        case Reaction.SETTLES:
            after = replace(shipment, needs_person=False, settled=True)
        case Reaction.ENDS_ALARM:
            after, line = replace(shipment, alarm=""), replace(line, details={**line.details, "settled": "the alarm"})
        case Reaction.ALARMS:
            after = replace(shipment, alarm=why)
        case Reaction.CONTRADICTS | Reaction.CONTRADICTS_EARLIER:
            after, contradiction = replace(shipment, needs_person=True, settled=False), why
    return Change(after, (line,), contradiction)


def _beside(waiting: Cause | None, cause: Cause) -> Reaction:
    """Return what an answer does beside the one that waits for the bus's outcome already."""
    if waiting in {None, cause, Cause.ERROR_QUEUE}:
        return Reaction.WAITS  # a receipt takes the place of an error
    return Reaction.LESS if cause is Cause.ERROR_QUEUE else Reaction.CONTRADICTS


def noted(shipment: Lifecycle, error: LastError | None) -> Change:
    """Return what it means that something went wrong, or that nothing does any more (None): it moves nothing."""
    if error == shipment.last_error:
        return Change(shipment)  # a cron job that meets the same error every ten minutes does not fill the history
    why = Text("What went wrong before is over.") if error is None else error.text
    line = HistoryLine("error-noted", why, details={} if error is None else {"code": error.code})
    return Change(replace(shipment, last_error=error), (line,))


def resealed(shipment: Lifecycle, *, why: str, details: Mapping[str, str | int]) -> Change:
    """Return what it means that its sealed bytes are exchanged, under a message-id that was not offered to the bus."""
    line = HistoryLine(RESEALED, why, details=details)
    return Change(replace(shipment, earlier_attempts=shipment.attempts), (line,))


# What others ask of a shipment.


def may_be_published(shipment: Lifecycle) -> bool:
    """Whether a run may publish it: it is sealed, and FHI has not answered it."""
    return Cause.PUBLISH_BEGINS in _row(shipment)


def was_offered(shipment: Lifecycle) -> bool:
    """Whether a transfer was begun under its present message-id: its bytes never change under that any more (G3)."""
    return shipment.attempts > shipment.earlier_attempts


def answered_though_unsent(shipment: Lifecycle) -> bool:
    """Whether an answer of FHI's keeps what is sealed from being published until a person has decided."""
    return shipment.state is ShipmentState.SEALED and not may_be_published(shipment)


def awaits_answer(shipment: Lifecycle) -> bool:
    """Whether a receipt or a message on the error queue is waited for."""
    return shipment.state in AWAITING_RECEIPT and not shipment.settled


def blocks_replacement(shipment: Lifecycle) -> bool:
    """Whether it could still arrive without our knowing, so that nothing may take its place."""
    return Cause.REPLACED not in _row(shipment)


def is_kept(shipment: Lifecycle) -> bool:
    """Whether a replacement with the very same file keeps it: FHI has it, and if with errors, a person settled that."""
    return shipment.state is _S.DELIVERED or (shipment.state is _S.DELIVERED_WITH_ERRORS and shipment.settled)


def open_decisions(shipment: Lifecycle, *, replaced: bool) -> frozenset[Cause]:
    """Return what a person may decide of it now; what another submission has replaced must not be sent any more."""
    decisions = PERSON_CAUSES & _row(shipment).keys()
    if may_be_published(shipment):
        return decisions & {Cause.PERSON_CANCELS}  # else it waits for the next run, which needs nobody's word
    if shipment.settled and not shipment.alarm:
        decisions -= {Cause.PERSON_SETTLES}
    return decisions - SENT_AGAIN if replaced else decisions
