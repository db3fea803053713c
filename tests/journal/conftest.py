"""The journal that the rules are tested on: a file, and PostgreSQL.

What is a file's alone is tested on that alone: its place, owner and rights, its lock, mark and witness, its migrations,
SQLite's errors, a failing disk, what a copy or a kill leaves of it, and a history that was tampered with, which both
verify with the same code. PostgreSQL's own is in ``test_postgres_*``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.sql_journal import SqlJournal
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.model import Environment
from kpr_sender.settings.journal import JournalSettings
from tests.helpers.postgres import Database
from tests.journal.builders import Clock, open_journal


@pytest.fixture
def in_postgres(postgres: Database) -> Iterator[SqlJournal]:
    """A journal in PostgreSQL."""
    with closing(postgres.storage(now=Clock()).open(who="vakt")) as opened:
        assert isinstance(opened, SqlJournal)
        yield opened


@pytest.fixture
def in_file(tmp_path: Path) -> Iterator[SqlJournal]:
    """A journal in SQLite."""
    with open_journal(tmp_path / "journal.db") as opened:
        yield opened


@pytest.fixture
def stored_in_file(tmp_path: Path) -> SqliteStorage:
    """Where a journal in SQLite is stored."""
    settings = JournalSettings(path=tmp_path / "journal.db", receipts_dir=tmp_path / "receipts")
    return SqliteStorage(settings, Environment.LOKAL, Clock())


@pytest.fixture
def stored_in_postgres(postgres: Database) -> JournalStorage:
    """Where a journal in PostgreSQL is stored."""
    return postgres.storage(now=Clock())


@pytest.fixture(params=["stored_in_file", pytest.param("stored_in_postgres", marks=pytest.mark.nightly)])
def stored(request: pytest.FixtureRequest) -> JournalStorage:
    """Each of them, for tests that open a journal more than once."""
    storage: JournalStorage = request.getfixturevalue(request.param)
    return storage


@pytest.fixture(params=["in_file", pytest.param("in_postgres", marks=pytest.mark.nightly)])
def journal(request: pytest.FixtureRequest) -> SqlJournal:
    """Each of them; in PostgreSQL at night, and ``test_postgres`` in every run."""
    opened: SqlJournal = request.getfixturevalue(request.param)
    return opened
