"""A view for one look says what any other view says; and a file that nobody writes is read alone, as it stands."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid, JournalUnwritable
from kpr_sender.journal.glance import Glance
from kpr_sender.journal.port import JournalView
from kpr_sender.journal.sql_journal import SqlJournal
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.journal.values import Signal
from kpr_sender.model import Environment, MessageType, Submission
from kpr_sender.result import error_of
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.states import REFUSING_SIGNALS, SIGNALS, Cause, ReceiptStatus, ShipmentState
from tests.journal.builders import (
    Clock,
    add_unverified,
    add_verified,
    brought_to,
    created,
    new_shipment,
    new_submission,
    open_journal,
    resent,
)


def _require_same(journal: SqlJournal) -> None:
    """Read each submission by a new view for one look, and compare all that is known of it."""
    glance = Glance(journal._store, Environment.LOKAL, lambda: None)
    assert glance.entries() == journal.entries() != ()
    for entry in journal.entries():
        found = journal.submission(entry.submission_id)
        assert found is not None
        assert glance.submission(entry.submission_id) == found
        over = error_of(found, overdue_after=math.inf, at=found.created_at) is None
        assert over or entry.submission_id in journal.perhaps_open()
        for shipment in found.shipments:
            assert glance.events(shipment.msg_id) == journal.events(shipment.msg_id) != ()


@pytest.mark.parametrize("state", sorted(set(ShipmentState) - {ShipmentState.CANCELLED}))
def test_it_says_the_same_in_each_state(journal: SqlJournal, state: ShipmentState) -> None:
    brought_to(journal, state)
    _require_same(journal)


@pytest.mark.parametrize("cause", sorted(SIGNALS))
@pytest.mark.parametrize(
    "state", [ShipmentState.SEALED, ShipmentState.PUBLISHED, ShipmentState.IN_DOUBT, ShipmentState.REJECTED]
)
def test_it_says_the_same_of_what_mails_say(journal: SqlJournal, state: ShipmentState, cause: Cause) -> None:
    shipment = brought_to(journal, state)
    for number, message_id in enumerate((shipment.message_id, "an-earlier-one")):
        said = Signal(message_id=message_id, sha256=f"{number:064x}", condition="4.4.7", description="Delayed")
        assert journal.note_signal(shipment.msg_id, cause, said)
        _require_same(journal)
    known = journal.shipment(shipment.msg_id)
    assert known is not None
    assert (known.error_message is not None) == (cause in REFUSING_SIGNALS)


def test_what_is_delivered_and_no_more_is_over(journal: SqlJournal) -> None:
    for half in journal.create(new_submission()).shipments:
        journal.begin_publish(half.msg_id)
        journal.end_publish(half.msg_id, Cause.ACCEPTED, evidence={}, error=None)
        assert journal.perhaps_open() == {"2024-aaaa0001"}
        add_verified(journal, half.msg_id, ReceiptStatus.OK, sealed=half.msg_id.encode())
    assert journal.perhaps_open() == frozenset()
    _require_same(journal)


def test_it_says_the_same_of_what_only_the_history_knows(journal: SqlJournal) -> None:
    assert Glance(journal._store, Environment.LOKAL, lambda: None).submission("nobody's") is None
    halves = (new_shipment(MessageType.KPR_IPL), new_shipment(MessageType.KPR_IDE))
    journal.create(new_submission(shipments=halves))
    for half in halves:
        journal.begin_publish(half.msg_id)
        journal.end_publish(half.msg_id, Cause.ACCEPTED, evidence={}, error=None)
    journal.fault(halves[0].msg_id, condition="abc:tns-invalid", description="")
    add_verified(journal, halves[1].msg_id, ReceiptStatus.OK, sealed=b"well")
    _require_same(journal)
    first = resent(journal, halves[0], msg_id="anew")
    assert first.earlier
    _require_same(journal)
    add_verified(journal, "anew", ReceiptStatus.REJECTED, sealed=b"no")
    other = replace(new_shipment(MessageType.KPR_IPL), msg_id="other")
    replacing = new_submission("2024-aaaa0002", replaces="2024-aaaa0001", reason="asked FHI", shipments=(other,))
    kept = journal.create(replace(replacing, kept=frozenset({halves[1].msg_id})))
    assert len(kept.shipments) == len(MessageType)
    _require_same(journal)
    doubted = add_unverified(journal, "other", sealed=b"whose?")
    assert doubted is not None
    add_unverified(journal, "other", sealed=b"and this?")
    journal.discard_receipt(doubted.receipt_id, reason="Not FHI's.", by="kari")
    _require_same(journal)
    journal.note_unknown_receipt(halves[1].msg_id, original_msg_id="another", text="FHI has answered another.")
    _require_same(journal)
    alarmed = journal.submission(kept.submission_id)
    assert alarmed is not None
    assert {one.msg_id for one in alarmed.shipments if one.alarm} == {halves[1].msg_id}
    journal.decide(halves[1].msg_id, Cause.PERSON_SETTLES, reason="It was ours.", by="kari")
    _require_same(journal)


@pytest.fixture
def storage(tmp_path: Path) -> SqliteStorage:
    """A journal that is closed, in a file."""
    path = tmp_path / "journal.db"
    with open_journal(path) as journal:
        created(journal)
    return SqliteStorage(JournalSettings(path=path, receipts_dir=tmp_path), Environment.LOKAL, Clock())


def _newest(journal: JournalView | None) -> Submission:
    assert journal is not None
    return journal.submissions()[0]


def test_a_file_that_nobody_writes_is_read_and_nothing_is_made_beside_it(storage: SqliteStorage) -> None:
    folder = storage.settings.path.parent
    before = sorted(folder.iterdir())
    assert storage.ask(_newest).submission_id == "2024-aaaa0001"
    assert sorted(folder.iterdir()) == before


def test_what_is_written_while_it_is_looked_at_is_seen(storage: SqliteStorage) -> None:
    asked = []

    def ask(journal: JournalView | None) -> Submission:
        found = _newest(journal)
        asked.append(found)
        if len(asked) == 1:
            with closing(storage.open(who="vakt")) as writing:
                writing.begin_publish(found.shipments[0].msg_id)
        return found

    assert storage.ask(ask).shipments[0].state is ShipmentState.PUBLISHING
    assert [one.shipments[0].state for one in asked] == [ShipmentState.SEALED, ShipmentState.PUBLISHING]


def test_what_is_not_in_the_file_yet_is_read_beside_the_run_that_writes(storage: SqliteStorage) -> None:
    with closing(storage.open(who="vakt")) as writing:
        writing.begin_publish(storage.ask(_newest).shipments[0].msg_id)
        assert storage.ask(_newest).shipments[0].state is ShipmentState.PUBLISHING


def test_what_is_wrong_with_a_file_is_said_as_ever(storage: SqliteStorage) -> None:
    other = SqliteStorage(storage.settings, Environment.VALIDERING, Clock())
    with pytest.raises(ConfigInvalid, match="for the environment lokal"):
        other.ask(_newest)
    storage.settings.path.write_bytes(b"no journal at all")
    with pytest.raises(JournalUnwritable, match="not a kpr-sender journal"):
        storage.ask(_newest)
    storage.settings.path.unlink()
    assert storage.ask(lambda journal: journal) is None
