"""``kpr-send fleet worker``: looks after municipalities when a task says so, until it is asked to end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from kpr_sender.cli import output
from kpr_sender.cli.fleet_lines import FleetProgress, line_after, showing
from kpr_sender.cli.fleet_run import carry_out, preload
from kpr_sender.cli.invocation import Invocation
from kpr_sender.engine import task_engine
from kpr_sender.errors import EXIT_OK, JournalLocked
from kpr_sender.fleet.file import FleetFile, FleetMunicipality
from kpr_sender.fleet.queues import database_of, queues_of
from kpr_sender.fleet.supervisor import look_after
from kpr_sender.render import json
from kpr_sender.render.fleet import FleetLine
from kpr_sender.settings.kinds import parse_duration, write_duration
from kpr_sender.tasks.port import WorkPlan
from kpr_sender.texts import Text, listed

_COMMAND: Final = "send"
_SHORT_WAIT: Final = "5s"
"""How long a look waits for receipts where nobody asks for more: what is there comes in that time, also over a slow
network, and the next look is soon.

A run that waited longer would have the journal all that time, so that a person could decide nothing, and a place of the
worker's.
"""


def work(invocation: Invocation, fleet: FleetFile, only: tuple[str, ...], jobs: int | None) -> int:
    """Work until Ctrl-C or SIGTERM, and return 0.

    Args:
        invocation: The options that every command shares.
        fleet: Whose municipalities are looked after.
        only: Those that are named; all where none is.
        jobs: How many at once; None for what the fleet file says.

    Raises:
        ConfigInvalid: What is needed is not installed, or the journals are not in one database.
        JournalUnwritable: The database is not reached, or was lost.
    """
    chosen = fleet.only(only)
    settings, queues = fleet.settings, queues_of(chosen)
    engine = task_engine(database_of(chosen, fleet.path), fleet.environment)
    engine.require_tables()
    plan = WorkPlan(tuple(queues), jobs or settings.jobs, settings.every, settings.stalled_after)
    with showing(invocation, fleet.environment, _COMMAND, 0) as shown:
        at_work = _AtWork(queues, settings.time_limit, shown)

        def ready(end: Callable[[], None]) -> None:
            at_work.end = end
            _announce(invocation, chosen, queues, plan)

        with invocation.ending.finishing(at_work.stop):
            engine.work(plan, at_work.look, on_ready=ready)
    return invocation.ending.known(EXIT_OK)


def _announce(
    invocation: Invocation,
    chosen: tuple[FleetMunicipality, ...],
    queues: Mapping[str, tuple[FleetMunicipality, ...]],
    plan: WorkPlan,
) -> None:
    named = {one.name for one in chosen}
    wrong = sorted(named - {one.name for each in queues.values() for one in each})
    value = json.envelope(None, pid=os.getpid(), jobs=plan.jobs, municipalities=sorted(named - set(wrong)), left=wrong)
    screen = [
        Text(
            "This worker looks after {count} municipality, every {every}, with the other workers there are.",
            plural="This worker looks after {count} municipalities, every {every}, {jobs} at once, with the other "
            "workers there are.",
            count=len(named) - len(wrong),
            every=write_duration(plan.every),
            jobs=plan.jobs,
        ),
        *([Text("Nothing can be done for {names}: see kpr-send fleet status.", names=listed(*wrong))] if wrong else []),
        Text("Ctrl-C ends it once what is under way is finished."),
    ]
    output.show(invocation, value, screen)


@dataclass(slots=True)
class _AtWork:
    """What the tasks of a worker do.

    Attributes:
        end: Lets the engine begin nothing more.
    """

    queues: Mapping[str, tuple[FleetMunicipality, ...]]
    time_limit: float
    shown: FleetProgress
    end: Callable[[], object] = lambda: None
    _stopping: bool = False
    _under_way: dict[str, Callable[[], None]] = field(default_factory=dict)
    _said: dict[str, tuple[int, object]] = field(default_factory=dict)
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def look(self, queue: str, wait: str | None) -> None:
        """Look after the municipalities of a queue, one after another: each as ``fleet send`` does."""
        seconds = wait if wait is not None and _is_duration(wait) else _SHORT_WAIT
        arguments = (_COMMAND, "--wait-for-files", "--wait", seconds)
        for one in self.queues.get(queue, ()):
            run = look_after(
                carry_out,
                self.shown.order(one, arguments),
                name=one.name,
                time_limit=self.time_limit,
                preload=preload(one.environment),
                on_ready=partial(self._begun, one.name),
            )
            with self._guard:
                self._under_way.pop(one.name, None)
            if run is not None:
                self._ended(line_after(one, run, _COMMAND))

    def stop(self) -> None:
        """Begin nothing more, and ask what is under way to end."""
        self._stopping = True
        self.end()
        for stop in tuple(self._under_way.values()):
            stop()

    def _begun(self, name: str, stop: Callable[[], None]) -> None:
        with self._guard:
            self._under_way[name] = stop
        if self._stopping:
            stop()

    def _ended(self, line: FleetLine) -> None:
        """Say what has become of one where that is something else than at the last look."""
        if isinstance(line.error, JournalLocked):
            return  # whoever has it says what becomes of it
        found = (line.exit_code, line.result.get("state"))
        with self._guard:
            if self._said.get(line.name) != found:
                self._said[line.name] = found
                self.shown.ended(line)


def _is_duration(written: str) -> bool:
    try:
        return parse_duration(written) >= 0
    except ValueError:
        return False
