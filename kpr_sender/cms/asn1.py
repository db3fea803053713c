"""ASN.1 as CMS uses it: writes DER, reads BER within fixed bounds.

1. Written is DER: definite, shortest lengths. Lengths are known beforehand, so content can be streamed between parts.
2. Read is BER as peers write it: BouncyCastle and ``openssl -stream`` use indefinite lengths.
3. Every element is read once. An indefinite length is found by reading its children, which stay with it; those of a
   definite element are read only when asked for. So the work is linear in the number of elements.
4. Nesting and the number of elements are bounded; so is the size, by the caller.
5. Nothing is copied: content is a ``memoryview`` of the data.
6. Reading raises ``BerError`` and nothing else, but for ``content_info``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kpr_sender.cms.algorithms import REFUSED, Policy
from kpr_sender.cms.port import AlgorithmRefused
from kpr_sender.texts import Text

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OCTET_STRINGS: Final = (OCTET_STRING, 0x24)
"""Primitive and constructed."""
NULL: Final = b"\x05\x00"
OID: Final = 0x06
UTC_TIME: Final = 0x17
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT_0: Final = 0x80
"""Primitive [0]."""
CONTEXT_0_CONSTRUCTED: Final = 0xA0

_LONG_FORM: Final = 0x80
_INDEFINITE: Final = 0x80
_CONSTRUCTED: Final = 0x20
_HIGH_TAG: Final = 0x1F
_MAX_LENGTH_OCTETS: Final = 8
_MAX_OID_BYTES: Final = 32
_MAX_INTEGER_BYTES: Final = 8


def header(tag: int, length: int) -> bytes:
    """Return identifier and length octets of an element; ``length`` is its content's, in bytes."""
    if length < _LONG_FORM:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(octets))) + octets


def wrap(tag: int, *parts: bytes) -> bytes:
    """Return an element whose content is the parts one after the other."""
    content = b"".join(parts)
    return header(tag, len(content)) + content


def around(tag: int, opening: bytes, inner_length: int) -> bytes:
    """Return the beginning of an element: header and ``opening``, before ``inner_length`` bytes that come later."""
    return header(tag, len(opening) + inner_length) + opening


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER (X.690 8.19) from its dotted form."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return wrap(OID, *(_base128(arc) for arc in (first * 40 + second, *rest)))


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(0x80 | arc & 0x7F)
    return bytes(reversed(octets))


class BerError(ValueError):
    """Not BER, or not the structure that is expected. Callers turn it into a refusal; the text is for developers."""


@dataclass(slots=True)
class _BerBytes:
    """The bytes, and how much may still be read of them."""

    view: memoryview
    max_depth: int
    elements_left: int

    def element(self, start: int, end: int, depth: int) -> BerElement:
        """Read the element that begins at ``start`` and must end at or before ``end``."""
        if depth > self.max_depth:
            raise BerError(Text("nested too deeply"))
        self.elements_left -= 1
        if self.elements_left < 0:
            raise BerError(Text("too many elements"))
        tag, length, content_start = self._header(start, end)
        if length is None:
            return self._indefinite(start, tag, content_start, end, depth)
        content_end = content_start + length
        if content_end > end:
            raise BerError(Text("an element is longer than the one around it"))
        return BerElement(self, tag, depth, start, content_start, content_end, content_end)

    def _header(self, start: int, end: int) -> tuple[int, int | None, int]:
        """Return tag, length (None: indefinite) and where the content starts."""
        if end - start < 2:  # noqa: PLR2004, the shortest header
            raise BerError(Text("cut off"))
        tag, first = self.view[start], self.view[start + 1]
        if tag == 0 or tag & _HIGH_TAG == _HIGH_TAG:
            raise BerError(Text("a tag that CMS does not have"))
        content_start = start + 2
        if first < _INDEFINITE:
            return tag, first, content_start
        if first == _INDEFINITE:
            return tag, None, content_start
        octets = first & 0x7F
        if octets > _MAX_LENGTH_OCTETS or end - content_start < octets:
            raise BerError(Text("a length that cannot be"))
        length = int.from_bytes(self.view[content_start : content_start + octets], "big")
        return tag, length, content_start + octets

    def _indefinite(self, start: int, tag: int, content_start: int, end: int, depth: int) -> BerElement:
        if not tag & _CONSTRUCTED:
            raise BerError(Text("a primitive element of indefinite length"))
        children: list[BerElement] = []
        position = content_start
        while bytes(self.view[position : min(position + 2, end)]) != b"\0\0":
            child = self.element(position, end, depth + 1)
            children.append(child)
            position = child.end
        return BerElement(self, tag, depth, start, content_start, position, position + 2, children)


@dataclass(slots=True)
class BerElement:
    """One element and where it is: ``raw`` with header, ``content`` without it and without end-of-contents."""

    _source: _BerBytes = field(repr=False)
    tag: int
    depth: int
    start: int
    content_start: int
    content_end: int
    end: int
    _children: list[BerElement] | None = field(default=None, repr=False)

    @property
    def raw(self) -> memoryview:
        """The element with its header."""
        return self._source.view[self.start : self.end]

    @property
    def content(self) -> memoryview:
        """The element without its header."""
        return self._source.view[self.content_start : self.content_end]

    @property
    def is_definite(self) -> bool:
        """Whether its length is in its header, as DER requires."""
        return self.end == self.content_end

    def expect(self, *tags: int) -> BerElement:
        """Return the element itself when its tag is one of these; any tag will do where none is given.

        Raises:
            BerError: It has another.
        """
        if tags and self.tag not in tags:
            raise BerError(Text("tag {tag} where another is expected", tag=format(self.tag, "#04x")))
        return self

    def children(self) -> list[BerElement]:
        """Return the elements of a constructed one, in order."""
        if self._children is None:
            if not self.tag & _CONSTRUCTED:
                raise BerError(Text("a primitive element where a constructed one is expected"))
            children: list[BerElement] = []
            position = self.content_start
            while position < self.content_end:
                child = self._source.element(position, self.content_end, self.depth + 1)
                children.append(child)
                position = child.end
            self._children = children
        return self._children

    def only_child(self, *tags: int) -> BerElement:
        """Return the only element in this one."""
        match self.children():
            case [child]:
                return child.expect(*tags)
            case children:
                raise BerError(Text("{children} elements where one is expected", children=len(children)))

    def oid(self) -> str:
        """Return an OBJECT IDENTIFIER in dotted form."""
        octets = bytes(self.expect(OID).content[: _MAX_OID_BYTES + 1])
        if not 0 < len(octets) <= _MAX_OID_BYTES or octets[-1] & 0x80:
            raise BerError(Text("an object identifier that cannot be"))
        arcs, arc = [], 0
        for octet in octets:
            arc = arc << 7 | octet & 0x7F
            if not octet & 0x80:
                arcs.append(arc)
                arc = 0
        root = min(arcs[0] // 40, 2)
        return ".".join(str(arc) for arc in (root, arcs[0] - 40 * root, *arcs[1:]))

    def integer(self) -> int:
        """Return a small INTEGER."""
        octets = self.expect(INTEGER).content
        if not 0 < len(octets) <= _MAX_INTEGER_BYTES:
            raise BerError(Text("an integer that cannot be"))
        return int.from_bytes(octets, "big", signed=True)

    def octets(self, tag: int = OCTET_STRING) -> list[memoryview]:
        """Return the segments of an OCTET STRING: one when primitive, any number when constructed (X.690 8.7.3).

        Args:
            tag: Its tag in the primitive form: 0x04, or 0x80 where it is implicitly tagged [0].
        """
        if self.tag == tag:
            return [self.content]
        segments: list[memoryview] = []
        for child in self.expect(tag | _CONSTRUCTED).children():
            segments += child.octets()
        return segments


class Fields:
    """The fields of a SEQUENCE, taken one by one in order."""

    def __init__(self, element: BerElement) -> None:
        self._fields = element.expect(SEQUENCE).children()
        self._next = 0

    def take(self, *tags: int) -> BerElement:
        """Return the next field, which must be there and have one of the tags, where any are given."""
        if self._next == len(self._fields):
            raise BerError(Text("a field is missing"))
        self._next += 1
        return self._fields[self._next - 1].expect(*tags)

    def optional(self, *tags: int) -> BerElement | None:
        """Return the next field when it is there and has one of the tags, where any are given."""
        if self._next == len(self._fields) or (tags and self._fields[self._next].tag not in tags):
            return None
        return self.take(*tags)

    def end(self) -> None:
        """Check that nothing is left."""
        if self._next != len(self._fields):
            raise BerError(Text("more fields than expected"))


def read(data: memoryview, *, max_elements: int, max_depth: int) -> BerElement:
    """Read one element that is all of ``data``.

    Raises:
        BerError: There is more, or it is not BER, or beyond the bounds.
    """
    element = _BerBytes(data, max_depth, max_elements).element(0, len(data), 0)
    if element.end != len(data):
        raise BerError(Text("bytes after the end"))
    return element


def content_info(data: memoryview, content_type: str, policy: Policy) -> BerElement:
    """Read a ContentInfo (RFC 5652 3) of a content type, with nothing after it, and return its content.

    Raises:
        BerError: It is not one, or of another type.
        AlgorithmRefused: It is of a type that we know and do not accept (AuthEnvelopedData).
    """
    fields = Fields(read(data, max_elements=policy.max_nodes, max_depth=policy.max_depth))
    oid = fields.take(OID).oid()
    if oid in REFUSED:
        raise AlgorithmRefused(REFUSED[oid])
    if oid != content_type:
        raise BerError(Text("another content type than expected"))
    content = fields.take(CONTEXT_0_CONSTRUCTED).only_child(SEQUENCE)
    fields.end()
    return content


def algorithm(identifier: BerElement) -> tuple[str, BerElement | None]:
    """Read an AlgorithmIdentifier (RFC 5280 4.1.1.2).

    Returns:
        Object identifier and parameters, None where these are absent or NULL: peers write both for *none*.
    """
    fields = Fields(identifier)
    oid, parameter = fields.take(OID).oid(), fields.optional()
    fields.end()
    return oid, None if parameter is None or bytes(parameter.raw[:3]) == NULL else parameter
