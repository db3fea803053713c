"""The real command, run as cron runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.helpers.prefork import Forked

_DEADLINE_SECONDS: Final = 60

Process: TypeAlias = subprocess.Popen[str] | Forked


@dataclass(frozen=True)
class Ran:
    """A run that ended."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """Return the one object on standard output; fails when there is anything else."""
        value: dict[str, Any] = json.loads(self.out)
        return value


def start(*arguments: str | Path, cwd: Path | None = None, **environ: str) -> Forked:
    """Start ``kpr-send`` without waiting for it, in a process that has the product loaded already."""
    return Forked([str(argument) for argument in arguments], cwd, {**os.environ, **environ})


def start_anew(*arguments: str | Path, cwd: Path | None = None, **environ: str) -> subprocess.Popen[str]:
    """Start ``kpr-send`` in a Python of its own, as cron does, with this process's limits: five times slower."""
    with _sigint_heard():
        return subprocess.Popen(
            [sys.executable, "-m", "kpr_sender", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=cwd,
            env={**os.environ, **environ},
        )


@contextmanager
def _sigint_heard() -> Iterator[None]:
    """Let a child start with SIGINT as a terminal gives it, also where this process ignores it (``nohup make test &``).

    What a process ignores, the program that it starts ignores too; a handler does not pass on.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ended(process: Process) -> Ran:
    """Wait for a run to end by itself; kill it when it does not."""
    try:
        out, err = process.communicate(timeout=_DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ran(process.wait(), out, err)


def kpr_send(*arguments: str | Path, cwd: Path | None = None, **environ: str) -> Ran:
    """Run ``kpr-send`` to its end."""
    return ended(start(*arguments, cwd=cwd, **environ))


def interrupted(process: Process, when: Callable[[], bool], by: signal.Signals) -> Ran:
    """Send a signal as soon as a condition holds, and wait for the end."""
    until(when)
    process.send_signal(by)
    return ended(process)


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)
