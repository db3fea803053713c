"""The journal in SQLite, to read and write: its lock, its mark and the mark's witness (``recovery``)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Self

from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal import recovery, witness
from kpr_sender.journal.connection import SqliteStore, open_to_write
from kpr_sender.journal.glance import Glance
from kpr_sender.journal.location import stable_inode
from kpr_sender.journal.lock import JournalLock, held_by_this_process
from kpr_sender.journal.marker import HighWaterMark
from kpr_sender.journal.queries import SqlView
from kpr_sender.journal.recovery import objection_to
from kpr_sender.journal.sql_journal import SqlJournal
from kpr_sender.model import Environment


class SqliteView(SqlView):
    """A ``JournalView`` on an open file; also a context manager that closes it."""

    _store: SqliteStore

    def refused(self) -> JournalUnwritable | None:
        """Return why it may not be written to; None where it may."""
        path = self._store.path
        # Where nothing differs it does not matter whether the file system keeps inodes, which takes a while to tell.
        if not self._objection(path.stat().st_ino or None) or not (what := self._objection(stable_inode(path))):
            return None
        return recovery.refused(self._store.place, what)

    def _objection(self, inode: int | None) -> str:
        with self._store.reading() as connection:
            return objection_to(connection, self._store.path, inode)[-1]


class SqliteJournal(SqlJournal):
    """A ``Journal``, to read and write; a context manager that closes it."""

    _store: SqliteStore

    def __init__(
        self,
        store: SqliteStore,
        environment: Environment,
        *,
        now: Callable[[], datetime],
        who: str,
        lock: JournalLock | None = None,
    ) -> None:
        """Made by ``open`` only."""
        super().__init__(store, environment, now=now, who=who)
        self._lock = lock
        self._inode = stable_inode(store.path)
        self._witnessed: HighWaterMark | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        environment: Environment,
        *,
        now: Callable[[], datetime],
        who: str,
        lock: JournalLock | None = None,
    ) -> Self:
        """Open a journal, made where missing; as ``connection.open_to_write``.

        Args:
            path: The file.
            environment: The only one this journal is for.
            now: The clock; aware times.
            who: The person or account that events are written for.
            lock: Released when the journal is closed.

        Raises:
            JournalUnwritable: Also when it was restored from backup, copied or lost (``recovery``).
        """
        recovery.require_not_lost(path)
        journal = cls(open_to_write(path, environment, now=now), environment, now=now, who=who, lock=lock)
        try:
            journal._require_own_mark()
        except BaseException:
            journal._store.close()  # not close(): a journal that is refused must not set its mark
            raise
        return journal

    @staticmethod
    def open_readonly(path: Path, environment: Environment) -> SqliteView | None:
        """Open a journal for reading, without lock and beside a run that writes; as ``recovery.open_there``."""
        store = recovery.open_there(path, environment)
        return None if store is None else SqliteView(store, environment)

    @staticmethod
    def glance(store: SqliteStore, environment: Environment) -> Glance:
        """Return a view for one look at an open file."""
        return Glance(store, environment, SqliteView(store, environment).refused)

    def close(self) -> None:
        """Close it; twice is harmless."""
        super().close()
        if self._lock is not None:
            self._lock.release()

    def _is_locked(self) -> bool:
        return held_by_this_process(self._store.path)

    def _testify(self, mark: HighWaterMark) -> None:
        """Have the mark outside the journal's folder, too, where that can be."""
        if mark != self._witnessed and witness.write(self._store.path, mark):
            self._witnessed = mark

    def _require_own_mark(self) -> None:
        with self._store.reading() as connection:
            self._marked, witnessed, _, what = objection_to(connection, self._store.path, self._inode)
        if what:
            raise recovery.refused(self._store.place, what)
        if witnessed is not None and witness.last_at(self._store.path) == witnessed:
            self._witnessed = witnessed.mark
        self._mark()
