"""Bringing the journal's tables in PostgreSQL up to date: by a person's command, never by opening them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, Final

from kpr_sender.errors import ConfigInvalid, JournalUnwritable
from kpr_sender.journal import postgres_schema
from kpr_sender.journal.postgres_errors import translated
from kpr_sender.journal.postgres_rows import Connection
from kpr_sender.journal.postgres_server import connect, place_of, prepare
from kpr_sender.journal.rows import time_text
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.texts import Text

MIGRATE: Final = Text("Run kpr-send journal migrate, once, on any machine.")
_LOCK: Final = 0x4B505253_4D494752
"""``KPRSMIGR``: whoever migrates has it."""


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

    Args:
        settings: Where the database is.
        now: The clock.

    Returns:
        The version before, 0 for a database without tables, and the version now.

    Raises:
        JournalUnwritable: They are newer, or the database is not reached.
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
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {postgres_schema.NAMESPACE}".encode())
                for statement in migration.statements:
                    connection.execute(statement.encode())
                connection.execute(
                    "INSERT INTO migration (version, name, applied_at) VALUES (%s, %s, %s)",
                    (migration.version, migration.name, time_text(now())),
                )
        return before, version_of(connection)


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
