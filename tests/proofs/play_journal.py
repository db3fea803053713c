"""Where a play's journal is, a file or a database, and what a process leaves of it that is killed at one moment."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Protocol

import psycopg
import pytest

from kpr_sender.errors import JournalUnwritable
from kpr_sender.inbound.look_memory import beside as looks
from kpr_sender.journal import postgres_server, postgres_storage
from kpr_sender.journal.postgres import PostgresView
from kpr_sender.journal.postgres_connection import marks_of
from kpr_sender.journal.postgres_rows import Connection
from kpr_sender.journal.queries import SqlView
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text
from tests.helpers.command import until
from tests.helpers.marks import Marks
from tests.helpers.postgres import USER, Database


class PlayJournal(Protocol):
    """A journal of one play.

    Attributes:
        settings: The play's, with it.
    """

    settings: Settings

    def died(self) -> None:
        """Keep what is there at this moment: that is all that is left of a killed process."""

    def put_back(self) -> None:
        """Let what was kept be all there is, whatever the process did that goes on in its stead."""

    def view(self) -> SqlView | None:
        """Return it as another process sees it; None where there is none yet."""

    def forget_looks(self) -> None:
        """Forget that others' messages were ever taken."""

    def until_free(self) -> None:
        """Wait until the process that ended last holds it no more."""


MakesJournal = Callable[[Settings], PlayJournal]


class InFile:
    """A journal in a file. ``settings`` names it, in a folder of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._path = settings.journal.path
        self._marks = Marks(self._path, self._path.parent / "death")
        self._files_at_death: dict[str, bytes] = {}

    def died(self) -> None:
        files = [path for path in self._files() if path.is_file()]
        left = [path for path in files if not path.name.endswith("-shm") and path != self._marks.mark]
        self._files_at_death = {path.name: path.read_bytes() for path in left}
        self._marks.keep()

    def put_back(self) -> None:
        self._marks.put_back()
        for path in self._files():
            if path.name not in self._files_at_death and path != self._marks.mark:
                path.unlink()
        for name, content in self._files_at_death.items():
            path = self._path.with_name(name)
            path.write_bytes(content)  # into the same file, where it is still there: a crash copies nothing
            path.chmod(0o600)

    def view(self) -> SqlView | None:
        return SqliteJournal.open_readonly(self._path, self.settings.environment)

    def forget_looks(self) -> None:
        looks(self._path).unlink(missing_ok=True)

    def until_free(self) -> None:
        """Do nothing: a file's lock is free when it is given back."""

    def _files(self) -> Iterator[Any]:
        return (path for path in self._path.parent.glob(f"{self._path.name}*") if path.suffix != ".lock")


class InPostgres:
    """A journal of its own in a database: killed, its sessions end, and nothing connects any more.

    Args:
        settings: The play's; its journal's path is this machine's.
        database: Where the journal is, and what it is called.
        boss: A connection of the one who may do everything.
    """

    def __init__(self, settings: Settings, database: Database, boss: psycopg.Connection[Any]) -> None:
        path = settings.journal.path
        self.settings = replace(
            settings,
            journal=replace(database.settings(), path=path, receipts_dir=settings.journal.receipts_dir),
            bus=replace(settings.bus, receipts_queue=database.queue),
        )
        self.dead = False
        self._database, self._boss = database, boss
        self._storage = postgres_storage.PostgresStorage(
            self.settings.journal, self.settings.bus, settings.environment, database.storage().now
        )
        self._marks = Marks(marks_of(self.settings.journal), path.parent / "death")

    def died(self) -> None:
        self.dead = True
        self._boss.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND usename = %s",
            (self._database.name, USER),
        )
        self._marks.keep()

    def put_back(self) -> None:
        self._marks.put_back()
        self.dead = False

    def view(self) -> SqlView | None:
        store = self._storage._store()
        return None if store is None else PostgresView(store, self.settings.environment)

    def forget_looks(self) -> None:
        self._storage.document("looks").remove()

    def until_free(self) -> None:
        """Wait for the server, which notices a moment later that a connection was closed."""
        held = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = %s)"
        )
        until(lambda: self._boss.execute(held, (self._database.name,)).fetchone() == (0,))


_numbers: Final = itertools.count(1)


@contextmanager
def in_postgres(database: Database) -> Iterator[MakesJournal]:
    """Yield what makes journals in a database, one after another.

    What is in doubt may be let go at once: the model knows nothing of a lost holder's last minutes, whose proofs are
    ``test_postgres_cuts`` and the model of the lease.
    """
    made: list[InPostgres] = []
    real = postgres_server.bare

    def bare(settings: JournalSettings) -> Connection:
        if made and made[-1].dead:
            raise JournalUnwritable(Text("A dead process connects to nothing."))
        return real(settings)

    with database.boss() as boss, pytest.MonkeyPatch.context() as patched:
        patched.setattr(postgres_server, "bare", bare)
        patched.setattr(postgres_storage, "LEASE_SECONDS", -1_000_000)

        def make(settings: Settings) -> PlayJournal:
            queue = f"{database.queue}-play-{next(_numbers)}"
            made[:] = [InPostgres(settings, replace(database, queue=queue), boss)]
            return made[0]

        yield make
