"""Workers in threads, over a database of a test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kpr_sender.model import Environment
from kpr_sender.tasks.port import WorkPlan
from kpr_sender.tasks.procrastinate_engine import ProcrastinateEngine
from tests.helpers.postgres import Database


def engine_of(database: Database) -> ProcrastinateEngine:
    """Return the engine over a database, with its tables."""
    engine = ProcrastinateEngine(database.settings(), Environment.LOKAL)
    engine.migrate()
    return engine


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as the one who may do everything."""
    with database.boss() as boss:
        boss.execute("SET search_path = kpr_tasks")
        cursor = boss.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@dataclass
class Worked:
    """What a worker did."""

    looks: list[tuple[str, str | None]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    thread: threading.Thread | None = None

    @property
    def queues(self) -> set[str]:
        return {queue for queue, _ in self.looks}

    def ended(self) -> None:
        """Wait for its end, and raise what it raised."""
        assert self.thread is not None
        self.thread.join(30)
        assert not self.thread.is_alive()
        for failure in self.failures:
            raise failure


@contextmanager
def working(
    engine: ProcrastinateEngine,
    *queues: str,
    every: float,
    look: Callable[[str, str | None], object] = lambda _queue, _wait: None,
    stalled_after: float = 3,
) -> Iterator[Worked]:
    """Run a worker until the block ends."""
    worked, ends, ready = Worked(), list[Callable[[], None]](), threading.Event()

    def on_look(queue: str, wait: str | None) -> None:
        worked.looks.append((queue, wait))
        look(queue, wait)

    def on_ready(end: Callable[[], None]) -> None:
        ends.append(end)
        ready.set()

    def run() -> None:
        try:
            engine.work(WorkPlan(queues, 2, every, stalled_after), on_look, on_ready=on_ready)
        except BaseException as failure:  # noqa: BLE001 - handed over to the test
            worked.failures.append(failure)
        finally:
            ready.set()

    worked.thread = threading.Thread(target=run)
    worked.thread.start()
    ready.wait(30)
    try:
        yield worked
    finally:
        for end in ends:
            end()
        worked.thread.join(30)
        assert not worked.thread.is_alive()
