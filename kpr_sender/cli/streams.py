"""Standard output and standard error that never decide anything, and show nothing that they must not (promise G6).

Whatever is printed as text loses national ids and control characters here, whoever printed it. JSON and log lines are
cleaned by their fields, before (``render.json``, ``logs``).

A full disk, a reader that has gone (``| head``), a terminal that has gone (EIO), a descriptor that was closed before
the start: the journal has what is known by then, and the exit code says it (promise G5). The bytes are lost; that they
are is said on standard error, unless the reader has gone.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO, cast

from kpr_sender.privacy import shown_text

_READER_HAS_GONE: Final = (errno.EPIPE, errno.EIO)
_STANDARD: Final = (0, 1, 2)


@contextmanager
def unfailing() -> Iterator[None]:
    """Let no write to ``sys.stdout`` and ``sys.stderr`` fail, until the block ends.

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
        try:
            yield
        finally:
            if out is not None and out.failure is not None and out.failure.errno not in _READER_HAS_GONE:
                why = out.failure.strerror or type(out.failure).__name__
                sys.stderr.write(f"kpr-send: standard output cannot be written: {why}.\n")
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
        sys.stderr.write(f"kpr-send: an unexpected {raised.exc_type.__name__} beside the run, which goes on.\n")


class _Unfailing(io.BufferedIOBase):
    """Bytes for a text stream that take what the stream below does not.

    Attributes:
        failure: What went wrong first; nothing more is written from then on.
    """

    def __init__(self, text: TextIO) -> None:
        self.failure: OSError | None = None
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
        if self.failure is None:
            try:
                self._text.buffer.write(data)
            except OSError as error:
                self._give_up(error)
        return memoryview(data).nbytes

    def flush(self) -> None:
        if self.failure is None:
            try:
                self._text.buffer.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.failure = error
        # What the stream holds back Python writes at the end of the process, and makes 120 of the exit code where that
        # fails: let it go nowhere.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._text.fileno())
            os.close(nowhere)


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
