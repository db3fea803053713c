"""Mail of other people and systems in a mailbox of ours, and whether any of it was changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.helpers.smtp_server import OURS, THEIRS
from tests.helpers.tenor import TENOR_ID

OLD: Final = 1_600_000_000  # seconds; a server has long written what has this time
_LONG: Final = 30_000  # characters of a line, as HTML mail has


def others(seed: int, *, size: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield names and mails: ebXML of others, bounces, spam and HTML; ``size`` is what the last one has beside."""
    for number, (subject, kind, text) in enumerate((
        ("APPREC", 'multipart/related; type="text/xml"; boundary="b"', "--b\n\n<x/>\n--b--\n"),
        ("Undelivered Mail", 'multipart/report; report-type="delivery-status"; boundary="b"', "--b\n"),
        ("You have won", "text/plain", f"for {TENOR_ID}\n"),
        ("Newsletter", "text/html", f"<p>{'x' * _LONG}</p>\n.\n..two\n"),
        ("", "text/plain", ""),
        ("Large", "application/octet-stream", "PEd1ZA==\n" * (size // 9)),
    )):  # fmt: skip
        head = f"From: a{number}@other.example\nTo: {OURS}\nSubject: {subject}\nMessage-ID: <{seed}.{number}@o>\n"
        yield f"{OLD + number}.M{seed}P{number}.other", f"{head}Content-Type: {kind}\n\n{text}".encode()


def answer(number: int) -> bytes:
    """Return what may be an answer to us: a long line in it, and lines that begin with a dot."""
    head = f"From: {THEIRS}\nTo: {OURS}\nSubject: Acknowledgment\nMessage-ID: <answer.{number}@kpr>\n"
    return f"{head}Content-Type: text/xml\n\n.dot\n..two\n{'y' * _LONG}\n.\nend\n".encode()


def state(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Return all mails below a folder by name without flags: what each holds, and its flags.

    Dovecot moves what lies in ``new`` to ``cur`` whenever anybody has opened the mailbox: that is no change.
    """
    files = (one for part in ("new", "cur") for one in (folder / part).iterdir())
    return {name: (one.read_bytes(), flags) for one in files for name, _, flags in [one.name.partition(":2,")]}


def places(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return all files below a folder: what each holds, and its time."""
    files = (one for one in folder.rglob("*") if one.is_file())
    return {str(one.relative_to(folder)): (one.read_bytes(), one.stat().st_mtime_ns) for one in files}


def lay(path: Path, content: bytes) -> None:
    """Write a file that nobody writes to any more."""
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))
