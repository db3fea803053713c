"""Runs commands as processes of their own and says what they took: wall seconds and peak memory.

This process stays small on purpose: Linux counts the memory of whoever starts a process into its peak. So nothing heavy
is imported here, and what makes the data or serves the broker runs in processes of its own, too.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).resolve().parents[1]
DATA: Final = ROOT / ".cache" / "bench"
_TMPFS: Final = Path("/dev/shm")  # noqa: S108 - only ever one scratch file with a random name in it
_INSTALLED: Final = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPYCACHEPREFIX": str(DATA / "bytecode"),
}
"""Modules are compiled once, as where the package is installed, whatever the environment of whoever measures says."""
_KIB_PER_MB: Final = 1_000_000 / 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run took, all its processes together: seconds of the case's kind, and peak memory in MB (10^6 bytes)."""

    seconds: float
    peak_mb: float

    def above(self, start: Sample) -> Sample:
        """Return what this run took beyond ``start``, a run of the same commands on next to nothing."""
        return Sample(self.seconds - start.seconds, max(self.peak_mb - start.peak_mb, 0.0))


class Unavailable(Exception):
    """A case cannot be measured here; the text says what is missing."""


Run = Callable[[], Sample]
"""Measures one side once."""


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison.

    Attributes:
        name: Its key in bench.json.
        what: What is compared, in a few words.
        aim: The ratio that is aimed at, or for ``start`` the seconds.
        sides: Makes the data ready and yields how to run ours and theirs; cleans up on leaving.
    """

    name: str
    what: str
    aim: str
    sides: Callable[[], AbstractContextManager[tuple[Run, Run]]]


@dataclass(frozen=True, slots=True)
class Count:
    """A figure that is counted.

    Attributes:
        name: Its key in bench.json.
        what: What is counted, in a few words.
        aim: The most that is aimed at.
        count: Counts it.
    """

    name: str
    what: str
    aim: float
    count: Callable[[], float]


def processor_time(command: Sequence[str], *, code: int = 0) -> Sample:
    """Run a command; return its processor time, user and system, as the sample's seconds.

    Raises:
        RuntimeError: It ended with another exit code than ``code``; with what it printed.
    """
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed, cwd=ROOT, env=_INSTALLED)
        usage = _reap(process)
        if process.returncode != code:
            printed.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}: {printed.read().decode(errors='replace')}")
    return Sample(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _KIB_PER_MB)


def pipeline(commands: Sequence[Sequence[str]], stdin: Path, stdout: Path) -> Sample:
    """Run commands joined by pipes, from one file to another, and wait for all.

    Raises:
        RuntimeError: One of them failed; with what they said.
    """
    processes: list[subprocess.Popen[bytes]] = []
    began = time.perf_counter()
    with stdin.open("rb") as first, stdout.open("wb") as last, tempfile.TemporaryFile() as said:
        source: IO[bytes] = first
        for number, command in enumerate(commands, start=1):
            sink = last if number == len(commands) else subprocess.PIPE
            process = subprocess.Popen(command, stdin=source, stdout=sink, stderr=said, cwd=ROOT, env=_INSTALLED)
            if source is not first:
                source.close()
            processes.append(process)
            if process.stdout is not None:
                source = process.stdout
        peaks = [_reap(process).ru_maxrss / _KIB_PER_MB for process in processes]
        if any(process.returncode for process in processes):
            said.seek(0)
            raise RuntimeError(f"{commands}: {said.read().decode(errors='replace')}")
    return Sample(time.perf_counter() - began, sum(peaks))


def _reap(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """Wait for a process; return what it used."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def python(module: str, *arguments: object) -> list[str]:
    """Return the command that runs one of our modules with the same Python."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def scratch_folder() -> Path:
    """Return where results are written: memory where there is such a file system, so that no disk is measured."""
    return _TMPFS if _TMPFS.is_dir() and os.access(_TMPFS, os.W_OK) else DATA
