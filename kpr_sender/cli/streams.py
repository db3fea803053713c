"""Standard output and standard error that never decide anything, and show nothing that they must not (promise G6).

Whatever is printed as text loses national ids and control characters here, whoever printed it. JSON and log lines are
cleaned by their fields, before (``render.json``, ``logs``).

A full disk, a reader that has gone (``| head``), a terminal that has gone (EIO), a descriptor that was closed before
the start: the journal has what is known by then, and the exit code says it (promise G5). The bytes are lost; that they
are is said on standard error, unless the reader has gone. A pipe that is full is waited for, as a pager needs it, until
a signal or the time limit ends the run: from then on a second at a time.
"""

from __future__ import annotations

import errno
import io
import math
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO, cast

from kpr_sender.privacy import shown_text
from kpr_sender.render.language import say
from kpr_sender.texts import Text

_READER_HAS_GONE: Final = (errno.EPIPE, errno.EIO)
_STANDARD: Final = (0, 1, 2)
_STDERR: Final = 2
_AT_ONCE: Final = 4_096
"""As many bytes as a pipe that has room takes without keeping its writer (pipe(7))."""
_HURRIED_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.1


@contextmanager
def unfailing() -> Iterator[Callable[[], None]]:
    """Let no write to ``sys.stdout`` and ``sys.stderr`` fail, until the block ends.

    Yields a function: once it is called, also by a signal's handler or another thread, no write waits longer than a
    second for a reader.

    What the encoding of a stream does not have is replaced. A stream without bytes below it, ``StringIO`` for example,
    is left as it is: it has neither an encoding nor a disk.
    """
    before = sys.stdout, sys.stderr
    out, err = map(_Unfailing.below, before)
    # None is what Python makes of a descriptor that was closed before the start.
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - no path on Windows
        sys.stdout, sys.stderr = (
            nowhere if text is None else text if below is None else _text_above(text, below)
            for text, below in zip(before, (out, err), strict=True)
        )

        def hurry() -> None:
            for below in (out, err):
                if below is not None:
                    below.patience = _HURRIED_SECONDS

        try:
            yield hurry
        finally:
            if out is not None and out.failure is not None and out.failure.errno not in _READER_HAS_GONE:
                why = out.failure.strerror or type(out.failure).__name__
                sys.stderr.write(f"{say(Text('kpr-send: standard output cannot be written: {why}.', why=why))}\n")
            for text, below in ((sys.stdout, out), (sys.stderr, err)):
                if below is not None and isinstance(text, io.TextIOWrapper):
                    text.flush()
                    text.detach()  # or the stream below were closed with it
            sys.stdout, sys.stderr = before


def prepare_process() -> None:
    """Open what of the three standard descriptors is closed, and keep the text of exceptions nobody catches unseen.

    Otherwise the next file that is opened, the journal for example, would be standard error to whoever writes there.
    And Python prints what a thread raises, or an object that is being destroyed, with its text, which may hold a
    secret.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - the process's own, to its end
    threading.excepthook = _say_the_type
    sys.unraisablehook = _say_the_type


def _say_the_type(raised: Any) -> None:
    with suppress(Exception):  # also while the interpreter ends
        name = raised.exc_type.__name__
        sys.stderr.write(f"{say(Text('kpr-send: an unexpected {name} beside the run, which goes on.', name=name))}\n")


class _Unfailing(io.BufferedIOBase):
    """Bytes for a text stream that take what the stream below does not.

    Attributes:
        failure: What went wrong first; nothing more is written from then on.
        patience: How long a reader may take nothing, in seconds.
    """

    def __init__(self, text: TextIO) -> None:
        self.failure: OSError | None = None
        self.patience = math.inf
        self._text = text
        text.flush()

    @classmethod
    def below(cls, text: TextIO | None) -> _Unfailing | None:
        """Return what is to take a text stream's bytes; None where it has none."""
        return cls(text) if text is not None and hasattr(text, "buffer") else None

    @property
    def name(self) -> str:
        return self._text.name

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._text.isatty()

    def fileno(self) -> int:
        return self._text.fileno()

    def write(self, data: Any, /) -> int:
        written = memoryview(data).cast("B")
        for begin in range(0, written.nbytes, _AT_ONCE):
            self._write_chunk(written[begin : begin + _AT_ONCE])
        return written.nbytes

    def _write_chunk(self, chunk: memoryview) -> None:
        if self.failure is None:
            try:
                self._await_reader()
                self._text.buffer.write(chunk)
                self._text.buffer.flush()
            except OSError as error:
                self._give_up(error)

    def _await_reader(self) -> None:
        """Wait until a write would be taken at once: one that waits for its reader cannot be given up."""
        began = time.monotonic()
        while not _is_taken(self._text, _LOOK_SECONDS):
            if time.monotonic() - began > self.patience:
                raise TimeoutError(errno.ETIMEDOUT, "nobody reads it")

    def _give_up(self, error: OSError) -> None:
        self.failure = error
        # What the stream holds back Python writes at the end of the process, and makes 120 of the exit code where that
        # fails: let it go nowhere.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._text.fileno())
            os.close(nowhere)


def _is_taken(stream: TextIO | int, seconds: float) -> bool:
    """Return whether a stream takes bytes at once, waiting a while for it; True where that cannot be known."""
    try:
        return bool(select.select((), (stream,), (), seconds)[1])
    except (OSError, ValueError):  # no descriptor; Windows, which asks sockets alone
        return True


def warn_now(line: bytes) -> None:
    """Write a line to standard error where that takes it at once. For a signal's handler, which may not wait."""
    if _is_taken(_STDERR, 0):
        with suppress(OSError):
            os.write(_STDERR, line)


def _text_above(text: TextIO, below: _Unfailing) -> io.TextIOWrapper:
    return _Cleaned(below, encoding=text.encoding, errors="replace", line_buffering=True, write_through=True)


class _Cleaned(io.TextIOWrapper):
    """Text for people, cleaned as it is written."""

    def write(self, text: str, /) -> int:
        return super().write(shown_text(text))

    def write_as_it_is(self, text: str) -> int:
        """Write what is clean already: a display's colours, a log line's digests."""
        return super().write(text)


class _AsItIs:
    """A stream's bytes for what is clean already; everything else is the stream's own."""

    def __init__(self, stream: _Cleaned) -> None:
        self._stream = stream
        self.write = stream.write_as_it_is

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def as_it_is(stream: TextIO) -> TextIO:
    """Return a standard stream that what is clean already is written to."""
    return cast("TextIO", _AsItIs(stream)) if isinstance(stream, _Cleaned) else stream
