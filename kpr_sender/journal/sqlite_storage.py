"""The journal in one SQLite file of a local disk, as a whole: locked, opened, verified, copied, accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kpr_sender.documents import Document, FileDocument
from kpr_sender.errors import JournalUnwritable, KprError
from kpr_sender.journal import marker, recovery, still_file, witness
from kpr_sender.journal.location import require_local, require_own_journal, require_private_folder
from kpr_sender.journal.lock import JournalLock, last_taken
from kpr_sender.journal.port import Journal, JournalStorage, JournalView, T
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.journal.values import Accepted, Verification
from kpr_sender.model import Environment
from kpr_sender.settings.journal import JournalSettings


@dataclass(frozen=True, slots=True)
class SqliteStorage:
    """A ``JournalStorage``; ``now`` is the clock.

    What only a person asks for is imported when it is asked for: start-up is most of a short run.
    """

    settings: JournalSettings
    environment: Environment
    now: Callable[[], datetime]

    def require_own(self) -> None:
        """Refuse what another user owns."""
        require_own_journal(self.settings.path)

    def require_safe(self) -> None:
        """Refuse a network file system, unless it is allowed, what another user owns, and a folder open to all."""
        self._require_local()
        self.require_own()
        require_private_folder(self.settings.path)

    def migrate(self) -> None:
        """Do nothing: a file is brought up to date when it is opened to be written to."""

    def open(self, *, who: str) -> Journal:
        """Lock and open it."""
        lock = self._lock()
        try:
            return SqliteJournal.open(self.settings.path, self.environment, now=self.now, who=who, lock=lock)
        except BaseException:
            lock.release()
            raise

    @contextmanager
    def reading(self) -> Iterator[JournalView | None]:
        """Yield it to read from."""
        journal = SqliteJournal.open_readonly(self.settings.path, self.environment)
        with journal or nullcontext():
            yield journal

    def ask(self, question: Callable[[JournalView | None], T]) -> T:
        """Have a question answered; a file that nobody writes is read without locks first (``still_file``)."""
        path, environment = self.settings.path, self.environment
        if (before := still_file.state_of(path)) is not None:
            with suppress(KprError):  # read as usual, it says what is wrong
                with SqliteJournal.glance(still_file.open_still(path, environment), environment) as journal:
                    answer = question(journal)
                if still_file.state_of(path) == before:
                    return answer
        store = recovery.open_there(path, environment)
        if store is None:
            return question(None)
        with SqliteJournal.glance(store, environment) as journal:
            return question(journal)

    def last_held(self) -> datetime | None:
        """Return when its lock was last taken."""
        return last_taken(self.settings.path)

    def note_run(self) -> None:
        """Take its lock, which notes the time, and give it back."""
        self._lock().release()

    def verify(self) -> Verification | None:
        """Check it beside whoever writes it."""
        from kpr_sender.journal.verify import verify

        return verify(self.settings.path, self.environment)

    def back_up(self, target: Path) -> Mapping[str, int]:
        """Copy it to a new file."""
        from kpr_sender.journal.backup import back_up

        return back_up(self.settings.path, self.environment, target, now=self.now)

    def is_same(self, one: Path, other: Path) -> bool:
        """Tell whether two files are copies of one journal."""
        from kpr_sender.journal.backup import begun_at

        begun = begun_at(one)
        return begun is not None and begun == begun_at(other)

    def move_to(self, other: JournalStorage, *, who: str) -> Mapping[str, int]:
        """Have a database take it over."""
        from kpr_sender.journal.postgres_move import move

        return move(self, other, now=self.now, who=who)

    def document(self, name: str, *, within: JournalView | None = None) -> Document:  # noqa: ARG002 - a file beside it
        """Return the file beside it that a name says."""
        path = self.settings.path
        return FileDocument(path.with_name(f"{path.name}.{name}.json"))

    def export(self) -> Iterator[Mapping[str, Any]]:
        """Yield it line by line."""
        from kpr_sender.journal.export import lines

        store = recovery.open_there(self.settings.path, self.environment)
        if store is not None:
            with closing(store):
                yield from lines(store)

    def accept(self, *, reason: str, by: str) -> Accepted:
        """Go on with it although its mark speaks against it."""
        with self._lock():
            return recovery.accept(self.settings.path, self.environment, now=self.now, why=reason, who=by)

    def witness_concerns(self) -> Iterator[str]:
        """Yield why its witness might not do its work."""
        mark = None
        with suppress(JournalUnwritable, marker.MarkDamaged):  # ``verify`` says so
            mark = marker.read(self.settings.path)
        return witness.concerns(self.settings.path, mark)

    def _lock(self) -> JournalLock:
        self._require_local()
        return JournalLock.acquire(self.settings.path, now=self.now)

    def _require_local(self) -> None:
        if not self.settings.allow_network:
            require_local(self.settings.path)
