"""Reads a file's header with expat, up to its first person and no further.

Expat, because it tells of a document type declaration before anything in it counts.
"""

from __future__ import annotations

from typing import Final, NoReturn
from xml.parsers import expat

from kpr_sender.model import MessageType
from kpr_sender.preflight.header import SHAPES, Field, Header, Refusal, check_header, check_root, near
from kpr_sender.profiles import Format, Profile

_SEPARATOR: Final = "\x01"  # between namespace and name; no XML document can hold it
_PIECE: Final = 16_384  # bytes given to expat at once; it goes to the end of what it was given, and a header is short
_MAX_TOKEN: Final = 1_000_000  # bytes of one tag or comment; expat begins it anew with each piece
_IN_BLOCK: Final = 2  # open elements around a header field: the root and the block
_MAX_FIELD: Final = 200  # characters of a header field; what is longer is wrong anyway


class HeaderReader:
    """One file's header.

    Args:
        expected: What the file is handed in as.
        profile: The configured year's.
        lines_before: Lines of the file before the bytes that are read.

    Attributes:
        header: None until the first person has begun.
        format: What the root element is, its version left aside; None until it was read, and where it is no such file.
    """

    def __init__(self, expected: MessageType, profile: Profile, *, lines_before: int) -> None:
        self.header: Header | None = None
        self.format: Format | None = None
        self._expected = expected
        self._profile = profile
        self._shape = SHAPES[expected]
        self._lines_before = lines_before
        self._given = 0
        self._format: Format  # known from the root on
        self._fields: dict[str, Field] = {}
        self._path: list[str] = []
        self._text = ""
        self._default_declared = False
        self._capturable = False
        parser = expat.ParserCreate("utf-8", _SEPARATOR)
        parser.buffer_text = True
        parser.namespace_prefixes = True
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.StartNamespaceDeclHandler = self._on_namespace
        parser.StartElementHandler = self._on_start
        parser.CharacterDataHandler = self._on_text
        parser.EndElementHandler = self._on_end
        self._parser = parser
        # A second declaration or mark would be an error inside the Hodemelding; behind a blank it is one here, too.
        self._parse(b" ")

    def read(self, piece: bytes) -> None:
        """Read on; does nothing once it has what it needs.

        Raises:
            Refusal: The file is not what it must be.
        """
        for start in range(0, len(piece), _PIECE):
            if self.header is not None and not self._capturable:
                return
            self._parse(piece[start : start + _PIECE])

    def end(self) -> Header:
        """Return the header, at the end of the file.

        Raises:
            Refusal: There is none.
        """
        if self.header is None:
            self._parse(b"", last=True)
            self._refuse(f"There is no {self._shape.person} in it: not one person is reported.")
        return self.header

    def _parse(self, piece: bytes, *, last: bool = False) -> None:
        self._given += len(piece)
        try:
            self._parser.Parse(piece, last)
        except _Enough:
            return
        except expat.ExpatError as error:
            line = error.lineno + self._lines_before
            raise Refusal(f"It is not well-formed XML: {expat.ErrorString(error.code)}.", line=line) from None
        if self._given - self._parser.CurrentByteIndex > _MAX_TOKEN:
            self._refuse(f"There is a tag or comment of more than {_MAX_TOKEN} bytes.")

    @property
    def _line(self) -> int:
        return self._parser.CurrentLineNumber + self._lines_before

    def _refuse(self, what: str) -> NoReturn:
        raise Refusal(what, line=self._line)

    def _on_doctype(self, *_: object) -> None:
        self._refuse("It has a document type declaration (DTD, entities), which is never allowed.")

    def _on_namespace(self, prefix: str | None, _: str) -> None:
        if prefix is None:  # asked at the root, which comes first
            self._default_declared = True

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, local, prefix = _parts(name)
        if not self._path:
            self._on_root(namespace, local, prefix, attributes)
        elif self._capturable:
            self._on_start_guarded(name)
        self._path.append(local)
        self._text = ""
        if local == self._shape.person:
            self._on_person()

    def _on_root(self, namespace: str, local: str, prefix: str, attributes: dict[str, str]) -> None:
        version = attributes.get("versjon")
        self.format = near(self._expected, self._profile, namespace=namespace, root=local)
        self.format = self._format = check_root(
            self._expected, self._profile, namespace=namespace, root=local, version=version, line=self._line
        )
        self._capturable = bool(prefix) and not self._default_declared
        if not self._shape.block:
            self._fields = {
                field: Field(attributes[field], self._line) for field in self._shape.fields & attributes.keys()
            }

    def _on_text(self, text: str) -> None:
        if len(self._text) < _MAX_FIELD:
            self._text += text

    def _on_end(self, _: str) -> None:
        local = self._path.pop()
        in_block = len(self._path) == _IN_BLOCK and self._path[-1] == self._shape.block
        if in_block and local in self._shape.fields:
            if local in self._fields:
                self._refuse(f"{local} stands there twice.")
            self._fields[local] = Field(self._text, self._line)
        self._text = ""

    def _on_person(self) -> None:
        self.header = check_header(self._expected, self._profile, self._format, self._fields, line=self._line)
        if not self._capturable:
            raise _Enough
        self._parser.CharacterDataHandler = None
        self._parser.EndElementHandler = None
        self._parser.StartElementHandler = self._on_start_guarded

    def _on_start_guarded(self, name: str, _: object = None) -> None:
        """Refuse what would change its meaning inside MsgHead, whose default namespace would take it in."""
        if _SEPARATOR not in name:
            self._refuse("An element stands in no namespace, below a root whose namespace has a prefix.")


class _Enough(Exception):
    """The header is read; what follows is not expat's to judge."""


def _parts(name: str) -> tuple[str, str, str]:
    """Split expat's name into namespace, local name and prefix."""
    namespace, local, prefix, *_ = [*name.split(_SEPARATOR), "", ""]
    return (namespace, local, prefix) if local else ("", namespace, "")
