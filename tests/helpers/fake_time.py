"""A monotonic clock that only goes when somebody waits, so that hours of outage take no time."""

from __future__ import annotations

import threading


class FakeTime(threading.Event):
    """A clock, and the event whose waits are all that makes it go: for ``AmqpBus(closing=..., monotonic=...)``.

    Attributes:
        at: The time now, in seconds.
        pauses: Every wait, in seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.at

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        self.at += timeout
        return self.is_set()
