"""What is kept beside a journal, in its database: takes of others' messages with their pauses, refused logins.

It is written without the lease: it says how often something was tried, and decides nothing of a shipment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from kpr_sender.errors import KprError
from kpr_sender.journal.postgres_connection import PostgresDatabase, PostgresStore
from kpr_sender.journal.postgres_lease import number_made
from kpr_sender.journal.postgres_rows import Connection
from kpr_sender.journal.postgres_server import connect, place_of, prepare
from kpr_sender.model import Environment
from kpr_sender.regular_file import TooLarge
from kpr_sender.settings.journal import JournalSettings

_READ: Final = "SELECT content FROM note WHERE name = ? AND length(content) <= ?"
_IS_THERE: Final = "SELECT length(content) FROM note WHERE name = ?"
_WRITE: Final = """
    INSERT INTO note (name, content) VALUES (%s, %s)
    ON CONFLICT (journal_no, name) DO UPDATE SET content = excluded.content
"""


@dataclass(frozen=True, slots=True)
class PostgresDocument:
    """A ``Document`` of one environment and queue.

    Attributes:
        store: The journal where that is open, to read over its connection.
    """

    settings: JournalSettings
    environment: Environment
    queue: str
    name: str
    store: PostgresStore | None = None

    @property
    def where(self) -> str:
        """The database."""
        return place_of(self.settings)

    def read(self, *, most: int) -> bytes:
        """Return its content."""
        with self._reading() as database:
            row: Any = database.execute(_READ, (self.name, most), binary=True).fetchone()
            if row is not None:
                return bytes(row[0])
            there = database.execute(_IS_THERE, (self.name,)).fetchone() is not None
        raise (TooLarge if there else FileNotFoundError)(self.name)

    def write(self, content: bytes) -> None:
        """Write it anew."""
        with self._connected() as connection:
            connection.execute(_WRITE, (self.name, content))

    def remove(self) -> None:
        """Delete its row."""
        with self._connected() as connection:
            connection.execute("DELETE FROM note WHERE name = %s", (self.name,))

    @contextmanager
    def _reading(self) -> Iterator[PostgresDatabase]:
        if self.store is None:
            with self._connected() as connection:
                yield PostgresDatabase(connection)
        else:
            with _as_os_error(), self.store.reading() as database:
                yield database

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with _as_os_error(), closing(connect(self.settings)) as connection:
            prepare(connection)
            prepare(connection, ("kpr.journal", number_made(connection, self.environment, self.queue)))
            yield connection


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, KprError) as error:
        raise OSError(0, error.what if isinstance(error, KprError) else type(error).__name__) from None
