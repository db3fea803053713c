"""One journal in PostgreSQL: run one transaction at a time on it, by the number of whoever holds its lease.

A transaction that writes locks the journal's row of ``lease`` first, so that those of one journal come one after the
other as SQLite's do, and looks whether the number there is still its own and the lease's session alive. One whose
connection is lost while it commits asks over another whether it is committed: *not known* is an answer only where the
server gives none. A connection that is made anew may reach a server that took over and lacks the last transactions: it
is asked which one it is, and whether it has the lease's session.
"""

from __future__ import annotations

import functools
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psycopg

from kpr_sender.errors import InternalError, JournalUnwritable, KprError
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.journal import postgres_errors, sql
from kpr_sender.journal.database import Rows, Value, Values
from kpr_sender.journal.location import beside
from kpr_sender.journal.postgres_errors import lease_lost, translated
from kpr_sender.journal.postgres_lease import HELD, Holder
from kpr_sender.journal.postgres_rows import Connection
from kpr_sender.journal.postgres_server import PRESENT, connect, place_of, prepare
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.texts import Text

_CHUNK_BYTES: Final = 1 << 20
_PLACEHOLDER: Final = re.compile(r"%|\?|(?<!:):([a-z_]\w*)")
_ASKED_FOR: Final = 20.0  # seconds, whether a transaction was committed
_PAUSE: Final = 0.5

_BEGIN: Final = f"""
    SELECT fence, pg_current_xact_id()::text AS transaction, set_config('kpr.fence', %(fence)s::text, true), {HELD}
    FROM lease WHERE journal_no = %(number)s FOR UPDATE
"""  # noqa: S608 - the program's own words
_REACHED: Final = f"SELECT {PRESENT}, {HELD}"
_NOBODY: Final = Holder(0, 0, "", 0)


@functools.cache
def as_psycopg(statement: str) -> str:
    """Return a statement of ``sql`` with the placeholders that psycopg knows."""
    known = {"%": "%%", "?": "%s"}
    return _PLACEHOLDER.sub(lambda found: known.get(found[0]) or f"%({found[1]})s", statement)


class PostgresDatabase:
    """A ``Database``: an open connection, inside a transaction."""

    SEALED_LEFT = f"""
        SELECT count(DISTINCT sealed_id) AS number, coalesce(sum(length(bytes)), 0)::bigint AS bytes FROM sealed_chunk
        WHERE sealed_id IN ({sql.SEALED_OF})
    """  # noqa: S608 - the program's own words
    PRUNE_SEALED = f"DELETE FROM sealed_chunk WHERE sealed_id IN ({sql.SEALED_OF})"  # noqa: S608 - as above

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.total_changes = 0

    def execute(self, statement: str, values: Values = (), /, *, binary: bool = False) -> Rows:
        """Run one statement."""
        cursor = self._connection.execute(as_psycopg(statement).encode(), values, binary=binary)
        if not (cursor.statusmessage or "").startswith("SELECT"):
            self.total_changes += max(cursor.rowcount, 0)
        return cursor

    def insert(self, statement: str, values: Mapping[str, Value], number: str) -> int:
        """Add one row; return its number."""
        return int(self.execute(f"{statement} RETURNING {number}", values).fetchone()[0])

    def add_sealed(self, length: int, chunks: Iterable[bytes | memoryview]) -> int:  # noqa: ARG002 - known at the end
        """Store sealed bytes in chunks of one size, whatever size they come in."""
        sealed_id = self.insert("INSERT INTO sealed DEFAULT VALUES", {}, "sealed_id")
        self.add_chunks(sealed_id, chunks)
        return sealed_id

    def add_chunks(self, sealed_id: int, chunks: Iterable[bytes | memoryview]) -> None:
        """Store sealed bytes under a number that has none yet."""
        for place, chunk in enumerate(_in_chunks(chunks)):
            values: tuple[Value, ...] = (sealed_id, place, chunk)
            self.execute("INSERT INTO sealed_chunk (sealed_id, place, bytes) VALUES (?, ?, ?)", values)

    def sealed(self, sealed_id: int, *, at_once: bool = False) -> Iterator[bytes] | None:  # noqa: ARG002 - it is in chunks
        """Yield sealed bytes chunk by chunk; None where there are none."""
        if self.execute("SELECT 1 FROM sealed WHERE sealed_id = ?", (sealed_id,)).fetchone() is None:
            return None
        return self._chunks(sealed_id)

    def _chunks(self, sealed_id: int) -> Iterator[bytes]:
        statement = "SELECT bytes FROM sealed_chunk WHERE sealed_id = ? AND place = ?"
        place = 0
        while (row := self.execute(statement, (sealed_id, place), binary=True).fetchone()) is not None:
            yield row[0]
            place += 1


class PostgresStore:
    """One journal, shared by the threads of one process; its connection is made anew where it was lost.

    Args:
        settings: Where the database is.
        number: The journal's, in ``lease``.
        holder: What the lease is known by that it is written under; None for reading only.
        connection: One that is set up for it, for the first transactions; the store closes it.
    """

    def __init__(
        self,
        settings: JournalSettings,
        number: int,
        holder: Holder | None = None,
        *,
        connection: Connection | None = None,
    ) -> None:
        self._settings = settings
        self._number = number
        self._holder = holder
        self._has_lease = True
        self._connection = connection
        self._guard = threading.RLock()
        self._pid = os.getpid()

    @property
    def place(self) -> str:
        """What errors call it."""
        return place_of(self._settings)

    @property
    def marks(self) -> Path:
        """Beside which file this machine's mark of the journal is."""
        return marks_of(self._settings)

    @contextmanager
    def writing(self) -> Iterator[PostgresDatabase]:
        """Run one transaction: durable on the way out, rolled back on any exception.

        Raises:
            StaleFence: Another holder has the lease.
        """
        with self._transaction(stale=False) as database:
            yield database

    @contextmanager
    def testifying(self) -> Iterator[PostgresDatabase]:
        """As ``writing``, also where the lease is lost: the database lets it add evidence, and move nothing."""
        with self._transaction(stale=True) as database:
            yield database

    @contextmanager
    def reading(self) -> Iterator[PostgresDatabase]:
        """Read one consistent snapshot."""
        with self._guard, translated(self.place):
            connection = self._connected()
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            try:
                yield PostgresDatabase(connection)
            finally:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")

    def compact(self) -> None:
        """Let the room of what was removed be used again; backups and the server's log have it until they are gone."""
        with self._guard, translated(self.place):
            self._connected().execute("VACUUM sealed_chunk, receipt")

    def damaged(self, what: str) -> JournalUnwritable:
        """Return the error for content that is not as it was written."""
        return postgres_errors.damaged(self.place, what)

    def close(self) -> None:
        """Close it; twice is harmless."""
        with self._guard:
            connection, self._connection = self._connection, None
            if connection is not None and self._pid == os.getpid():
                connection.close()

    @contextmanager
    def _transaction(self, *, stale: bool) -> Iterator[PostgresDatabase]:
        with self._guard, translated(self.place):
            connection = self._connected(stale=stale)
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE")
            try:
                holder = self._holder or _NOBODY
                values = {"fence": holder.fence, "session": holder.session, "number": self._number}
                row: Any = connection.execute(_BEGIN, values).fetchone()
                self._require_lease(stale or (row["held"] and row["fence"] == holder.fence))
                yield PostgresDatabase(connection)
                reached(FaultPoint.BEFORE_COMMIT)
            except BaseException:
                # The server may have rolled back already, and a second error must not hide the first.
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")
                raise
            self._commit(connection, row["transaction"])
            reached(FaultPoint.AFTER_COMMIT)

    def _require_lease(self, has_lease: bool) -> None:  # noqa: FBT001 - what is required
        if not has_lease:
            raise lease_lost(self.place)

    def _commit(self, connection: Connection, transaction: str) -> None:
        try:
            connection.execute("COMMIT")
        except psycopg.Error:
            if not self._was_committed(transaction):
                raise

    def _was_committed(self, transaction: str) -> bool:
        """Ask, over another connection where this one is lost, what became of a transaction that was committing.

        As long as the lease's session lives it is the same server, which was not restarted: after a failover or a crash
        the number may be another transaction's.

        Raises:
            StaleFence: It has ended.
        """
        ends = time.monotonic() + _ASKED_FOR
        while time.monotonic() < ends:
            with suppress(psycopg.Error, KprError):
                connection = self._connected(stale=True)
                if self._has_lease:
                    row: Any = connection.execute("SELECT pg_xact_status(%s::xid8)", (transaction,)).fetchone()
                    if row[0] != "in progress":
                        return bool(row[0] == "committed")
            self._require_lease(self._has_lease)
            time.sleep(_PAUSE)
        return False

    def _connected(self, *, stale: bool = False) -> Connection:
        if self._pid != os.getpid():
            raise InternalError(
                Text("The journal was opened before a fork and cannot be used in the child."),
                where=self.place,
                next_step=Text("Open the Client in the process that uses it."),
            )
        if self._connection is None or self._connection.closed:
            self._connection = None
            self._connection = self._reached(connect(self._settings))
        self._require_lease(stale or self._has_lease)
        return self._connection

    def _reached(self, connection: Connection) -> Connection:
        """Set a new connection up, and look whether it reaches the server and the session that the lease is of."""
        try:
            prepare(connection, ("kpr.journal", self._number))
            if (holder := self._holder) is not None:
                values = {"session": holder.session, "number": self._number}
                row: Any = connection.execute(_REACHED, values).fetchone()
                server = (row["system"], row["timeline"])
                self._has_lease = row["held"] and server == (holder.system, holder.timeline)
        except BaseException:
            connection.close()
            raise
        return connection


def marks_of(settings: JournalSettings) -> Path:
    """Return beside which file this machine's mark of a journal in a database is."""
    return beside(settings.path, ".database")


def _in_chunks(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield the same bytes in chunks of one size."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= _CHUNK_BYTES:
            yield bytes(waiting[:_CHUNK_BYTES])
            del waiting[:_CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)
