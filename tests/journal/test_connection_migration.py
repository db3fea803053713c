"""A journal of an earlier version: copied beside itself, whole and private, before anything in it changes."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid, JournalUnwritable
from kpr_sender.journal import connection, schema
from kpr_sender.model import Environment
from tests.journal.builders import created, open_journal

_AT = "2025-01-01T00:00:00.000000Z"
_COPY = "journal.db.before-4-20250110T120001Z"
EARLIER = range(1, schema.VERSION)


@pytest.fixture(params=EARLIER)
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def earlier(tmp_path: Path, version: int) -> Iterator[Path]:
    """A journal of an earlier version, made with that version's statements; its last row is in the -wal only."""
    path = tmp_path / "state" / "journal.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        for migration in schema.MIGRATIONS[:version]:
            for statement in migration.statements:
                writer.execute(statement)
            writer.execute("INSERT INTO migration VALUES (?, ?, ?)", (migration.version, migration.name, _AT))
        writer.execute("INSERT INTO journal (only_one, environment, created_at) VALUES (1, 'lokal', ?)", (_AT,))
        writer.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        writer.execute(f"PRAGMA user_version = {version}")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.execute(
            "INSERT INTO submission (submission_id, environment, sender_her_id, kommunenummer, bydel, year, "
            "created_at, created_by, reason) VALUES ('2023-earlier', 'lokal', 1, '4601', '00', 2023, ?, 'kari', '')",
            (_AT,),
        )
        assert path.with_name("journal.db-wal").stat().st_size > 0
        yield path


def _copies(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob("*.before-*"))


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as opened:
        return int(opened.execute("PRAGMA user_version").fetchone()[0])


def test_it_is_copied_before_it_is_migrated(earlier: Path, version: int) -> None:
    with open_journal(earlier) as journal:
        assert [one.submission_id for one in journal.submissions()] == ["2023-earlier"]
        created(journal)
    assert _version(earlier) == schema.VERSION
    assert _copies(earlier) == [_COPY]
    copy = earlier.with_name(_COPY)
    assert _version(copy) == version
    with closing(sqlite3.connect(copy)) as opened:
        assert opened.execute("SELECT submission_id FROM submission").fetchall() == [("2023-earlier",)]
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    if os.name == "posix":
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    content = copy.read_bytes()
    open_journal(earlier).close()
    assert (_copies(earlier), copy.read_bytes()) == ([_COPY], content)


def test_nothing_is_overwritten(earlier: Path) -> None:
    earlier.with_name(_COPY).write_text("important")
    open_journal(earlier).close()
    assert _copies(earlier) == [_COPY, f"{_COPY}-2"]
    assert earlier.with_name(_COPY).read_text() == "important"
    assert _version(earlier.with_name(f"{_COPY}-2")) < schema.VERSION


def test_without_a_durable_copy_nothing_is_migrated(
    earlier: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(connection, "sync_folder", full)
        with pytest.raises(JournalUnwritable, match=r"before-4.*No space left") as raised:
            open_journal(earlier)
    assert raised.value.exit_code == 73
    assert (_version(earlier), _copies(earlier)) == (version, [])
    open_journal(earlier).close()
    assert (_version(earlier), _copies(earlier)) == (schema.VERSION, [_COPY])


def test_another_environments_journal_is_neither_copied_nor_migrated(earlier: Path, version: int) -> None:
    """G7."""
    with pytest.raises(ConfigInvalid):
        open_journal(earlier, Environment.PRODUKSJON)
    assert (_version(earlier), _copies(earlier)) == (version, [])


def test_a_new_journal_and_one_of_this_version_are_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for _ in range(2):
        open_journal(path).close()
    assert _copies(path) == []
