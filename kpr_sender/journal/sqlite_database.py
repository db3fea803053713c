"""What the shared statements need of SQLite beyond a plain connection (``database.Database``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kpr_sender.errors import InternalError
from kpr_sender.journal import sql
from kpr_sender.journal.database import Value
from kpr_sender.texts import Text

_CHUNK_BYTES: Final = 1 << 20


class SqliteDatabase(sqlite3.Connection):
    """A connection to a journal's file; ``sqlite3.connect`` makes it as its ``factory``."""

    SEALED_LEFT = f"""
        SELECT count(*) AS number, coalesce(sum(length(bytes)), 0) AS bytes FROM sealed
        WHERE length(bytes) > 0 AND sealed_id IN ({sql.SEALED_OF})
    """  # noqa: S608 - the program's own words
    PRUNE_SEALED = f"""
        UPDATE sealed SET bytes = x'' WHERE length(bytes) > 0 AND sealed_id IN ({sql.SEALED_OF})
    """  # noqa: S608 - as above

    def insert(self, statement: str, values: Mapping[str, Value], number: str) -> int:  # noqa: ARG002 - the rowid is the number
        """Add one row; return its number."""
        return self.execute(statement, values).lastrowid or 0

    def add_sealed(self, length: int, chunks: Iterable[bytes | memoryview]) -> int:
        """Stream sealed bytes into a row of their own; memory stays flat whatever their size."""
        sealed_id = self.execute("INSERT INTO sealed (bytes) VALUES (zeroblob(?))", (length,)).lastrowid
        if sealed_id is None:
            raise InternalError(Text("The journal gave the sealed bytes no row."))
        with self.blobopen("sealed", "bytes", sealed_id) as blob:
            for chunk in chunks:
                blob.write(chunk)
        return sealed_id

    def sealed(self, sealed_id: int, *, at_once: bool = False) -> Iterator[bytes] | None:
        """Yield sealed bytes; None where there is no such row."""
        if self.execute("SELECT 1 FROM sealed WHERE sealed_id = ?", (sealed_id,)).fetchone() is None:
            return None
        return self._chunks(sealed_id, -1 if at_once else _CHUNK_BYTES)

    def _chunks(self, sealed_id: int, size: int) -> Iterator[bytes]:
        # Not by SELECT, which copies the bytes once more: ten times as slow, and twice the memory.
        with self.blobopen("sealed", "bytes", sealed_id, readonly=True) as blob:
            while chunk := blob.read(size):
                yield chunk
