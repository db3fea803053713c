"""Reading a file that somebody names: a regular one, no more of it than it may be, and waiting for nobody.

A pipe gives its bytes once, and the product reads most files again (secrets each time that one is used, extracts before
they are sealed); one that nobody writes to lets even the opening wait for ever. A device may do anything at all when it
is opened, so it is looked at before. So process substitution (``<(pass show x)``) is refused like any pipe.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from kpr_sender.texts import Text

NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
"""Windows has no such flag; whoever may make a symbolic link there is an administrator."""
NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
"""Opening a pipe does not wait for its other end; Windows has no such pipes."""
LARGEST: Final = 10_000_000
"""What no configuration, key, certificate or bundle of certificates comes near."""
_PIECE: Final = 1 << 16
_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISFIFO, Text("a pipe")),
    (stat.S_ISSOCK, Text("a socket")),
    (stat.S_ISCHR, Text("a terminal or device")),
    (stat.S_ISBLK, Text("a device")),
    (stat.S_ISLNK, Text("a symbolic link")),
)


class NotRegular(OSError):
    """What a path names is no regular file; ``strerror`` says what it is."""


class TooLarge(OSError):
    """There is more in a file than in any of its kind; ``strerror`` says so."""


def read_regular(path: Path, *, most: int = LARGEST) -> bytes:
    """Return all of a regular file.

    Raises:
        TooLarge: It has more than ``most`` bytes.
        NotRegular, OSError: As ``open_regular``.
    """
    with open_regular(path) as file:
        return read_bounded(file, most)


def read_bounded(stream: BinaryIO, most: int) -> bytes:
    """Return all of a stream.

    Raises:
        TooLarge: There are more than ``most`` bytes.
        OSError: It cannot be read.
    """
    content = bytearray()
    # In pieces: one read takes the memory that it may need at most, whatever there is.
    while piece := stream.read(min(_PIECE, most + 1 - len(content))):
        content += piece
    if len(content) > most:
        raise TooLarge(errno.EFBIG, Text("it is larger than {most:,} bytes", most=most))
    return bytes(content)


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a regular file to read; ``/dev/stdin`` is one where the shell opened one for it (``< FILE``).

    Args:
        path: The file.
        follow: Whether it may be a symbolic link.

    Raises:
        NotRegular: It is a pipe, socket or device.
        OSError: It is not there, is a folder, cannot be read, or no file can have that name.
    """
    require_regular(path, follow=follow)
    flags = NO_WAIT if follow else NO_WAIT | NO_FOLLOW
    file = open(path, "rb", opener=lambda name, given: os.open(name, given | flags))  # noqa: SIM115 - Path.open takes no opener
    try:
        _require_mode(os.fstat(file.fileno()).st_mode, path)  # what was opened, whatever lay there before
    except BaseException:
        file.close()
        raise
    return file


def require_regular(path: Path, *, follow: bool = True) -> None:
    """Refuse what a library is to open that would wait for whoever writes to it. Raises as ``open_regular`` does."""
    try:
        mode = path.stat(follow_symlinks=follow).st_mode
    except ValueError:  # NUL in it, or what the file system's encoding lacks
        raise OSError(errno.EINVAL, Text("no file can have this name"), str(path)) from None
    _require_mode(mode, path)


def _require_mode(mode: int, path: Path) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((name for holds, name in _KINDS if holds(mode)), Text("something else"))
    raise NotRegular(errno.EINVAL, Text("it is {kind}, and a regular file is needed", kind=kind), str(path))
