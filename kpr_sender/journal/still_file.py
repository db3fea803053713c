"""Reading a journal's file that nobody writes, without SQLite's locks and shared memory: half of a look's time.

Where no write-ahead log is left, the file alone is the journal. It is opened as one that does not change
(https://sqlite.org/uri.html#uriimmutable), and looked at once more at the end: what was read of a file that changed
meanwhile does not count. Nothing is made beside it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal import schema
from kpr_sender.journal.connection import SqliteStore, connect, require_environment
from kpr_sender.journal.file_errors import NO_JOURNAL, translated
from kpr_sender.journal.sqlite_database import SqliteDatabase
from kpr_sender.model import Environment

_LOGS: Final = ("-wal", "-journal")


def state_of(path: Path) -> tuple[int, ...] | None:
    """Return what a write would change of a file, or make it no still one; None where it is none now."""
    with suppress(OSError):
        about = os.lstat(path)
        if stat.S_ISREG(about.st_mode) and about.st_size and not any(_has_content(f"{path}{end}") for end in _LOGS):
            return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
    return None


def open_still(path: Path, environment: Environment) -> SqliteStore:
    """Open a still file that is a journal as this version has it.

    Raises:
        KprError: It is something else: opened as usual, it says what.
    """
    connection = connect(path, "ro&immutable=1")
    try:
        with translated(path):
            _require_ours(connection, path)
            require_environment(connection, path, environment)
    except BaseException:
        connection.close()
        raise
    connection.text_factory = str  # in C; ``rows`` makes texts of what is stored as one
    return _StillStore(path, connection)


class _StillStore(SqliteStore):
    @contextmanager
    def reading(self) -> Iterator[SqliteDatabase]:
        """Read what does not change: without a transaction."""
        with translated(self.path):
            yield self._connection


def _require_ours(connection: SqliteDatabase, path: Path) -> None:
    known = [connection.execute(f"PRAGMA {one}").fetchone()[0] for one in ("application_id", "user_version")]
    if known != [schema.APPLICATION_ID, schema.VERSION]:
        raise JournalUnwritable(NO_JOURNAL, where=str(path))


def _has_content(file: str) -> bool:
    try:
        return os.lstat(file).st_size > 0
    except FileNotFoundError:
        return False
