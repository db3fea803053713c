"""One pass over a file before anything is sealed: is it the file it should be, for the year it should be for?

Checked is what makes FHI discard the whole message (kravspesifikasjon IPLOS 3.7: version, kommunenummer, period) and
what would send the wrong file. The file is read once, in pieces, and never held: once the first person begins the
XML parser runs without callbacks and only keeps watch over well-formedness.

An error quotes nothing from the file but root, namespace, version, period and kommunenummer, and those only where
they look like what they should be (promise G6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn
from xml.parsers import expat

from kpr_sender.errors import InputRefused
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.splice import open_payload
from kpr_sender.model import MessageType
from kpr_sender.preflight.header import SHAPES, Facts, Field, Refusal, check_header, check_root
from kpr_sender.profiles import Format, Profile

_SEPARATOR: Final = "\x01"  # between namespace and name; no XML document can hold it
_PIECE: Final = 262_144  # bytes given to the parser at once
_MAX_TOKEN: Final = 1_000_000  # bytes of one tag or comment; the parser must hold it whole
_MAX_OPEN: Final = 100_000  # elements open at once, about; IPLOS has three levels, XPR(ide) three
_MAX_FIELD: Final = 200  # characters of a header field; what is longer is wrong anyway


@dataclass(frozen=True, slots=True)
class Payload:
    """What is known of a file that passed.

    Attributes:
        year: The reporting year: the year of its period.
        kommunenummer: iiKomnr; None for the identmelding, which has none.
        bydel: iiBydelsnr; None for the identmelding.
        lopenr: The EPJ's running number, as it stands. Checked, never changed.
        sha256: Hex digest of the bytes as they are spliced into the Hodemelding.
        length: How many bytes that are.
    """

    type: MessageType
    format: Format
    year: int
    kommunenummer: str | None
    bydel: str | None
    lopenr: str
    sha256: str
    length: int


def inspect(chunks: Iterable[bytes], expected: MessageType, *, name: str, profile: Profile) -> Payload:
    """Check a file and describe it; memory stays flat whatever its size.

    Args:
        chunks: The file, cut anywhere.
        expected: What it is handed in as.
        name: What messages call the file.
        profile: The configured year's.

    Raises:
        InputRefused: With ``where`` naming the file, and the line where one can be named.
    """
    try:
        return _Inspection(expected, profile).run(chunks)
    except Refusal as refusal:
        where = f"{name} line {refusal.line}" if refusal.line else name
        raise InputRefused(refusal.what, where=where, next_step=refusal.next_step) from None


class _Inspection:
    """One file on its way through the parser."""

    def __init__(self, expected: MessageType, profile: Profile) -> None:
        self._expected = expected
        self._profile = profile
        self._shape = SHAPES[expected]
        self._format: Format | None = None
        self._facts: Facts | None = None
        self._fields: dict[str, Field] = {}
        self._path: list[str] = []
        self._text = ""
        self._lines_removed = 0
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

    def run(self, chunks: Iterable[bytes]) -> Payload:
        """Read the file to its end."""
        digest = hashlib.sha256()
        length = open_elements = 0
        for piece in self._pieces(chunks):
            digest.update(piece)
            length += len(piece)
            self._parse(piece)
            if length - self._parser.CurrentByteIndex > _MAX_TOKEN:
                self._refuse(f"There is a tag or comment of more than {_MAX_TOKEN} bytes.")
            open_elements += _opened(piece)
            if open_elements > _MAX_OPEN:
                self._refuse("Its elements are nested far deeper than the format allows.")
        if not length:
            raise Refusal("The file is empty.")
        self._parse(b"", last=True)
        if self._format is None or self._facts is None:
            self._refuse(f"There is no {self._shape.person} in it: not one person is reported.")
        return Payload(
            type=self._expected,
            format=self._format,
            year=self._facts.year,
            kommunenummer=self._facts.kommunenummer,
            bydel=self._facts.bydel,
            lopenr=self._facts.lopenr,
            sha256=digest.hexdigest(),
            length=length,
        )

    def _pieces(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes as they will be sent, in pieces that bound what the parser is given at once."""
        try:
            prolog, spliced = open_payload(chunks)
            self._lines_removed = prolog.lines
            for chunk in spliced:
                for start in range(0, len(chunk), _PIECE):
                    yield chunk[start : start + _PIECE]
        except MessageRefused as error:
            raise Refusal(f"{error.reason[:1].upper()}{error.reason[1:]}.", line=error.line) from None

    def _parse(self, piece: bytes, *, last: bool = False) -> None:
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            line = error.lineno + self._lines_removed
            raise Refusal(f"It is not well-formed XML: {expat.ErrorString(error.code)}.", line=line) from None

    @property
    def _line(self) -> int:
        return self._parser.CurrentLineNumber + self._lines_removed

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
            self._format = check_root(
                self._expected,
                self._profile,
                namespace=namespace,
                root=local,
                version=attributes.get("versjon"),
                line=self._line,
            )
            self._capturable = bool(prefix) and not self._default_declared
            if not self._shape.block:
                self._fields = {
                    field: Field(attributes[field], self._line) for field in self._shape.fields & attributes.keys()
                }
        elif self._capturable:
            self._on_start_guarded(name)
        self._path.append(local)
        self._text = ""
        if local == self._shape.person:
            self._facts = check_header(self._expected, self._profile, self._fields, line=self._line)
            self._let_run()

    def _on_text(self, text: str) -> None:
        if len(self._text) < _MAX_FIELD:
            self._text += text

    def _on_end(self, _: str) -> None:
        local = self._path.pop()
        if self._path[1:] == [self._shape.block] and local in self._shape.fields:
            if local in self._fields:
                self._refuse(f"{local} stands there twice.")
            self._fields[local] = Field(self._text, self._line)
        self._text = ""

    def _let_run(self) -> None:
        """Drop the callbacks: from here on the parser only watches over well-formedness, at twice the speed."""
        self._parser.StartNamespaceDeclHandler = None
        self._parser.CharacterDataHandler = None
        self._parser.EndElementHandler = None
        self._parser.StartElementHandler = self._on_start_guarded if self._capturable else None

    def _on_start_guarded(self, name: str, _: object = None) -> None:
        """Refuse what would change its meaning inside MsgHead, whose default namespace would take it in."""
        if _SEPARATOR not in name:
            self._refuse("An element stands in no namespace, below a root whose namespace has a prefix.")


def _parts(name: str) -> tuple[str, str, str]:
    """Split expat's name into namespace, local name and prefix."""
    namespace, local, prefix, *_ = [*name.split(_SEPARATOR), "", ""]
    return (namespace, local, prefix) if local else ("", namespace, "")


def _opened(piece: bytes) -> int:
    """Return about how many more elements a piece opens than it closes.

    Counted in the bytes, because callbacks for every element would double the time. Wrong by a few at the ends of a
    piece, and too low where text holds what looks like an end tag; it is there to stop what would fill the memory.
    """
    opened = piece.count(b"<") - 2 * piece.count(b"</") - piece.count(b"/>")
    return opened if opened <= 0 else opened - piece.count(b"<!") - piece.count(b"<?")
