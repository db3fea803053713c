"""What a fleet asks of an engine for tasks.

A task is only a hint to look after the municipalities of one receipts queue: the journal decides what is done. One that
is lost, doubled, late or still running elsewhere harms nothing, and none is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

Look = Callable[[str, str | None], object]
"""Looks after the municipalities of a receipts queue, and waits for receipts so long, or for a moment; it raises
nothing."""


@dataclass(frozen=True, slots=True)
class WorkPlan:
    """What a worker does.

    Attributes:
        queues: Receipts queues, each with the municipalities that are looked after together.
        jobs: How many tasks are carried out at once.
        every: Seconds from one look to the next; they divide a minute or an hour.
        stalled_after: Seconds without a sign of life after which a worker's tasks are ended as failed.
    """

    queues: tuple[str, ...]
    jobs: int
    every: float
    stalled_after: float


class Tasks(Protocol):
    """The tasks, while whoever asks is connected."""

    def defer(self, queues: Iterable[str], wait: str) -> Mapping[str, frozenset[int]]:
        """Let a worker look after each; return the numbers of each one's tasks: that one, and those under way.

        Where one waits already it is that one. One that is under way may have looked too early, and gets a successor;
        and that one may find the journal held by it, and do nothing.
        """

    def left(self, numbers: Collection[int]) -> frozenset[int]:
        """Return which of them have not ended."""

    def has_workers(self) -> bool:
        """Tell whether workers for this environment are there."""

    def left_out(self, queues: Iterable[str], seconds: float) -> frozenset[str]:
        """Return those that no worker has had a look at in so many seconds, where workers have looked at others."""


class TaskEngine(Protocol):
    """Tasks of one environment in one database."""

    def migrate(self) -> None:
        """Bring the engine's own tables up to date, by the journal's lock for that."""

    def require_tables(self) -> None:
        """Refuse a database whose tables, the journals' or those for tasks, are missing, older or newer."""

    def opened(self) -> AbstractContextManager[Tasks]:
        """Connect to the tasks."""

    def work(self, plan: WorkPlan, look: Look, *, on_ready: Callable[[Callable[[], None]], object]) -> None:
        """Carry tasks out until it is asked to end.

        Args:
            plan: What is done.
            look: Carries a task out, on a thread.
            on_ready: Called once with what lets it end: nothing more is begun, what is under way is finished.

        Raises:
            JournalUnwritable: The database was lost, or another version of the program has changed its tables.
        """
