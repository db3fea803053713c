"""Writes DER: definite, shortest lengths. Lengths are known beforehand, so content can be streamed between parts."""

from __future__ import annotations

from typing import Final

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
NULL: Final = b"\x05\x00"
OID: Final = 0x06
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT_0: Final = 0x80
"""Primitive [0]."""
CONTEXT_0_CONSTRUCTED: Final = 0xA0

_LONG_FORM: Final = 0x80


def header(tag: int, length: int) -> bytes:
    """Return identifier and length octets of an element.

    Args:
        tag: Identifier octet.
        length: Length of the content in bytes.
    """
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
