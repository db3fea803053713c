"""Bringing the journal's tables in PostgreSQL up to date: by a person's command, never by opening them.

Nobody has a lease meanwhile: runs under way, which know the tables as they were, are waited for, and no run begins.
Programs of the other version are refused from then on, and read and write nothing (``require_version``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, Final

from kpr_sender.errors import ConfigInvalid, JournalLocked, JournalUnwritable
from kpr_sender.journal import postgres_schema
from kpr_sender.journal.postgres_errors import translated
from kpr_sender.journal.postgres_rows import Connection
from kpr_sender.journal.postgres_server import LOCK_CLASS, connect, place_of, prepare
from kpr_sender.journal.rows import time_text
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.texts import Text

MIGRATE: Final = Text("Run kpr-send journal migrate, once, on any machine.")
_LOCK: Final = 0x4B505253_4D494752
"""``KPRSMIGR``: whoever migrates has it."""
LONGEST_RUN: Final = 300.0
"""How long runs under way are waited for, in seconds."""
_PAUSE: Final = 0.5
# Each transaction that writes locks a row of this table, which goes with a lock of this kind; taking a lease does not.
_NO_NEW_RUN: Final = "LOCK TABLE lease IN SHARE MODE"
_HOLDER: Final = f"""
    SELECT pid, host FROM lease JOIN (
      SELECT objid FROM pg_locks JOIN pg_database ON oid = database AND datname = current_database()
      WHERE locktype = 'advisory' AND granted AND classid = {LOCK_CLASS} AND objsubid = 2) AS held ON objid = journal_no
    ORDER BY since LIMIT 1
"""  # noqa: S608 - the program's own number


def version_of(connection: Connection) -> int:
    """Return the version of the tables; 0 where there are none."""
    row: Any = connection.execute("SELECT to_regclass(%s)", (f"{postgres_schema.NAMESPACE}.migration",)).fetchone()
    if row[0] is None:
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM kpr_sender.migration").fetchone()
    return int(row[0])


def require_version(connection: Connection, place: str) -> None:
    """Refuse tables of another version.

    Raises:
        ConfigInvalid: There are none.
        JournalUnwritable: They are older or newer.
    """
    version = version_of(connection)
    if version == 0:
        raise ConfigInvalid(Text("The database has no tables for the journal yet."), where=place, next_step=MIGRATE)
    if version < postgres_schema.VERSION:
        raise JournalUnwritable(
            Text("The journal is from an earlier version of kpr-sender."), where=place, next_step=MIGRATE
        )
    if version > postgres_schema.VERSION:
        raise _newer(version, place)


@contextmanager
def migrating(settings: JournalSettings) -> Iterator[Connection]:
    """Connect as the only one who changes tables there.

    Raises:
        JournalUnwritable: The database is not reached.
        ConfigInvalid: The server must not have the journal.
        AccessRefused: The database user may not do what is done inside.
    """
    with closing(connect(settings)) as connection, translated(place_of(settings)):
        prepare(connection)
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        yield connection


def migrate(settings: JournalSettings, *, now: Callable[[], datetime]) -> tuple[int, int]:
    """Bring the tables up to date, one migration in one transaction after the other, under a lock.

    Runs under way are waited for, and none begins meanwhile.

    Args:
        settings: Where the database is.
        now: The clock.

    Returns:
        The version before, 0 for a database without tables, and the version now.

    Raises:
        JournalUnwritable: They are newer, or the database is not reached.
        JournalLocked: A run under way does not end; nothing was changed by this migration.
        ConfigInvalid: The server must not have the journal.
        AccessRefused: The database user may not make tables.
    """
    place = place_of(settings)
    with migrating(settings) as connection:
        before = version_of(connection)
        if before > postgres_schema.VERSION:
            raise _newer(before, place)
        for migration in postgres_schema.MIGRATIONS[before:]:
            with connection.transaction():
                if migration.version > 1:
                    _wait_for_runs(connection, place)
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {postgres_schema.NAMESPACE}".encode())
                for statement in migration.statements:
                    connection.execute(statement.encode())
                connection.execute(
                    "INSERT INTO migration (version, name, applied_at) VALUES (%s, %s, %s)",
                    (migration.version, migration.name, time_text(now())),
                )
        return before, version_of(connection)


def _wait_for_runs(connection: Connection, place: str) -> None:
    """Let no run begin, and wait until none is under way."""
    connection.execute(_NO_NEW_RUN)
    ends = time.monotonic() + LONGEST_RUN
    while (row := connection.execute(_HOLDER).fetchone()) is not None:
        if time.monotonic() > ends:
            pid, host = row
            raise JournalLocked(
                Text("A run under way has a journal, and does not end: process {pid} on {host}.", pid=pid, host=host),
                where=place,
                next_step=Text("Wait until it has ended, or end it, then run kpr-send journal migrate again."),
            )
        time.sleep(_PAUSE)


def _newer(version: int, place: str) -> JournalUnwritable:
    return JournalUnwritable(
        Text(
            "The journal is from a newer version of kpr-sender (schema {version}, this one knows {version_2}).",
            version=version,
            version_2=postgres_schema.VERSION,
        ),
        where=place,
        next_step=Text(
            "Nothing was changed. Install the newer version of kpr-sender, the one that ran kpr-send journal migrate, "
            "and run the same command again; do not send with this one."
        ),
    )
