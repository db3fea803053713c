"""The file that a journal in a database was in before: its header says that the journal was moved.

As long as it does not, the file is the journal: what was sent from it the database knows nothing of.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal import schema
from kpr_sender.journal.connection import MOVED, connect
from kpr_sender.journal.file_errors import translated
from kpr_sender.texts import Text


def is_moved(path: Path) -> bool:
    """Tell whether a file says that its journal was moved; it must be there."""
    with closing(connect(path, "ro")) as connection, translated(path):
        return _written(connection) == MOVED


def mark_moved(path: Path, *, moved: bool) -> None:
    """Write in a file's header whether its journal was moved, durable before return."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA application_id = {MOVED if moved else schema.APPLICATION_ID}")


def require_moved(path: Path, *, is_there: bool = True) -> None:
    """Refuse a database beside a file from which something was sent, and whose journal was not moved there.

    Args:
        path: Where the file may be.
        is_there: Whether the database may have it; where it has nothing, a file that is marked was not moved to its
            end.

    Raises:
        JournalUnwritable: There is such a file, or it cannot be read.
    """
    if not path.is_file():
        return
    with closing(connect(path, "ro")) as connection, translated(path):
        try:
            written = _written(connection)
            in_the_way = written == schema.APPLICATION_ID or (written == MOVED and not is_there)
            if not in_the_way or not _has_submissions(connection):
                return
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                return
            raise
    if written == MOVED:
        raise JournalUnwritable(
            Text("The journal in this file was to be moved to a database, and this database does not have it."),
            where=str(path),
            next_step=Text(
                "Nothing was sent. Run kpr-send journal move --to URL again, with URL as in journal.url: it goes on "
                "from there. If another database has it, name that one in journal.url."
            ),
        )
    raise JournalUnwritable(
        Text("The journal in this file was not moved to the database, which does not know what was sent from it."),
        where=str(path),
        next_step=Text(
            "Nothing was sent. Have the database take it over: kpr-send journal move --to URL, with URL as in "
            "journal.url. If it is another's, name another file in journal.path."
        ),
    )


def _written(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def _has_submissions(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM submission LIMIT 1").fetchone() is not None
