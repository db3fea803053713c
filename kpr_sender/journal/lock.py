"""One process at a time per journal: a lock of the operating system that dies with its process.

The file ``<journal>.lock`` is never deleted: deleting it would let two processes hold "the" lock on two files. What
is in it (pid, host, since) is for the person who meets the lock; the lock itself is the operating system's, so a file
left behind by a killed process locks nothing.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kpr_sender.errors import JournalLocked, JournalUnwritable
from kpr_sender.journal.connection import require_journal
from kpr_sender.journal.file_errors import of_os
from kpr_sender.journal.location import beside, require_own_journal, require_private_folder
from kpr_sender.journal.rows import time_of, time_text
from kpr_sender.regular_file import NO_FOLLOW, read_regular
from kpr_sender.texts import Text

_CONTENT_BYTES: Final = 4096
_TAKEN_BY_ANOTHER: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})

if sys.platform == "win32":
    import msvcrt

    # Windows locks bytes, and others cannot read a locked byte: lock one far behind the content.
    _LOCKED_BYTE: Final = 1 << 30

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class _Held:
    """The locks this process holds, by file. A forked child holds none of its parent's."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.descriptors: dict[Path, int] = {}

    def forget_in_child(self) -> None:
        # flock belongs to the open file, which a fork shares: as long as the child kept it open, the lock would
        # outlive its owner. Closing is right, unlocking would take the lock from the parent.
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.__init__()  # type: ignore[misc]  # a guard held by a thread that the fork did not copy is of no use


_held: Final = _Held()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.forget_in_child)


def held_by_this_process(journal: Path) -> bool:
    """Tell whether this very process holds the journal's lock."""
    return _lock_file(journal) in _held.descriptors


def last_taken(journal: Path) -> datetime | None:
    """Return when a process last took a journal's lock, UTC; None where none did, or nothing says when."""
    try:
        return time_of(json.loads(read_regular(_lock_file(journal), most=_CONTENT_BYTES))["since"])
    except (OSError, ValueError, KeyError, TypeError):  # another may be writing it
        return None


class JournalLock:
    """A held lock; a context manager that releases it."""

    def __init__(self, file: Path) -> None:
        """Made by ``acquire`` only."""
        self._file = file

    @classmethod
    def acquire(cls, journal: Path, *, now: Callable[[], datetime]) -> JournalLock:
        """Take the lock of a journal, at once or not at all.

        Args:
            journal: The journal's own path; its folder is made where missing (mode 0700).
            now: The clock, for the note who holds it since when.

        Raises:
            JournalLocked: Another process, or this one, holds it: names pid, host and since.
            JournalUnwritable: The lock file cannot be made or written, what lies there is no journal, it is another
                user's, or everybody may write in its folder. Nothing was made or changed then.
        """
        file = _lock_file(journal)
        for require in (require_own_journal, require_private_folder, require_journal):
            require(journal)
        with _held.guard:
            if file in _held.descriptors:
                raise _locked(journal, file)
            try:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(file, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o600)
            except OSError as error:
                raise _not_ours(file) if os.path.islink(file) else of_os(file, error) from error  # noqa: PTH114 - that one raises at a name that is too long
            try:
                _take(descriptor)
                _write_holder(descriptor, now())
            except OSError as error:
                os.close(descriptor)
                if error.errno in _TAKEN_BY_ANOTHER:
                    raise _locked(journal, file) from None
                raise of_os(file, error) from error
            _held.descriptors[file] = descriptor
        return cls(file)

    def release(self) -> None:
        """Give it back; twice is harmless, and so is a release in a forked child."""
        with _held.guard:
            descriptor = _held.descriptors.pop(self._file, None)
            if descriptor is not None:
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock_file(journal: Path) -> Path:
    return beside(journal, ".lock")


def _not_ours(file: Path) -> JournalUnwritable:
    return JournalUnwritable(
        Text("{file} is a symbolic link: what it leads to would be overwritten.", file=file.name),
        where=str(file),
        next_step=Text("Find out who made it, and remove it; nothing was changed."),
    )


def _write_holder(descriptor: int, since: datetime) -> None:
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time_text(since)}
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(holder).encode() + b"\n")


def _locked(journal: Path, file: Path) -> JournalLocked:
    try:
        holder = json.loads(read_regular(file, most=_CONTENT_BYTES))
        named = Text(
            "process {holder} on {holder_2} has held it since {holder_3}",
            holder=holder["pid"],
            holder_2=holder["host"],
            holder_3=holder["since"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        # It is the other's to write, and it may be about to.
        named = Text("a process that has just begun holds it")
    return JournalLocked(Text("Another run holds the journal: {named}.", named=named), where=str(journal))
