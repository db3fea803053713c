"""The journal as a whole, by its port: one run's at a time, readable beside it, and free whatever goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kpr_sender.errors import JournalLocked, JournalUnwritable
from kpr_sender.events import ignore
from kpr_sender.journal.marker import mark_file
from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.session import JournalSession
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.journal.values import ReceiptDocument
from kpr_sender.model import Environment
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.texts import Text
from tests.journal.builders import Clock, new_submission


@pytest.fixture
def storage(tmp_path: Path) -> JournalStorage:
    settings = JournalSettings(path=tmp_path / "journal.db", receipts_dir=tmp_path / "receipts")
    return SqliteStorage(settings, Environment.LOKAL, Clock())


def test_it_is_locked_until_it_is_closed_and_read_beside(storage: JournalStorage, tmp_path: Path) -> None:
    with storage.reading() as journal:
        assert journal is None
    assert storage.verify() is None
    assert [*storage.export()] == []
    first = storage.open(who="first")
    made = first.create(new_submission())
    with pytest.raises(JournalLocked):
        storage.open(who="second")
    with storage.reading() as beside:
        assert beside is not None
        assert beside.submissions() == (made,)
    verified = storage.verify()
    assert verified is not None
    assert verified.findings == ()
    assert storage.back_up(tmp_path / "copy.db") == verified.counted
    assert [line["kind"] for line in storage.export()][:2] == ["journal", "submission"]
    first.close()
    first.close()
    storage.open(who="second").close()


def test_the_lock_is_free_after_an_opening_that_was_refused(storage: JournalStorage, tmp_path: Path) -> None:
    opened = storage.open(who="first")
    opened.create(new_submission())
    opened.close()
    mark_file(tmp_path / "journal.db").write_bytes(b"x")
    with pytest.raises(JournalUnwritable, match="damaged"):
        storage.open(who="first")
    assert "damaged" in storage.accept(reason="Kari has asked FHI.", by="Kari").found
    storage.open(who="first").close()


def test_a_session_that_cannot_begin_leaves_the_journal_to_the_next(storage: JournalStorage) -> None:
    opened = storage.open(who="first")
    opened.create(new_submission())
    opened.close()

    full = True

    def catch_up(_documents: Sequence[ReceiptDocument]) -> None:
        if full:
            raise JournalUnwritable(Text("The disk is full."))

    session = JournalSession(storage, catch_up, who="second", observe=ignore)
    with pytest.raises(JournalUnwritable):
        session.opened()
    storage.open(who="third").close()
    full = False
    assert len(session.opened().submissions()) == 1
    session.close()
