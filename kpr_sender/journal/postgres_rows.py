"""What psycopg returns, as the shared code reads it: rows by name and place, stored texts as texts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader

from kpr_sender.journal.rows import Unreadable
from kpr_sender.journal.stored_texts import loaded
from kpr_sender.texts import Text


class PostgresRow:
    """A row: its values by column and by place."""

    __slots__ = ("_places", "_values")

    def __init__(self, values: Sequence[Any], places: dict[str, int]) -> None:
        self._values = values
        self._places = places

    def __getitem__(self, key: str | int) -> Any:
        return self._values[self._places[key] if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def keys(self) -> Iterable[str]:
        """Return the columns' names."""
        return self._places.keys()


Connection = psycopg.Connection[PostgresRow]


def row_factory(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], PostgresRow]:
    """Make the rows of one result."""
    places = {column.name: place for place, column in enumerate(cursor.description or ())}
    return lambda values: PostgresRow(values, places)


class StoredTextLoader(Loader):
    """Reads each text of the database as ``stored_texts`` has written it."""

    def load(self, data: Buffer) -> str:
        """Return the words."""
        try:
            return loaded(bytes(data))
        except sqlite3.OperationalError:  # what ``loaded`` raises
            raise Unreadable(Text("a text does not read back")) from None  # it may quote the row (G6)
