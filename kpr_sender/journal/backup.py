"""A copy of the journal that is consistent while another run writes, checked, and known as a backup ever after.

It is made by SQLite's own backup (https://sqlite.org/backup.html), never by copying files: ``-wal`` and journal are
one. The copy says in itself that it is one: put in the journal's place it is refused (``recovery``) until a person
accepts it, whatever else was lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from kpr_sender.errors import JournalUnwritable, UsageError
from kpr_sender.journal import sql
from kpr_sender.journal.recovery import open_there
from kpr_sender.journal.rows import time_text
from kpr_sender.journal.sqlite_database import SqliteDatabase
from kpr_sender.journal.verify import check
from kpr_sender.model import Environment
from kpr_sender.texts import Text


def back_up(path: Path, environment: Environment, target: Path, *, now: Callable[[], datetime]) -> dict[str, int]:
    """Copy the journal to a new file, and check the copy.

    Args:
        path: The journal; another run may be writing it.
        environment: The only one it may be for.
        target: The new file; must not exist.
        now: The clock.

    Returns:
        How much is in the copy, by kind.

    Raises:
        UsageError: There is no journal, or the target exists.
        JournalUnwritable: The journal cannot be read, or the copy not written, or it is not sound: it is removed
            again.
        ConfigInvalid: It is another environment's (promise G7).
    """
    store = open_there(path, environment)
    if store is None:
        raise UsageError(
            Text("There is no journal yet: nothing to back up."), where=str(path), next_step=Text("Nothing to do.")
        )
    try:
        with closing(store), store.copied_to(target) as copy:
            copy.execute(sql.MARK_AS_BACKUP, (time_text(now()),))
            return _require_sound(copy, target)
    except FileExistsError:
        raise UsageError(
            Text("The file is there already, and is not overwritten."),
            where=str(target),
            next_step=Text("Name a new file."),
        ) from None


def begun_at(copy: Path) -> str | None:
    """Return when the journal was made that a file is a copy of; None where that cannot be read.

    Of any schema. Another identity, as an accepted restored journal gets, is the same journal still.
    """
    try:
        with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            row = connection.execute("SELECT created_at FROM journal").fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


def _require_sound(copy: SqliteDatabase, target: Path) -> dict[str, int]:
    counted: dict[str, int] = {}
    finding = next(iter([*check(copy, str(target), counted)]), None)
    if finding is not None:
        raise JournalUnwritable(
            Text(
                "The copy is not sound, and was removed again: {subject}: {finding}",
                subject=finding.subject,
                finding=finding.text,
            ),
            where=str(target),
            next_step=Text("Run kpr-send journal verify: the journal itself may be damaged."),
        )
    return counted
