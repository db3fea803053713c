"""The file beside a journal with its high-water mark: how far the journal has come. Why, and its rules: ``recovery``.

It says of itself which file it is: inode and time of writing, where the file system keeps both. Whoever copies an older
one over it changes one or the other, unless the copy keeps times and happens to get the inode.
"""

from __future__ import annotations

import json
import operator
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from kpr_sender.durable import new_file, sync_folder
from kpr_sender.journal import sql
from kpr_sender.journal.database import Database
from kpr_sender.journal.file_errors import of_os
from kpr_sender.journal.location import beside
from kpr_sender.journal.values import Begun
from kpr_sender.regular_file import TooLarge, open_regular, read_bounded

MOST_BYTES: Final = 4_000_000
_KNOWS_ITSELF: Final = os.utime in os.supports_fd  # not on Windows
_ONE_SECOND: Final = 1_000_000_000  # every file system keeps whole seconds
_COLUMNS: Final = operator.itemgetter(*Begun._fields)
_one_at_a_time: Final = threading.Lock()  # of this process; others are kept out by the journal's lock


@dataclass(frozen=True, slots=True)
class HighWaterMark:
    """How far a journal has come, as the file beside it says or as the journal itself does.

    Attributes:
        journal_id: The journal's own, random.
        step: How many changes it has seen.
        inode: The journal's file's, where its file system keeps it; None else. A copy has another.
        copied: Whether it was read from another file than it was written to.
        written: How its file has it, up to what is that file's own; empty where it was not read.
    """

    journal_id: str
    step: int
    inode: int | None
    begun: tuple[Begun, ...]
    copied: bool = field(default=False, compare=False)
    written: bytes = field(default=b"", compare=False, repr=False)


class Present(NamedTuple):
    """What of a journal is compared with a mark of it.

    Attributes:
        journal_id, step, inode: As of ``HighWaterMark``.
        backup_at: When it was made as a backup; None for a journal.
        attempts: How many transfers were begun of each shipment, by each MsgId that it has or had.
    """

    journal_id: str
    step: int
    inode: int | None
    backup_at: str | None
    attempts: Mapping[str, int]


class MarkDamaged(ValueError):
    """The file with the mark is not as it was written."""


def mark_file(journal: Path) -> Path:
    """Return where a journal's mark is."""
    return beside(journal, ".mark")


def mark_of(connection: Database, inode: int | None) -> HighWaterMark:
    """Return the mark that belongs to the journal as it is now; ``inode`` is its file's (``stable_inode``)."""
    identity = connection.execute(sql.IDENTITY).fetchone()
    begun = tuple(map(Begun._make, connection.execute(sql.BEGUN)))
    return HighWaterMark(identity["journal_id"], identity["step"], inode, begun)


def present_of(connection: Database, inode: int | None) -> Present:
    """Return what of the journal is compared with a mark; far quicker than ``mark_of``."""
    identity = connection.execute(sql.IDENTITY).fetchone()
    attempts = {row[0]: row[1] for row in connection.execute(sql.ATTEMPTS)}
    return Present(identity["journal_id"], identity["step"], inode, identity["backup_at"], attempts)


def read(journal: Path) -> HighWaterMark | None:
    """Return the mark beside a journal; None where there is none.

    Raises:
        MarkDamaged: It is not as it was written.
        JournalUnwritable: It cannot be read.
    """
    file = mark_file(journal)
    try:
        with open_regular(file) as stream:
            about = os.fstat(stream.fileno())
            content = read_bounded(stream, MOST_BYTES)
    except FileNotFoundError:
        return None
    except TooLarge:
        raise MarkDamaged from None
    except OSError as error:
        raise of_os(file, error) from error
    return mark_in(content, about)


def mark_in(content: bytes, about: os.stat_result | None = None) -> HighWaterMark:
    """Return the mark that a file holds; as ``mark_and_more``."""
    return mark_and_more(content, about)[0]


def mark_and_more(content: bytes, about: os.stat_result | None = None) -> tuple[HighWaterMark, Mapping[str, Any]]:
    """Return the mark that a file holds, and all that is in it.

    Args:
        content: The file's.
        about: The file, where it is to be the one that was written.

    Raises:
        MarkDamaged: It is not as it was written.
    """
    try:
        value = json.loads(content)
        return _read_mark(value, about, content.rpartition(b', "own": ')[0]), value
    except (ValueError, TypeError, KeyError, RecursionError):
        raise MarkDamaged from None


def content_of(mark: HighWaterMark, **more: object) -> bytes:
    """Return what a file holds for a mark to be read from it."""
    begun = [one._asdict() for one in mark.begun]
    values = {"journal_id": mark.journal_id, "step": mark.step, "inode": mark.inode, "begun": begun}
    return json.dumps({"kpr-sender journal marker": 1, **values, **more}).encode() + b"\n"


def write(journal: Path, mark: HighWaterMark) -> None:
    """Write a mark, durable before return; where that fails (``JournalUnwritable``) the old one stands."""
    with _one_at_a_time:
        prepare(journal, mark)
        put(journal)


def prepare(journal: Path, mark: HighWaterMark) -> None:
    """Write a mark to a new file, durable before return; the old one stands until ``put``."""
    path = _new_file(journal)
    try:
        with new_file(path) as file:
            if mark.inode is None or not _KNOWS_ITSELF:
                file.write(content_of(mark))
                return
            seconds = int(time.time())
            own = {"inode": os.fstat(file.fileno()).st_ino, "written": seconds}
            file.write(content_of(mark, own=own))
            file.flush()
            os.utime(file.fileno(), ns=(seconds * _ONE_SECOND, seconds * _ONE_SECOND))
    except OSError as error:
        raise of_os(path, error) from error


def put(journal: Path) -> None:
    """Move the mark that is prepared to the old one's place, durable before return."""
    file = mark_file(journal)
    try:
        _new_file(journal).replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise of_os(file, error) from error


def _new_file(journal: Path) -> Path:
    file = mark_file(journal)
    return file.with_name(file.name + ".new")


def _read_mark(value: Mapping[str, Any], about: os.stat_result | None, written: bytes) -> HighWaterMark:
    journal_id, step, inode = value["journal_id"], value["step"], value["inode"]
    if not isinstance(journal_id, str) or not isinstance(step, int) or not isinstance(inode, int | None):
        raise TypeError
    own = value.get("own")  # earlier versions wrote none
    copied = False
    if own is not None and about is not None:
        copied = (own["inode"], own["written"]) != (about.st_ino, about.st_mtime_ns // _ONE_SECOND)
    begun = tuple(map(Begun._make, map(_COLUMNS, value["begun"])))
    return HighWaterMark(journal_id, step, inode, begun, copied, written)
