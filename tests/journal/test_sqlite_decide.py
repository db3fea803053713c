"""What a person decides: along the table, with name, reason and time in the history."""

from __future__ import annotations

import pytest

from kpr_sender.errors import LastError, UsageError
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.states import (
    PERSON_CAUSES,
    SENT_AGAIN,
    TRANSITIONS,
    Cause,
    ImpossibleTransition,
    ReceiptStatus,
    ShipmentState,
)
from tests.journal.builders import add_verified, brought_to, replayed, state_of

S = ShipmentState
REACHED = tuple(state for state in S if state is not S.CANCELLED)


@pytest.mark.parametrize("state", REACHED)
@pytest.mark.parametrize("cause", Cause)
def test_a_person_moves_only_what_the_table_lets_a_person_move(
    journal: SqliteJournal, state: ShipmentState, cause: Cause
) -> None:
    shipment = brought_to(journal, state)
    before = journal.events(None)
    if cause is Cause.PERSON_SETTLES and state not in {S.SEALED, S.PUBLISHING, S.IN_DOUBT}:
        settled = journal.decide(shipment.msg_id, cause, reason="asked FHI", by="kari")
        assert (settled.state, settled.settled) == (state, True)
        return
    if cause not in PERSON_CAUSES - SENT_AGAIN or cause not in TRANSITIONS[state]:
        with pytest.raises(ImpossibleTransition):
            journal.decide(shipment.msg_id, cause, reason="asked FHI", by="kari")
        assert journal.events(None) == before
        return
    moved = journal.decide(shipment.msg_id, cause, reason=" asked FHI ", by="kari")
    assert moved.state is TRANSITIONS[state][cause]
    event = journal.events(shipment.msg_id)[-1]
    assert (event.what, event.why, event.who) == (cause.value, "asked FHI", "kari")
    assert (event.details["from"], event.details["to"]) == (state.value, moved.state.value)
    assert replayed(journal.events(None))[shipment.msg_id] is moved.state


@pytest.mark.parametrize("state", [S.PUBLISHED, S.IN_DOUBT])
def test_what_has_arrived_waits_anew_and_what_has_not_is_as_before_the_first_send(
    journal: SqliteJournal, state: ShipmentState
) -> None:
    shipment = brought_to(journal, state)
    sealed, attempts = journal.sealed(shipment.msg_id), shipment.attempts
    journal.note_error(shipment.msg_id, LastError("in-doubt", "No outcome."))
    arrived = journal.decide(shipment.msg_id, Cause.PERSON_ARRIVED, reason="FHI has it", by="kari")
    assert (arrived.state, arrived.last_error) == (S.PUBLISHED, None)
    # The time of publishing stays what it was; the wait for the receipt begins anew.
    assert arrived.arrived_at == journal.events(shipment.msg_id)[-1].at
    assert arrived.published_at == (shipment.published_at or arrived.arrived_at)
    back = journal.let_go(shipment.msg_id, message_id="another", reason="FHI was wrong", by="kari")
    assert back.message_id == journal.envelope(back.msg_id).correlation_id == "another"
    assert [(one.msg_id, one.message_id) for one in back.earlier] == [(shipment.msg_id, shipment.message_id)]
    for message_id in ("another", shipment.message_id):
        found = journal.shipment_by_message_id(message_id)
        assert found is not None
        assert found.msg_id == shipment.msg_id
    assert (back.state, back.published_at, back.attempts) == (S.SEALED, None, attempts)
    assert journal.sealed(back.msg_id) == sealed
    assert journal.begin_publish(back.msg_id).attempts == attempts + 1


@pytest.mark.parametrize("cause", [Cause.PERSON_ARRIVED, Cause.PERSON_NOT_ARRIVED, Cause.PERSON_CANCELS])
def test_a_receipt_after_a_decision_is_kept_whatever_was_decided(journal: SqliteJournal, cause: Cause) -> None:
    """A person may err, too: what FHI says later counts for more, and the bytes do not go again."""
    msg_id = brought_to(journal, S.IN_DOUBT).msg_id
    if cause is Cause.PERSON_NOT_ARRIVED:
        journal.let_go(msg_id, message_id="another", reason="asked FHI", by="kari")
    else:
        journal.decide(msg_id, cause, reason="asked FHI", by="kari")
    receipt = add_verified(journal, msg_id, ReceiptStatus.OK, sealed=b"answer")
    assert receipt is not None
    assert receipt.problem == ""
    shipment = journal.shipment(msg_id)
    assert shipment is not None
    assert (shipment.state, shipment.needs_person) == (S.DELIVERED, False)


@pytest.mark.parametrize(("reason", "by"), [("", "kari"), ("  ", "kari"), ("asked FHI", ""), ("asked FHI", " ")])
def test_without_reason_and_name_nothing_is_decided(journal: SqliteJournal, reason: str, by: str) -> None:
    shipment = brought_to(journal, S.IN_DOUBT)
    with pytest.raises(UsageError, match="reason"):
        journal.decide(shipment.msg_id, Cause.PERSON_CANCELS, reason=reason, by=by)
    with pytest.raises(UsageError, match="reason"):
        journal.let_go(shipment.msg_id, message_id="another", reason=reason, by=by)
    assert state_of(journal, shipment.msg_id) is S.IN_DOUBT
