"""What a signal does to a command, from its start to the last moment of its process.

Until the result is known the first signal lets the step under way be finished, where there is one; else it breaks the
run off, once: what follows, closing the links and reading the journal, is not broken off by another. From the moment
that the result is known nothing decides the exit code but it (promise G5). Output that nobody reads is given up from
the first signal on (``streams``), and whatever else still keeps the process is left behind after some seconds.

SIGHUP (the terminal is gone) does what SIGTERM does, and reloads nothing. On Windows Ctrl-Break does; that was not run.
"""

from __future__ import annotations

import _thread  # a handler may come in the middle of ``threading``'s own work, and must not take its locks
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, NoReturn

from kpr_sender.errors import KprError
from kpr_sender.render.language import say
from kpr_sender.texts import Text

INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it: the run ended before anything was known."""

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
SAME_SECONDS: Final = 0.2
"""Signals within this time are one: coreutils' timeout signals the process, then its group; systemd may add SIGHUP."""
_LAST_SECONDS: Final = 5.0
_IMPORT_SECONDS: Final = 0.02


class Ending:
    """Hears the signals of a command.

    Attributes:
        code: The exit code; None until it is known.
        error: What the exit code stands for, as far as it was printed; None for 0.
        answered: Whether the command has printed what it found: whatever fails after that is said and decides nothing.
        finish_step: Lets the step under way be finished, at the first signal; returns whether there is one.
        hurry: Called at each signal; output that nobody reads must keep the process no longer.
        afterwards: What follows once the result is known and printed, and changes nothing of it; None for nothing.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self.error: KprError | None = None
        self.answered = False
        self.finish_step: Callable[[], bool] = _no_step
        self.hurry: Callable[[], object] = _no_step
        self.afterwards: Callable[[], object] | None = None
        self._begun = self._broken_off = self._leaving = self._listening = False
        self._first_at: float | None = None

    def begin(self) -> None:
        """Let signals break the run off from here on: the caller catches what they raise.

        Raises:
            KeyboardInterrupt: One came before.
        """
        self._begun = True
        if self._first_at is not None:
            self._broken_off = True
            raise KeyboardInterrupt

    def known(self, code: int) -> int:
        """Let the run end with this exit code, whatever signal comes from now on; return it."""
        self.code = code
        return code

    @property
    def signalled(self) -> bool:
        """Whether a signal asked the run to end: nothing that can wait for the next run is begun then."""
        return self._first_at is not None or self._leaving

    def follow_up(self) -> None:
        """Do what follows the result. Whatever it raises is said by its type alone, and decides nothing."""
        try:
            if self.afterwards is not None:
                self.afterwards()
        except BaseException as error:  # noqa: BLE001 - also a panic of a native library; its text may hold a secret
            text = Text("kpr-send: an unexpected {name} after the result, which stands.", name=type(error).__name__)
            sys.stderr.write(f"{say(text)}\n")

    @contextmanager
    def finishing(self, stop: Callable[[], object]) -> Iterator[None]:
        """Let ``stop`` ask what is under way to end, at the first signal while entered."""

        def finish() -> bool:
            stop()
            return True

        before, self.finish_step = self.finish_step, finish
        try:
            yield
        finally:
            self.finish_step = before

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear signals while entered."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # What the caller has switched off stays off: nohup, and jobs that a shell put into the background.
        heard = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
        self._listening = True
        for number in heard:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in heard.items():
                signal.signal(number, handler)
            self._listening = False

    def exit(self) -> NoReturn:
        """End the process with its exit code, now.

        The interpreter's own way out is not taken: a signal, a thread that still runs, a library's ``atexit`` or a
        stream that cannot be flushed would give the process another code (143, 134, 120), or keep it for ever.
        """
        _remove_server_folder()
        os._exit(INTERRUPTED if self.code is None else self.code)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.hurry()
        if self.code is not None or self._broken_off:
            self._leave()
            return
        if _put_off(number, frame):
            return
        now, first = time.monotonic(), self._first_at is None
        if self._first_at is None:
            self._first_at = now
        elif now - self._first_at < SAME_SECONDS:
            return
        if not self._begun or (first and self.finish_step()):
            return
        self._broken_off = True
        raise KeyboardInterrupt

    def _leave(self) -> None:
        """End the process in some seconds, if it has not ended by itself by then."""
        if self._leaving:
            return
        self._leaving = True
        try:
            _thread.start_new_thread(self._exit_later, ())
        except RuntimeError:  # no more threads to be had
            self.exit()

    def _exit_later(self) -> None:
        time.sleep(_LAST_SECONDS)
        if self._listening:
            self.exit()


def _no_step() -> bool:
    return False


def _put_off(number: int, frame: FrameType | None) -> bool:
    """Deliver a signal anew, and soon, where it came while a module was being imported; return whether it did.

    An interrupt inside an import ends the process by its signal, whatever catches it: no state would be printed.
    """
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    if frame is None:
        return False
    _thread.start_new_thread(_signal_again, (number,))
    return True


def _signal_again(number: int) -> None:
    time.sleep(_IMPORT_SECONDS)
    _thread.interrupt_main(signal.Signals(number))


def _remove_server_folder() -> None:
    """Remove the folder in which multiprocessing has its server's socket: its own ``atexit`` is not reached."""
    if (server := sys.modules.get("multiprocessing.forkserver")) is not None:
        with suppress(OSError):  # it makes the folder where there is none yet; the code that ends us counts more
            shutil.rmtree(server.util.get_temp_dir(), ignore_errors=True)
