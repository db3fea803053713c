"""Reading several journals of one database, one after another over one connection.

A fleet's status asks hundreds of them: to connect, and to look what the server is like, takes longer than to read one.
Each is read in a transaction of its own, which row-level security lets see its rows alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Final

import psycopg

from kpr_sender.errors import KprError
from kpr_sender.journal.postgres_connection import PostgresDatabase, PostgresStore
from kpr_sender.journal.postgres_errors import translated
from kpr_sender.journal.postgres_migrate import require_version
from kpr_sender.journal.postgres_rows import Connection
from kpr_sender.journal.postgres_server import connect, place_of, prepare
from kpr_sender.model import Environment
from kpr_sender.settings.journal import JournalSettings

_JOURNALS: Final = "SELECT journal_no, environment, queue, since FROM lease"
_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_CHOOSE: Final = "SELECT set_config('kpr.journal', %s, true)"
_BEGUN: Final = "SELECT 1 FROM journal"


class PostgresTogether:
    """One connection to a database, for one look at several of its journals; one at a time.

    A database that is not reached is not tried again for each of them.
    """

    def __init__(self, settings: JournalSettings) -> None:
        self._settings = settings
        self._guard = threading.RLock()
        self._connection: Connection | None = None
        self._failure: KprError | None = None
        self._journals: dict[tuple[str, str], tuple[int, datetime | None]] = {}

    @contextmanager
    def reading(
        self, settings: JournalSettings, environment: Environment, queue: str
    ) -> Iterator[PostgresStore | None]:
        """Yield a journal in a transaction; None where nothing was ever stored under its name.

        Args:
            settings: The journal's own, of the same database.
            environment: The journal's.
            queue: The receipts queue that names it.
        """
        with self._guard, translated(place_of(settings)):
            connection = self._connected()
            number, _ = self._journals.get((environment.value, queue), (None, None))
            if number is None:
                yield None
                return
            connection.execute(_BEGIN)
            try:
                connection.execute(_CHOOSE, (str(number),))
                begun = connection.execute(_BEGUN).fetchone() is not None
                yield _WithinTransaction(settings, number, connection=connection) if begun else None
            finally:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")

    def last_taken(self, environment: Environment, queue: str) -> datetime | None:
        """Return when a holder last took a journal's lease, as it was when the connection was made."""
        with self._guard, translated(place_of(self._settings)):
            self._connected()
            return self._journals.get((environment.value, queue), (0, None))[1]

    def close(self) -> None:
        """Close it; twice is harmless."""
        with self._guard:
            if self._connection is not None:
                self._connection.close()

    def _connected(self) -> Connection:
        if self._failure is not None:
            raise self._failure
        if self._connection is None or self._connection.closed:
            try:
                self._connection = self._made()
            except KprError as error:
                self._failure = error
                raise
        return self._connection

    def _made(self) -> Connection:
        connection = connect(self._settings)
        try:
            require_version(connection, place_of(self._settings))
            prepare(connection)
            found = connection.execute(_JOURNALS).fetchall()
        except BaseException:
            connection.close()
            raise
        self._journals = {(row["environment"], row["queue"]): (row["journal_no"], row["since"]) for row in found}
        return connection


class _WithinTransaction(PostgresStore):
    """A journal whose transaction, and connection, is another's to end."""

    @contextmanager
    def reading(self) -> Iterator[PostgresDatabase]:
        """Read it."""
        yield PostgresDatabase(self._connected())

    def close(self) -> None:
        """Leave the connection open."""
