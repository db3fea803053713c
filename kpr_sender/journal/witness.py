"""A second witness of how far a journal has come, outside its folder: what puts journal and mark back leaves it alone.

It is the mark once more, in a file named after the journal's id in the state folder of the user or the machine. It is
written after the mark and never durable before that: a crash leaves it at the journal's step or behind it. Behind is
harmless. One that is ahead of the journal says that journal and mark were restored together (``recovery``).

Beside it a file named after the journal's path says which journal was last sent from there: where nothing is left in
that folder, it is gone. One that was moved says by its own witness that it is elsewhere.

A witness that cannot be read or written says nothing and prevents nothing; ``doctor`` shows it (``concerns``).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpr_sender.durable import state_home, write_file
from kpr_sender.journal.marker import MOST_BYTES, HighWaterMark, MarkDamaged, content_of, mark_and_more
from kpr_sender.regular_file import open_regular, read_bounded
from kpr_sender.texts import Text

_MACHINE: Final = Path("/var/lib")
_WITHIN: Final = Path("kpr-sender", "witness")


@dataclass(frozen=True, slots=True)
class Witness:
    """What was written outside the journal's folder.

    Attributes:
        journal: The journal's path when it was written.
    """

    mark: HighWaterMark
    journal: str

    def is_of(self, journal: Path) -> bool:
        """Tell whether it was written of the journal at a path."""
        return self.journal == os.path.realpath(journal)


def folders(journal: Path, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return where a journal's witness may lie, the best first; a folder within the journal's own comes last."""
    own = _folder_of(journal)
    return tuple(sorted(_all_folders(environ), key=lambda folder: _is_within(folder, own)))


def read(journal_id: str, mark: HighWaterMark | None = None) -> Witness | None:
    """Return the witness that has come farthest; None where none can be read.

    Args:
        journal_id: The journal's.
        mark: What was read beside it: a witness that says the same, as nearly all do, need not be taken apart.
    """
    found = [one for folder in _all_folders(os.environ) if (one := _read(folder, journal_id, mark)) is not None]
    return max(found, key=lambda one: one.mark.step, default=None)


def last_at(journal: Path) -> Witness | None:
    """Return the witness of the journal that was last sent from at a path; None where that is elsewhere now."""
    for folder in _all_folders(os.environ):
        with suppress(OSError, UnicodeDecodeError):
            found = read(_content(folder / _name_of_place(journal)).decode("ascii"))
            if found is not None and found.is_of(journal):
                return found
    return None


def free(journal: Path) -> None:
    """Let a new journal begin where another was sent from: whoever it sent to is gone with it."""
    for folder in _all_folders(os.environ):
        with suppress(OSError):
            (folder / _name_of_place(journal)).unlink(missing_ok=True)


def write(journal: Path, mark: HighWaterMark) -> bool:
    """Write a journal's witness into the first folder that takes it; return whether there is one."""
    content = content_of(mark, journal=os.path.realpath(journal))
    for folder in folders(journal):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Not synced: a loss of power may take the last one along, and each run writes it anew.
            write_file(folder / f"{mark.journal_id}.json", content, synced=False)
            if mark.begun:
                _name_at(folder / _name_of_place(journal), mark.journal_id.encode("ascii"))
        except OSError:
            continue
        return True
    return False


def concerns(journal: Path, mark: HighWaterMark | None) -> Iterator[str]:
    """Yield why an older journal that is restored together with its mark might go unnoticed.

    Args:
        journal: The journal.
        mark: What lies beside it; None where it is not used yet.
    """
    own = _folder_of(journal)
    usable = next((folder for folder in folders(journal) if _takes_files(folder)), None)
    if usable is None:
        tried = ", ".join(map(str, folders(journal))) or Text("no folder is known")
        yield Text("It cannot be written ({tried})", tried=tried)
    elif _is_within(usable, own):
        yield Text("It lies in the journal's own folder ({usable}), and would be restored with it", usable=usable)
    if usable is not None and mark is not None and mark.begun and read(mark.journal_id) is None:
        yield Text("There is none in {usable}: the next send or wait writes it", usable=usable)


def _all_folders(environ: Mapping[str, str]) -> list[Path]:
    roots = (state_home(environ), None if os.name == "nt" else _MACHINE)
    return [root / _WITHIN for root in roots if root is not None]


def _folder_of(journal: Path) -> str:
    return os.path.dirname(os.path.realpath(journal))  # noqa: PTH120 - of its text


def _is_within(folder: Path, own: str) -> bool:
    return os.path.join(os.path.realpath(folder), "").startswith(os.path.join(own, ""))  # noqa: PTH118 - as above


def _read(folder: Path, journal_id: str, like: HighWaterMark | None) -> Witness | None:
    if not journal_id.isalnum():
        return None  # it comes from a file, and is to name one in this folder
    try:
        content = _content(folder / f"{journal_id}.json")
        same, _, more = content.rpartition(b', "journal": ')
        if like is not None and same and same == like.written:
            return Witness(like, str(json.loads(b'{"journal": ' + more)["journal"]))
        mark, values = mark_and_more(content)
        journal = values.get("journal", "")
    except (OSError, MarkDamaged, ValueError):
        return None
    return Witness(mark, journal) if mark.journal_id == journal_id else None


def _content(file: Path) -> bytes:
    with open_regular(file, follow=False) as stream:
        if sys.platform != "win32" and os.fstat(stream.fileno()).st_uid != os.geteuid():
            raise PermissionError  # another user's word must not stop this one's work
        return read_bounded(stream, MOST_BYTES)


def _name_of_place(journal: Path) -> str:
    return f"{hashlib.sha256(os.fsencode(os.path.realpath(journal))).hexdigest()}.at"


def _name_at(place: Path, journal_id: bytes) -> None:
    with suppress(OSError):
        if _content(place) == journal_id:
            return
    write_file(place, journal_id, synced=False)


def _takes_files(folder: Path) -> bool:
    """Tell whether files can be written in a folder, or where it would be made. Tried, not asked."""
    import tempfile  # noqa: PLC0415 - doctor alone needs it

    try:
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"\n")
    except OSError:
        return False
    return True
