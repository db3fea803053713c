"""A folder of whole mails (.eml) that another message server lays down for us; it has read and acknowledged them.

The rules are those of ``bus.receipts_inbox``: only regular files, read through no link; only when unchanged for five
seconds, since the server may still be writing; hidden files and ``.part`` or ``.tmp`` never; moved, over no other, into
``done`` once what it says is durable, or into ``not-ours``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kpr_sender.durable import free_in, sync_folder
from kpr_sender.edi.local_files import MailFile, content_of, head_of, mail_files, no_such_folder
from kpr_sender.edi.port import MailboxLook, MailboxProbe, MailEntry
from kpr_sender.texts import Text

DONE: Final = "done"
NOT_OURS: Final = "not-ours"
_UNCHANGED_SECONDS: Final = 5.0
_MOST_FILES: Final = 500
"""In one look."""
_UNFINISHED: Final = (".part", ".tmp")
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
        self._now = now
        self._monotonic = monotonic
        self._seen: dict[str, float] = {}

    def look(self, known: Collection[str] = frozenset()) -> MailboxLook:
        """Look at what is complete, the oldest first."""
        files = {_key(file): file for file in sorted(self._files(), key=lambda one: (one.mtime_ns, one.path.name))}
        self._seen = {key: self._seen.get(key, self._monotonic()) for key in files}
        new = [(key, file) for key, file in files.items() if key not in known and self._is_complete(key, file)]
        heads = [(key, file, head_of(file)) for key, file in new[:_MOST_FILES]]
        found = tuple(MailEntry(key, file.size, head) for key, file, head in heads if head is not None)
        return MailboxLook(found, frozenset(files), complete=len(found) == len(new))

    def fetch(self, entry: MailEntry) -> bytes | None:
        """Return one whole file, as it was when it was looked at."""
        file = self._find(entry)
        content = None if file is None else content_of(file.path, self._max_inbound)
        return content if content is not None and len(content) == entry.size else None

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

    def _files(self) -> list[MailFile]:
        try:
            return [file for file in mail_files(self._path) if not file.path.name.endswith(_UNFINISHED)]
        except (FileNotFoundError, NotADirectoryError):
            raise no_such_folder(self._path, _MAKE_IT) from None

    def _find(self, entry: MailEntry) -> MailFile | None:
        return next((file for file in self._files() if _key(file) == entry.key), None)

    def _is_complete(self, key: str, file: MailFile) -> bool:
        age = self._now().timestamp() - file.mtime_ns / 1e9
        return age >= _UNCHANGED_SECONDS or self._monotonic() - self._seen[key] >= _UNCHANGED_SECONDS

    def _moved(self, entry: MailEntry, where: str) -> bool:
        file = self._find(entry)
        if file is None:
            return False
        folder = self._path / where
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink():
                return False
            file.path.rename(free_in(folder, file.path.name))
            sync_folder(folder)
        except OSError:
            return False
        return True


def _key(file: MailFile) -> str:
    return f"{file.path.name}:{file.size}:{file.mtime_ns}"
