"""Each municipality in a process of its own: how one ends is no other's business."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kpr_sender.cli.fleet_run import preload
from kpr_sender.fleet import supervisor as supervisor_module
from kpr_sender.fleet.supervisor import EndedRun, PlannedRun, Supervisor, look_after
from kpr_sender.model import Environment
from tests.helpers import fleet_targets
from tests.helpers.command import until
from tests.helpers.fleet_targets import origin, work

Work = tuple[str, str]
Found = tuple[str, float, float]
LOADED = ("tests.helpers.fleet_targets", *preload(Environment.LOKAL))
"""A test process has one server of processes for all of its tests: what the command wants is loaded, too."""


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """What all processes need is loaded before the first of them has a time limit."""
    ended = look_after(work, ("good", ""), name="0", time_limit=60, preload=LOADED)
    assert ended is not None
    assert ended.found is not None


def planned(*orders: tuple[str, str], path: str = "", group: str = "") -> list[PlannedRun[Work]]:
    return [PlannedRun(name, (what, path and f"{path}/{name}"), group or name) for name, what in orders]


def test_how_one_ends_is_no_other_s_business(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    orders = (("1", "die"), ("2", "deaf"), ("3", "asked"), ("4", "raise"), ("5", "good"))
    seen: list[EndedRun[Found]] = []
    supervisor = Supervisor[Work, Found](work, 5, time_limit=6, preload=LOADED, on_end=seen.append, grace=1)

    ended = {run.name: run for run in supervisor.run(planned(*orders, path=str(tmp_path)))}

    assert {run.name for run in seen} == set(ended) == {"1", "2", "3", "4", "5"}
    found = {name: run.found for name, run in ended.items()}
    assert [each and each[0] for _, each in sorted(found.items())] == [None, None, "asked", None, "good"]
    assert [ended[name].timed_out for name in "12345"] == [False, True, True, False, False]
    assert [ended[name].killed for name in "12345"] == [False, True, False, False, False]
    assert str(tmp_path) not in "".join(capfd.readouterr()), "what a process raises may hold anything"


def test_no_more_than_so_many_are_under_way_and_of_a_group_one(tmp_path: Path) -> None:
    alone, together = (("1", "good"), ("2", "good")), (("3", "meet"), ("4", "meet"), ("5", "good"))
    runs = [*planned(*alone, group="one journal"), *planned(*together, path=str(tmp_path))]
    ended = {run.name: run.found for run in Supervisor[Work, Found](work, 2, preload=LOADED).run(runs)}

    spans = {name: (found[1], found[2]) for name, found in ended.items() if found is not None}
    under_way = [sum(began <= at < end for began, end in spans.values()) for at, _ in spans.values()]
    assert (len(spans), max(under_way)) == (5, 2)
    assert spans["1"][1] <= spans["2"][0]


def test_who_is_asked_to_stop_begins_nothing_more_and_asks_what_is_under_way(tmp_path: Path) -> None:
    supervisor = Supervisor[Work, Found](work, 1, grace=60)

    def stop_when_begun() -> None:
        until((tmp_path / "1").exists)
        supervisor.stop()

    stopping = threading.Thread(target=stop_when_begun)
    stopping.start()
    ended = supervisor.run(planned(("1", "asked"), ("2", "good"), path=str(tmp_path)))
    stopping.join()

    assert [(run.name, run.found is not None, run.timed_out) for run in ended] == [("1", True, False)]


def test_one_municipality_is_looked_after_by_one_function() -> None:
    began = time.monotonic()
    ended = look_after(work, ("good", ""), name="0301", time_limit=60)

    assert ended is not None
    assert (ended.name, ended.found and ended.found[0], ended.killed) == ("0301", "good", False)
    assert ended.seconds <= time.monotonic() - began
    stopped = look_after(work, ("good", ""), name="0301", time_limit=60, on_ready=lambda stop: stop())
    assert stopped is None, "nothing is begun for a worker that is asked to end"


_IN_A_PROGRAM = """
from multiprocessing.util import get_temp_dir
from kpr_sender.fleet.supervisor import look_after
from tests.helpers.fleet_targets import work
print(look_after(work, ("good", ""), name="0301", time_limit=60).found[0], get_temp_dir())
"""


def test_a_name_for_temporary_files_that_is_too_long_for_a_socket_s_keeps_nothing_from_running(tmp_path: Path) -> None:
    long = tmp_path / ("a" * 60) / ("b" * 60)
    long.mkdir(parents=True)
    environment = {**os.environ, "TMPDIR": str(long)}
    ran = subprocess.run(
        [sys.executable, "-c", _IN_A_PROGRAM], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found, folder = ran.stdout.split()
    assert (found, Path(folder).exists(), list(long.iterdir())) == ("good", False, [])


def test_without_a_server_of_processes_each_makes_its_imports_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which has none."""
    monkeypatch.setattr(fleet_targets, "own_modules", False)
    served = look_after(origin, ("", ""), name="1", time_limit=60, preload=LOADED)
    assert served is not None
    assert served.found not in {None, (os.getpid(), True)}

    monkeypatch.setattr(supervisor_module, "_has_socket_name", lambda: False)

    anew = look_after(origin, ("", ""), name="1", time_limit=60, preload=LOADED)
    assert anew is not None
    assert anew.found == (os.getpid(), True)
    ended = {run.name: run.found for run in Supervisor[Work, Found](work, 2).run(planned(("1", "die"), ("2", "good")))}
    assert [each and each[0] for _, each in sorted(ended.items())] == [None, "good"]
