"""The engine's steps: one at a time, and none is broken off. Whoever asks to stop is heard when the step is over."""

from __future__ import annotations

import threading
from types import TracebackType


class Steps:
    """Entered for each step: one attempt to publish with its two lines in the journal, or one answer with its settling.

    Args:
        closing: Set when a stop was asked for and the step is over: nothing further is begun then.
    """

    def __init__(self, closing: threading.Event) -> None:
        self._closing = closing
        self._lock = threading.RLock()
        self._depth = 0
        self._stop_asked = False

    @property
    def under_way(self) -> bool:
        """Whether a step is being taken now."""
        return self._depth > 0

    def ask_to_stop(self) -> None:
        """Let nothing further begin after the step under way. Takes no lock: a signal handler may call it."""
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
