"""The named boundaries between journal, bus and receipt handling, where a run may be cut off.

The promises must hold wherever a process dies. So that a test can kill it at each place that matters, the product
says ``reached(FaultPoint.X)`` there: one line, which does nothing. Only a test arms the points; nothing in the product
does. This is the whole list; a point that is not here does not exist.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class FaultPoint(enum.StrEnum):
    """A place where the process may die, in the order in which a run comes to them first."""

    BEFORE_COMMIT = "before-commit"
    """A transaction of the journal is written, and not committed."""
    AFTER_COMMIT = "after-commit"
    """The same transaction is durable, and not reported."""
    BEFORE_CONNECT = "before-connect"
    """No socket to the bus is open yet."""
    AFTER_ATTACH = "after-attach"
    """The bus has attached a link, to read or to send."""
    BEFORE_TRANSFER = "before-transfer"
    """There is credit, and no byte of the message has left."""
    MID_TRANSFER = "mid-transfer"
    """Some bytes of the message have left, and not all."""
    AFTER_TRANSFER = "after-transfer"
    """The last byte of the message has left, and no outcome has come."""
    AFTER_OUTCOME = "after-outcome"
    """The bus has answered, and the journal does not know it."""
    ANSWER_RECEIVED = "answer-received"
    """A message from one of our queues is here, and nobody has looked at it."""
    ANSWER_OPENED = "answer-opened"
    """It is ours, opened and read, and the journal does not know it."""
    BEFORE_SETTLE = "before-settle"
    """What it says is durable, and the bus still holds it for us."""
    AFTER_SETTLE = "after-settle"
    """We have settled the message; whether the bus has received that is not known."""


_callback: Callable[[FaultPoint], None] | None = None


def reached(point: FaultPoint) -> None:
    """Say that the run is at a point. Costs one look at a global unless a test has armed the points."""
    if _callback is not None:
        _callback(point)


@contextmanager
def armed(callback: Callable[[FaultPoint], None]) -> Iterator[None]:
    """Have every point of the process call back, for tests only.

    Args:
        callback: Called with the point, on the thread that reached it: the bus's own thread for what concerns bytes.
            It may end the process. It must not raise: the product expects nothing from a point.
    """
    global _callback  # noqa: PLW0603 - one place for the whole process, so that a disarmed point costs next to nothing
    before, _callback = _callback, callback
    try:
        yield
    finally:
        _callback = before
