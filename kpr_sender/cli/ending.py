"""How a run ends before it is done: by its time budget, Ctrl-C or SIGTERM; never in the middle of a step.

The first signal lets the step under way be finished, then the run ends as any other: links closed, state told, its exit
code. Where no step is under way it ends at once. A second signal breaks off whatever there is; the journal then says
*in doubt* where that is what it is.

SIGHUP (the terminal is gone) does what SIGTERM does, and reloads nothing. On Windows Ctrl-Break does; that was not run.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from typing import Final

from kpr_sender.client import Client

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
_STDERR: Final = 2
_HEARD: Final = b"\nkpr-send: finishing the step under way; once more breaks it off.\n"


class Budget:
    """How long a run may take, from now on.

    Args:
        seconds: The bound; infinite for none.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Return what is left, in seconds; never below 0."""
        return max(0.0, self._ends - time.monotonic())


UNBOUNDED: Final = Budget()


class Ending:
    """Stops a client in an orderly way, once it is asked to.

    Attributes:
        signalled: Whether a signal asked for it.
    """

    def __init__(self, client: Client, budget: Budget) -> None:
        self.signalled = False
        self._client = client
        self._budget = budget
        # Its put() is the one way to wake another thread that a signal handler may use (Python's own documentation).
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="kpr-ending", daemon=True)

    def on_signal(self, _number: int, _frame: object) -> None:
        """Take a signal."""
        first, self.signalled = not self.signalled, True
        if first and self._client.stop_after_step():
            self._asked.put(True)
            with contextlib.suppress(OSError):
                os.write(_STDERR, _HEARD)
            return
        raise KeyboardInterrupt

    def _watch(self) -> None:
        left = self._budget.left()
        with contextlib.suppress(queue.Empty):
            if not self._asked.get(timeout=None if left == math.inf else left):
                return
        self._client.stop()

    def begin(self) -> None:
        """Begin to watch the time."""
        self._thread.start()

    def end(self) -> None:
        """Watch no more."""
        self._asked.put(False)
        self._thread.join()


@contextlib.contextmanager
def orderly(client: Client, budget: Budget) -> Iterator[Ending]:
    """Let signals and the time budget end the client's work in an orderly way while entered."""
    ending = Ending(client, budget)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ending.begin()
    try:
        for number, handler in before.items():
            # What the caller has switched off stays off: nohup, and jobs that a shell put into the background.
            if handler is not signal.SIG_IGN:
                signal.signal(number, ending.on_signal)
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ending.end()
