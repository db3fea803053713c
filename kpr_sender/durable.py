"""Files of ours that nobody else may read, and that are as they should be after a loss of power, too."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kpr_sender.regular_file import NO_FOLLOW, require_regular


def free_in(folder: Path, name: str) -> Path:
    """Return a path in a folder at which nothing lies yet: the name itself, else with a number behind it."""
    names = (f"{name}.{number}" if number else name for number in itertools.count())
    return next(folder / one for one in names if not os.path.lexists(folder / one))


def write_file(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Write a file that only its owner may read; it takes an earlier one's place at once and complete.

    Args:
        path: The file.
        content: All of it.
        synced: Whether it is durable before return. Else a loss of power may leave the earlier one, or half of it.

    Raises:
        OSError: It cannot be written; the earlier one is as it was.
    """
    with rewriting(path, draft=path.with_name(f"{path.name}.{os.getpid()}.part"), synced=synced) as file:
        file.write(content)


@contextmanager
def rewriting(path: Path, *, draft: Path, alone: bool = False, synced: bool = True) -> Iterator[BinaryIO]:
    """Yield a new file, its owner's alone, that takes another's place at once and complete when the context is left.

    Args:
        path: The file whose place it takes.
        draft: Its name until then.
        alone: Whether a draft that is there is another run's; else it is one that was cut off, and is removed.
        synced: As for ``write_file``.

    Raises:
        FileExistsError: There is a draft, and it is another's.
        OSError: It cannot be written; the earlier one is as it was.
    """
    _require_replaceable(path)
    if not alone:
        draft.unlink(missing_ok=True)
    descriptor = _create(draft)
    try:
        with _written(descriptor, synced=synced) as file:
            yield file
        draft.replace(path)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what counts
            draft.unlink(missing_ok=True)
        raise
    if synced:
        sync_folder(path.parent)


@contextmanager
def new_file(path: Path, *, synced: bool = True) -> Iterator[BinaryIO]:
    """Yield a new file that only its owner may read; the disk has its content when the context is left.

    What had the name is removed, never written to: it may be a link to somebody else's file.

    Raises:
        OSError: It cannot be written.
    """
    _require_replaceable(path)
    path.unlink(missing_ok=True)
    with _written(_create(path), synced=synced) as file:
        yield file


@contextmanager
def created(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that was not there, its owner's alone; durable when the context is left, gone after any error.

    Raises:
        FileExistsError: Something has that name: nothing is ever overwritten.
        OSError: It cannot be written.
    """
    descriptor = _create(path)
    try:
        with _written(descriptor, synced=True) as file:
            yield file
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what counts
            path.unlink(missing_ok=True)
        raise


def _require_replaceable(path: Path) -> None:
    """Refuse to take the place of a device, pipe or socket: run by root, it would take /dev/null from everybody."""
    if not path.is_symlink():  # a link goes, and what it leads to stays
        with suppress(FileNotFoundError):
            require_regular(path, follow=False)


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


@contextmanager
def _written(descriptor: int, *, synced: bool) -> Iterator[BinaryIO]:
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        if synced:
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's names, a new or renamed file's among them.

    Raises:
        OSError: The disk will not.
    """
    if os.name != "posix":
        return  # Windows has no such call; NTFS keeps a rename in its own log
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def state_home(environ: Mapping[str, str]) -> Path | None:
    """Return the user's folder for what programs remember (XDG_STATE_HOME); None where nobody knows it."""
    # The XDG base directory specification: a relative path there is invalid and to be ignored.
    named = Path(environ.get("XDG_STATE_HOME", ""))
    windows = environ.get("LOCALAPPDATA", "") if os.name == "nt" else ""
    return named if named.is_absolute() else Path(windows) if windows else _below_home(environ)


def _below_home(environ: Mapping[str, str]) -> Path | None:
    """Return the state folder in the user's home; cron and sudo may leave HOME out, or another user's in it."""
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return Path(home, ".local", "state") if Path(home).is_absolute() else None
