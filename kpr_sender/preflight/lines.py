"""In which line a tag of a well-formed document stands, counted in the bytes themselves.

libxml2 knows the line in which a start tag ends, up to line 65,535. So lines are counted here: in a document that
is known to be well-formed, once comments, processing instructions and CDATA sections are blanked, each ``<`` begins a
tag, and start tags stand in the order of the elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TAG: Final = re.compile(rb"<[^<>\"']*(?:\"[^\"]*\"[^<>\"']*|'[^']*'[^<>\"']*)*>")
_PROLOG: Final = re.compile(rb"(?:[ \t\r\n]++|<!--.*?-->|<\?.*?\?>)*+", re.DOTALL)
_NAME: Final = re.compile(rb"<([^\s/>]+)")
_START_TAG: Final = re.compile(rb"<(?!/)")  # a document that is well-formed has no other ``<``
WHITE: Final = " \t\r\n"  # XML's, which XSD collapses; a no-break space is none
_NO_WHITE: Final = re.compile(rb"[^ \t\r\n\x02]")
_ASIDES: Final = ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>"))
_CDATA: Final = b"<![CDATA["
_ASIDE: Final = 0x02
_BLANK: Final = bytes(each if each in b"\r\n" else _ASIDE for each in range(256))
_TEXT: Final = bytes(each if each in b" \t\r\n" else 0x01 for each in range(256))
"""In place of comments and the like, and of a CDATA section's text: characters that are in no XML document."""

_LATE: Final = 1_000  # bytes; libxml2 reads a text with its end, or when it has some hundred bytes of it
_SOLIDUS: Final = ord("/")


@dataclass(frozen=True, slots=True)
class Extent:
    """One element with everything in it, as it is written.

    Attributes:
        line: Line of its start tag.
        elements: How many elements it is, itself included.
        written: Its bytes, with comments and the like blanked.
    """

    line: int
    elements: int
    written: bytes

    def lines(self) -> Iterator[int]:
        """Yield the line of each start tag, in the order of the elements."""
        line, at, written = self.line, 0, self.written
        plain = b"\r" not in written
        for tag in _START_TAG.finditer(written):
            begin = tag.start()
            line += written.count(b"\n", at, begin) if plain else breaks(written, at, begin)
            at = begin
            yield line


class Lines:
    """Follows a document from tag to tag, as whoever reads it says what comes next.

    Args:
        line: Line of the file that the document begins in.
    """

    def __init__(self, line: int) -> None:
        self._bytes = bytearray()
        self._base = 0  # the place in the document of the first of these bytes; the next four are such places, too
        self._tags_closed = 0  # before here each tag has its end
        self._references_closed = 0  # and each reference
        self._tags_from = self._tags_to = self._tags = 0  # how many tags begin an element between two places
        self._at = 0
        self._line = line  # at ``_at``
        self._blanked = 0  # before here no aside begins that has its end
        self._open_aside = -1
        self._self_closed = False

    def add(self, chunk: bytes) -> None:
        """Take the next bytes of the document."""
        del self._bytes[: self._at]
        self._base += self._at
        self._blanked = max(self._blanked - self._at, 0)
        self._at = 0
        self._bytes += chunk
        self._blank()

    @property
    def held(self) -> int:
        """How many bytes there are behind what was passed."""
        return len(self._bytes) - self._at

    def tags_begun(self) -> int:
        """Return how many tags behind what was passed begin an element, or may do so."""
        if self._tags_from != self._base + self._at:
            self._tags_from = self._tags_to = self._base + self._at
            self._tags = 0
        end = self._open_aside if self._open_aside >= 0 else len(self._bytes)
        end -= self._bytes.endswith(b"<", self._at, end)  # it may begin an end tag
        behind = self._tags_to - self._base
        self._tags += self._bytes.count(b"<", behind, end) - self._bytes.count(b"</", behind, end)
        self._tags_to = self._base + end
        return self._tags

    def pending(self) -> tuple[int, int]:
        """Return the length so far of a last tag, comment or the like whose end has not come, and its line."""
        begin = self._open_aside if self._open_aside >= 0 else self._open_tag()
        if begin < 0:
            begin = self._open_reference()
        if begin < 0:
            return 0, 0
        return len(self._bytes) - begin, self._line_of(begin)

    def next_line(self) -> int:
        """Return the line of the next tag."""
        return self._line_of(self._next())

    def last(self) -> int:
        """Return the line in which the document so far ends."""
        return self._line_of(len(self._bytes))

    def text_line(self) -> int:
        """Return the line of what stands before the next tag and is no white space."""
        found = _NO_WHITE.search(self._bytes, self._at)
        return self._line_of(found.start() if found else self._at)

    def skip_text(self) -> None:
        """Pass text up to the next tag, or what libxml2 is certain to have read of it."""
        found = [at for at in (self._bytes.find(b"<", self._at), self._open_reference()) if at >= self._at]
        self._pass(min(found, default=max(self._at, len(self._bytes) - _LATE)))

    def start(self) -> int:
        """Pass the next start tag; return its line."""
        self._pass(self._next())
        line, end = self._line, self._tag_end()
        self._self_closed = self._bytes[end - 2] == _SOLIDUS
        self._pass(end)
        return line

    def end(self) -> int:
        """Pass the end tag of the element that was started last and has not ended; return its line."""
        if self._self_closed:
            self._self_closed = False
            return self._line
        self._pass(self._next())
        line = self._line
        self._pass(self._tag_end())
        return line

    def element(self) -> Extent:
        """Pass the next element with everything in it."""
        self._self_closed = False
        data = self._bytes
        self._pass(self._next())
        begin, line = self._at, self._line
        end, elements = self._plain_end(begin) or self._end_by_depth(begin)
        self._pass(end)
        return Extent(line, elements, bytes(data[begin:end]))

    def _plain_end(self, begin: int) -> tuple[int, int] | None:
        """Return where an element ends and how many it is; None where an element in it may be self-closing.

        The first end tag of its name ends it, if as many tags end as begin up to there: inside it, more have begun.
        """
        data = self._bytes
        tag = _TAG.match(data, begin)
        name = _NAME.match(data, begin)
        if tag is None or name is None:
            return None
        if data[tag.end() - 2] == _SOLIDUS:
            return tag.end(), 1
        mark = b"</" + name[1]
        end = data.find(mark, tag.end())
        while end >= 0 and data[end + len(mark)] not in b"> \t\r\n":  # another name that begins alike
            end = data.find(mark, end + 1)
        if end < 0:
            return None
        end = data.find(b">", end) + 1
        ends = data.count(b"</", begin, end)
        if data.count(b"<", begin, end) != 2 * ends or data.find(b"/>", begin, end) >= 0:
            return None
        return end, ends

    def _end_by_depth(self, begin: int) -> tuple[int, int]:
        depth = elements = 0
        for tag in _TAG.finditer(self._bytes, begin):
            if self._bytes[tag.start() + 1] == _SOLIDUS:
                depth -= 1
            else:
                elements += 1
                depth += self._bytes[tag.end() - 2] != _SOLIDUS
            if not depth:
                return tag.end(), elements
        raise RuntimeError("An element was read whose end is not there.")

    def _open_tag(self) -> int:
        """Return where the last tag begins, if its end has not come; -1 otherwise."""
        begin = self._bytes.rfind(b"<", max(self._tags_closed - self._base, 0))
        if begin >= 0 and tag_end(self._bytes, begin) < 0:
            return begin
        self._tags_closed = self._base + len(self._bytes)
        return -1

    def _open_reference(self) -> int:
        """Return where the last reference begins, if its end has not come; -1 otherwise."""
        begin = self._bytes.rfind(b"&", max(self._references_closed - self._base, self._at))
        if begin >= 0 and self._bytes.find(b";", begin) < 0:
            return begin
        self._references_closed = self._base + len(self._bytes)
        return -1

    def _next(self) -> int:
        return max(self._bytes.find(b"<", self._at), self._at)

    def _tag_end(self) -> int:
        return tag_end(self._bytes, self._at)

    def _line_of(self, place: int) -> int:
        return self._line + breaks(self._bytes, self._at, place)

    def _pass(self, end: int) -> None:
        self._line += breaks(self._bytes, self._at, end)
        self._at = end

    def _blank(self) -> None:
        """Blank what holds no tag though it may look like one; a CDATA section's text stays one."""
        data, self._open_aside = self._bytes, -1
        while True:
            found = [at for at in (data.find(b"<!", self._blanked), data.find(b"<?", self._blanked)) if at >= 0]
            if not found:
                # The mark itself may be cut in two.
                self._blanked = max(self._blanked, len(data) - 1)
                return
            begin = min(found)
            last = next((last for first, last in _ASIDES if data.startswith(first, begin)), b"")
            end = data.find(last, begin + 2 + 2 * (last == b"-->")) if last else -1
            if end < 0:
                self._blanked = self._open_aside = begin
                return
            inside = begin + len(_CDATA)
            if last == b"]]>":
                data[inside:end] = data[inside:end].translate(_TEXT)
                data[begin:inside] = bytes([_ASIDE]) * len(_CDATA)
            else:
                data[begin:end] = data[begin:end].translate(_BLANK)
            self._blanked = end + len(last)
            data[end : self._blanked] = bytes([_ASIDE]) * len(last)


def prolog_end(head: bytes | bytearray) -> int:
    """Return where a document's white space, comments and processing instructions before its root end."""
    found = _PROLOG.match(head)
    return found.end() if found else 0


def tag_end(data: bytes | bytearray, begin: int) -> int:
    """Return where the tag ends that begins somewhere; -1 where its end has not come."""
    found = _TAG.match(data, begin)
    return found.end() if found else -1


def breaks(data: bytes | bytearray, begin: int, end: int) -> int:
    """Return how many lines end between two places; CR, LF and CR LF each end one."""
    lines = data.count(b"\n", begin, end)
    if data.find(b"\r", begin, end) >= 0:
        lines += data.count(b"\r", begin, end) - data.count(b"\r\n", begin, end)
    return lines
