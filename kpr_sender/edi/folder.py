"""A folder of whole mails (.eml) that another message server lays down for us; it has read and acknowledged them.

The rules are those of ``laid_files``. A file is moved into ``done`` once what it says is durable, or into ``not-ours``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kpr_sender.edi.local_files import head_of, mail_of, no_such_folder, readable
from kpr_sender.edi.port import MailboxLook, MailboxProbe, MailEntry
from kpr_sender.laid_files import LaidFile, Unchanged, laid_file, laid_files, move_into
from kpr_sender.texts import Text

DONE: Final = "done"
NOT_OURS: Final = "not-ours"
_MOST_FILES: Final = 500
"""In one look."""
_MAKE_IT: Final = Text("Make it, or name the folder that the message server lays our mails down in.")


class FolderMailbox:
    """The folder, as ``Mailbox`` says. Keys are names with size and time: what is written anew is another mail.

    Args:
        path: The folder.
        max_inbound: The largest file that is read, in bytes.
        now: The time, for files that were there before this run began.
        monotonic: A clock that never jumps, in seconds: a file that was seen unchanged for so long is complete.
    """

    def __init__(
        self,
        path: Path,
        max_inbound: int,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._max_inbound = max_inbound
        self._unchanged = Unchanged(now, monotonic)

    def look(self, known: Container[str] = frozenset()) -> MailboxLook:
        """Look at what is complete, the oldest first."""
        files = {_key(file): file for file in sorted(self._files(), key=lambda one: (one.mtime_ns, one.path.name))}
        self._unchanged.see(files.values())
        new = [(key, file) for key, file in files.items() if key not in known and self._unchanged.is_complete(file)]
        heads = [(key, file, head_of(file.path)) for key, file in new[:_MOST_FILES]]
        found = tuple(MailEntry(key, file.size, head) for key, file, head in heads if head is not None)
        return MailboxLook(found, frozenset(files), complete=len(found) == len(new))

    def fetch(self, entry: MailEntry) -> bytes | None:
        """Return one whole file, as it was when it was looked at."""
        file = self._file(entry)
        return None if file is None else mail_of(file, self._max_inbound)

    def take(self, entry: MailEntry) -> bool:
        """Move a mail of ours into ``done``."""
        return self._moved(entry, DONE)

    def leave(self, entry: MailEntry) -> None:
        """Move what is not ours into ``not-ours``."""
        self._moved(entry, NOT_OURS)

    def probe(self) -> MailboxProbe:
        """Say what lies there."""
        return MailboxProbe(None, frozenset(map(_key, self._files())), can_take=True)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _files(self) -> list[LaidFile]:
        try:
            with readable(self._path):
                return list(laid_files(self._path))
        except (FileNotFoundError, NotADirectoryError):
            raise no_such_folder(self._path, _MAKE_IT) from None

    def _file(self, entry: MailEntry) -> LaidFile | None:
        """Return a file by its name, if it is still the one that was looked at."""
        name, _, _ = entry.key.rsplit(":", 2)
        with readable(self._path):
            file = laid_file(self._path / name)
        return file if file is not None and _key(file) == entry.key else None

    def _moved(self, entry: MailEntry, where: str) -> bool:
        file = self._file(entry)
        if file is None:
            return False
        try:
            move_into(self._path / where, file.path)
        except OSError:
            return False
        return True


def _key(file: LaidFile) -> str:
    return f"{file.path.name}:{file.size}:{file.mtime_ns}"
