"""What a command and all processes that it began take, while it runs: processor time, and the memory of each.

A process that the command never waits for (as the one that begins a fleet's runs) is in no figure of the system's at
the end. So they are looked at while they run.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measure import ROOT

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MB: Final = 1_000_000
_FIELD: Final = re.compile(r"^(Pss|Private_Clean|Private_Dirty):\s+(\d+) kB", re.MULTILINE)


@dataclass(slots=True)
class Taken:
    """What a command took.

    Attributes:
        seconds: From its start to its end.
        cpu: Processor seconds of it and of all that it began, as far as seen at the last look.
        pss_mb: The most that one run's process had, what it shares with others counted in parts.
        private_mb: The same without what it shares.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    pss_mb: float = 0.0
    private_mb: float = 0.0


def taken(command: Sequence[str], *, code: int, every: float, memory: bool = False) -> Taken:
    """Run a command, and look at its processes.

    Args:
        command: The command.
        code: The exit code that is expected.
        every: Seconds between two looks.
        memory: Whether memory is looked at, too, of the processes that it began in two steps.

    Raises:
        RuntimeError: It ended with another exit code.
    """
    found, cpu = Taken(), dict[int, float]()
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            _look(process.pid, found, cpu, memory=memory)
            time.sleep(every)
    found.seconds, found.cpu = time.perf_counter() - began, sum(cpu.values())
    if process.returncode != code:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return found


def _look(root: int, found: Taken, cpu: dict[int, float], *, memory: bool) -> None:
    parents: dict[int, int] = {}
    times: dict[int, tuple[float, float]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            pid, own = int(entry.name), [int(one) / _TICKS for one in fields[11:15]]
            parents[pid], times[pid] = int(fields[1]), (own[0] + own[1], own[2] + own[3])
    # Of the command and of what it began itself, with all that they have waited for; of the runs while they run.
    direct = [pid for pid in parents if parents[pid] == root]
    runs = [pid for pid in parents if parents[pid] in direct]
    for pid in (root, *direct):
        if pid in times:
            cpu[pid] = sum(times[pid])
    cpu[0] = sum(times[pid][0] for pid in runs)
    for pid in runs if memory else ():
        try:
            rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue
        kib = {name: int(number) for name, number in _FIELD.findall(rollup)}
        found.pss_mb = max(found.pss_mb, kib.get("Pss", 0) * 1024 / _MB)
        found.private_mb = max(
            found.private_mb, sum(kib.get(f"Private_{one}", 0) for one in ("Clean", "Dirty")) * 1024 / _MB
        )
