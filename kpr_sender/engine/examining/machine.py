"""What lies on this machine: configuration, secrets, files, journal and disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from kpr_sender import profiles
from kpr_sender.engine.examining.setup import Seen, Setup
from kpr_sender.engine.one_environment import demand_one_environment
from kpr_sender.errors import InputMissing, JournalUnwritable
from kpr_sender.journal import verify
from kpr_sender.journal.location import demand_local
from kpr_sender.settings.building import secrets_of

_MESSAGES: Final = 4
"""What a pair needs on the disk, in largest messages: two of them, each in SQLite's write-ahead log and in its file."""
_BLOCK: Final = bytes(4096)


def environment(setup: Setup) -> Seen:
    """Nothing belongs to another environment (promise G7)."""
    demand_one_environment(setup.profile, setup.settings)
    return Seen(f"{setup.settings.environment.value}: {setup.expected.service_name} ({setup.expected.service_her_id})")


def year(setup: Setup) -> Seen:
    """FHI has confirmed what is known of the year."""
    profile = setup.profile
    warning = profiles.admit(profile, setup.settings.environment, setup.settings.report.letter)
    due = f"{profile.year}, to be reported by {profile.deadline}"
    if warning is not None:
        return Seen(f"{due}. {warning}", unwise=True)
    return Seen(f"{due}, confirmed by FHI's letter {profile.letter or setup.settings.report.letter}")


def secrets(setup: Setup) -> Seen:
    """Every secret is where it should be, for nobody else to read."""
    named = secrets_of(setup.settings)
    for secret in named:
        secret.reveal()
    concerns = [secret.concern for secret in named if secret.concern]
    return Seen(" ".join(concerns), unwise=True) if concerns else Seen(f"{len(named)} are there")


def files(setup: Setup) -> Seen:
    """The two extracts can be read, where the configuration names them."""
    named = {
        "files.fagmelding": setup.settings.files.fagmelding,
        "files.identmelding": setup.settings.files.identmelding,
    }
    sizes = [_size(key, path) for key, path in named.items() if path is not None]
    if len(sizes) < len(named):
        missing = " and ".join(key for key, path in named.items() if path is None)
        return Seen(f"{missing} not named: the command line must name it", unwise=True)
    return Seen(f"{sizes[0]:,} and {sizes[1]:,} bytes")


def _size(key: str, path: Path) -> int:
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputMissing(f"The file {path} cannot be read: {error.strerror}.", where=key) from None


def journal_folder(setup: Setup) -> Seen:
    """Journal and receipts can be written. Tried, not asked: permissions do not tell of a full or read-only disk."""
    settings = setup.settings.journal
    if not settings.allow_network:
        demand_local(settings.path)
    for key, folder in (("journal.path", settings.path.parent), ("journal.receipts_dir", settings.receipts_dir)):
        _demand_writable(_existing(folder), key)
    # Not opened: closing any of its file descriptors would take away the locks that this process has on it.
    if settings.path.exists() and not os.access(settings.path, os.R_OK | os.W_OK):
        raise JournalUnwritable("This user may not write to the journal.", where=str(settings.path))
    return Seen(f"{settings.path.parent} can be written to")


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _demand_writable(folder: Path, key: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(_BLOCK)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise JournalUnwritable(f"Nothing can be written in {folder}: {error.strerror}.", where=key) from None


def disk_space(setup: Setup) -> Seen:
    """There is room for a pair of the largest messages that are sent."""
    folder = _existing(setup.settings.journal.path.parent)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise JournalUnwritable(f"The disk cannot be asked: {error.strerror}.", where=str(folder)) from None
    needed = _MESSAGES * setup.settings.limits.refuse_bytes
    text = f"{free // 1_000_000:,} MB free, {needed // 1_000_000:,} MB may be needed"
    if free < needed:
        raise JournalUnwritable(f"There are {text}.", where=str(folder))
    return Seen(text, unwise=free < _MESSAGES * needed)


def journal(setup: Setup) -> Seen:
    """What is in the journal is whole."""
    path = setup.settings.journal.path
    found = verify.verify(path, setup.settings.environment)
    if found is None:
        return Seen("none yet: the first send makes it")
    if found.findings:
        first = found.findings[0]
        raise JournalUnwritable(
            f"{first.text} It is the first of {len(found.findings)} findings.",
            where=first.subject,
            next_step="Read all of them with kpr-send journal verify, before anything is sent.",
        )
    return Seen(f"whole: {found.counted['submissions']} submissions, {found.counted['receipts']} receipts")
