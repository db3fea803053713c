"""The one table: whole, closed, and with no way that breaks a promise."""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.make_state_diagram import KNOWN, MOVES, TARGET, documentation
from kpr_sender.states import (
    AWAITING_RECEIPT,
    CAUSE_OF_STATUS,
    ENDED,
    PAIR_RULES,
    PERSON_CAUSES,
    TRANSITIONS,
    Cause,
    ImpossibleTransition,
    ReceiptStatus,
    ShipmentState,
    SubmissionState,
    after,
)

S, C, P = ShipmentState, Cause, SubmissionState
BY_A_PERSON = {C.PERSON_ARRIVED, C.PERSON_NOT_ARRIVED, C.PERSON_CANCELS}
ANSWERS = {*CAUSE_OF_STATUS.values(), C.ERROR_QUEUE}
# The states in which bytes may have reached the bus.
PERHAPS_ON_THE_BUS = {S.PUBLISHING, S.PUBLISHED, S.IN_DOUBT}

# Written out a second time, by hand: a change of the table is a change of the product's promises.
EXPECTED = {
    (S.SEALED, C.PUBLISH_BEGINS): S.PUBLISHING,
    (S.SEALED, C.PERSON_CANCELS): S.CANCELLED,
    (S.PUBLISHING, C.ACCEPTED): S.PUBLISHED,
    (S.PUBLISHING, C.NOT_SENT): S.SEALED,
    (S.PUBLISHING, C.NO_OUTCOME): S.IN_DOUBT,
    (S.PUBLISHED, C.RECEIPT_OK): S.DELIVERED,
    (S.PUBLISHED, C.RECEIPT_OK_WITH_ERRORS): S.DELIVERED_WITH_ERRORS,
    (S.PUBLISHED, C.RECEIPT_REJECTED): S.REJECTED,
    (S.PUBLISHED, C.ERROR_QUEUE): S.FAULTED,
    (S.PUBLISHED, C.PERSON_ARRIVED): S.PUBLISHED,
    (S.PUBLISHED, C.PERSON_NOT_ARRIVED): S.SEALED,
    (S.PUBLISHED, C.PERSON_CANCELS): S.CANCELLED,
    (S.IN_DOUBT, C.RECEIPT_OK): S.DELIVERED,
    (S.IN_DOUBT, C.RECEIPT_OK_WITH_ERRORS): S.DELIVERED_WITH_ERRORS,
    (S.IN_DOUBT, C.RECEIPT_REJECTED): S.REJECTED,
    (S.IN_DOUBT, C.ERROR_QUEUE): S.FAULTED,
    (S.IN_DOUBT, C.PERSON_ARRIVED): S.PUBLISHED,
    (S.IN_DOUBT, C.PERSON_NOT_ARRIVED): S.SEALED,
    (S.IN_DOUBT, C.PERSON_CANCELS): S.CANCELLED,
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
    assert {cause for ways_on in TRANSITIONS.values() for cause in ways_on} == set(C)
    assert set(CAUSE_OF_STATUS) == set(ReceiptStatus)


def test_every_state_can_be_reached_and_none_is_a_trap() -> None:
    reached, grown = {S.SEALED}, True
    while grown:
        further = reached | {following for state in reached for following in TRANSITIONS[state].values()}
        grown, reached = further != reached, further
    assert reached == set(S)
    assert set(TRANSITIONS) - ENDED == {S.SEALED, S.PUBLISHING, S.PUBLISHED, S.IN_DOUBT}


@given(st.lists(st.sampled_from(list(C)), max_size=40))
def test_what_may_be_on_the_bus_is_sealed_again_only_by_certainty_or_a_person(causes: list[Cause]) -> None:
    """G1: on any way through the table."""
    state = S.SEALED
    for cause in causes:
        try:
            following = after(state, cause)
        except ImpossibleTransition:
            continue
        if state in PERHAPS_ON_THE_BUS and following is S.SEALED:
            assert (state, cause) == (S.PUBLISHING, C.NOT_SENT) or cause in BY_A_PERSON
        assert state not in ENDED
        state = following


def test_delivered_is_reached_by_a_positive_receipt_only() -> None:
    """G4."""
    ways = {
        cause for ways_on in TRANSITIONS.values() for cause, following in ways_on.items() if following is S.DELIVERED
    }
    assert ways == {CAUSE_OF_STATUS[ReceiptStatus.OK]}


def test_only_what_no_answer_came_to_is_a_persons_to_decide() -> None:
    assert PERSON_CAUSES == BY_A_PERSON
    assert {state for state, ways_on in TRANSITIONS.items() if set(ways_on) >= BY_A_PERSON} == AWAITING_RECEIPT
    assert BY_A_PERSON & set(TRANSITIONS[S.SEALED]) == {C.PERSON_CANCELS}
    assert not any(BY_A_PERSON & set(TRANSITIONS[state]) for state in {S.PUBLISHING, *ENDED})


def test_what_awaits_a_receipt_takes_every_answer() -> None:
    """G2."""
    assert {state for state, ways_on in TRANSITIONS.items() if set(ways_on) >= ANSWERS} == AWAITING_RECEIPT
    assert all(not ANSWERS & set(TRANSITIONS[state]) for state in set(S) - AWAITING_RECEIPT)


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
    for (state, cause), following in EXPECTED.items():
        assert f"    {state} --> {following}: {cause}" in documentation()
