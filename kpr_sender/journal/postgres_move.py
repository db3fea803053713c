"""Taking a journal in a file over into a database: all of it or nothing, verified before and after.

The file is marked as moved before the database has it, and unmarked where that failed: there are never two journals
that can be sent from. A run that dies in between leaves it marked; the same command again goes on from there, and
unmarks nothing before it has seen that the database does not have it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kpr_sender.documents import Document
from kpr_sender.errors import InternalError, JournalUnwritable, UsageError
from kpr_sender.journal import postgres_restored, rows
from kpr_sender.journal.lock import JournalLock
from kpr_sender.journal.moved import is_moved, mark_moved
from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.postgres_connection import PostgresDatabase, PostgresStore
from kpr_sender.journal.postgres_storage import PostgresStorage
from kpr_sender.journal.sqlite_database import SqliteDatabase
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.journal.verify_content import check_content
from kpr_sender.texts import Text

_TABLES: Final = (
    *("submission", "shipment", "known_msg_id", "version", "receipt", "event", "kept", "notice", "forgotten"),
    "acceptance",
)
"""What is taken over row by row, in an order in which nothing refers to what is not there; sealed bytes come first."""
_DOCUMENTS: Final = ("looks", "logins", "acknowledgements")
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
    if not isinstance(target, PostgresStorage):
        raise InternalError(Text("A journal is moved to a database only."))
    target = replace(target, taking_over=True)
    path = file.settings.path
    if not path.exists():
        raise UsageError(Text("There is no journal yet: there is nothing in {path}.", path=path), where=str(path))
    target.require_safe()
    with JournalLock.acquire(path, now=now):
        if is_moved(path) and _has_taken_over(path, target, who):
            _copy_documents(file, target, only_missing=True)
            verified = target.verify()
            return {} if verified is None else verified.counted
    counted = _verified(file, who)
    with JournalLock.acquire(path, now=now), closing(target.open(who=who)) as opened:
        store = opened.store
        with closing(_raw(path)) as source:
            its = source.execute("SELECT * FROM journal").fetchone()
            used = _is_used(store, its["journal_id"])
            mark_moved(path, moved=True)
            if not used:
                try:
                    _take_over(source, store, its, counted, rows.time_text(now()))
                except BaseException:
                    mark_moved(path, moved=False)
                    raise
        _copy_documents(file, target, only_missing=used)
    return counted


def _has_taken_over(path: Path, target: PostgresStorage, who: str) -> bool:
    """Tell whether the database has the journal of a file that is marked; where not, that move died: unmark it."""
    with closing(target.open(who=who)) as opened, closing(_raw(path)) as source:
        if _is_used(opened.store, source.execute("SELECT * FROM journal").fetchone()["journal_id"]):
            return True
        mark_moved(path, moved=False)
    return False


def _is_used(store: PostgresStore, journal_id: str) -> bool:
    """Tell whether the database has this journal already; refuse where it has another under its name."""
    with store.reading() as database:
        there: Any = database.execute("SELECT * FROM journal").fetchone()
        used = database.execute("SELECT 1 FROM submission").fetchone() is not None
    if used and there["journal_id"] != journal_id:
        raise UsageError(
            Text("The database has another journal under this environment and queue."),
            where=store.place,
            next_step=Text("Nothing was changed. Name another database."),
        )
    return used


def _copy_documents(file: SqliteStorage, target: JournalStorage, *, only_missing: bool) -> None:
    """Take over what is kept beside the file; ``only_missing`` where the database has gone on since."""
    for name in _DOCUMENTS:
        with suppress(OSError):
            content, document = file.document(name).read(most=_MOST_BYTES), target.document(name)
            if not (only_missing and _is_there(document)):
                document.write(content)


def _is_there(document: Document) -> bool:
    try:
        document.read(most=_MOST_BYTES)
    except FileNotFoundError:
        return False
    return True


def _verified(file: SqliteStorage, who: str) -> dict[str, int]:
    """Bring the file up to date, end what an earlier run left, and check all of it."""
    path = file.settings.path
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
