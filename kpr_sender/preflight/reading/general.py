"""Reads any file record by record with expat: what the fast reader leaves, and what must be told with line and place.

A record is what stands directly in a container (PERSON, INNHINFO, Kontaktperson, PasientIdent); one is held at a time.
Expat is held to limits of its own here; that the bytes are well-formed is judged by ``well_formed`` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NoReturn
from xml.parsers import expat

from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.record import Element

MAX_RECORD: Final = 16_000_000  # bytes
MAX_ELEMENTS: Final = 100_000  # in one record; a person's with everything in it has some thousand
MAX_DEPTH: Final = 256  # libxml2's limit, too
_MAX_TOKEN: Final = 1_000_000  # bytes of one tag or comment
_PIECE: Final = 65_536  # bytes given to expat at once
_MAX_NAMES: Final = 10_000  # names remembered; a right file has some hundred
_SEPARATOR: Final = "\x01"  # between namespace and name; no XML document can hold it
_WHITE: Final = " \t\r\n"
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

_LINE_END: Final = re.compile(rb"\r\n?|\n")
_TAG_NAME: Final = re.compile(rb"<([^\s/>]+)")


@dataclass(frozen=True, slots=True)
class Start:
    """A container begins; name and attributes as in ``Element``."""

    name: str
    attributes: Mapping[str, str]
    line: int


@dataclass(frozen=True, slots=True)
class End:
    """The container that was opened last ends."""

    line: int


@dataclass(frozen=True, slots=True)
class Text:
    """Something other than white space stands directly in a container."""

    line: int


Event = Start | Element | End | Text


class GeneralReader:
    """Reads one document, fed in pieces.

    Args:
        namespace: The format's.
        containers: Elements whose children are told one by one; the root is one whatever its name.
        prefix_declarations: Start tags of the containers that are open already, as they stand in the file and behind
            one another; with them the namespaces that are in scope. They are not told.
        lines_before: Lines of the file before the first piece.
    """

    def __init__(
        self, namespace: str, containers: frozenset[str], *, prefix_declarations: bytes = b"", lines_before: int = 0
    ) -> None:
        self._ours = namespace + _SEPARATOR
        self._containers = containers
        self._names: dict[str, str] = {}
        self._events: list[Event] = []
        self._depth = 0  # open containers
        self._opening = True  # those that are open already are being read
        self._open: list[Element] = []  # the record's elements, the record first
        self._texts: list[list[str]] = []  # their texts
        self._elements = 0
        self._record_at = 0
        self._held = bytearray()  # what is not given yet: expat begins a long tag anew with each piece, however small
        self._given = 0
        self._lines_before = 0
        parser = expat.ParserCreate("utf-8", _SEPARATOR)
        parser.buffer_text = True
        parser.buffer_size = _PIECE
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.StartElementHandler = self._on_start
        parser.CharacterDataHandler = self._on_text
        parser.EndElementHandler = self._on_end
        self._parser = parser
        # An XML declaration is taken off before; a second one is an error, and behind a blank it is one here, too.
        self._parse(b" " + prefix_declarations)
        self._opening = False
        self._events.clear()
        self._lines_before = lines_before - len(_LINE_END.findall(prefix_declarations))

    def read(self, piece: bytes) -> Iterator[Event]:
        """Read on; yield what is complete, or a little less.

        Raises:
            Refusal: It is not well-formed, has a DTD or is beyond a limit.
        """
        self._held += piece
        while len(self._held) >= _PIECE:
            self._parse(bytes(self._held[:_PIECE]))
            del self._held[:_PIECE]
            yield from self._told()

    def flush(self) -> Iterator[Event]:
        """Yield what the bytes so far tell, all of it where they end between two records.

        Raises:
            Refusal: As for ``read``.
        """
        self._parse(bytes(self._held))
        self._held.clear()
        yield from self._told()

    def skip(self, lines: int) -> None:
        """Go on behind whole records that somebody else has read, with so many line ends in them."""
        self._lines_before += lines

    def end(self) -> Iterator[Event]:
        """Yield what is left, at the end of the document.

        Raises:
            Refusal: It has no right end.
        """
        yield from self.flush()
        self._parse(b"", last=True)
        yield from self._told()

    def _told(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _parse(self, piece: bytes, *, last: bool = False) -> None:
        self._given += len(piece)
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            line = error.lineno + self._lines_before
            raise Refusal(f"It is not well-formed XML: {expat.ErrorString(error.code)}.", line=line) from None
        if self._given - self._parser.CurrentByteIndex > _MAX_TOKEN:
            self._refuse(f"There is a tag or comment of more than {_MAX_TOKEN} bytes.")
        if self._open and self._given - self._record_at > MAX_RECORD:
            self._refuse(f"There is a record of more than {MAX_RECORD} bytes.", line=self._open[0].line)

    @property
    def _line(self) -> int:
        return self._parser.CurrentLineNumber + self._lines_before

    def _refuse(self, what: str, *, line: int = 0) -> NoReturn:
        raise Refusal(what, line=line or self._line)

    def _on_doctype(self, *_: object) -> None:
        self._refuse("It has a document type declaration (DTD, entities), which is never allowed.")

    def _on_start(self, expat_name: str, expat_attributes: dict[str, str]) -> None:
        if self._depth + len(self._open) >= MAX_DEPTH:
            self._refuse(f"It is nested more than {MAX_DEPTH} deep.")
        name = self._name(expat_name)
        attributes = {_attribute(key): value for key, value in expat_attributes.items()} or _NOTHING
        if not self._open and (self._opening or not self._depth or name in self._containers):
            self._depth += 1
            self._events.append(Start(name, attributes, self._line))
            return
        element = Element(name, attributes, self._line)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._record_at = self._parser.CurrentByteIndex
            self._elements = 0
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            self._refuse(f"There is a record of more than {MAX_ELEMENTS} elements.", line=self._open[0].line)
        self._open.append(element)
        self._texts.append([])

    def _on_text(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)
        elif rest := text.lstrip(_WHITE):
            self._events.append(Text(self._line - rest.count("\n")))

    def _on_end(self, _: str) -> None:
        if not self._open:
            self._depth -= 1
            self._events.append(End(self._line))
            return
        element = self._open.pop()
        element.text = "".join(self._texts.pop())
        if not self._open:
            self._events.append(element)

    def _name(self, expat_name: str) -> str:
        known = self._names.get(expat_name)
        if known is None:
            if len(self._names) >= _MAX_NAMES:
                self._names.clear()
            namespace, _, local = expat_name.rpartition(_SEPARATOR)
            known = local if expat_name.startswith(self._ours) else f"{{{namespace}}}{local}"
            self._names[expat_name] = known
        return known


def read_document(
    pieces: Iterable[bytes],
    *,
    namespace: str,
    containers: frozenset[str],
    prefix_declarations: bytes = b"",
    lines_before: int = 0,
) -> Iterator[Event]:
    """Stream a whole document, or the rest of one; memory is that of its largest record.

    Args:
        pieces: UTF-8 without an XML declaration, cut anywhere.
        namespace: As for ``GeneralReader``, as the others.
        containers: See there.
        prefix_declarations: See there.
        lines_before: See there.

    Raises:
        Refusal: It is not well-formed, has a DTD or is beyond a limit. Raised while iterating.
    """
    reader = GeneralReader(namespace, containers, prefix_declarations=prefix_declarations, lines_before=lines_before)
    for piece in pieces:
        yield from reader.read(piece)
    yield from reader.end()


def read_record(data: bytes, *, namespace: str, prefix_declarations: bytes, first_line: int) -> Element:
    """Read one record that was cut out of its file.

    Args:
        data: From its start tag to its end tag; white space around them may be there.
        namespace: The format's.
        prefix_declarations: Start tags of the containers around it, as they stand.
        first_line: Line of the file that ``data`` begins in.

    Raises:
        Refusal: It is not well-formed, not one record, or beyond a limit.
    """
    reader = GeneralReader(namespace, frozenset(), prefix_declarations=prefix_declarations, lines_before=first_line - 1)
    events = list(reader.read(data))
    for name in reversed(_TAG_NAME.findall(prefix_declarations)):
        events += reader.read(b"</" + name + b">")
    events += reader.end()
    match events:
        case [Element() as element, *rest] if all(isinstance(each, End) for each in rest):
            return element
    raise Refusal("This is not one whole record.", line=first_line)


def _attribute(expat_name: str) -> str:
    if _SEPARATOR not in expat_name:
        return expat_name
    namespace, _, local = expat_name.rpartition(_SEPARATOR)
    return f"{{{namespace}}}{local}"
