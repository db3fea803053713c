"""A Maildir: what lies in ``new`` stays there unread, flags stay, and only what is taken is removed."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Final

from kpr_sender.durable import sync_folder
from kpr_sender.edi.local_files import head_of, mail_of, no_such_folder, readable
from kpr_sender.edi.port import MailboxLook, MailboxProbe, MailEntry
from kpr_sender.laid_files import LaidFile, laid_files
from kpr_sender.texts import Text

_FOLDERS: Final = ("new", "cur")
_FLAGS: Final = ":2,"
_IS_NONE: Final = Text('Name a Maildir, which has the folders new, cur and tmp: edi.mailbox = "maildir:/path".')


class MaildirMailbox:
    """A Maildir, as ``Mailbox`` says. Keys are names without flags: another reader may change those, and move files.

    Args:
        path: Its folder, with ``new`` and ``cur`` in it.
        max_inbound: The largest mail that is fetched, in bytes.
    """

    def __init__(self, path: Path, max_inbound: int) -> None:
        self._path = path
        self._max_inbound = max_inbound

    def look(self, known: Container[str] = frozenset()) -> MailboxLook:
        """Look at what lies there."""
        files = {_key(file.path): file for file in sorted(self._files(), key=lambda one: one.path.name)}
        new = [(key, file, head_of(file.path)) for key, file in files.items() if key not in known]
        found = tuple(MailEntry(key, file.size, head) for key, file, head in new if head is not None)
        return MailboxLook(found, frozenset(files), complete=len(found) == len(new))

    def fetch(self, entry: MailEntry) -> bytes | None:
        """Return one whole mail."""
        file = self._find(entry)
        return None if file is None else mail_of(file, self._max_inbound)

    def take(self, entry: MailEntry) -> bool:
        """Remove a mail of ours."""
        file = self._find(entry)
        if file is None:
            return False
        try:
            file.path.unlink()
            sync_folder(file.path.parent)
        except OSError:
            return False
        return True

    def leave(self, entry: MailEntry) -> None:
        """Leave a mail as it is."""

    def probe(self) -> MailboxProbe:
        """Say what lies there."""
        return MailboxProbe(None, frozenset(_key(file.path) for file in self._files()), can_take=True)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _files(self) -> Iterator[LaidFile]:
        for name in _FOLDERS:
            try:
                with readable(self._path / name):
                    yield from list(laid_files(self._path / name))
            except (FileNotFoundError, NotADirectoryError):
                raise no_such_folder(self._path / name, _IS_NONE) from None

    def _find(self, entry: MailEntry) -> LaidFile | None:
        """Return where a mail lies now."""
        return next((file for file in self._files() if _key(file.path) == entry.key), None)


def _key(path: Path) -> str:
    return path.name.partition(_FLAGS)[0]
