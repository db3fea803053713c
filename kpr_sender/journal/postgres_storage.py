"""The journal in a PostgreSQL database, as a whole: leased, opened, verified, exported, accepted.

A journal there is named by environment and receipts queue: whoever hands in under another queue has another one, in the
same tables (promise G7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kpr_sender.documents import Document
from kpr_sender.errors import JournalUnwritable, UsageError
from kpr_sender.journal import moved, postgres_restored, recovery, sql
from kpr_sender.journal.glance import Glance
from kpr_sender.journal.location import require_private_folder
from kpr_sender.journal.port import JournalStorage, JournalView, T
from kpr_sender.journal.postgres import PostgresJournal, PostgresView
from kpr_sender.journal.postgres_connection import PostgresStore, marks_of
from kpr_sender.journal.postgres_document import PostgresDocument
from kpr_sender.journal.postgres_errors import translated
from kpr_sender.journal.postgres_lease import Lease, last_taken, number_of
from kpr_sender.journal.postgres_migrate import migrate, require_version
from kpr_sender.journal.postgres_server import LEASE_SECONDS, connect, place_of, prepare
from kpr_sender.journal.postgres_together import PostgresTogether
from kpr_sender.journal.values import Accepted, JournalFinding, Verification
from kpr_sender.messages.transport import queue_name
from kpr_sender.model import Environment
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.settings.values import BusSettings
from kpr_sender.texts import Text, paragraph


@dataclass(frozen=True, slots=True)
class PostgresStorage:
    """A ``JournalStorage``; ``now`` is the clock.

    Attributes:
        settings: Where the database is, and the folder of what belongs to this machine.
        bus: Its receipts queue names the journal; its limits say how long a lost holder may be sending.
        together: What it is asked over together with others; None for a connection of its own.
        taking_over: Whether the journal in a file is just being moved to it: that file is not moved yet.
    """

    settings: JournalSettings
    bus: BusSettings
    environment: Environment
    now: Callable[[], datetime]
    together: PostgresTogether | None = None
    taking_over: bool = False

    def require_own(self) -> None:
        """Let every user use it that the database lets in."""

    def require_safe(self) -> None:
        """Refuse a server that loses what it has stored, and a folder open to all: this machine's mark is there."""
        require_private_folder(self.settings.path)
        self._require_moved()
        with closing(connect(self.settings)) as connection, translated(place_of(self.settings)):
            require_version(connection, place_of(self.settings))

    def migrate(self) -> tuple[int, int]:
        """Bring its tables up to date; return their versions before, 0 for none, and now."""
        return migrate(self.settings, now=self.now)

    def open(self, *, who: str) -> PostgresJournal:
        """Take its lease and open it."""
        self._make_folder()
        lease = self._lease()
        store = PostgresStore(self.settings, lease.number, lease.holder)
        try:
            journal = PostgresJournal(
                store,
                self.environment,
                lease,
                now=self.now,
                who=who,
                quiet_seconds=LEASE_SECONDS + self.bus.publish_timeout + self.bus.idle_timeout,
            )
            if _has_nothing(store):
                self._require_moved(is_there=False)
        except BaseException:
            store.close()
            lease.release()
            raise
        return journal

    @contextmanager
    def reading(self) -> Iterator[JournalView | None]:
        """Yield it to read from."""
        store = self._store()
        if store is None:
            yield None
            return
        with PostgresView(store, self.environment) as view:
            yield view

    def ask(self, question: Callable[[JournalView | None], T]) -> T:
        """Have a question answered."""
        with self._asked() as store:
            if store is None:
                return question(None)
            return question(Glance(store, self.environment, PostgresView(store, self.environment).refused))

    def last_held(self) -> datetime | None:
        """Return when its lease was last taken."""
        if self.together is not None:
            return self.together.last_taken(self.environment, self._queue)
        place = place_of(self.settings)
        with closing(connect(self.settings)) as connection, translated(place):
            require_version(connection, place)
            prepare(connection)
            return last_taken(connection, self.environment, self._queue)

    def note_run(self) -> None:
        """Take its lease, which notes the time, and give it back."""
        self._lease().release()

    def verify(self) -> Verification | None:
        """Check it beside whoever writes it."""
        from kpr_sender.journal.verify_content import check_content, forgotten

        counted: dict[str, int] = {}
        findings: list[JournalFinding] = []
        place = place_of(self.settings)
        try:
            store = self._store()
            if store is None:
                return None
            with closing(store), store.reading() as database:
                objection = postgres_restored.objection_to(database, store.marks)
                findings.extend(check_content(database, place, counted))
                if database.execute(sql.IS_UNFINISHED).fetchone()["pruning_unfinished"]:
                    text = Text(
                        "what a person had removed may be left among the receipts' copies: the next kpr-send wait or "
                        "send finishes that."
                    )
                    findings.append(JournalFinding(place, text))
                if objection:
                    findings.append(JournalFinding(place, objection))
                    findings.extend(recovery.begun_here(database, store.marks))
                findings.extend(forgotten(database))
        except JournalUnwritable as error:
            findings.append(JournalFinding(place, paragraph(error.what, error.next_step)))
            if isinstance(error, recovery.JournalGone):
                findings.extend(recovery.begun_here(None, marks_of(self.settings)))
        return Verification(tuple(findings), counted)

    def back_up(self, target: Path) -> Mapping[str, int]:
        """Dump all of the database's rows of this journal to a new file, with pg_dump, and check what is in it."""
        from kpr_sender.journal.postgres_backup import back_up

        store = self._store()
        return back_up(self.settings, store, target)

    def is_same(self, one: Path, other: Path) -> bool:
        """Tell whether two files are dumps of one journal."""
        from kpr_sender.journal.postgres_backup import journal_in

        journal = journal_in(one)
        return journal is not None and journal == journal_in(other)

    def move_to(self, other: JournalStorage, *, who: str) -> Mapping[str, int]:  # noqa: ARG002 - it is refused
        """Refuse: databases have tools of their own for that."""
        raise UsageError(
            Text("The journal is in a database already."),
            where=place_of(self.settings),
            next_step=Text("Move the database with its own tools (docs/fleet.md)."),
        )

    def document(self, name: str, *, within: JournalView | None = None) -> Document:
        """Return what is kept of the journal under a name, for all machines."""
        store = within.store if isinstance(within, PostgresView | PostgresJournal | Glance) else None
        opened = store if isinstance(store, PostgresStore) else None
        return PostgresDocument(self.settings, self.environment, self._queue, name, opened)

    def export(self) -> Iterator[Mapping[str, Any]]:
        """Yield it line by line."""
        from kpr_sender.journal.export import lines

        store = self._store()
        if store is not None:
            with closing(store):
                yield from lines(store)

    def accept(self, *, reason: str, by: str) -> Accepted:
        """Go on with it although it was restored or failed over."""
        self._make_folder()
        lease = self._lease()
        store = PostgresStore(self.settings, lease.number, lease.holder)
        try:
            return postgres_restored.accept(store, now=self.now, why=reason, who=by)
        finally:
            store.close()
            lease.release()

    def witness_concerns(self) -> Iterator[str]:
        """Yield nothing: the database and this machine's mark of it are in two places already."""
        yield from ()

    @property
    def _queue(self) -> str:
        """The receipts queue's own name, also where the configuration has its complete address."""
        return queue_name(self.bus.receipts_queue)

    def _make_folder(self) -> None:
        require_private_folder(self.settings.path)
        self._require_moved()
        marks_of(self.settings).parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _require_moved(self, *, is_there: bool = True) -> None:
        """Refuse it beside a file that was sent from: both would be sent from, and neither knows of the other."""
        if not self.taking_over:
            moved.require_moved(self.settings.path, is_there=is_there)

    def _lease(self) -> Lease:
        return Lease.take(self.settings, self.environment, self._queue, now=self.now)

    @contextmanager
    def _asked(self) -> Iterator[PostgresStore | None]:
        if self.together is not None:
            with self.together.reading(self.settings, self.environment, self._queue) as store:
                if store is None:
                    self._require_not_lost()
                yield store
            return
        own = self._store()
        try:
            yield own
        finally:
            if own is not None:
                own.close()

    def _store(self) -> PostgresStore | None:
        """Return the journal to read from; None where nothing was ever stored under its name."""
        place = place_of(self.settings)
        with ExitStack() as opened, translated(place):
            connection = opened.enter_context(closing(connect(self.settings)))
            require_version(connection, place)
            prepare(connection)
            number = number_of(connection, self.environment, self._queue)
            if number is not None:
                prepare(connection, ("kpr.journal", number))
                if connection.execute("SELECT 1 FROM journal").fetchone() is not None:
                    opened.pop_all()
                    return PostgresStore(self.settings, number, connection=connection)
                # Its name alone: documents are kept under it, or a run has died in between.
        self._require_not_lost()
        return None

    def _require_not_lost(self) -> None:
        """Refuse to say that nothing was ever stored where the mark, or a file that was not moved, says otherwise."""
        recovery.require_not_lost(marks_of(self.settings))
        self._require_moved(is_there=False)


def _has_nothing(store: PostgresStore) -> bool:
    """Tell whether nothing was ever stored in a journal, nor accepted by a person."""
    with store.reading() as database:
        return database.execute(sql.HAS_SOMETHING).fetchone() is None
