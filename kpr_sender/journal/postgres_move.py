"""Taking a journal in a file over into a database: all of it or nothing, verified before and after.

The file is marked as moved before the database has it, and unmarked where that failed: there are never two journals
that can be sent from. A run that dies in between leaves it marked; the same command again goes on from there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kpr_sender.errors import InternalError, JournalUnwritable, UsageError
from kpr_sender.journal import postgres_restored, rows, schema
from kpr_sender.journal.connection import MOVED
from kpr_sender.journal.lock import JournalLock
from kpr_sender.journal.port import Journal, JournalStorage
from kpr_sender.journal.postgres import PostgresJournal
from kpr_sender.journal.postgres_connection import PostgresDatabase, PostgresStore
from kpr_sender.journal.sqlite_database import SqliteDatabase
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.journal.verify_content import check_content
from kpr_sender.texts import Text

_TABLES: Final = (
    *("submission", "shipment", "known_msg_id", "version", "receipt", "event", "kept", "notice", "forgotten"),
    "acceptance",
)
"""What is taken over row by row, in an order in which nothing refers to what is not there; sealed bytes come first."""
_DOCUMENTS: Final = ("looks", "logins")
_IDENTITY: Final = ("journal_id", "step", "created_at", "backup_at", "pruning_unfinished")
_MOST_BYTES: Final = 50_000_000


def move(file: SqliteStorage, target: JournalStorage, *, now: Callable[[], datetime], who: str) -> Mapping[str, int]:
    """Take the journal of a file over; the file is marked as moved and refused from then on.

    Args:
        file: Where it is.
        target: Where it is to be; nothing may be stored there under its name.
        now: The clock.
        who: The person or account.

    Returns:
        How much was taken over, by kind.

    Raises:
        UsageError: There is no journal, or the database has another under its name.
        JournalUnwritable: The journal is not sound, or the database cannot take it: the file is as it was.
        JournalLocked: Another run has one of the two.
    """
    path = file.settings.path
    if not path.exists():
        raise UsageError(Text("There is no journal yet: there is nothing in {path}.", path=path), where=str(path))
    target.require_safe()
    counted = _verified(file, now, who)
    with JournalLock.acquire(path, now=now), closing(target.open(who=who)) as opened:
        store = _store(opened)
        with closing(_raw(path)) as source:
            its = source.execute("SELECT * FROM journal").fetchone()
            with store.reading() as database:
                there: Any = database.execute("SELECT * FROM journal").fetchone()
                used = database.execute("SELECT 1 FROM submission").fetchone() is not None
            if used and there["journal_id"] != its["journal_id"]:
                raise UsageError(
                    Text("The database has another journal under this environment and queue."),
                    where=store.place,
                    next_step=Text("Nothing was changed. Name another database."),
                )
            _mark(path, MOVED)
            if not used:
                try:
                    _take_over(source, store, its, counted, rows.time_text(now()))
                except BaseException:
                    _mark(path, schema.APPLICATION_ID)
                    raise
        for name in _DOCUMENTS:
            with suppress(OSError):
                target.document(name).write(file.document(name).read(most=_MOST_BYTES))
    return counted


def _store(journal: Journal) -> PostgresStore:
    """Return where a journal in a database is stored: its rows are taken over as they are."""
    if not isinstance(journal, PostgresJournal):
        raise InternalError(Text("A journal is moved to a database only."))
    return journal.store


def _verified(file: SqliteStorage, now: Callable[[], datetime], who: str) -> dict[str, int]:
    """Bring the file up to date, end what an earlier run left, and check all of it."""
    path = file.settings.path
    with JournalLock.acquire(path, now=now):
        _mark(path, schema.APPLICATION_ID, only=MOVED)  # an earlier move died
    with closing(file.open(who=who)) as journal:
        journal.recover()
    verification = file.verify()
    if verification is None:
        raise UsageError(Text("There is no journal yet: there is nothing in {path}.", path=path), where=str(path))
    if verification.findings:
        first = verification.findings[0]
        raise JournalUnwritable(
            Text("The journal is not sound: {subject}: {finding}", subject=first.subject, finding=first.text),
            where=str(path),
            next_step=Text("Run kpr-send journal verify: it says all that is wrong."),
        )
    return verification.counted


def _take_over(
    source: SqliteDatabase, store: PostgresStore, its: sqlite3.Row, counted: Mapping[str, int], at: str
) -> None:
    with store.writing() as database:
        changes = ", ".join(f"{name} = :{name}" for name in _IDENTITY)
        identity = {name: its[name] for name in _IDENTITY}
        database.execute(f"UPDATE journal SET {changes}", identity)  # noqa: S608 - the program's own words
        _take_sealed(source, database)
        for table in _TABLES:
            for row in source.execute(f"SELECT * FROM {table} ORDER BY 1"):  # noqa: S608 - the program's own words
                _insert(database, table, dict(row))
        postgres_restored.know_timeline(database, at)
        after: dict[str, int] = {}
        finding = next(iter([*check_content(database, store.place, after)]), None)
        if finding is not None or after != counted or not _same(source, database):
            raise JournalUnwritable(
                Text("What was taken over into the database is not what is in the file."),
                where=store.place,
                next_step=Text("The file is as it was. Keep it, and report this."),
            )


def _take_sealed(source: SqliteDatabase, database: PostgresDatabase) -> None:
    for (number,) in source.execute("SELECT sealed_id FROM sealed ORDER BY 1").fetchall():
        database.execute("INSERT INTO sealed (sealed_id) VALUES (?)", (number,))
        database.add_chunks(number, source.sealed(number) or ())


def _insert(database: PostgresDatabase, table: str, columns: Mapping[str, Any]) -> None:
    names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", columns)  # noqa: S608 - as above


def _same(source: sqlite3.Connection, database: PostgresDatabase) -> bool:
    """Compare every row with what it was."""
    for table in _TABLES:
        for row in source.execute(f"SELECT * FROM {table} ORDER BY 1"):  # noqa: S608 - as above
            columns = dict(row)
            wanted = " AND ".join(f"{name} IS NOT DISTINCT FROM :{name}" for name in columns)
            found = database.execute(f"SELECT count(*) FROM {table} WHERE {wanted}", columns)  # noqa: S608 - as above
            if found.fetchone()[0] != 1:
                return False
    return True


def _raw(path: Path) -> SqliteDatabase:
    """Open the file with its words as they are stored."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, factory=SqliteDatabase)
    connection.row_factory = sqlite3.Row
    return connection


def _mark(path: Path, application_id: int, *, only: int | None = None) -> None:
    """Write in the file's header whose it is, durable before return."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        present = connection.execute("PRAGMA application_id").fetchone()[0]
        if present != application_id and only in {None, present}:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA application_id = {application_id}")
