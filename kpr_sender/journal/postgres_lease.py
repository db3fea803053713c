"""Who may send for a journal in PostgreSQL: one holder at a time, of all machines.

The lease is an advisory lock of a session of its own, which the server ends when its holder is stopped or cut off: a
heartbeat keeps it from being silent, and one that is silent for ``LEASE_SECONDS`` is over. Each holder gets a number
that is higher than the last one's, the fence, and writes by it: one that does not know that it is over decides nothing.
A database that fails over may give a number again, so the server and the lock's own session are looked at, too.

The fence does not reach the bus. So a holder looks at a clock that never jumps right before a transfer begins, whether
its last heartbeat is younger than the lease (``is_fresh``).
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from kpr_sender.errors import JournalLocked
from kpr_sender.journal.postgres_errors import translated
from kpr_sender.journal.postgres_migrate import require_version
from kpr_sender.journal.postgres_rows import Connection
from kpr_sender.journal.postgres_server import (
    LEASE_SECONDS,
    LOCK_CLASS,
    PRESENT,
    connect,
    place_of,
    prepare,
)
from kpr_sender.journal.rows import time_text
from kpr_sender.model import Environment
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.texts import Text

HEARTBEAT_SECONDS: Final = 10.0

_NUMBER: Final = "SELECT journal_no FROM lease WHERE environment = %s AND queue = %s"
_SINCE: Final = "SELECT since FROM lease WHERE environment = %s AND queue = %s"
_ADD_JOURNAL_NAME: Final = "INSERT INTO lease (environment, queue) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_HOLDER: Final = "SELECT pid, host, since FROM lease WHERE journal_no = %s"
_TAKE: Final = f"""
    UPDATE lease SET fence = fence + 1, pid = %s, host = %s, since = clock_timestamp()
    WHERE journal_no = %s RETURNING fence, pg_backend_pid() AS session, {PRESENT}
"""  # noqa: S608 - the program's own words
_UNLOCK: Final = "SELECT pg_advisory_unlock(%s, %s)"
_BEAT: Final = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND classid = %s AND objid = %s AND objsubid = 2
"""
HELD: Final = f"""
    EXISTS (
      SELECT 1 FROM pg_locks JOIN pg_database ON oid = database AND datname = current_database()
      WHERE locktype = 'advisory' AND granted AND pid = %(session)s
        AND classid = {LOCK_CLASS} AND objid = %(number)s AND objsubid = 2) AS held
"""  # noqa: S608 - the program's own numbers
"""The column that says whether a holder's session is alive and has the lock of journal ``number``."""
_ADD_JOURNAL: Final = """
    INSERT INTO journal (environment, created_at, journal_id)
    VALUES (%s, %s, replace(gen_random_uuid()::text, '-', '')) ON CONFLICT DO NOTHING
"""


def _clock() -> float:
    """Return seconds that never jump; on Linux they go on while the machine sleeps, as the server's do."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def number_of(connection: Connection, environment: Environment, queue: str) -> int | None:
    """Return the number of a journal; None where there is none yet."""
    row = connection.execute(_NUMBER, (environment.value, queue)).fetchone()
    return None if row is None else int(row[0])


def number_made(connection: Connection, environment: Environment, queue: str) -> int:
    """Return the number of a journal; its name is added where there is none yet."""
    if (number := number_of(connection, environment, queue)) is None:
        connection.execute(_ADD_JOURNAL_NAME, (environment.value, queue))
        number = number_of(connection, environment, queue) or 0
    return number


def last_taken(connection: Connection, environment: Environment, queue: str) -> datetime | None:
    """Return when a holder last took a journal's lease, by the server's clock; None where none did."""
    row = connection.execute(_SINCE, (environment.value, queue)).fetchone()
    return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class Holder:
    """What the holder of a lease is known by in the database.

    Attributes:
        fence: Its number. A server that takes over may lack the last holder, and give the number again.
        session: The server's process that has the lock for it.
        system: The number of the cluster that the lease is of.
        timeline: PostgreSQL's there: another server that takes over has another.
    """

    fence: int
    session: int
    system: str
    timeline: int


class Lease:
    """A held lease.

    Attributes:
        number: The journal's.
        holder: What it is known by.
    """

    def __init__(self, connection: Connection, number: int, holder: Holder, taken_at: float) -> None:
        """Made by ``take`` only."""
        self.number = number
        self.holder = holder
        self._connection = connection
        self._beaten_at = taken_at
        self._pid = os.getpid()
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._beat_on, name="kpr-lease", daemon=True)
        self._thread.start()

    @classmethod
    def take(
        cls, settings: JournalSettings, environment: Environment, queue: str, *, now: Callable[[], datetime]
    ) -> Lease:
        """Take the lease of a journal, at once or not at all; the journal is made where there is none.

        Args:
            settings: Where the database is.
            environment: The journal's.
            queue: Our receipts queue: what names a journal in its environment.
            now: The clock.

        Raises:
            JournalLocked: Another holds it: says which. Or the tables are being changed.
            ConfigInvalid: The server must not have the journal, or a pooler is in between.
            JournalUnwritable: The database is not reached, or has other tables than these.
        """
        place = place_of(settings)
        connection = connect(settings, look_anew=True)
        try:
            with translated(place):
                prepare(connection, ("idle_session_timeout", f"{LEASE_SECONDS}s"))
                require_version(connection, place)
                with connection.transaction():
                    _keep_tables(connection, place)
                    number = number_made(connection, environment, queue)
                    taken_at = _clock()
                    _lock(connection, number, place)
                    row: Any = connection.execute(_TAKE, (os.getpid(), socket.gethostname(), number)).fetchone()
                    prepare(connection, ("kpr.journal", number))
                    connection.execute(_ADD_JOURNAL, (environment.value, time_text(now())))
                holder = Holder(row["fence"], row["session"], row["system"], row["timeline"])
                return cls(connection, number, holder, taken_at)
        except BaseException:
            connection.close()
            raise

    @property
    def is_held(self) -> bool:
        """Whether this process has it, as far as it knows."""
        return self._pid == os.getpid() and not self._over.is_set()

    @property
    def is_fresh(self) -> bool:
        """Whether the last heartbeat is younger than the lease: nobody else can have it."""
        return self.is_held and _clock() - self._beaten_at < LEASE_SECONDS

    def release(self) -> None:
        """Give it back; twice is harmless, and so is a release in a forked child."""
        if self._pid != os.getpid():
            return
        held = self.is_held
        self._over.set()
        with self._guard:
            if held:  # a busy server notices only after a while that the session has ended: the next run would get 87
                with suppress(psycopg.Error):
                    self._connection.execute(_UNLOCK, (LOCK_CLASS, self.number))
            with suppress(psycopg.Error):
                self._connection.close()

    def _beat_on(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            asked_at = _clock()
            with self._guard:
                try:
                    row: Any = self._connection.execute(_BEAT, (LOCK_CLASS, self.number)).fetchone()
                    held = row[0] == 1
                except psycopg.Error:
                    held = False
            if not held:
                self._over.set()
                return
            self._beaten_at = asked_at  # not the answer's: the server counts from before it


def _keep_tables(connection: Connection, place: str) -> None:
    """Let nobody change the tables before the lease is taken; whoever changes them waits until none is held.

    Raises:
        JournalLocked: They are being changed, or that waits for the last run.
        JournalUnwritable: They were changed a moment ago.
    """
    try:
        connection.execute("LOCK TABLE lease IN ROW EXCLUSIVE MODE NOWAIT")
    except psycopg.errors.LockNotAvailable:
        raise JournalLocked(
            Text("The journal's tables are being changed: kpr-send journal migrate is under way."),
            where=place,
            next_step=Text("Nothing need be done: once that has ended, the next run goes on."),
        ) from None
    require_version(connection, place)


def _lock(connection: Connection, number: int, place: str) -> None:
    row: Any = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, number)).fetchone()
    if not row[0]:
        raise _held(connection, number, place)


def _held(connection: Connection, number: int, place: str) -> JournalLocked:
    row: Any = connection.execute(_HOLDER, (number,)).fetchone()
    pid, host, since = row
    if since is None:
        return JournalLocked(Text("Another run holds the journal: it has just begun."), where=place)
    return JournalLocked(
        Text(
            "Another run holds the journal: process {pid} on {host} has held it since {since}.",
            pid=pid,
            host=host,
            since=time_text(since),
        ),
        where=place,
    )
