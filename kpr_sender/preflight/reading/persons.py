"""Cuts a fagmelding into its persons as it comes in, and reads each the fast way where that is certain to be right.

Whatever is not plain, a single person or the rest of the file from a comment on, goes to the general reader: slower,
and right in every case. Both judge well-formedness on their way, so that the file is read once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol

from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.reading.general import MAX_RECORD, Event, GeneralReader, read_record
from kpr_sender.preflight.reading.plain import PlainPersons
from kpr_sender.preflight.record import Element, PersonRecord

_MAX_HEAD: Final = 1_000_000  # bytes before the first person; a right head has about a thousand
_FIRST: Final = re.compile(rb"<PERSON[ \t\r\n/>]")
_LAST: Final = b"</PERSON>"
_ASIDE: Final = re.compile(rb"<!--|<\?")
_ASIDE_END: Final = {b"<!--": b"-->", b"<?": b"?>"}
_ROOT: Final = re.compile(rb"[ \t\r\n]*(<IPLOS(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*\s*>)")
_ASIDES: Final = (b"<!", b"<?")


class Sink(Protocol):
    """Who is told of what stands in the file, in its order."""

    def told(self, event: Event) -> None:
        """Something was read the general way."""

    def passed(self, record: PersonRecord, line: int, cut: Cut) -> None:
        """A person was read the fast way: it keeps the schema. ``line`` is that of its start tag."""


class Cut:
    """One person's bytes, should its findings need their places."""

    __slots__ = ("_data", "_declarations", "_line", "_namespace")

    def __init__(self, data: bytes, namespace: str, declarations: bytes, line: int) -> None:
        self._data = data
        self._namespace = namespace
        self._declarations = declarations
        self._line = line

    def element(self) -> Element:
        """Read it the general way, with lines.

        Raises:
            Refusal: It is not well-formed, or not one whole person.
        """
        return read_record(
            self._data, namespace=self._namespace, prefix_declarations=self._declarations, first_line=self._line
        )


class PersonReader:
    """Reads one fagmelding, fed in pieces.

    Args:
        namespace: The format's.
        persons: Reads one plain person.
        sink: Is told.
        lines_before: Lines of the file before the first piece.
    """

    def __init__(self, namespace: str, persons: PlainPersons, sink: Sink, *, lines_before: int) -> None:
        self._namespace = namespace
        self._containers = frozenset({"IPLOS"})
        self._persons = persons
        self._sink = sink
        self._lines = lines_before
        self._rest = b""
        self._root = b""  # the root's start tag, once the head is read
        self._general: GeneralReader | None = None

    def read(self, piece: bytes) -> None:
        """Read on.

        Raises:
            Refusal: The file is not well-formed, has a DTD or is beyond a limit.
        """
        if self._general is not None:
            self._tell(self._general.read(piece))
            return
        self._rest += piece
        if not self._root:
            self._head()
        if self._root:
            self._plain()

    def end(self) -> None:
        """Read what is left, at the end of the file.

        Raises:
            Refusal: It has no right end.
        """
        general = self._general or self._go_general(0)
        self._tell(general.end())

    def _head(self) -> None:
        """Read up to the first person, as soon as it has begun."""
        found = _FIRST.search(self._rest)
        if found is None:
            if len(self._rest) > _MAX_HEAD:
                self._go_general(0)
            return
        head = self._rest[: found.start()]
        spare = _without_asides(head)
        root = None if spare is None else _ROOT.match(spare)
        if root is None or f'xmlns="{self._namespace}"'.encode() not in root[1]:
            self._go_general(0)
            return
        reader = GeneralReader(self._namespace, self._containers, lines_before=self._lines)
        try:
            # Closed for trial: where this is well-formed, the first person stands right under the root.
            events = [*reader.read(head), *reader.read(b"</IPLOS>"), *reader.end()][:-1]
        except Refusal:
            self._go_general(0)
            return
        self._root = root[1]
        self._tell(events)
        self._lines += head.count(b"\n")
        self._rest = self._rest[len(head) :]

    def _plain(self) -> None:
        """Read every person that has ended."""
        data, at = self._rest, 0
        while (end := data.find(_LAST, at)) >= 0:
            end += len(_LAST)
            block = data[at:end]
            if not self._person(block):
                self._go_general(at)
                return
            self._lines += block.count(b"\n")
            at = end
        self._rest = data[at:]
        if len(self._rest) > MAX_RECORD:
            self._go_general(0)

    def _person(self, block: bytes) -> bool:
        """Read one person; say whether that was possible."""
        cut = Cut(block, self._namespace, self._root, self._lines + 1)
        text = _text(block)
        record = None if text is None else self._persons.read(text)
        if record is not None:
            self._sink.passed(record, self._lines + 1 + block.count(b"\n", 0, block.index(b"<")), cut)
            return True
        if any(aside in block for aside in _ASIDES):  # its end may be that of another, in a comment
            return False
        try:
            element = cut.element()
        except Refusal:  # not one whole person, or not well-formed: the general reader says which, and where
            return False
        self._sink.told(element)
        return True

    def _go_general(self, at: int) -> GeneralReader:
        self._general = GeneralReader(
            self._namespace, self._containers, prefix_declarations=self._root, lines_before=self._lines
        )
        rest, self._rest = self._rest[at:], b""
        self._tell(self._general.read(rest))
        return self._general

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._sink.told(event)


def _text(block: bytes) -> str | None:
    """Return the text; None where it is not UTF-8."""
    try:
        return block.decode()
    except UnicodeDecodeError:
        return None


def _without_asides(head: bytes) -> bytes | None:
    """Take comments and processing instructions out; None where one has no end, or a declaration is left.

    One after the other: a pattern with an end in it would look for that end anew from each of a million beginnings.
    """
    kept, at = [], 0
    while (begun := _ASIDE.search(head, at)) is not None:
        kept.append(head[at : begun.start()])
        end = _ASIDE_END[begun[0]]
        found = head.find(end, begun.end())
        if found < 0:  # the first person stands inside it
            return None
        at = found + len(end)
    spare = b"".join([*kept, head[at:]])
    return None if b"<!" in spare else spare
