"""What goes wrong with a journal's file is said in plain words."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal.file_errors import of_sqlite


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (sqlite3.SQLITE_FULL, "disk is full"),
        (sqlite3.SQLITE_IOERR_FSYNC, "disk reports an error"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "read-only"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked for too long"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "damaged"),
        (sqlite3.SQLITE_NOTADB, "not a kpr-sender journal"),
    ],
)
def test_each_of_sqlites_errors_has_its_sentence(code: int, text: str) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    found = of_sqlite(Path("/var/lib/kpr/journal.db"), error)
    assert isinstance(found, JournalUnwritable)
    assert text in found.what
    assert str(found).startswith("/var/lib/kpr/journal.db: ")
