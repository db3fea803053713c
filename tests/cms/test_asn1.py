"""Our DER is what the rules say, and our BER reader reads it, within its bounds."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpr_sender.cms import asn1

ARCS = st.lists(st.integers(0, 2**40), max_size=4)


def read(data: bytes, *, max_elements: int = 1000, max_depth: int = 40) -> asn1.BerElement:
    return asn1.read(memoryview(data), max_elements=max_elements, max_depth=max_depth)


@settings(deadline=None)
@given(st.integers(0, 2), st.integers(0, 39), ARCS)
def test_object_identifiers_come_back(first: int, second: int, rest: list[int]) -> None:
    dotted = ".".join(str(arc) for arc in (first, second, *rest))
    encoded = asn1.oid(dotted)
    if len(encoded) <= 34:
        assert read(encoded).oid() == dotted


@settings(deadline=None)
@given(st.binary(max_size=70_000))
def test_octet_strings_come_back(content: bytes) -> None:
    element = read(asn1.wrap(asn1.OCTET_STRING, content))
    assert b"".join(element.octets()) == content
    assert element.is_definite


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_segments_of_any_lengths_are_one_octet_string(segments: list[bytes]) -> None:
    inner = b"".join(asn1.wrap(asn1.OCTET_STRING, segment) for segment in segments)
    for data in (asn1.wrap(0x24, inner), b"\x24\x80" + inner + b"\0\0", b"\x24\x80" + asn1.wrap(0x24, inner) + b"\0\0"):
        assert b"".join(read(data).octets()) == b"".join(segments)


@settings(deadline=None)
@given(st.integers(0, 2**40))
def test_lengths_are_the_shortest(length: int) -> None:
    octets = asn1.header(asn1.OCTET_STRING, length)[1:]
    if length < 128:
        assert octets == bytes((length,))
    else:
        assert octets[0] == 0x80 + len(octets) - 1
        assert octets[1] != 0
        assert int.from_bytes(octets[1:], "big") == length


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_one_kind_of_error(data: bytes) -> None:
    def walk(element: asn1.BerElement) -> None:
        if element.tag & 0x20:
            for child in element.children():
                walk(child)

    with contextlib.suppress(asn1.BerError):
        walk(read(data))


def nested(depth: int) -> tuple[bytes, bytes]:
    definite = b""
    for _ in range(depth):
        definite = asn1.wrap(asn1.SEQUENCE, definite)
    return definite, b"\x30\x80" * depth + b"\0\0" * depth


@pytest.mark.parametrize("form", [0, 1], ids=["definite", "indefinite"])
def test_nesting_is_bounded(form: int) -> None:
    def deepest(element: asn1.BerElement) -> int:
        return 1 + max((deepest(child) for child in element.children()), default=0)

    assert deepest(read(nested(11)[form], max_depth=10)) == 11
    with pytest.raises(asn1.BerError, match="deep"):
        deepest(read(nested(12)[form], max_depth=10))


@pytest.mark.parametrize("form", [0, 1], ids=["definite", "indefinite"])
def test_the_number_of_elements_is_bounded(form: int) -> None:
    content = b"\x04\x00" * 9
    data = (asn1.wrap(asn1.SEQUENCE, content), b"\x30\x80" + content + b"\0\0")[form]
    assert len(read(data, max_elements=10).children()) == 9
    with pytest.raises(asn1.BerError, match="many"):
        read(data, max_elements=9).children()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x04", id="no length"),
        pytest.param(b"\x04\x02a", id="cut off"),
        pytest.param(b"\x04\x01ab", id="more after the end"),
        pytest.param(b"\x04\x80a\0\0", id="indefinite primitive"),
        pytest.param(b"\x30\x80\x04\x01a", id="no end"),
        pytest.param(b"\x30\x80\x04\x01a\0", id="half an end"),
        pytest.param(b"\x1f\x81\x01\x00", id="high tag"),
        pytest.param(b"\0\0", id="end without a beginning"),
        pytest.param(b"\x04\x89" + bytes(9), id="a length of nine octets"),
        pytest.param(b"\x30\x02\x04\x01", id="a child longer than its parent"),
    ],
)
def test_what_is_not_ber_is_refused(data: bytes) -> None:
    with pytest.raises(asn1.BerError):
        read(data).children()


@pytest.mark.parametrize("octets", [b"", b"\x81", b"\x2a" + b"\x81" * 32 + b"\x01"])
def test_object_identifiers_that_cannot_be_are_refused(octets: bytes) -> None:
    with pytest.raises(asn1.BerError, match="object identifier"):
        read(asn1.wrap(asn1.OID, octets)).oid()


@pytest.mark.parametrize("octets", [b"", bytes(9)])
def test_integers_that_cannot_be_are_refused(octets: bytes) -> None:
    with pytest.raises(asn1.BerError, match="integer"):
        read(asn1.wrap(asn1.INTEGER, octets)).integer()


def test_fields_are_taken_in_order() -> None:
    sequence = read(asn1.wrap(asn1.SEQUENCE, asn1.wrap(asn1.INTEGER, b"\x01"), asn1.wrap(0xA0, b"")))
    fields = asn1.Fields(sequence)
    assert fields.optional(0xA0) is None
    assert fields.take(asn1.INTEGER).integer() == 1
    with pytest.raises(asn1.BerError, match="more fields"):
        fields.end()
    assert fields.optional(0xA0) is not None
    fields.end()
    with pytest.raises(asn1.BerError, match="missing"):
        fields.take(asn1.INTEGER)
