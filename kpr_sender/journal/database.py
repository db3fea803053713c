"""What the journal's statements run on: an open database, whichever it is, as far as the shared code needs it.

SQLite's connections and PostgreSQL's (``connection``, ``postgres_connection``) are adapters of it. The statements are
in ``sql`` once, with ``?`` and ``:name`` where a value goes; what the two say differently is a method here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from kpr_sender.errors import JournalUnwritable

Value = str | int | bytes | None
Values = Sequence[Value] | Mapping[str, Value]


class StoredRow(Protocol):
    """A row: its values by column and by place."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return the value of a column, by its name or place."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the values."""

    def keys(self) -> Iterable[str]:
        """Return the columns' names."""


class Rows(Protocol):
    """What a statement returned."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:
        """Return the next row; None where there is no more."""

    def fetchall(self) -> list[Any]:
        """Return all further rows."""

    def __iter__(self) -> Iterator[Any]:
        """Yield all further rows."""


class Database(Protocol):
    """An open connection, inside a transaction.

    Attributes:
        SEALED_LEFT: Counts a shipment's sealed messages that are not pruned, and their bytes.
        PRUNE_SEALED: Removes them.
    """

    SEALED_LEFT: str
    PRUNE_SEALED: str

    @property
    def total_changes(self) -> int:
        """How many rows were changed over this connection."""

    def execute(self, statement: str, values: Values = (), /) -> Rows:
        """Run one statement of ``sql``."""

    def insert(self, statement: str, values: Mapping[str, Value], number: str) -> int:
        """Add one row; return what the database has put into its column ``number``."""

    def add_sealed(self, length: int, chunks: Iterable[bytes | memoryview]) -> int:
        """Store sealed bytes chunk by chunk as a row of ``sealed``; return its number. ``chunks`` yields ``length``."""

    def sealed(self, sealed_id: int, *, at_once: bool = False) -> Iterator[bytes] | None:
        """Yield sealed bytes chunk by chunk, or as one where that is quicker; None where no row has this number."""


class Store(Protocol):
    """One open journal, shared by the threads of one process; everything raises ``KprError``."""

    @property
    def place(self) -> str:
        """What errors call it."""

    @property
    def marks(self) -> Path:
        """Beside which file this machine's mark of the journal is."""

    def writing(self) -> AbstractContextManager[Database]:
        """Run one transaction: durable on the way out, rolled back on any exception."""

    def reading(self) -> AbstractContextManager[Database]:
        """Read one consistent snapshot."""

    def compact(self) -> None:
        """Let what was removed leave the disk, as far as the database can."""

    def damaged(self, what: str) -> JournalUnwritable:
        """Return the error for content that is not as it was written."""

    def close(self) -> None:
        """Close it; twice is harmless."""
