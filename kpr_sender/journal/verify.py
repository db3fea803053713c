"""Checking a journal in a file from end to end, without changing it: ``kpr-send journal verify``.

1. The file: SQLite's own integrity and foreign keys, private permissions, the tables as the migrations make them.
2. What it holds: ``verify_content``.
3. The mark: whether the journal was restored from backup, copied or lost something (promise G1).
"""

from __future__ import annotations

import functools
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from kpr_sender.errors import JournalUnwritable
from kpr_sender.file_owners import keeps_owners
from kpr_sender.journal import recovery, schema, sql
from kpr_sender.journal.file_errors import of_os
from kpr_sender.journal.location import beside, stable_inode
from kpr_sender.journal.recovery import objection_to
from kpr_sender.journal.schema_beginnings import Migration
from kpr_sender.journal.sqlite_database import SqliteDatabase
from kpr_sender.journal.values import JournalFinding, Verification
from kpr_sender.journal.verify_content import check_content, forgotten
from kpr_sender.model import Environment
from kpr_sender.settings.file_access import OTHERS
from kpr_sender.texts import Text, paragraph

_MOST_FINDINGS: Final = 100  # of SQLite's: one torn page can be thousands
_UNFINISHED: Final = Text(
    "what a person had removed may be left in its -wal file and among the receipts' copies: the next kpr-send "
    "wait or send finishes that."
)


def verify(path: Path, environment: Environment) -> Verification | None:
    """Check a journal beside whoever writes it, in one consistent snapshot; None where there is none.

    Args:
        path: The journal, or a backup of it.
        environment: The only one it may be for.

    Raises:
        ConfigInvalid: It is another environment's (promise G7).
    """
    counted: dict[str, int] = {}
    findings: list[JournalFinding] = []
    try:
        store = recovery.open_there(path, environment)
        if store is None:
            return None
        with closing(store), store.reading() as connection:
            findings.extend(_permissions(path))
            *_, objection = objection_to(connection, path, stable_inode(path))
            findings.extend(check(connection, str(path), counted))
            if connection.execute(sql.IS_UNFINISHED).fetchone()["pruning_unfinished"]:
                findings.append(JournalFinding(str(path), _UNFINISHED))
            if objection:
                findings.append(JournalFinding(str(path), objection))
                findings.extend(recovery.begun_here(connection, path))
            findings.extend(forgotten(connection))
    except JournalUnwritable as error:
        findings.append(JournalFinding(str(path), paragraph(error.what, error.next_step)))
        if isinstance(error, recovery.JournalGone):
            findings.extend(recovery.begun_here(None, path))
    except OSError as error:
        findings.append(JournalFinding(str(path), of_os(path, error).what))
    return Verification(tuple(findings), counted)


def check(connection: SqliteDatabase, name: str, counted: dict[str, int]) -> Iterator[JournalFinding]:
    """Yield what is wrong inside a journal's file.

    Args:
        connection: With a transaction open, so that all is one snapshot.
        name: What the file is called in findings.
        counted: Takes how much was looked at.

    Raises:
        sqlite3.Error: It is so damaged that SQLite cannot read on.
    """
    yield from _integrity(connection, name)
    yield from _schema(connection, name)
    yield from check_content(connection, name, counted)


def _permissions(path: Path) -> Iterator[JournalFinding]:
    if os.name != "posix":
        return
    for file in (path, beside(path, "-wal"), beside(path, ".mark")):
        if file.exists() and (mode := file.stat().st_mode & 0o777) & OTHERS and keeps_owners(file):
            yield JournalFinding(
                str(file), Text("others may read or write it (mode {mode}); it must be 0600.", mode=format(mode, "04o"))
            )


def _integrity(connection: sqlite3.Connection, name: str) -> Iterator[JournalFinding]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST_FINDINGS})"):
        if text != "ok":
            yield JournalFinding(name, Text("SQLite finds it damaged: {text}.", text=text))
    for row in connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_FINDINGS):
        yield JournalFinding(
            name,
            Text(
                "row {row} of {row_2} belongs to a row of {row_3} that is not there.",
                row=row[1],
                row_2=row[0],
                row_3=row[2],
            ),
        )


def _schema(connection: sqlite3.Connection, name: str) -> Iterator[JournalFinding]:
    wanted, found = _made_by(schema.MIGRATIONS), _tables(connection)
    for one in sorted(wanted.keys() | found.keys()):
        if wanted.get(one) != found.get(one):
            what = (
                Text("is missing")
                if one not in found
                else Text("is not ours")
                if one not in wanted
                else Text("was changed")
            )
            yield JournalFinding(name, Text("{kind} {name} {what}.", kind=one[0], name=one[1], what=what))
    versions = [row[0] for row in connection.execute("SELECT version FROM migration ORDER BY version")]
    if versions != [migration.version for migration in schema.MIGRATIONS]:
        yield JournalFinding(name, Text("its history of migrations is {versions}.", versions=versions))


@functools.cache
def _made_by(migrations: tuple[Migration, ...]) -> Mapping[tuple[str, str], str]:
    """Return what migrations make; in a process they are always the same, and running them takes its time."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        for migration in migrations:
            for statement in migration.statements:
                fresh.execute(statement)
        return _tables(fresh)


def _tables(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    found = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
    return {(row[0], row[1]): row[2] for row in found}
