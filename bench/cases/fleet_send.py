"""A fleet's runs beside what the same submissions take otherwise: a real RabbitMQ over TLS, journals on the disk.

``KPR_BENCH_FLEET`` names another number of municipalities than the whole country's, for trying: 12 take a minute.
All is measured in one go: the fleet, the same one after the other, and the same sealed bytes sent by bare proton.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from bench.cases.sending import Broker, started_broker
from bench.measure import ROOT, Count, python
from bench.processes import Taken, taken

MUNICIPALITIES: Final = int(os.environ.get("KPR_BENCH_FLEET", "357"))
_PENDING: Final = 80  # the exit code of what is published and not answered yet
_LARGEST: Final = 20.0  # MB of a pair; with the smallest of 0.2 MB, 357 are 1.2 GB
_JOBS: Final = 2
_LOOKS: Final = 0.5  # seconds between two looks at the processes
_GROWTH: Final = 10


def _kpr_send(file: Path) -> list[str]:
    command = [str(Path(sys.executable).parent / "kpr-send"), "--env", "lokal", "--config", str(file), "-q"]
    return [*command, "fleet", "send", "--wait", "0s", "--jobs", str(_JOBS)]


def _sent(file: Path, *, every: float = _LOOKS, memory: bool = False) -> Taken:
    return taken(_kpr_send(file), code=_PENDING, every=every, memory=memory)


def _made(broker: Broker, folder: Path, count: int, largest: float) -> None:
    subprocess.run(python("bench.fleet_send", "make", folder, count, largest, broker.where), check=True, cwd=ROOT)


@functools.cache
def _beside() -> dict[str, float]:
    """Hand all in three times, and return the ratios."""
    with started_broker() as (broker, work):
        broker.empty()
        _made(broker, work, MUNICIPALITIES, _LARGEST)
        fleet = _sent(work / "fleet.toml")
        broker.empty()
        single = taken(python("bench.fleet_send", "one", work / "again.toml"), code=0, every=_LOOKS)
        broker.empty()
        (work / "sealed").mkdir()
        subprocess.run(python("bench.fleet_send", "sealed", work / "again.toml", work / "sealed"), check=True, cwd=ROOT)
        files = sorted((work / "sealed").glob("*.p7m"))
        bare = _printed(python("bench.publish_bare", broker.where, *files))["seconds"]
    print(
        f"  {MUNICIPALITIES} municipalities: the fleet {fleet.seconds:.1f} s ({fleet.cpu:.1f} s of processors), "
        f"one by one {single.seconds:.1f} s ({single.cpu:.1f} s), bare proton {bare:.1f} s",
        flush=True,
    )
    return {"single": fleet.seconds / (single.seconds / _JOBS), "bare": fleet.seconds / bare}


def _memory() -> float:
    """Return how much memory the run of the largest pair takes."""
    with started_broker() as (broker, work):
        broker.empty()
        _made(broker, work, 2, _LARGEST)
        found = _sent(work / "fleet.toml", every=0.02, memory=True)
    print(f"  of which its own {found.private_mb:.0f} MB", flush=True)
    return found.pss_mb


def _growth() -> float:
    """Return how much longer one of many small pairs takes than one of a tenth as many."""
    few = max(MUNICIPALITIES // _GROWTH, 2)
    with started_broker() as (broker, work):
        seconds = []
        for count in (few, MUNICIPALITIES):
            broker.empty()
            (work / str(count)).mkdir()
            _made(broker, work / str(count), count, 0.2)
            seconds.append(_sent(work / str(count) / "fleet.toml").seconds / count)
    print(f"  {few}: {seconds[0]:.3f} s each, {MUNICIPALITIES}: {seconds[1]:.3f} s each", flush=True)
    return seconds[1] / seconds[0]


def _printed(command: list[str]) -> dict[str, Any]:
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


COUNTS: Final = (
    Count(
        "fleet_vs_one_by_one", "a fleet of 1.2 GB with --jobs 2; half of one by one", 1.3, lambda: _beside()["single"]
    ),
    Count("fleet_vs_bare_proton", "the same; bare proton, same sealed bytes", 3.0, lambda: _beside()["bare"]),
    Count("fleet_job_memory", "MB of one run's process with a pair of 20 MB, proportional", 120, _memory),
    Count("fleet_growth", "seconds of one of all municipalities; of one of a tenth as many", 1.2, _growth),
)
