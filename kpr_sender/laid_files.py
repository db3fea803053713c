"""Files that another program lays down in a folder for us: which may be taken, when, and where they go.

The rules, whatever the files are:

1. Only regular files, through no link. Hidden ones and ``.part`` or ``.tmp`` never.
2. Only when unchanged for 5 seconds: the other program may still be writing.
3. Moved within the folder, over no other, and durable; never deleted or written to.

Everything raises ``OSError`` as it comes: what it means to a person depends on whose folder it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from kpr_sender.durable import free_in, sync_folder
from kpr_sender.regular_file import NotRegular, open_regular
from kpr_sender.texts import Text

_UNCHANGED_SECONDS: Final = 5.0
_UNFINISHED: Final = (".part", ".tmp")


@dataclass(frozen=True, slots=True)
class LaidFile:
    """A file as it was found; equal to itself as long as it is unchanged."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Unchanged:
    """Tells files that are complete, for the length of one run.

    Attributes:
        now: The time, for files that were there before this run began.
        monotonic: A clock that never jumps, in seconds, for a file server whose clock is off.
    """

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    _seen: dict[LaidFile, float] = field(default_factory=dict)

    def see(self, files: Iterable[LaidFile]) -> None:
        """Remember since when each of these is as it is, and forget the others."""
        self._seen = {file: self._seen.get(file, self.monotonic()) for file in files}

    def is_complete(self, file: LaidFile) -> bool:
        """Whether one that was seen is unchanged for 5 seconds, by its own time or since it was seen so."""
        seen_for = self.monotonic() - self._seen[file]
        return self._age(file) >= _UNCHANGED_SECONDS or seen_for >= _UNCHANGED_SECONDS

    def is_ahead(self, file: LaidFile) -> bool:
        """Whether its time lies in the future, so that only a run that waits finds it complete."""
        return self._age(file) < -_UNCHANGED_SECONDS

    def _age(self, file: LaidFile) -> float:
        return self.now().timestamp() - file.mtime_ns / 1e9


def laid_files(folder: Path) -> Iterator[LaidFile]:
    """Yield the files of a folder that may be taken."""
    for name in os.listdir(folder):  # noqa: PTH208 - names alone: each is looked at as it is then
        if (found := laid_file(folder / name)) is not None:
            yield found


def laid_file(path: Path) -> LaidFile | None:
    """Return the file of a name; None where it may not be taken, or is there no more."""
    if path.name.startswith(".") or path.name.endswith(_UNFINISHED):
        return None
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return LaidFile(path, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def content_of(file: LaidFile) -> bytes | None:
    """Return a file's bytes; None where it is not any more what it was when it was found."""
    try:
        with open_regular(file.path, follow=False) as opened:
            content = opened.read(file.size + 1)
            after = os.fstat(opened.fileno())
    except (FileNotFoundError, NotRegular):
        return None
    same = (after.st_size, after.st_mtime_ns) == (file.size, file.mtime_ns)
    return content if same and len(content) == file.size else None


def move_into(folder: Path, path: Path) -> None:
    """Move a file into a folder beside it, which is made where it is missing."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise NotADirectoryError(0, Text("It is no folder"))
    path.rename(free_in(folder, path.name))
    sync_folder(folder)
