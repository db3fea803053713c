"""The one table: whole, closed, and with no way that breaks a promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations_with_replacement, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.make_state_diagram import KNOWN, MOVES, PICTURE, STAYS, TARGET, arrows, documentation, drawn
from kpr_sender.errors import InDoubt, LastError, RejectedByReceiver
from kpr_sender.model import PAIR_RULES, SubmissionState
from kpr_sender.states import (
    ANSWERS,
    AWAITING_RECEIPT,
    CAUSE_OF_STATUS,
    EARLIER,
    ENDED,
    OUTCOMES,
    PERSON_CAUSES,
    SENT_AGAIN,
    SIDE_EFFECTS,
    SIGNALS,
    TABLE,
    TRANSITIONS,
    UNANSWERED,
    VARIANTS,
    Arrival,
    Cause,
    Change,
    HistoryLine,
    ImpossibleTransition,
    Lifecycle,
    Reaction,
    ReceiptStatus,
    ShipmentState,
    Trigger,
    after,
    answered_though_unsent,
    apply,
    awaits_answer,
    blocks_replacement,
    may_be_published,
    noted,
    open_decisions,
    resealed,
    was_offered,
)

S, C, P = ShipmentState, Cause, SubmissionState
BY_A_PERSON = {C.PERSON_ARRIVED, C.PERSON_NOT_ARRIVED, C.PERSON_CANCELS}
AGAIN = {C.PERSON_NOT_ARRIVED, C.PERSON_RESENDS}
AT, BEFORE = datetime(2025, 1, 10, 12, tzinfo=UTC), datetime(2025, 1, 9, 8, tzinfo=UTC)
OLD, NEW = LastError("bus-unreachable", "No route."), LastError("in-doubt", "No outcome.")
# The states in which bytes may have reached the bus.
PERHAPS_ON_THE_BUS = {S.PUBLISHING, S.PUBLISHED, S.IN_DOUBT}

# Written out a second time, by hand: a change of the table is a change of the product's promises.
EXPECTED = {
    (S.SEALED, C.PUBLISH_BEGINS): S.PUBLISHING,
    (S.SEALED, C.PERSON_CANCELS): S.CANCELLED,
    (S.SEALED, C.RECEIPT_OK): S.DELIVERED,
    (S.SEALED, C.RECEIPT_OK_WITH_ERRORS): S.DELIVERED_WITH_ERRORS,
    (S.SEALED, C.RECEIPT_REJECTED): S.REJECTED,
    (S.SEALED, C.ERROR_QUEUE): S.FAULTED,
    (S.SEALED, C.ACKNOWLEDGED): S.PUBLISHED,
    (S.SEALED, C.MESSAGE_ERROR): S.FAULTED,
    (S.SEALED, C.PERSON_NOT_ARRIVED): S.SEALED,
    (S.SEALED, C.PERSON_RESENDS): S.SEALED,
    (S.PUBLISHING, C.ACCEPTED): S.PUBLISHED,
    (S.PUBLISHING, C.NOT_SENT): S.SEALED,
    (S.PUBLISHING, C.NO_OUTCOME): S.IN_DOUBT,
    (S.PUBLISHED, C.RECEIPT_OK): S.DELIVERED,
    (S.PUBLISHED, C.RECEIPT_OK_WITH_ERRORS): S.DELIVERED_WITH_ERRORS,
    (S.PUBLISHED, C.RECEIPT_REJECTED): S.REJECTED,
    (S.PUBLISHED, C.ERROR_QUEUE): S.FAULTED,
    (S.PUBLISHED, C.MESSAGE_ERROR): S.FAULTED,
    (S.PUBLISHED, C.BOUNCED): S.FAULTED,
    (S.PUBLISHED, C.PERSON_ARRIVED): S.PUBLISHED,
    (S.PUBLISHED, C.PERSON_NOT_ARRIVED): S.SEALED,
    (S.PUBLISHED, C.PERSON_CANCELS): S.CANCELLED,
    (S.IN_DOUBT, C.RECEIPT_OK): S.DELIVERED,
    (S.IN_DOUBT, C.RECEIPT_OK_WITH_ERRORS): S.DELIVERED_WITH_ERRORS,
    (S.IN_DOUBT, C.RECEIPT_REJECTED): S.REJECTED,
    (S.IN_DOUBT, C.ERROR_QUEUE): S.FAULTED,
    (S.IN_DOUBT, C.ACKNOWLEDGED): S.PUBLISHED,
    (S.IN_DOUBT, C.MESSAGE_ERROR): S.FAULTED,
    (S.IN_DOUBT, C.BOUNCED): S.FAULTED,
    (S.IN_DOUBT, C.PERSON_ARRIVED): S.PUBLISHED,
    (S.IN_DOUBT, C.PERSON_NOT_ARRIVED): S.SEALED,
    (S.IN_DOUBT, C.PERSON_CANCELS): S.CANCELLED,
    (S.REJECTED, C.PERSON_RESENDS): S.SEALED,
    (S.FAULTED, C.RECEIPT_OK): S.DELIVERED,
    (S.FAULTED, C.RECEIPT_OK_WITH_ERRORS): S.DELIVERED_WITH_ERRORS,
    (S.FAULTED, C.RECEIPT_REJECTED): S.REJECTED,
    (S.FAULTED, C.ACKNOWLEDGED): S.PUBLISHED,
    (S.FAULTED, C.PERSON_RESENDS): S.SEALED,
    (S.CANCELLED, C.RECEIPT_OK): S.DELIVERED,
    (S.CANCELLED, C.RECEIPT_OK_WITH_ERRORS): S.DELIVERED_WITH_ERRORS,
    (S.CANCELLED, C.RECEIPT_REJECTED): S.REJECTED,
    (S.CANCELLED, C.PERSON_NOT_ARRIVED): S.SEALED,
    (S.CANCELLED, C.PERSON_RESENDS): S.SEALED,
}


@pytest.mark.parametrize(("state", "cause"), list(product(S, C)))
def test_each_state_and_cause_leads_where_it_must_or_nowhere(state: ShipmentState, cause: Cause) -> None:
    if (state, cause) in EXPECTED:
        assert after(state, cause) is EXPECTED[state, cause]
        return
    with pytest.raises(ImpossibleTransition, match=f"{state} .* {cause}") as raised:
        after(state, cause)
    assert (raised.value.state, raised.value.cause) == (state, cause)


def test_the_table_knows_every_state_and_every_cause() -> None:
    assert set(TRANSITIONS) == set(S)
    assert {cause for ways_on in TRANSITIONS.values() for cause in ways_on} == set(SIDE_EFFECTS)
    rows = (*TABLE.values(), *(variant.row for variant in VARIANTS))
    assert {cause for row in rows for cause in row} == set(C)
    assert set(EARLIER) == {*FINAL, *SIGNALS, C.RECEIPT_UNVERIFIED, C.RECEIPT_UNKNOWN}
    assert set(CAUSE_OF_STATUS) == set(ReceiptStatus)


def test_every_state_can_be_reached_and_none_is_a_trap() -> None:
    reached, grown = {S.SEALED}, True
    while grown:
        further = reached | {following for state in reached for following in TRANSITIONS[state].values()}
        grown, reached = further != reached, further
    assert reached == set(S)
    assert {S.DELIVERED, S.DELIVERED_WITH_ERRORS} == ENDED
    assert C.PERSON_SETTLES in TABLE[S.DELIVERED_WITH_ERRORS], "G2: a person ends what is no end"


@given(st.lists(st.sampled_from(list(C)), max_size=40))
def test_what_may_be_on_the_bus_is_sealed_again_only_by_certainty_or_a_person(causes: list[Cause]) -> None:
    """G1: on any way through the table."""
    state = S.SEALED
    for cause in causes:
        try:
            following = after(state, cause)
        except ImpossibleTransition:
            continue
        if following is S.SEALED:
            assert (state, cause) == (S.PUBLISHING, C.NOT_SENT) or cause in AGAIN
        assert state not in ENDED
        state = following


def test_delivered_is_reached_by_a_positive_receipt_only() -> None:
    """G4."""
    ways = {
        cause for ways_on in TRANSITIONS.values() for cause, following in ways_on.items() if following is S.DELIVERED
    }
    assert ways == {CAUSE_OF_STATUS[ReceiptStatus.OK]}


def test_only_what_no_answer_came_to_is_a_persons_to_decide() -> None:
    assert BY_A_PERSON | {C.PERSON_RESENDS, C.PERSON_SETTLES} == PERSON_CAUSES
    assert AGAIN == SENT_AGAIN
    assert {state for state, ways_on in TRANSITIONS.items() if set(ways_on) >= BY_A_PERSON} == AWAITING_RECEIPT
    assert C.PERSON_NOT_ARRIVED not in TABLE[S.SEALED], "only where it needs a person"
    assert not any(PERSON_CAUSES & set(TRANSITIONS[state]) for state in {S.PUBLISHING, *ENDED})


def test_what_awaits_a_receipt_takes_every_answer() -> None:
    """G2."""
    answered = {state for state, ways_on in TRANSITIONS.items() if set(ways_on) >= ANSWERS}
    assert answered == AWAITING_RECEIPT | {S.SEALED}
    receipts = {state for state, ways_on in TRANSITIONS.items() if set(ways_on) >= set(CAUSE_OF_STATUS.values())}
    assert receipts == {*S} - {S.PUBLISHING, S.DELIVERED, S.DELIVERED_WITH_ERRORS, S.REJECTED}


# The whole table, flags included, written out a second time.

FINAL = {
    C.RECEIPT_OK: S.DELIVERED,
    C.RECEIPT_OK_WITH_ERRORS: S.DELIVERED_WITH_ERRORS,
    C.RECEIPT_REJECTED: S.REJECTED,
    C.ERROR_QUEUE: S.FAULTED,
}
LIVES = [
    Lifecycle(
        state=state,
        attempts=0 if state is S.SEALED else 2,
        earlier_attempts=0 if state is S.SEALED else 1,
        handed_over=handed_over,
        published_at=BEFORE if state is not S.SEALED else None,
        last_error=OLD,
        needs_person=needs_person,
        settled=state is S.PUBLISHED and needs_person,
        early_answer=early,
    )
    for state, needs_person, handed_over in product(S, (False, True), (False, True))
    for early in ((None, *FINAL) if state is S.PUBLISHING else (None,))
]
ALARM = "FHI has answered somebody else."
LIVES += [replace(life, alarm=ALARM) for life in LIVES if life.handed_over and life.early_answer is None]
LIVES += [replace(life, attempts=2, earlier_attempts=1) for life in LIVES if life.state is S.SEALED and not life.alarm]
LIVES += [
    replace(life, acknowledged_at=BEFORE)
    for life in LIVES
    if life.handed_over and not life.alarm and life.state in {S.PUBLISHED, S.FAULTED, S.DELIVERED, S.CANCELLED}
]


def expected(life: Lifecycle, cause: Cause) -> Lifecycle | None:  # noqa: C901, PLR0911, PLR0912 - one way for each promise
    """The promises once more, as branches; None for what is impossible."""
    if cause in {C.RECEIPT_UNVERIFIED, C.SIGNAL_NOTED}:
        return life
    if cause in SIGNALS:
        return expected_after_signal(life, cause)
    if cause is C.RECEIPT_UNKNOWN:
        return replace(life, alarm="In words.")
    if cause is C.PERSON_SETTLES:
        if life.alarm:
            return replace(life, alarm="")  # alone, in every state
        open_still = life.state in {S.SEALED, S.PUBLISHING, S.IN_DOUBT}
        return None if open_still else replace(life, needs_person=False, settled=True)
    if life.state is S.CANCELLED and cause in AGAIN and life.handed_over is (cause is C.PERSON_RESENDS):
        return None
    if life.state is S.SEALED and cause is C.PERSON_NOT_ARRIVED and not life.needs_person:
        return None
    if life.state is S.SEALED and cause is C.PERSON_RESENDS and (life.needs_person or life.alarm):
        return None
    if cause is C.REPLACED:
        stopped = life.needs_person or bool(life.alarm)
        blocked = life.state in {S.PUBLISHING, S.IN_DOUBT} or (life.state is S.SEALED and stopped)
        blocked |= (life.state is S.PUBLISHED and not life.settled) or bool(life.alarm)
        return None if blocked else replace(life, state=S.CANCELLED) if life.state is S.SEALED else life
    if cause is C.RESTORED:
        error = LastError(InDoubt.code, "The journal was restored from backup; it may have been sent in the meantime.")
        doubted = replace(life, state=S.IN_DOUBT, attempts=life.attempts + 1, last_error=error, handed_over=True)
        return doubted if life.state is S.SEALED else None
    if cause in FINAL:
        return expected_after_answer(life, cause)
    if cause is C.PUBLISH_BEGINS and (life.needs_person or life.alarm):
        return None
    following = EXPECTED.get((life.state, cause))
    if following is None:
        return None
    if cause is C.PUBLISH_BEGINS:
        return replace(life, state=following, attempts=life.attempts + 1)
    arrived = (life.published_at or AT) if cause is C.PERSON_ARRIVED else life.published_at
    published_at = AT if cause is C.ACCEPTED else arrived
    on = replace(
        life,
        state=following,
        published_at=published_at,
        last_error=NEW,
        early_answer=None,
        settled=False,
        handed_over=life.handed_over or cause in {C.ACCEPTED, C.PERSON_ARRIVED, C.NO_OUTCOME},
    )
    if cause in AGAIN:
        on = replace(on, published_at=None, needs_person=False, earlier_attempts=life.attempts, acknowledged_at=None)
    return on if life.early_answer is None else expected_after_answer(on, life.early_answer, error=None)


def expected_after_signal(life: Lifecycle, cause: Cause) -> Lifecycle:
    """What a mail says of a mail: only a person's word or FHI's counts for more than what the message server signs."""
    open_still = life.state in {S.SEALED, S.PUBLISHED, S.IN_DOUBT}
    if cause is C.ACKNOWLEDGED and life.state in {S.PUBLISHED, S.CANCELLED, *set(FINAL.values()) - {S.FAULTED}}:
        return replace(life, acknowledged_at=life.acknowledged_at or AT)
    never_offered = life.state is S.SEALED and (life.needs_person or life.attempts == life.earlier_attempts)
    if cause is C.ACKNOWLEDGED and not never_offered and (open_still or life.state is S.FAULTED):
        at, taken = life.published_at or AT, life.acknowledged_at or AT
        on = replace(life, state=S.PUBLISHED, published_at=at, acknowledged_at=taken, last_error=NEW)
        return replace(on, handed_over=True, settled=False)
    bounced_by_nobody = life.state is S.SEALED or (life.state is S.PUBLISHED and life.acknowledged_at is not None)
    if cause is C.ACKNOWLEDGED or never_offered or not open_still or (cause is C.BOUNCED and bounced_by_nobody):
        return life
    return replace(life, state=S.FAULTED, last_error=NEW, settled=False)


def expected_after_answer(life: Lifecycle, cause: Cause, error: LastError | None = NEW) -> Lifecycle:
    fault = cause is C.ERROR_QUEUE
    if life.state is S.PUBLISHING and life.early_answer in {None, cause, C.ERROR_QUEUE}:
        return replace(life, early_answer=cause)
    if life.state in {S.SEALED, S.PUBLISHED, S.IN_DOUBT} or (life.state in {S.FAULTED, S.CANCELLED} and not fault):
        if error is None and cause is C.ERROR_QUEUE:
            error = LastError(RejectedByReceiver.code, "A message on the error queue names this shipment.")
        return replace(life, state=FINAL[cause], last_error=error, settled=False)
    return life if fault or life.state is FINAL[cause] else replace(life, needs_person=True, settled=False)


def _named(life: Lifecycle) -> str:
    flags = ("-alarm" if life.alarm else "") + ("-acknowledged" if life.acknowledged_at else "")
    return f"{life.state}-{life.needs_person}-{life.handed_over}-{life.early_answer}{flags}-{life.attempts}"


@pytest.mark.parametrize("cause", FINAL)
@pytest.mark.parametrize("life", LIVES, ids=_named)
def test_what_is_about_an_earlier_id_moves_nothing_and_calls_for_a_person_where_it_is_news(
    life: Lifecycle, cause: Cause
) -> None:
    """G1: what was rejected went again under another MsgId; FHI may still say that it has the first."""
    change = apply(life, Trigger(cause, AT, earlier=True))
    news = cause in {C.RECEIPT_OK, C.RECEIPT_OK_WITH_ERRORS}
    assert change.after == (replace(life, needs_person=True, settled=False) if news else life)
    assert bool(change.contradiction) == news
    assert not (news and may_be_published(change.after))


@pytest.mark.parametrize("cause", C)
@pytest.mark.parametrize("life", LIVES, ids=_named)
def test_the_whole_table(life: Lifecycle, cause: Cause) -> None:
    """G1, G2: each state, with and without its flags, and whatever can happen."""
    wanted = expected(life, cause)
    trigger = Trigger(cause, AT, error=NEW, why="In words.", who="kari", evidence={"bytes": 5})
    if wanted is None:
        with pytest.raises(ImpossibleTransition):
            apply(life, trigger)
        return
    change = apply(life, trigger)
    assert change.after == wanted
    contradicts = wanted.needs_person and not life.needs_person
    assert bool(change.contradiction) >= contradicts
    assert _replayed(life.state, change) is wanted.state
    assert all(line.what and line.why for line in change.lines)
    alarm_ended = cause is C.PERSON_SETTLES and bool(life.alarm)
    assert change.lines[0].details == {"bytes": 5} | ({"settled": "the alarm"} if alarm_ended else {})


def _replayed(state: ShipmentState, change: Change) -> ShipmentState:
    """Every move is a line of the history, by a cause that ``TRANSITIONS`` has."""
    for line in change.lines:
        if line.moved is not None:
            old, new = line.moved
            assert (old, new) == (state, after(state, Cause(line.what)))
            state = new
    return state


@pytest.mark.parametrize("stored", [None, False, True])
@pytest.mark.parametrize("verified", [False, True])
def test_a_receipt_is_recorded_as_such_and_does_more_only_when_it_is_verified_now(
    stored: bool | None,  # noqa: FBT001 - None: none is stored
    verified: bool,  # noqa: FBT001
) -> None:
    """G4."""
    arrival = Arrival.NEW if stored is None else Arrival.VERIFIED_NOW if verified > stored else Arrival.DUPLICATE
    cause = C.RECEIPT_OK if verified else C.RECEIPT_UNVERIFIED
    for life in LIVES:
        change = apply(life, Trigger(cause, AT, why="Unknown signer.", evidence={"n": 1}, arrival=arrival))
        first, *others = change.lines
        assert (first.what, first.moved, first.details) == (arrival.value[0], None, {"n": 1})
        assert first.why == ("Unknown signer." if arrival is Arrival.NEW else arrival.value[1])
        if arrival is Arrival.DUPLICATE or not verified:
            assert (change.after, others) == (life, [])
        else:
            alone = apply(life, Trigger(cause, AT))
            assert (change.after, tuple(others), change.contradiction) == (
                alone.after,
                alone.lines,
                alone.contradiction,
            )


def _lines(life: Lifecycle, trigger: Trigger) -> list[tuple[str, str, str]]:
    return [(line.what, line.why, line.who) for line in apply(life, trigger).lines]


def test_what_the_history_says() -> None:
    sealed, published = Lifecycle(state=S.SEALED), Lifecycle(state=S.PUBLISHED)
    assert _lines(sealed, Trigger(C.PUBLISH_BEGINS, AT)) == [("publish-begins", "The transfer is about to begin.", "")]
    early = Lifecycle(state=S.PUBLISHING, early_answer=C.RECEIPT_OK)
    assert _lines(early, Trigger(C.RECEIPT_OK, AT)) == [
        ("receipt-ok-early", "It came before the transfer's outcome, and takes effect after it.", "")
    ]
    assert _lines(early, Trigger(C.ACCEPTED, AT)) == [
        ("accepted", "The bus answered accepted.", ""),
        ("receipt-ok", "A verified receipt says OK.", ""),
    ]
    assert _lines(early, Trigger(C.NOT_SENT, AT)) == [
        ("not-sent", "It is certain that the bus does not have it.", ""),
        ("receipt-ok", "A verified receipt says OK.", ""),
    ]
    fault = Trigger(C.ERROR_QUEUE, AT)
    assert _lines(early, fault) == [
        ("error-queue-less", "It is not signed: what is known, the shipment publishing, counts for more.", "")
    ]
    assert _lines(published, Trigger(C.ERROR_QUEUE, AT, earlier=True)) == [
        ("error-queue-earlier", "It is about a message-id that the shipment does not have any more.", "")
    ]
    delivered = Lifecycle(state=S.DELIVERED)
    assert _lines(delivered, Trigger(C.RECEIPT_OK, AT)) == [("receipt-ok-again", "It says what is known.", "")]
    assert _lines(published, Trigger(C.PERSON_ARRIVED, AT, why="FHI has it.", who="kari")) == [
        ("person-arrived", "FHI has it.", "kari")
    ]
    replaced = Trigger(C.REPLACED, AT, why="A new extract.", who="kari")
    assert _lines(sealed, replaced) == [("person-cancels", "A new extract.", "kari")]
    settled = replace(published, settled=True)
    assert _lines(settled, replaced) == [("replaced", "A new extract.", "kari")]
    assert [what for what, _, _ in _lines(sealed, Trigger(C.RESTORED, AT))] == ["publish-begins", "no-outcome"]


def test_what_a_mail_says_of_an_earlier_mail_moves_nothing() -> None:
    """An envelope that was given up: its acknowledgement is no word on the one that took its place."""
    for life, cause in product(LIVES, SIGNALS):
        change = apply(life, Trigger(cause, AT, earlier=True))
        assert (change.after, len(change.lines), change.contradiction) == (life, 1, "")


def test_an_envelope_that_goes_again_as_it_is_stays_offered() -> None:
    """EDI: under the same eb:MessageId its bytes never change any more (G3); after any other word they may."""
    published = Lifecycle(state=S.PUBLISHED, attempts=2, earlier_attempts=1, handed_over=True, published_at=BEFORE)
    same = apply(published, Trigger(C.PERSON_NOT_ARRIVED, AT, same_ids=True)).after
    assert (same.state, same.published_at, was_offered(same), may_be_published(same)) == (S.SEALED, None, True, True)
    assert not was_offered(apply(published, Trigger(C.PERSON_NOT_ARRIVED, AT)).after)
    late = apply(same, Trigger(C.ACKNOWLEDGED, AT)).after
    assert (late.state, late.acknowledged_at, may_be_published(late)) == (S.PUBLISHED, AT, False)


def test_an_error_is_noted_once_and_moves_nothing() -> None:
    life = Lifecycle(state=S.SEALED)
    change = noted(life, OLD)
    assert change == Change(
        replace(life, last_error=OLD), (HistoryLine("error-noted", OLD.text, details={"code": OLD.code}),)
    )
    assert noted(change.after, OLD) == Change(change.after)
    assert noted(change.after, None).after == life


def _everything_that_can_be() -> set[Lifecycle]:
    """Each life that any order of events leads to; attempts stop counting at two."""
    found: set[Lifecycle] = set()
    open_lives = {Lifecycle(state=S.SEALED)}
    while open_lives:
        found |= open_lives
        following = set()
        for life, cause in product(open_lives, C):
            try:
                on = apply(life, Trigger(cause, AT)).after
            except ImpossibleTransition:
                continue
            bounded = min(on.attempts, 2), min(on.earlier_attempts, 2)
            following.add(replace(on, attempts=bounded[0], earlier_attempts=bounded[1], last_error=None))
        open_lives = following - found
    return found


def test_whatever_is_answered_is_never_published_again() -> None:
    """G1: from everything that can be, a verified answer ends the publishing for good."""
    lives = _everything_that_can_be()
    assert {life.state for life in lives} == set(S)
    for life, cause in product(lives, FINAL):
        answered = apply(life, Trigger(cause, AT)).after
        if answered.early_answer is not None:
            answered = apply(answered, Trigger(C.NOT_SENT, AT)).after
        assert not may_be_published(answered)
    assert all(life.early_answer is None or life.state is S.PUBLISHING for life in lives)


@pytest.mark.parametrize("life", LIVES, ids=_named)
def test_what_others_ask(life: Lifecycle) -> None:
    state, flag = life.state, life.needs_person
    undecided = state in {S.PUBLISHED, S.IN_DOUBT}
    waiting = undecided and not life.settled
    stopped = flag or bool(life.alarm)
    assert may_be_published(life) == (state is S.SEALED and not stopped)
    offered = replace(life, attempts=3, earlier_attempts=2)
    assert (was_offered(offered), was_offered(replace(life, attempts=3, earlier_attempts=3))) == (True, False)
    anew = resealed(offered, why="Another certificate.", details={"sealed_sha256": "x"})
    assert anew.after == replace(offered, earlier_attempts=3)
    assert anew.lines == (HistoryLine("resealed", "Another certificate.", details={"sealed_sha256": "x"}),)
    assert answered_though_unsent(life) == (state is S.SEALED and stopped)
    assert awaits_answer(life) == waiting
    assert blocks_replacement(life) == (
        state is S.PUBLISHING or waiting or answered_though_unsent(life) or bool(life.alarm)
    )
    wanted = {
        S.SEALED: {C.PERSON_CANCELS, *([C.PERSON_NOT_ARRIVED] if flag else [])},
        S.PUBLISHED: BY_A_PERSON if life.settled else BY_A_PERSON | {C.PERSON_SETTLES},
        S.IN_DOUBT: BY_A_PERSON,
        S.DELIVERED: {C.PERSON_SETTLES},
        S.DELIVERED_WITH_ERRORS: {C.PERSON_SETTLES},
        S.REJECTED: {C.PERSON_SETTLES, C.PERSON_RESENDS},
        S.FAULTED: {C.PERSON_SETTLES, C.PERSON_RESENDS},
        S.CANCELLED: {C.PERSON_SETTLES, C.PERSON_NOT_ARRIVED if life.handed_over else C.PERSON_RESENDS},
    }.get(state, set())
    if life.alarm:
        wanted = wanted | {C.PERSON_SETTLES}
    assert open_decisions(life, replaced=False) == wanted
    assert open_decisions(life, replaced=True) == wanted - AGAIN


def test_the_sets_are_what_they_say() -> None:
    assert {*CAUSE_OF_STATUS.values(), C.ERROR_QUEUE} == ANSWERS == set(FINAL)
    assert {C.ACCEPTED, C.NOT_SENT, C.NO_OUTCOME} == OUTCOMES
    assert set(S) - set(FINAL.values()) - {S.CANCELLED} == UNANSWERED


def test_every_pair_has_one_state_whatever_the_order() -> None:
    for one, other in product(S, S):
        assert SubmissionState.of((one, other)) is SubmissionState.of((other, one))
        assert any(holds(frozenset({one, other})) for _, holds in PAIR_RULES)
    assert {SubmissionState.of(pair) for pair in combinations_with_replacement(S, 2)} == set(P)


@given(st.lists(st.sampled_from(list(S)), min_size=1, max_size=6))
def test_any_number_of_shipments_has_a_state_that_never_says_too_much(states: list[ShipmentState]) -> None:
    """G4, G5."""
    pair = SubmissionState.of(tuple(states))
    assert pair is SubmissionState.of(tuple(reversed(states)))
    assert (pair is P.DELIVERED) == (set(states) == {S.DELIVERED})
    assert (pair is P.IN_DOUBT) == bool({S.IN_DOUBT, S.PUBLISHING} & set(states))


@pytest.mark.parametrize(
    ("states", "pair"),
    [
        ((S.DELIVERED, S.DELIVERED), P.DELIVERED),
        ((S.DELIVERED, S.REJECTED), P.PARTLY_DELIVERED),
        ((S.DELIVERED_WITH_ERRORS, S.FAULTED), P.PARTLY_DELIVERED),
        ((S.DELIVERED, S.CANCELLED), P.PARTLY_DELIVERED),
        ((S.REJECTED, S.PUBLISHED), P.REJECTED),
        ((S.FAULTED, S.FAULTED), P.REJECTED),
        ((S.CANCELLED, S.SEALED), P.CANCELLED),
        ((S.PUBLISHED, S.SEALED), P.SEALED),
        ((S.DELIVERED, S.SEALED), P.SEALED),
        ((S.DELIVERED, S.PUBLISHED), P.PUBLISHED),
        ((S.DELIVERED, S.DELIVERED_WITH_ERRORS), P.DELIVERED_WITH_ERRORS),
        ((S.DELIVERED, S.PUBLISHING), P.IN_DOUBT),
        ((S.REJECTED, S.IN_DOUBT), P.IN_DOUBT),
    ],
)
def test_what_a_pair_amounts_to(states: tuple[ShipmentState, ...], pair: SubmissionState) -> None:
    assert SubmissionState.of(states) is pair


def test_no_shipment_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        SubmissionState.of(())


def test_the_documentation_is_what_the_tables_make() -> None:
    assert TARGET.read_text("utf-8") == documentation(), "run: python docs/make_state_diagram.py"
    assert set(KNOWN) == set(S)
    assert set(MOVES) == set(C)
    assert set(STAYS) == set(Reaction)


def test_the_diagram_shows_every_way_of_the_table_and_no_other() -> None:
    assert drawn(PICTURE.read_text("utf-8")) == arrows(), "run: python docs/make_state_diagram.py"
    shown = drawn(PICTURE.read_text("utf-8"))
    for (state, cause), following in EXPECTED.items():
        assert cause in shown[state, following]
