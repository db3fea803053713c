"""How shipments move: only along the table, each step with its event, receipts and faults as they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kpr_sender.errors import InternalError, LastError
from kpr_sender.journal.lock import JournalLock
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import ReceiptError, Shipment
from kpr_sender.states import CAUSE_OF_STATUS, Cause, ImpossibleTransition, ReceiptStatus, ShipmentState, after
from tests.journal.builders import (
    Clock,
    add_unverified,
    add_verified,
    brought_to,
    created,
    open_journal,
    replayed,
    state_of,
)

S = ShipmentState
REACHED_NOW = tuple(state for state in S if state is not S.CANCELLED)
ENDED_NOW = (S.DELIVERED, S.DELIVERED_WITH_ERRORS, S.REJECTED, S.FAULTED)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    with JournalLock.acquire(tmp_path / "journal.db", now=Clock()), open_journal(tmp_path / "journal.db") as opened:
        yield opened


def look(journal: SqliteJournal, shipment: Shipment) -> Shipment:
    found = journal.shipment(shipment.msg_id)
    assert found is not None
    return found


def test_the_usual_way(journal: SqliteJournal) -> None:
    shipment = created(journal)
    assert journal.begin_publish(shipment.msg_id).attempts == 1
    published = journal.end_publish(shipment.msg_id, Cause.ACCEPTED, evidence={"bytes": 5000}, error=None)
    assert published.state is S.PUBLISHED
    assert published.published_at is not None
    receipt = add_verified(journal, shipment.msg_id, ReceiptStatus.OK, sealed=b"answer")
    assert receipt is not None
    delivered = look(journal, shipment)
    assert (delivered.state, delivered.receipts, delivered.published_at) == (
        S.DELIVERED,
        (receipt,),
        published.published_at,
    )
    history = [
        (event.what, event.details.get("from"), event.details.get("to")) for event in journal.events(shipment.msg_id)
    ]
    assert history == [
        ("created", None, "sealed"),
        ("publish-begins", "sealed", "publishing"),
        ("accepted", "publishing", "published"),
        ("receipt-kept", None, None),
        ("receipt-ok", "published", "delivered"),
    ]
    assert journal.events(shipment.msg_id)[2].details["bytes"] == 5000


@pytest.mark.parametrize("state", [state for state in REACHED_NOW if state is not S.SEALED])
def test_only_what_is_sealed_can_be_published(journal: SqliteJournal, state: ShipmentState) -> None:
    """G1."""
    shipment = brought_to(journal, state)
    with pytest.raises(ImpossibleTransition):
        journal.begin_publish(shipment.msg_id)
    assert look(journal, shipment) == shipment


@pytest.mark.parametrize("state", REACHED_NOW)
@pytest.mark.parametrize("cause", Cause)
def test_a_transfer_ends_only_once_and_only_by_its_outcome(
    journal: SqliteJournal, state: ShipmentState, cause: Cause
) -> None:
    shipment = brought_to(journal, state)
    before = journal.events(None)
    if state is S.PUBLISHING and cause in {Cause.ACCEPTED, Cause.NOT_SENT, Cause.NO_OUTCOME}:
        moved = journal.end_publish(shipment.msg_id, cause, evidence={}, error=None)
        assert moved.state is after(state, cause)
        return
    with pytest.raises(ImpossibleTransition):
        journal.end_publish(shipment.msg_id, cause, evidence={}, error=None)
    assert look(journal, shipment) == shipment
    assert journal.events(None) == before


def test_a_repeated_attempt_sends_the_same(journal: SqliteJournal) -> None:
    """G3."""
    shipment = created(journal)
    sealed, envelope = journal.sealed(shipment.msg_id), journal.envelope(shipment.msg_id)
    for attempt in (1, 2, 3):
        assert journal.begin_publish(shipment.msg_id).attempts == attempt
        error = LastError("bus-unreachable", "No route.")
        back = journal.end_publish(shipment.msg_id, Cause.NOT_SENT, evidence={}, error=error)
        assert (back.state, back.last_error) == (S.SEALED, error)
        assert (back.msg_id, back.message_id, back.sealed_sha256) == (
            shipment.msg_id,
            shipment.message_id,
            shipment.sealed_sha256,
        )
    assert journal.sealed(shipment.msg_id) == sealed
    assert journal.envelope(shipment.msg_id) == envelope
    journal.begin_publish(shipment.msg_id)
    assert journal.end_publish(shipment.msg_id, Cause.ACCEPTED, evidence={}, error=None).last_error is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sealed SET bytes = x'00'",
        "DELETE FROM sealed",
        "UPDATE shipment SET message_id = 'x'",
        "UPDATE shipment SET envelope = '{}'",
        "UPDATE shipment SET sealed_sha256 = payload_sha256",
        "DELETE FROM shipment",
        "DELETE FROM submission",
        "UPDATE event SET what = 'x'",
        "DELETE FROM event",
        "UPDATE shipment SET state = 'lost'",
        "UPDATE shipment SET state = 'published'",
        "INSERT INTO event VALUES (99, '', 'nobody', 'x', '', '', NULL, NULL, '{}')",
    ],
)
def test_the_tables_themselves_refuse(journal: SqliteJournal, change: str) -> None:
    """G3 and the history: what is fixed stays fixed, even for a program with an error in it."""
    created(journal)
    with pytest.raises(InternalError), journal._store.writing() as connection:
        connection.execute(change)


def test_recovery_moves_what_was_being_published_and_nothing_else(journal: SqliteJournal) -> None:
    """G1, G2."""
    shipment = brought_to(journal, S.PUBLISHING)
    other = journal.submissions()[0].shipments[1]
    assert journal.recover() == (shipment.msg_id,)
    after_recovery = look(journal, shipment)
    assert (after_recovery.state, after_recovery.attempts) == (S.IN_DOUBT, 1)
    assert after_recovery.last_error is not None
    assert look(journal, other) == other
    assert journal.recover() == ()


@pytest.mark.parametrize("state", [S.PUBLISHED, S.IN_DOUBT])
@pytest.mark.parametrize("status", ReceiptStatus)
def test_a_verified_receipt_moves_what_awaits_one(
    journal: SqliteJournal, state: ShipmentState, status: ReceiptStatus
) -> None:
    """G4."""
    shipment = brought_to(journal, state)
    journal.note_error(shipment.msg_id, LastError("receipt-unverified", "Unknown signer."))
    errors = (ReceiptError("T02", "2.16.578.1.12.4.1.1.8221", "tekst", "detalj"), ReceiptError("X", "", ""))
    receipt = journal.add_receipt(
        shipment.msg_id,
        status=status,
        errors=errors,
        verified=True,
        problem="",
        xml=b"<AppRec/>",
        sealed=b"sealed",
        cause=CAUSE_OF_STATUS[status],
    )
    assert receipt is not None
    assert (receipt.status, receipt.errors, receipt.verified, receipt.problem) == (status, errors, True, "")
    moved = look(journal, shipment)
    assert moved.state is after(state, CAUSE_OF_STATUS[status])
    assert (moved.last_error, moved.needs_person) == (None, False)
    (document,) = journal.receipt_documents(shipment.submission_id)
    assert (document.receipt, document.xml, document.sealed) == (receipt, b"<AppRec/>", b"sealed")
    assert "detalj" not in repr(document)


@pytest.mark.parametrize(
    ("status", "verified", "cause"),
    [
        (ReceiptStatus.OK, False, Cause.RECEIPT_OK),
        (ReceiptStatus.REJECTED, True, Cause.RECEIPT_OK),
        (None, True, Cause.RECEIPT_OK),
        (ReceiptStatus.OK, True, Cause.ACCEPTED),
        (ReceiptStatus.OK, True, Cause.PERSON_ARRIVED),
    ],
)
def test_a_receipt_moves_by_its_own_verified_status_only(
    journal: SqliteJournal, status: ReceiptStatus | None, *, verified: bool, cause: Cause
) -> None:
    """G4."""
    shipment = brought_to(journal, S.PUBLISHED)
    with pytest.raises(InternalError):
        journal.add_receipt(
            shipment.msg_id,
            status=status,
            errors=(),
            verified=verified,
            problem="",
            xml=None,
            sealed=b"x",
            cause=cause,
        )
    assert look(journal, shipment) == shipment


def test_an_unverified_receipt_is_kept_and_moves_nothing_until_it_is_verified(journal: SqliteJournal) -> None:
    """G4."""
    shipment = brought_to(journal, S.PUBLISHED)
    kept = add_unverified(journal, shipment.msg_id, sealed=b"answer")
    assert kept is not None
    assert add_unverified(journal, shipment.msg_id, sealed=b"answer") is None
    assert (look(journal, shipment).state, look(journal, shipment).receipts) == (S.PUBLISHED, (kept,))
    believed = add_verified(journal, shipment.msg_id, ReceiptStatus.OK, sealed=b"answer")
    assert believed is not None
    assert (believed.receipt_id, believed.verified, believed.problem) == (kept.receipt_id, True, "")
    assert (look(journal, shipment).state, look(journal, shipment).receipts) == (S.DELIVERED, (believed,))
    assert add_unverified(journal, shipment.msg_id, sealed=b"answer") is None
    assert look(journal, shipment).receipts == (believed,)


def test_the_same_receipt_again_is_a_harmless_duplicate(journal: SqliteJournal) -> None:
    shipment = brought_to(journal, S.DELIVERED)
    assert add_verified(journal, shipment.msg_id, ReceiptStatus.OK, sealed=b"the first answer") is None
    assert look(journal, shipment) == shipment
    assert journal.events(shipment.msg_id)[-1].what == "receipt-duplicate"


@pytest.mark.parametrize("state", ENDED_NOW)
@pytest.mark.parametrize("status", ReceiptStatus)
def test_a_second_receipt_never_changes_what_the_first_said(
    journal: SqliteJournal, state: ShipmentState, status: ReceiptStatus
) -> None:
    """Unsafe habit 8, positive then negative receipt accepted: here a person is called, silently nothing happens."""
    shipment = brought_to(journal, state)
    receipt = add_verified(journal, shipment.msg_id, status, sealed=b"a second answer")
    says = after(S.PUBLISHED, CAUSE_OF_STATUS[status])
    moves = state is S.FAULTED  # what is not signed counts for less than a verified receipt
    agrees = moves or says is state
    assert receipt is not None
    assert bool(receipt.problem) is not agrees
    now = look(journal, shipment)
    assert (now.state, now.needs_person) == (says if moves else state, not agrees)
    assert now.receipts[-1] == receipt


def test_a_verified_receipt_counts_for_what_is_sealed_too_and_it_is_never_sent(journal: SqliteJournal) -> None:
    """G1: FHI has it under this MsgId, so sending it would be sending twice."""
    shipment = created(journal)
    receipt = add_verified(journal, shipment.msg_id, ReceiptStatus.OK, sealed=b"answer")
    assert receipt is not None
    assert receipt.problem == ""
    assert (look(journal, shipment).state, look(journal, shipment).needs_person) == (S.DELIVERED, False)
    with pytest.raises(ImpossibleTransition):
        journal.begin_publish(shipment.msg_id)
    assert state_of(journal, shipment.msg_id) is S.DELIVERED
    with journal._store.writing() as connection:
        connection.execute("UPDATE shipment SET state = 'sealed'")
    with pytest.raises(InternalError, match="what is answered is never sent"), journal._store.writing() as connection:
        connection.execute("UPDATE shipment SET state = 'publishing', attempts = 1")


@pytest.mark.parametrize(
    ("outcome", "state", "needs_person"),
    [
        (Cause.ACCEPTED, S.DELIVERED, False),
        (Cause.NO_OUTCOME, S.DELIVERED, False),
        (None, S.DELIVERED, False),
        (Cause.NOT_SENT, S.DELIVERED, False),
    ],
)
def test_a_receipt_that_overtakes_the_outcome_takes_effect_after_it(
    journal: SqliteJournal, outcome: Cause | None, state: ShipmentState, *, needs_person: bool
) -> None:
    """G2: its message is settled, so it must not be forgotten; also when the run dies before the outcome."""
    shipment = brought_to(journal, S.PUBLISHING)
    receipt = add_verified(journal, shipment.msg_id, ReceiptStatus.OK, sealed=b"answer")
    assert receipt is not None
    assert receipt.problem == ""
    assert state_of(journal, shipment.msg_id) is S.PUBLISHING
    if outcome is None:
        journal.recover()
    else:
        journal.end_publish(shipment.msg_id, outcome, evidence={}, error=None)
    now = look(journal, shipment)
    assert (now.state, now.needs_person) == (state, needs_person)
    assert replayed(journal.events(None))[shipment.msg_id] is state


def test_two_contradicting_answers_before_the_outcome_call_for_a_person(journal: SqliteJournal) -> None:
    shipment = brought_to(journal, S.PUBLISHING)
    add_verified(journal, shipment.msg_id, ReceiptStatus.REJECTED, sealed=b"no")
    add_verified(journal, shipment.msg_id, ReceiptStatus.OK, sealed=b"yes")
    journal.end_publish(shipment.msg_id, Cause.ACCEPTED, evidence={}, error=None)
    now = look(journal, shipment)
    assert (now.state, now.needs_person) == (S.REJECTED, True)


@pytest.mark.parametrize("state", REACHED_NOW)
def test_a_message_on_the_error_queue(journal: SqliteJournal, state: ShipmentState) -> None:
    shipment = brought_to(journal, state)
    now = journal.fault(shipment.msg_id, condition="abc:tns-invalid", description="Fritekst")
    event = journal.events(shipment.msg_id)[-1]
    assert (event.details["condition"], event.details["description"]) == ("abc:tns-invalid", "Fritekst")
    assert now == look(journal, shipment)
    assert now.error_message is not None
    assert now.error_message.text == "abc:tns-invalid: Fritekst"
    if state in {S.SEALED, S.PUBLISHED, S.IN_DOUBT}:
        assert (now.state, now.needs_person) == (S.FAULTED, False)
        assert now.last_error is not None
        assert "Fritekst" not in now.last_error.text
    elif state in {S.PUBLISHING, S.FAULTED}:
        early = Cause.ERROR_QUEUE if state is S.PUBLISHING else None
        assert now == replace(shipment, early_answer=early, error_message=now.error_message)
    else:
        unchanged = replace(shipment, error_message=now.error_message)
        assert now == unchanged, "it is not signed: a verified receipt counts for more"


def test_a_fault_that_overtakes_the_outcome_takes_effect_after_it(journal: SqliteJournal) -> None:
    shipment = brought_to(journal, S.PUBLISHING)
    journal.fault(shipment.msg_id, condition="c", description="")
    now = journal.end_publish(shipment.msg_id, Cause.ACCEPTED, evidence={}, error=None)
    assert now.state is S.FAULTED
    assert now.last_error is not None


def test_the_same_error_is_noted_once(journal: SqliteJournal) -> None:
    shipment = created(journal)
    error = LastError("bus-unreachable", "No route to the bus.")
    for _ in range(3):
        journal.note_error(shipment.msg_id, error)
    assert look(journal, shipment).last_error == error
    assert [event.what for event in journal.events(shipment.msg_id)] == ["created", "error-noted"]
    journal.note_error(shipment.msg_id, None)
    assert look(journal, shipment).last_error is None
