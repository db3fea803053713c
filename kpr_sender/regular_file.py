"""Opening a file that somebody names to be read: a regular one, and without waiting for whoever might write to it.

A pipe gives its bytes once, and the product reads a file again before it seals it; one that nobody writes to lets even
the opening wait for ever. A device may do anything at all when it is opened, so it is looked at before.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
"""Opening a pipe does not wait for its other end; Windows has no such pipes."""
_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a terminal or device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegular(OSError):
    """What a path names is no regular file; ``strerror`` says what it is."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read; ``/dev/stdin`` is one where the shell opened one for it (``< FILE``).

    Raises:
        NotRegular: It is a pipe, socket or device.
        OSError: It is not there, is a folder, or cannot be read.
    """
    _require_regular(path.stat().st_mode, path)
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_WAIT))  # noqa: SIM115 - Path.open takes no opener
    try:
        _require_regular(os.fstat(file.fileno()).st_mode, path)  # what was opened, whatever lay there before
    except BaseException:
        file.close()
        raise
    return file


def _require_regular(mode: int, path: Path) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((name for holds, name in _KINDS if holds(mode)), "something else")
    raise NotRegular(errno.EINVAL, f"it is {kind}, and a regular file is needed", str(path))
