"""The migrations are run once in a process: each new journal of the tests gets at once the tables that they leave.

To make, alter and drop tables takes longer than most tests do. A journal of an earlier version is migrated as it is by
the product, and so is one of a process that does not import this.
"""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Final

from kpr_sender.journal import schema
from kpr_sender.journal.schema_beginnings import Migration

since_anew: Final = schema.since
"""The product's own."""

_ALL: Final = schema.MIGRATIONS


@functools.cache
def _at_once() -> tuple[Migration, ...]:
    with closing(sqlite3.connect(":memory:")) as journal:
        for migration in _ALL:
            for statement in migration.statements:
                journal.execute(statement)
        tables = journal.execute("SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND name NOT LIKE 'sqlite_%'")
        statements = [sql for (sql,) in tables]
        counters = journal.execute(
            "SELECT format('INSERT INTO sqlite_sequence VALUES (%Q, %d)', name, seq) "
            "FROM sqlite_sequence ORDER BY rowid"
        )
        statements += [sql for (sql,) in counters]
    first, *others = _ALL
    return (replace(first, statements=tuple(statements)), *(replace(one, statements=()) for one in others))


def _since(version: int) -> tuple[Migration, ...]:
    return _at_once() if version == 0 and schema.MIGRATIONS is _ALL else since_anew(version)


schema.since = _since
