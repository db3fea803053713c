"""A file of the pair as it is spliced into its Hodemelding: hashed once, read again, refused when it has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from kpr_sender.errors import InputMissing, InputRefused
from kpr_sender.messages.splice import splice
from kpr_sender.model import MessageType, Shipment, SourceFile
from kpr_sender.privacy import redact_text
from kpr_sender.regular_file import NotRegular, open_regular
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_CHUNK_BYTES: Final = 1 << 18
_SAVE_IT: Final = Text("Save it as a file, and name that: it is read more than once. Nothing was sent.")


@dataclass(frozen=True, slots=True)
class PayloadFile:
    """A file that was hashed.

    Attributes:
        path: Where the file is; it is read again when it is checked and sealed.
        sha256: Hex digest of the bytes as they are spliced; 64 digits.
        length: Number of those bytes.
        file_sha256: Hex digest of the file's own bytes, XML declaration and all.
    """

    path: Path
    sha256: str
    length: int
    file_sha256: str = ""

    @classmethod
    def hashed(cls, path: Path) -> Self:
        """Read a file once.

        Raises:
            InputMissing: It is not there or cannot be read.
            MessageRefused: Its encoding is not known, or its bytes are not in it.
        """
        digest, whole, length = hashlib.sha256(), hashlib.sha256(), 0

        def read() -> Iterator[bytes]:
            for chunk in read_chunks(path):
                whole.update(chunk)
                yield chunk

        for chunk in splice(read()):
            digest.update(chunk)
            length += len(chunk)
        return cls(path, digest.hexdigest(), length, whole.hexdigest())

    @property
    def source(self) -> SourceFile:
        """What is recorded of it: its name may hold anything, so it is cleaned (promise G6)."""
        return SourceFile(redact_text(self.path.name), self.file_sha256)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they are spliced.

        Raises:
            InputMissing: The file cannot be read any more.
            InputRefused: Its bytes were not those that were hashed; raised after the last of them.
        """
        digest = hashlib.sha256()
        for chunk in splice(read_chunks(self.path)):
            digest.update(chunk)
            yield chunk
        self.require_same(digest.hexdigest())

    def require_same(self, sha256: str) -> None:
        """Refuse the file where its bytes had another digest when they were read again.

        Raises:
            InputRefused: The digest differs.
        """
        if sha256 != self.sha256:
            raise InputRefused(
                Text("The file was changed while it was read."),
                where=str(self.path),
                next_step=Text("Let the extract finish, then run the same command again; nothing was sent."),
            )


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in chunks.

    Raises:
        InputMissing: It is not there, is no regular file, or cannot be read.
    """
    with _opened(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def last_bytes(path: Path, most: int) -> bytes:
    """Return how a file ends, in at most so many bytes; raises as ``read_chunks`` does."""
    with _opened(path) as file:
        file.seek(-min(most, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read(most)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open_regular(path) as file:
            yield file
    except OSError as error:
        next_step = _SAVE_IT if isinstance(error, NotRegular) else None
        raise InputMissing(
            Text("The file cannot be read: {reason}.", reason=error.strerror), where=str(path), next_step=next_step
        ) from error


def spliced_length(path: Path) -> int:
    """Return how many bytes of a file are spliced into its Hodemelding; raises as ``PayloadFile.hashed`` does."""
    return sum(map(len, splice(read_chunks(path))))


def configured_files(settings: Settings) -> dict[MessageType, Path | None]:
    """Return the configured pair's paths by type, in the order they are to be sent; None where one is not named."""
    return {MessageType.KPR_IPL: settings.files.fagmelding, MessageType.KPR_IDE: settings.files.identmelding}


def named_files(settings: Settings, fagmelding: Path | None, identmelding: Path | None) -> dict[MessageType, Path]:
    """Return the pair's paths by type, in the order they are to be sent; raises as ``named_file`` does."""
    chosen = {MessageType.KPR_IPL: fagmelding, MessageType.KPR_IDE: identmelding}
    return {message_type: named_file(settings, message_type, path) for message_type, path in chosen.items()}


_NAME_THEM: Final = Text(
    "Name both files behind the command. kpr-send sample DIR writes two synthetic ones; kpr-send --env lokal init "
    "writes a configuration that can name them."
)


def named_file(settings: Settings, message_type: MessageType, named: Path | None) -> Path:
    """Return the path that was named for a type, else the configured one.

    Raises:
        InputMissing: There is neither.
    """
    path = named or configured_files(settings)[message_type]
    if path is None:
        from kpr_sender.settings.rehearsal import BUILT_IN  # noqa: PLC0415 - only where there is nothing to send

        next_step = Text("Name it on the command line or in {origin}.", origin=settings.origin)
        if settings.files.drop is not None:
            next_step = Text("Name it on the command line: it lies in a folder below {drop}.", drop=settings.files.drop)
        raise InputMissing(
            Text("No {norwegian} is named.", norwegian=message_type.norwegian),
            where=f"files.{message_type.norwegian}",
            next_step=_NAME_THEM if settings.origin == BUILT_IN else next_step,
        )
    return path


def files_of(settings: Settings, halves: Sequence[Shipment], first: Path | None) -> dict[Shipment, Path]:
    """Return the file of each half: the one given for the first, else the configured ones.

    Raises:
        InputMissing: There is none for a half.
    """
    given = [first, *(None for _ in halves[1:])]
    return {half: named_file(settings, half.type, path) for half, path in zip(halves, given, strict=True)}
