"""One process's use of its journal: locked and recovered before it is written, read without a lock.

What must not be broken off in between is done inside the ``CriticalSection``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from operator import methodcaller
from types import TracebackType
from typing import Final

from kpr_sender.errors import KprError, UsageError
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.port import Journal, JournalStorage, JournalView
from kpr_sender.journal.values import ReceiptDocument
from kpr_sender.texts import Text

_HEARD_WITHIN: Final = 0.5  # seconds


class Closing(threading.Event):
    """Set for good when nothing further may begin.

    Attributes:
        asked: That it is to be set as soon as no critical section is under way: a plain value, since a signal handler
            may not wait for an event's lock, which the thread that it interrupts may hold.
        sections: How many critical sections are under way, one in another.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked = False
        self.sections = 0

    def is_set(self) -> bool:
        """Return whether nothing further may begin."""
        return super().is_set() or (self.asked and not self.sections)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, at most so many seconds, and return whether it is set; ``asked`` is heard soon."""
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (left := ends - time.monotonic()) > 0:
            super().wait(min(left, _HEARD_WITHIN))
        return self.is_set()


class CriticalSection:
    """Entered for one attempt to publish with its two lines in the journal, or for one answer with its settling.

    One thread at a time, and a stop takes effect when it is left.

    Args:
        closing: Set when a stop was asked for and the section is left: nothing further is begun then.
    """

    def __init__(self, closing: Closing) -> None:
        self._closing = closing
        self._lock = threading.RLock()

    @property
    def under_way(self) -> bool:
        """Whether a thread is inside now."""
        return self._closing.sections > 0

    def ask_to_stop(self) -> None:
        """Let nothing further begin, once it is left. Takes no lock: a signal handler may call it."""
        self._closing.asked = True

    def __enter__(self) -> None:
        self._lock.acquire()
        self._closing.sections += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._closing.asked:
            self._closing.set()
        self._closing.sections -= 1
        self._lock.release()


class JournalSession:
    """A journal that is opened when it is first needed, and locked for this process until it is closed.

    Args:
        storage: Where it is.
        catch_up: Called on opening with the newest submission's receipts, whose copies a killed run may lack.
        finish_pruning: Called on opening where a pruning that a killed run began is not finished.
        who: Who events are written for.
        observe: Called with what an earlier run left unfinished.
    """

    def __init__(
        self,
        storage: JournalStorage,
        catch_up: Callable[[Sequence[ReceiptDocument]], object],
        *,
        who: str,
        observe: Observer,
        finish_pruning: Callable[[Journal], object] = methodcaller("finish_pruning"),
    ) -> None:
        self._storage = storage
        self._catch_up = catch_up
        self._finish_pruning = finish_pruning
        self._who = who
        self._observe = observe
        self._opening = threading.RLock()
        self._journal: Journal | None = None
        self._closed = False

    def opened(self) -> Journal:
        """Return the journal, locked for this process; what an earlier run left unfinished is in doubt now.

        Raises:
            JournalUnwritable: It cannot be written, or lies on a network file system.
            JournalLocked: Another run has locked it.
            ConfigInvalid: It is another environment's (promise G7).
            UsageError: It was closed.
        """
        with self._opening:
            self.require_open()
            if self._journal is None:
                self._journal = self._open()
            return self._journal

    @contextmanager
    def reading(self) -> Iterator[JournalView | None]:
        """Yield the journal to read from, beside whoever has locked it; None where there is none yet.

        Raises:
            JournalUnwritable: It cannot be read.
            UsageError: It was closed.
        """
        self.require_open()
        with self._storage.reading() if self._journal is None else nullcontext(self._journal) as journal:
            yield journal

    def close(self) -> None:
        """Close it for good and let others have it; twice is harmless."""
        with self._opening:
            self._closed = True
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def require_open(self) -> None:
        """Refuse to be used after ``close``.

        Raises:
            UsageError: It was closed.
        """
        if self._closed:
            raise UsageError(
                Text("This client is closed: it takes no more calls."), next_step=Text("Make a new Client.")
            )

    def _open(self) -> Journal:
        journal = self._storage.open(who=self._who)
        try:
            self._recover(journal)
        except BaseException:
            journal.close()
            raise
        return journal

    def _recover(self, journal: Journal) -> None:
        for msg_id in journal.recover():
            text = Text("An earlier run ended while {msg_id} was being published: it is in doubt.", msg_id=msg_id)
            self._observe(Event(EventKind.IN_DOUBT, text, msg_id))
        if journal.unfinished_pruning() is not None:
            with suppress(KprError, OSError):  # the next run tries again; it keeps nothing from being sent
                self._finish_pruning(journal)
        for submission in journal.submissions()[:1]:
            self._catch_up(journal.receipt_documents(submission.submission_id, verified_only=True))
