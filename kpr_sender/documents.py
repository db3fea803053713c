"""A small document that is read and written as a whole: a file, or a row of the journal's database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kpr_sender.durable import write_file
from kpr_sender.regular_file import read_regular


class Document(Protocol):
    """One stored document; every method raises ``OSError`` where its place cannot be used."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def where(self) -> str:
        """Its place, for messages."""

    def read(self, *, most: int) -> bytes:
        """Return it; ``FileNotFoundError`` where there is none, ``TooLarge`` beyond ``most`` bytes."""

    def write(self, content: bytes) -> None:
        """Put another in its place, at once and complete, durable before return."""

    def remove(self) -> None:
        """Remove it; again is harmless."""


@dataclass(frozen=True, slots=True)
class FileDocument:
    """A document that is a file."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def where(self) -> str:
        """Its path."""
        return str(self.path)

    def read(self, *, most: int) -> bytes:
        """Return its content."""
        return read_regular(self.path, most=most)

    def write(self, content: bytes) -> None:
        """Write it anew."""
        write_file(self.path, content)

    def remove(self) -> None:
        """Delete it."""
        self.path.unlink(missing_ok=True)


def document_at(place: Path | Document) -> Document:
    """Return a document, of a path the file there."""
    return FileDocument(place) if isinstance(place, Path) else place
