"""A journal in a file is taken over into a database: every row, verified, and the file is used no more."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender.errors import AccessRefused, JournalLocked, JournalUnwritable, UsageError
from kpr_sender.journal import postgres_move
from kpr_sender.journal.moved import mark_moved
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.model import Environment
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.settings.secrets import Secret
from kpr_sender.states import Cause, ReceiptStatus, ShipmentState
from tests.helpers.postgres import Database
from tests.journal.builders import (
    Clock,
    add_unverified,
    add_verified,
    brought_to,
    new_shipment,
    new_submission,
    resent,
)

_DOCUMENTS = ("looks", "logins", "acknowledgements")


@pytest.fixture
def file(tmp_path: Path) -> SqliteStorage:
    """A journal with what a year brings: resent, rejected, replaced, in doubt, told, accepted."""
    folder = tmp_path / "before"
    settings = JournalSettings(path=folder / "journal.db", receipts_dir=folder / "receipts")
    storage = SqliteStorage(settings, Environment.LOKAL, Clock())
    with closing(storage.open(who="vakt")) as journal:
        first = new_submission(shipments=(new_shipment(sealed_bytes=3_000_000), *new_submission().shipments[1:]))
        journal.create(first)
        one, two = (shipment.msg_id for shipment in first.shipments)
        journal.begin_publish(one)
        journal.end_publish(one, Cause.ACCEPTED, evidence={"reach": "outcome"}, error=None)
        receipt = add_unverified(journal, one, sealed=b"who knows")
        assert receipt is not None
        journal.discard_receipt(receipt.receipt_id, reason="not FHI's", by="kari")
        add_verified(journal, one, ReceiptStatus.REJECTED, sealed=b"no")
        resent(journal, first.shipments[0], msg_id="another", message_id="again")
        journal.begin_publish(two)
        journal.note_review(one, note="looked at", by="kari")
        brought = new_submission("2023-aaaa0002", year=2023)
        journal.create(brought)
        journal.begin_publish(brought.shipments[0].msg_id)
    for document in _DOCUMENTS:
        storage.document(document).write(document.encode())
    return storage


def test_every_row_is_taken_over_and_the_file_refused_from_then_on(file: SqliteStorage, postgres: Database) -> None:
    target = postgres.storage()
    counted = file.move_to(target, who="vakt")
    _refused(lambda: file.open(who="vakt"))
    _refused(lambda: list(file.export()))
    said = file.verify()
    assert said is not None
    assert "moved to a database" in said.findings[0].text
    verified = target.verify()
    assert verified is not None
    assert (verified.findings, verified.counted) == ((), counted)
    assert (counted["submissions"], counted["receipts"]) == (2, 2)
    assert [target.document(one).read(most=99).decode() for one in _DOCUMENTS] == list(_DOCUMENTS)
    with closing(target.open(who="vakt")) as journal:
        assert journal.recover() == ()
        by_state = [one.state for each in journal.submissions() for one in each.shipments]
        assert by_state.count(ShipmentState.IN_DOUBT) == 2  # what a run had left in the middle
        resealed = next(one for each in journal.submissions() for one in each.shipments if one.earlier)
        assert len(journal.sealed(resealed.msg_id)) == 4500
        journal.begin_publish(resealed.msg_id)
    again = file.move_to(target, who="vakt")  # it is harmless, and says what the database has by now
    assert again == {**counted, "events": counted["events"] + 1}


def test_what_is_exported_is_the_same_from_both(file: SqliteStorage, postgres: Database) -> None:
    with closing(file.open(who="vakt")) as journal:
        journal.recover()
    before = list(file.export())
    target = postgres.storage()
    file.move_to(target, who="vakt")
    after = list(target.export())
    assert [dict(line) for line in after[1:]] == [dict(line) for line in before[1:]]
    assert (after[0]["journal_id"], after[0]["created_at"]) == (before[0]["journal_id"], before[0]["created_at"])


def test_g1_a_move_that_fails_or_dies_leaves_one_journal_that_can_be_sent_from(
    file: SqliteStorage, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = postgres.storage()
    with monkeypatch.context() as broken:
        broken.setattr(postgres_move, "_same", lambda *_: False)
        with pytest.raises(JournalUnwritable, match="not what is in the file"):
            file.move_to(target, who="vakt")
    file.open(who="vakt").close()  # it is as it was
    with closing(target.open(who="vakt")) as journal:
        assert journal.submissions() == ()

    def marked_only(path: Path, *, moved: bool) -> None:
        if moved:
            mark_moved(path, moved=True)

    with monkeypatch.context() as dying:
        dying.setattr(postgres_move, "_take_over", _die)
        dying.setattr(postgres_move, "mark_moved", marked_only)
        with pytest.raises(KeyboardInterrupt):
            file.move_to(target, who="vakt")
    _refused(lambda: file.open(who="vakt"))
    beside = dataclasses.replace(postgres, folder=file.settings.path.parent).storage()
    with pytest.raises(JournalUnwritable, match="this database does not have it") as raised:
        beside.open(who="vakt")
    assert (raised.value.exit_code, "kpr-send journal move --to URL again" in raised.value.next_step) == (73, True)
    assert file.move_to(target, who="vakt")["submissions"] == 2
    beside.open(who="vakt").close()


def test_g1_a_file_that_was_moved_stays_marked_whatever_becomes_of_the_same_command_again(
    file: SqliteStorage, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = postgres.storage()
    file.move_to(target, who="vakt")
    target.document("logins").write(b'{"refused": "since"}')
    with closing(target.open(who="worker")) as journal:
        with pytest.raises(JournalLocked):
            file.move_to(target, who="vakt")
        _refused(lambda: file.open(who="vakt"))
        assert journal.submissions()
    wrong = postgres.storage(password=Secret("another"))
    with pytest.raises(AccessRefused):
        file.move_to(wrong, who="vakt")
    _refused(lambda: file.open(who="vakt"))
    with monkeypatch.context() as killed:
        killed.setattr(postgres_move, "_copy_documents", _die)
        with pytest.raises(KeyboardInterrupt):
            file.move_to(target, who="vakt")
    _refused(lambda: file.open(who="vakt"))
    file.move_to(target, who="vakt")
    assert target.document("logins").read(most=99) == b'{"refused": "since"}'  # not as it was before the move


def test_g1_a_database_is_refused_beside_a_file_that_was_sent_from_and_not_moved(
    file: SqliteStorage, postgres: Database
) -> None:
    target = dataclasses.replace(postgres, folder=file.settings.path.parent).storage()
    uses: tuple[Callable[[], object], ...] = (
        lambda: target.open(who="vakt"),
        target.require_safe,
        lambda: target.accept(reason="why not", by="kari"),
        lambda: target.ask(lambda view: view),
    )
    for use in uses:
        with pytest.raises(JournalUnwritable, match="was not moved to the database") as raised:
            use()
        assert (raised.value.exit_code, "kpr-send journal move --to URL" in raised.value.next_step) == (73, True)
    file.move_to(target, who="vakt")
    target.require_safe()
    target.open(who="vakt").close()


def test_a_file_that_nothing_was_sent_from_or_that_is_no_journal_does_not_stand_in_a_databases_way(
    postgres: Database, tmp_path: Path
) -> None:
    beside = dataclasses.replace(postgres, folder=tmp_path / "new").storage()
    settings = dataclasses.replace(beside.settings, url=None)
    SqliteStorage(settings, Environment.LOKAL, Clock()).open(who="vakt").close()
    beside.open(who="vakt").close()
    settings.path.write_text("no journal", "ascii")
    beside.open(who="vakt").close()


def test_another_journal_is_never_mixed_in(file: SqliteStorage, postgres: Database) -> None:
    with closing(postgres.storage().open(who="vakt")) as journal:
        brought_to(journal, ShipmentState.PUBLISHED)
    with pytest.raises(UsageError, match="has another journal"):
        file.move_to(postgres.storage(), who="vakt")
    file.open(who="vakt").close()
    nothing = dataclasses.replace(file.settings, path=file.settings.path.with_name("none.db"))
    with pytest.raises(UsageError, match="no journal yet"):
        SqliteStorage(nothing, Environment.LOKAL, Clock()).move_to(postgres.storage(), who="vakt")


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _refused(use: Callable[[], object]) -> None:
    with pytest.raises(JournalUnwritable, match="moved to a database") as raised:
        use()
    assert raised.value.exit_code == 73
