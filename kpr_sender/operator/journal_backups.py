"""Backups of the journal by a schedule: each run makes one, verifies it, and only then removes the oldest of its own.

The folder may hold anything else, other municipalities' backups too: only a regular file is removed whose name is one
of this environment's and HER-id's, and that is a copy of this journal. Where a journal was lost and begun anew, the
copies of the lost one are what a person needs.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from kpr_sender.durable import sync_folder
from kpr_sender.errors import JournalUnwritable, UsageError
from kpr_sender.journal.port import JournalStorage
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_TIME: Final = "%Y%m%dT%H%M%SZ"
_FILE: Final = ".db"
_DUMP: Final = ".dump"
"""What pg_dump made. It was called ``.db``, too: such a copy of this journal is one of its copies."""
_DRAFT: Final = ".draft"
_DRAFT_LASTS: Final = timedelta(days=1)
"""A draft that is older was left by a run that was killed."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What one run did.

    Attributes:
        made: The new backup.
        counted: How much is in it, by kind.
        removed: The backups that were one too many, the oldest first.
    """

    made: Path
    counted: Mapping[str, int]
    removed: tuple[Path, ...]


def rotate(settings: Settings, storage: JournalStorage, folder: Path, keep: int, *, now: datetime) -> Rotation:
    """Back the journal up into a folder, and remove the oldest backups beyond a number.

    Args:
        settings: Whose journal it is.
        storage: The journal.
        folder: Where the backups lie; made where it is missing.
        keep: How many backups are there afterwards, the new one included; at least 1.
        now: The time; aware. It is part of the name.

    Raises:
        UsageError: There is a backup of this second already, or no journal.
        JournalUnwritable: The journal cannot be read, the backup not be written or is not sound, or the folder not be
            changed. Nothing was removed unless the new backup is there and sound.
    """
    made = folder / f"{_prefix(settings)}{now.astimezone(UTC):{_TIME}}{_ending(settings)}"
    draft = made.with_name(made.name + _DRAFT)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if made.exists():
            raise UsageError(Text("A backup of this second is there already."), where=str(made))
        counted = storage.back_up(draft)
        draft.replace(made)
        sync_folder(folder)
        others = [path for path in _own(settings, folder) if path != made and storage.is_same(path, made)]
        removed = others[: max(0, len(others) + 1 - keep)]
        for path in (*removed, *(one for one in _own(settings, folder, _DRAFT) if _is_left(one, now))):
            path.unlink()
    except OSError as error:
        raise JournalUnwritable(
            Text("The backups cannot be written or removed: {reason}.", reason=error.strerror or type(error).__name__),
            where=str(error.filename or folder),
            next_step=Text("Let this user write to the folder, and see that its disk has room."),
        ) from None
    return Rotation(made, counted, tuple(removed))


def _prefix(settings: Settings) -> str:
    return f"kpr-journal-{settings.environment.value}-{settings.sender.party.service_her_id}-"


def _ending(settings: Settings) -> str:
    return _FILE if settings.journal.url is None else _DUMP


def _own(settings: Settings, folder: Path, more: str = "") -> Iterator[Path]:
    """Yield our own regular files in the folder, the oldest first by their names; ``more`` ends these."""
    endings = "|".join(map(re.escape, (_FILE, _DUMP)))
    named = re.compile(rf"{re.escape(_prefix(settings))}[0-9]{{8}}T[0-9]{{6}}Z(?:{endings}){re.escape(more)}")
    for path in sorted(folder.iterdir()):
        if named.fullmatch(path.name) and _made_at(path) is not None and stat.S_ISREG(path.lstat().st_mode):
            yield path


def _made_at(path: Path) -> datetime | None:
    """Return the time in a name; None where it is none, so that the file is not ours."""
    written = path.name.partition(".")[0].rpartition("-")[2]
    try:
        return datetime.strptime(written, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _is_left(draft: Path, now: datetime) -> bool:
    made_at = _made_at(draft)
    return made_at is not None and made_at < now - _DRAFT_LASTS
