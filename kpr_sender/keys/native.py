"""Shields a secret from the library that it is handed to: nothing that it raises or prints reaches anybody.

cryptography's lower half is Rust. Where that panics, it prints its own words on file descriptor 2, past Python, and
raises what is no ``Exception``: both quote what it was given (seen with NUL in the passphrase of a PKCS#12 file).
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm

from kpr_sender.errors import AccessRefused
from kpr_sender.texts import Text

_STDERR: Final = 2
_PANIC: Final = "pyo3_runtime"
"""The module of ``PanicException``; no import gives the class."""
_BY_CONTRACT: Final = (ValueError, TypeError, UnsupportedAlgorithm)
_ONE_AT_A_TIME: Final = threading.Lock()

T = TypeVar("T")


def shielded(work: Callable[[], T], *, name: str) -> T:
    """Let a library work on a secret.

    Whatever is printed on standard error meanwhile, by other threads, too, is shown afterwards: unless it failed.

    Args:
        work: Calls the library. What it raises by contract passes: ValueError, TypeError and UnsupportedAlgorithm.
        name: The file or configuration key, for messages.

    Raises:
        AccessRefused: The library panicked, or raised anything else. Nothing of its words is in it.
    """
    with _ONE_AT_A_TIME, _stderr_held() as held:
        try:
            return work()
        except _BY_CONTRACT:
            raise
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__module__ != _PANIC:
                raise
            with suppress(OSError):
                held.seek(0)
                held.truncate()
    # Raised out here: inside the handler the panic would be its context, and go wherever that is shown.
    raise AccessRefused(
        Text("The library that reads keys failed on the key or its passphrase."),
        where=name,
        next_step=Text("Export the key anew, with a passphrase of plain letters and digits."),
    )


@contextmanager
def _stderr_held() -> Iterator[IO[bytes]]:
    """Hold what is printed on standard error while entered, and print what is left of it at the end."""
    with _scratch() as held:
        try:
            outside = os.dup(_STDERR)
        except OSError:  # closed: nobody sees what is printed
            yield held
            return
        try:
            os.dup2(held.fileno(), _STDERR)
            yield held
        finally:
            os.dup2(outside, _STDERR)
            with suppress(OSError), os.fdopen(outside, "wb") as stderr:
                held.seek(0)
                stderr.write(held.read())


def _scratch() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError:  # no folder for it, or no room
        return Path(os.devnull).open("r+b", buffering=0)
