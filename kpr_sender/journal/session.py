"""One process's use of its journal: locked and recovered before it is written, read without a lock.

What must not be broken off in between is done inside the ``CriticalSection``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from types import TracebackType

from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.location import require_local
from kpr_sender.journal.lock import JournalLock
from kpr_sender.journal.port import ReceiptDocument
from kpr_sender.journal.queries import SqliteView
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment
from kpr_sender.settings.values import JournalSettings


class CriticalSection:
    """Entered for one attempt to publish with its two lines in the journal, or for one answer with its settling.

    One thread at a time, and a stop takes effect when it is left.

    Args:
        closing: Set when a stop was asked for and the section is left: nothing further is begun then.
    """

    def __init__(self, closing: threading.Event) -> None:
        self._closing = closing
        self._lock = threading.RLock()
        self._depth = 0
        self._stop_asked = False

    @property
    def under_way(self) -> bool:
        """Whether a thread is inside now."""
        return self._depth > 0

    def ask_to_stop(self) -> None:
        """Let nothing further begin once it is left. Takes no lock: a signal handler may call it."""
        self._stop_asked = True

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stop_asked:
            self._closing.set()
        self._depth -= 1
        self._lock.release()


class JournalSession:
    """A journal that is opened when it is first needed, and locked for this process until it is closed.

    Args:
        settings: Where it lies.
        environment: The only one it is for.
        catch_up: Called on opening with the newest submission's receipts, whose copies a killed run may lack.
        now: The clock.
        who: Who events are written for.
        observe: Called with what an earlier run left unfinished.
    """

    def __init__(
        self,
        settings: JournalSettings,
        environment: Environment,
        catch_up: Callable[[Sequence[ReceiptDocument]], object],
        *,
        now: Callable[[], datetime],
        who: str,
        observe: Observer,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._catch_up = catch_up
        self._now = now
        self._who = who
        self._observe = observe
        self._opening = threading.Lock()
        self._lock: JournalLock | None = None
        self._journal: SqliteJournal | None = None

    def opened(self) -> SqliteJournal:
        """Return the journal, locked for this process; what an earlier run left unfinished is in doubt now.

        Raises:
            JournalUnwritable: It cannot be written, or lies on a network file system.
            JournalLocked: Another run has locked it.
            ConfigInvalid: It is another environment's (promise G7).
        """
        with self._opening:
            if self._journal is None:
                self._journal = self._lock_and_open()
            return self._journal

    @contextmanager
    def reading(self) -> Iterator[SqliteView | None]:
        """Yield the journal to read from, beside whoever has locked it; None where there is none yet.

        Raises:
            JournalUnwritable: It cannot be read.
        """
        if self._journal is not None:
            yield self._journal
            return
        journal = SqliteJournal.open_readonly(self._settings.path, self._environment)
        with journal or nullcontext():
            yield journal

    def close(self) -> None:
        """Close it and let others have it; twice is harmless."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _lock_and_open(self) -> SqliteJournal:
        path = self._settings.path
        if not self._settings.allow_network:
            require_local(path)
        lock = JournalLock.acquire(path, now=self._now)
        try:
            journal = SqliteJournal.open(path, self._environment, now=self._now, who=self._who)
            self._recover(journal)
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        return journal

    def _recover(self, journal: SqliteJournal) -> None:
        for msg_id in journal.recover():
            text = f"An earlier run ended while {msg_id} was being published: it is in doubt."
            self._observe(Event(EventKind.IN_DOUBT, text, msg_id))
        for submission in journal.submissions()[:1]:
            self._catch_up(journal.receipt_documents(submission.submission_id, verified_only=True))
