"""When a run ends, for what waits: by the time that it has, or because it was told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from concurrent.futures import Future  # with logging and queues: whoever waits for one has loaded it

Stopped = Callable[[], bool]
"""Whether a run was told to stop, or its time is up: what waits for the network asks it again and again."""
HEARD_WITHIN: Final = 0.5
"""How soon a wait for the network ends then, in seconds."""


def never() -> bool:
    """Tell that nothing stops a run but its end."""
    return False


def time_left(deadline: float, stopped: Stopped = never) -> float:
    """Return the seconds until a moment of ``time.monotonic``.

    Raises:
        TimeoutError: It is past, or the run was told to stop.
    """
    left = deadline - time.monotonic()
    if left <= 0 or stopped():
        raise TimeoutError("timed out")
    return left


def one_wait(deadline: float, stopped: Stopped) -> float:
    """Return how long to wait before asking ``stopped`` again, in seconds. Raises as ``time_left`` does."""
    return min(time_left(deadline, stopped), HEARD_WITHIN)


def wait_for(reply: Future[Any], deadline: float, stopped: Stopped) -> None:
    """Wait until another thread has replied. Raises as ``time_left`` does."""
    from concurrent.futures import wait  # noqa: PLC0415 - as above

    while not reply.done():
        wait([reply], one_wait(deadline, stopped))
