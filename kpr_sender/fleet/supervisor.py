"""Runs of municipalities, each in a process of its own: so many at once, each ended when its time is up.

A process begins with the imports made (forkserver; on Windows each makes them anew). What one run does, how long it
takes and how it ends is no other's business. Those of one group, which share a journal, run one after another.

``look_after`` is the whole for one municipality, for whoever has an engine of its own to say when.
"""

from __future__ import annotations

import atexit
import math
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Generic, TypeVar

GRACE_SECONDS: Final = 30.0
"""Between SIGTERM and SIGKILL: a step under way is finished in that time."""

_SOCKET_NAME: Final = "/pymp-12345678/listener-12345678"
_LONGEST_FOLDER: Final = 103 - len(_SOCKET_NAME)
"""For temporary files, in bytes: a socket's name has 107 of them on Linux, and 103 on macOS (``sun_path``)."""
_SHORT_FOLDERS: Final = ("/tmp", "/var/tmp")  # noqa: S108 - a folder of our own is made in it
_naming: Final = threading.Lock()

Work = TypeVar("Work")
Found = TypeVar("Found")


def _nothing(*_: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class PlannedRun(Generic[Work]):
    """What is to be done for one municipality.

    Attributes:
        name: The municipality.
        work: What the process is handed; it must be one that can be pickled.
        group: Runs of one group are never under way together.
    """

    name: str
    work: Work
    group: Hashable


@dataclass(frozen=True, slots=True)
class EndedRun(Generic[Found]):
    """How a run has ended.

    Attributes:
        found: What it found; None where the process ended before it could say so.
        timed_out: Whether it was asked to end because its time was up.
        killed: Whether it had to be ended.
        seconds: How long it took.
    """

    name: str
    found: Found | None
    timed_out: bool
    killed: bool
    seconds: float


@dataclass(slots=True)
class _Process:
    """One process under way."""

    run: PlannedRun[Any]
    process: Any
    answers: Connection
    began: float
    ends: float
    asked: bool = False
    timed_out: bool = False
    killed: bool = False


@dataclass(slots=True)
class Supervisor(Generic[Work, Found]):
    """Starts runs, ends what takes too long, and collects what they found.

    Attributes:
        target: What a process does with its work; a function of a module.
        jobs: How many are under way at once.
        time_limit: How long each may take, in seconds.
        preload: Modules that are imported once, before any process begins.
        on_end: Called when one has ended, in the order in which they end.
        grace: Seconds between asking a process to end and ending it.
    """

    target: Callable[[Work], Found]
    jobs: int
    time_limit: float = math.inf
    preload: Sequence[str] = ()
    on_end: Callable[[EndedRun[Found]], object] = _nothing
    grace: float = GRACE_SECONDS
    _stopping: bool = False
    _stops: int = 0
    _passed_on: int = 0
    _wake: tuple[Any, Any] = field(default_factory=lambda: multiprocessing.Pipe(duplex=False))

    def run(self, planned: Iterable[PlannedRun[Work]]) -> list[EndedRun[Found]]:
        """Carry all out, and return how each has ended, in the order in which they ended.

        Raises:
            Whatever ``on_end`` raises; processes under way are ended before.
        """
        context = _context(self.preload)
        left, under_way, ended = deque(planned), list[_Process](), list[EndedRun[Found]]()
        try:
            while under_way or (left and not self._stopping):
                while not self._stopping and (run := self._next(left, under_way)) is not None:
                    under_way.append(self._started(context, run))
                for process in self._finished(under_way):
                    under_way.remove(process)
                    ended.append(self._ended(process))
                    self.on_end(ended[-1])
        finally:
            for process in under_way:
                _kill(process)
        return ended

    def stop(self) -> None:
        """Begin nothing more and ask what is under way to end; for a signal's handler and for other threads."""
        self._stopping = True
        self._stops += 1
        with suppress(OSError):
            self._wake[1].send_bytes(b".")

    def _next(self, left: deque[PlannedRun[Work]], under_way: Sequence[_Process]) -> PlannedRun[Work] | None:
        if len(under_way) >= self.jobs:
            return None
        busy = {process.run.group for process in under_way}
        found = next((run for run in left if run.group not in busy), None)
        if found is not None:
            left.remove(found)
        return found

    def _started(self, context: Any, run: PlannedRun[Work]) -> _Process:
        answers, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_carry_out, args=(self.target, run.work, theirs), name=f"kpr-{run.name}")
        process.start()
        theirs.close()  # from here on its end is the end of the process, even where the forkserver has gone
        now = time.monotonic()
        return _Process(run, process, answers, now, now + self.time_limit)

    def _finished(self, under_way: Sequence[_Process]) -> list[_Process]:
        """Wait until a run has ended, or something is to be done about one; return those that have."""
        now = time.monotonic()
        soonest = min(process.ends for process in under_way)
        timeout = None if soonest == math.inf else max(0.0, soonest - now)
        ready = wait([*(process.answers for process in under_way), self._wake[0]], timeout)
        if self._wake[0] in ready:
            self._wake[0].recv_bytes()
        now = time.monotonic()
        for process in under_way:
            if process.answers in ready:
                continue
            if self._stops > self._passed_on:
                self._ask(process, now)
            if now >= process.ends:
                if process.asked:
                    _kill(process)
                    process.ends = math.inf
                else:
                    process.timed_out = True
                    self._ask(process, now)
        self._passed_on = self._stops
        return [process for process in under_way if process.answers in ready]

    def _ask(self, process: _Process, now: float) -> None:
        """Ask a process to end after the step under way."""
        process.asked = True
        process.ends = min(process.ends, now + self.grace) if process.ends > now else now + self.grace
        _signal(process, signal.SIGTERM)

    def _ended(self, process: _Process) -> EndedRun[Found]:
        found: Found | None = None
        with suppress(EOFError, OSError):
            found = process.answers.recv()
        process.answers.close()
        process.process.join(self.grace)  # it has said all that it has to say
        if process.process.is_alive():
            _kill(process)
            process.process.join(self.grace)
        seconds = time.monotonic() - process.began
        return EndedRun(process.run.name, found, process.timed_out, process.killed, seconds)


def look_after(
    target: Callable[[Work], Found],
    work: Work,
    *,
    name: str,
    time_limit: float,
    preload: Sequence[str] = (),
    on_ready: Callable[[Callable[[], None]], object] = _nothing,
) -> EndedRun[Found] | None:
    """Run one municipality in a process of its own, and return how that has ended.

    Args:
        target: What the process does; a function of a module.
        work: What it is handed.
        name: The municipality.
        time_limit: In seconds.
        preload: As ``Supervisor.preload``.
        on_ready: Called first, with what asks the run to end; for other threads.

    Returns:
        None where it was asked to end before it began.
    """
    supervisor = Supervisor[Work, Found](target, 1, time_limit, preload)
    on_ready(supervisor.stop)
    return next(iter(supervisor.run([PlannedRun(name, work, name)])), None)


def _context(preload: Sequence[str]) -> Any:
    """Return how processes begin: with the imports made, where the system has that."""
    if sys.platform == "win32" or not _has_socket_name():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *preload])  # else each process would import the program's own anew
    return context


def _has_socket_name() -> bool:
    """Have the socket of multiprocessing's server where its name fits, however long TMPDIR is.

    Python does so itself from 3.14 on (https://github.com/python/cpython/issues/132124), in the same way.
    """
    with _naming:
        config: dict[str, Any] = vars(multiprocessing.current_process())["_config"]
        if config.get("tempdir") or len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_FOLDER:
            return True
        for folder in _SHORT_FOLDERS:
            with suppress(OSError):
                made = config["tempdir"] = tempfile.mkdtemp(prefix="pymp-", dir=folder)
                atexit.register(shutil.rmtree, made, ignore_errors=True)
                return True
        return False


def _carry_out(target: Callable[[Work], Found], work: Work, answers: Connection) -> None:
    """Do the work, hand over what was found and end; in the process."""
    try:
        answers.send(target(work))
        answers.close()
    except BaseException:  # noqa: BLE001, S110 - its text may hold a secret; what is known the journal says
        pass
    finally:
        os._exit(0)  # as ``Ending.exit``: no thread, library or stream keeps it


def _signal(process: _Process, number: int) -> None:
    """Signal a process that has not closed its end of the pipe, and so is there."""
    with suppress(OSError):
        if sys.platform == "win32":
            process.process.terminate()
        elif process.process.pid is not None:
            os.kill(process.process.pid, number)


def _kill(process: _Process) -> None:
    process.killed = True
    if sys.platform == "win32":
        _signal(process, signal.SIGTERM)
    else:
        _signal(process, signal.SIGKILL)
