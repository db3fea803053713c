"""What processes of a supervisor do in its tests: answer, die, or not end when they are asked to."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from tests.helpers.command import until

_END = threading.Event()
own_modules = True
"""A test says otherwise in its own process: a copy of that would, too."""


def work(order: tuple[str, str]) -> tuple[str, float, float]:
    """Do what the order says; return its name, and from when to when it took."""
    what, path = order
    began = time.monotonic()
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise ValueError(path)
    if what == "asked":
        signal.signal(signal.SIGTERM, lambda *_: _END.set())
        Path(path).touch()
        assert _END.wait(60)
    if what == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path(path).touch()
        time.sleep(60)
    if what == "meet":
        Path(path).touch()
        until(lambda: len(list(Path(path).parent.iterdir())) > 1)
    return what, began, time.monotonic()


def origin(_order: tuple[str, str]) -> tuple[int, bool]:
    """Return which process began this one, and whether the modules here are its own."""
    return os.getppid(), own_modules
