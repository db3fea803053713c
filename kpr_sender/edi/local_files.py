"""Mails that lie in folders of this machine: what a Maildir and a folder of whole mails have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kpr_sender.edi.port import HEAD_BYTES, MailNotRead, MailTooLarge
from kpr_sender.errors import BusUnreachable, ConfigInvalid, KprError
from kpr_sender.laid_files import LaidFile, content_of
from kpr_sender.regular_file import NotRegular, open_regular
from kpr_sender.texts import Text

_LET_US: Final = Text("Let the user that runs kpr-send read and write there.")
_HEAD_ENDS: Final = (b"\r\n\r\n", b"\n\n")


def head_of(path: Path) -> bytes | None:
    """Return a file's header lines, with the empty one; nothing where it cannot be read, None where it is gone."""
    try:
        with open_regular(path, follow=False) as opened:
            beginning = opened.read(HEAD_BYTES)
    except (FileNotFoundError, NotRegular):
        return None
    except OSError:
        return b""
    ends = [at + len(mark) for mark in _HEAD_ENDS if (at := beginning.find(mark)) >= 0]
    return beginning[: min(ends, default=len(beginning))]


def mail_of(file: LaidFile, max_inbound: int) -> bytes | None:
    """Return all of a file, as ``Mailbox.fetch`` says."""
    if file.size > max_inbound:
        raise MailTooLarge
    try:
        return content_of(file)
    except OSError as error:
        raise MailNotRead(
            BusUnreachable(
                Text("A mail in the mailbox cannot be read: {reason}.", reason=error.strerror),
                where=f"edi.mailbox: {file.path}",
                next_step=_LET_US,
            )
        ) from None


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise what an error of the file system means to a person.

    Raises:
        FileNotFoundError, NotADirectoryError, NotRegular: It is not what it was taken for: the caller's matter.
        ConfigInvalid: It may not be read.
        BusUnreachable: It cannot be read now.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        raise
    except OSError as error:
        raise _unreadable(path, error) from None


def no_such_folder(path: Path, next_step: Text) -> ConfigInvalid:
    """Return that the configured folder is not there."""
    return ConfigInvalid(Text("There is no such folder."), where=f"edi.mailbox: {path}", next_step=next_step)


def _unreadable(path: Path, error: OSError) -> KprError:
    if isinstance(error, PermissionError):
        return ConfigInvalid(
            Text("The mailbox cannot be read: {reason}.", reason=error.strerror),
            where=f"edi.mailbox: {path}",
            next_step=_LET_US,
        )
    return BusUnreachable(
        Text("The mailbox cannot be read: {reason}.", reason=error.strerror), where=f"edi.mailbox: {path}"
    )
