"""The journal that the rules are tested on: a file, and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender.journal.sql_journal import SqlJournal
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


@pytest.fixture(params=["in_file", pytest.param("in_postgres", marks=pytest.mark.nightly)])
def journal(request: pytest.FixtureRequest) -> SqlJournal:
    """Each of them; in PostgreSQL at night, and ``test_postgres`` in every run."""
    opened: SqlJournal = request.getfixturevalue(request.param)
    return opened
