"""``kpr-send fleet send`` where workers live: it asks them, and shows what comes of it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kpr_sender.cli.fleet_lines import fleet_answer, line_of, showing
from kpr_sender.cli.invocation import Invocation
from kpr_sender.engine import has_task_engine, task_engine
from kpr_sender.errors import KprError
from kpr_sender.fleet.file import FleetFile, FleetMunicipality
from kpr_sender.fleet.overview import status_of
from kpr_sender.fleet.queues import database_of, queues_of
from kpr_sender.fleet.supervisor import GRACE_SECONDS
from kpr_sender.render.fleet import FleetLine

if TYPE_CHECKING:
    from kpr_sender.tasks.port import TaskEngine, Tasks

_LOOK_SECONDS: Final = 0.5
_BEGINNING_SECONDS: Final = 3.0
"""How long a worker that has begun to put its municipalities in takes from one to the next, at most."""


def engine_with_workers(fleet: FleetFile, only: tuple[str, ...]) -> TaskEngine | None:
    """Return the engine whose workers can be asked; None where the runs are to be begun here.

    They are begun here, too, where the workers that live look after others alone: of another fleet file, or of --only.
    Whatever keeps them from being asked is no error: each run says what is wrong with its own municipality.
    """
    chosen = fleet.only(only)
    try:
        if not has_task_engine():
            return None
        engine = task_engine(database_of(chosen, fleet.path), fleet.environment)
        engine.require_tables()
        with engine.opened() as tasks:
            return engine if tasks.has_workers() and not _some_are_left_out(tasks, fleet, chosen) else None
    except KprError:
        return None


def _some_are_left_out(tasks: Tasks, fleet: FleetFile, chosen: tuple[FleetMunicipality, ...]) -> bool:
    """Tell whether no worker looks after one of them; a worker that has just begun comes to them one by one."""
    within = fleet.settings.time_limit + 2 * fleet.settings.every  # a worker may have no place free so long
    queues, before = queues_of(chosen), frozenset[str]()
    while left := tasks.left_out(queues, within):
        if left == before:
            return True
        before = left
        time.sleep(_BEGINNING_SECONDS)
    return False


def follow(
    invocation: Invocation,
    fleet: FleetFile,
    chosen: tuple[FleetMunicipality, ...],
    engine: TaskEngine,
    wait: str,
) -> int:
    """Ask the workers to look after them, wait until they have, and show what the journals say then.

    A signal ends the waiting, and none of the runs. So does it that no worker lives any more, or that for longer than a
    run may take none has ended.
    """
    queues, stopped = queues_of(chosen), threading.Event()
    found: dict[str, FleetLine] = {}
    with (
        showing(invocation, fleet.environment, "send", len(chosen)) as shown,
        invocation.ending.finishing(stopped.set),
        engine.opened() as tasks,
    ):
        numbers = tasks.defer(queues, wait)
        left, ends = frozenset[int]().union(*numbers.values()), 0.0
        while left and not stopped.wait(_LOOK_SECONDS):
            now_left = tasks.left(left)
            for queue, tasks_of_it in numbers.items():
                if tasks_of_it & left and not tasks_of_it & now_left:
                    for one in queues[queue]:
                        found[one.name] = line_of(one, status_of(one, datetime.now(UTC)), begun=True)
                        shown.ended(found[one.name])
            if now_left != left or not ends:
                ends = time.monotonic() + fleet.settings.time_limit + GRACE_SECONDS
            left = now_left
            if left and (time.monotonic() > ends or not tasks.has_workers()):
                break
    now = datetime.now(UTC)
    lines = [found.get(one.name) or line_of(one, status_of(one, now), begun=False) for one in chosen]
    return fleet_answer(invocation, "send", fleet, lines)
