"""A copy of the journal that is consistent while another run writes, checked, and known as a backup ever after.

It is made by SQLite's own backup (https://sqlite.org/backup.html), never by copying files: ``-wal`` and journal are
one. The copy says in itself that it is one: put in the journal's place it is refused by ``marker`` until a person
accepts it, whatever else was lost. The receipts in it may name persons: it is made with mode 0600.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from kpr_sender.durable import sync_folder
from kpr_sender.errors import JournalUnwritable, UsageError
from kpr_sender.journal import sql
from kpr_sender.journal.connection import open_to_read
from kpr_sender.journal.sql import time_text
from kpr_sender.journal.sqlite_errors import of_os, translated
from kpr_sender.journal.verify import check
from kpr_sender.model import Environment


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
        JournalUnwritable: The journal cannot be read, or the copy not written, or it is not sound: it is taken away
            again.
        ConfigInvalid: It is another environment's (promise G7).
    """
    store = open_to_read(path, environment)
    if store is None:
        raise UsageError("There is no journal yet: nothing to back up.", where=str(path), next_step="Nothing to do.")
    with closing(store):
        _make_new(target)
        try:
            with translated(target), closing(sqlite3.connect(target, isolation_level=None)) as copy:
                store.back_up_to(copy)
                copy.row_factory = sqlite3.Row
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, not three
                copy.execute("PRAGMA synchronous = FULL")
                copy.execute(sql.MARK_AS_BACKUP, (time_text(now()),))
                counted = _demand_sound(copy, target)
            _sync(target)
        except BaseException:
            for leftover in (target, target.with_name(target.name + "-journal")):
                with suppress(OSError):
                    leftover.unlink(missing_ok=True)
            raise
    return counted


def _make_new(target: Path) -> None:
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise UsageError(
            "The file is there already, and is not overwritten.", where=str(target), next_step="Name a new file."
        ) from None
    except OSError as error:
        raise of_os(target, error) from error


def _demand_sound(copy: sqlite3.Connection, target: Path) -> dict[str, int]:
    counted: dict[str, int] = {}
    finding = next(iter(list(check(copy, str(target), counted))), None)
    if finding is not None:
        raise JournalUnwritable(
            f"The copy is not sound, and was taken away again: {finding.subject}: {finding.text}",
            where=str(target),
            next_step="Run kpr-send journal verify: the journal itself may be damaged.",
        )
    return counted


def _sync(target: Path) -> None:
    try:
        descriptor = os.open(target, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(target.resolve().parent)
    except OSError as error:
        raise of_os(target, error) from error
