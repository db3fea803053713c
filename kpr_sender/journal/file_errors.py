"""What goes wrong with the journal's file, in plain words: SQLite's error codes and the system's, as our errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kpr_sender.errors import InternalError, JournalUnwritable, KprError, UsageError
from kpr_sender.journal.rows import Unreadable
from kpr_sender.texts import Text, said

_RESTORE: Final = Text(
    "Send nothing by other means. Keep the file and its -wal as they are, and ask for help before a backup is "
    "put in its place: a backup may not know what was sent since."
)

_LOCKED: Final = (
    Text("Another program has kept the journal locked for too long."),
    Text("Let backup or inspection tools finish, then run the same command again."),
)
_NOT_ALLOWED: Final = (Text("The journal may not be read or written by this user."), None)
NO_JOURNAL: Final = Text("The file is not a kpr-sender journal.")
OTHER_DATABASE: Final = Text("The file is an SQLite database, but not a kpr-sender journal.")
CHECK_NAME: Final = Text("Check the path in journal.path or --journal.")
_CHECK_PATH: Final = Text(
    "Check that the path is a file in a folder this user may write in, then run the same command again."
)

# Primary result code (https://sqlite.org/rescode.html) -> what happened, what to do. What is not here is our error.
_SENTENCES: Final[Mapping[int, tuple[Text, Text | None]]] = {
    sqlite3.SQLITE_FULL: (Text("The disk is full."), Text("Make room, then run the same command again.")),
    sqlite3.SQLITE_IOERR: (
        Text("The disk reports an error."),
        Text("Check disk, quota and mount, then run the same command again."),
    ),
    sqlite3.SQLITE_READONLY: (
        Text("The journal is read-only for this user."),
        Text("Fix the permissions of the file and its folder, then run the same command again."),
    ),
    sqlite3.SQLITE_PERM: _NOT_ALLOWED,
    sqlite3.SQLITE_AUTH: _NOT_ALLOWED,
    sqlite3.SQLITE_CANTOPEN: (Text("The journal cannot be opened."), _CHECK_PATH),
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: (
        Text("The journal's locks do not work here."),
        Text("Put the journal on a local disk, then run the same command again."),
    ),
    sqlite3.SQLITE_NOLFS: (
        Text("This file system cannot hold a file so large."),
        Text("Put the journal on another disk, then run the same command again."),
    ),
    sqlite3.SQLITE_TOOBIG: (Text("The sealed bytes are too large for the journal."), Text("Nothing was sent.")),
    sqlite3.SQLITE_NOMEM: (
        Text("The machine has no memory left."),
        Text("Free memory, then run the same command again."),
    ),
    sqlite3.SQLITE_CORRUPT: (Text("The journal is damaged."), _RESTORE),
    sqlite3.SQLITE_NOTADB: (NO_JOURNAL, CHECK_NAME),
}


def of_sqlite(path: Path, error: sqlite3.Error) -> KprError:
    """Return the error to raise for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", None)
    known = None if code is None else _SENTENCES.get(code & 0xFF)  # the low byte of an extended code is the primary
    if known is None:
        # Texts of sqlite3 name tables and columns, never values.
        return InternalError(Text("The journal refused a statement: {error}.", error=error), where=str(path))
    what, next_step = known
    return JournalUnwritable(what, where=str(path), next_step=next_step)


def of_os(path: Path, error: OSError) -> JournalUnwritable:
    """Return the error to raise for one of the operating system's."""
    reason = error.strerror or type(error).__name__
    return JournalUnwritable(Text("The journal cannot be written: {reason}.", reason=reason), where=str(path))


def damaged(path: Path, what: str) -> JournalUnwritable:
    """Return the error for content that cannot be as we wrote it; ``what`` is damaged, without its content."""
    return JournalUnwritable(Text("The journal is damaged: {what}.", what=what), where=str(path), next_step=_RESTORE)


def not_utf8() -> UsageError:
    """Return the error for words that no database takes."""
    return UsageError(
        Text("An id, a reason or a name holds bytes that are no characters in UTF-8."),
        next_step=Text("Type it again; on a terminal that is not set to UTF-8, without special letters."),
    )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what ``sqlite3`` raises inside, and rows that do not read back, into the package's errors."""
    try:
        yield
    except Unreadable as error:
        raise damaged(path, said(error)) from error
    except sqlite3.Error as error:
        raise of_sqlite(path, error) from error
    except UnicodeEncodeError:
        raise not_utf8() from None
