"""What stands in clear text outside the sealed bytes, to the byte (G6), and what others may send us."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.bus.codec import Decoded, Undecodable, encode_head
from kpr_sender.bus.proton_engine import Message, ulong
from tests.helpers.bus_settings import CONTENT_TYPE, KPR_QUEUE, RECEIPTS, outbound


def section(code: int, value: bytes) -> bytes:
    return b"\x00\x53" + bytes([code]) + value


def string(text: str) -> bytes:
    return b"\xa1" + bytes([len(text)]) + text.encode()


def test_the_head_holds_what_the_profile_asks_for_and_not_a_byte_more() -> None:
    message = outbound()
    fields = (
        string(message.message_id) + b"\x40" + string(KPR_QUEUE) + string("KPR_IPL") + string(RECEIPTS)
        + string(message.message_id) + b"\xa3" + bytes([len(CONTENT_TYPE)]) + CONTENT_TYPE.encode()
    )  # fmt: skip
    properties = b"".join(string(name) + string(value) for name, value in message.envelope.properties.items())
    durable_header = section(0x70, b"\xc0\x02\x01\x41")
    expected = (
        durable_header
        + section(0x73, b"\xc0" + bytes([len(fields) + 1, 7]) + fields)
        + section(0x74, b"\xd1" + (len(properties) + 4).to_bytes(4, "big") + (4).to_bytes(4, "big") + properties)
    )
    assert encode_head(message) == expected


@pytest.mark.parametrize(
    ("body_sections", "body"),
    [
        (section(0x75, b"\xa0\x02hi"), b"hi"),
        (section(0x75, b"\xb0\x00\x00\x00\x02hi"), b"hi"),
        (section(0x75, b"\xa0\x02hi") + section(0x75, b"\xa0\x03 du"), b"hi du"),
        (section(0x75, b"\xa0\x00"), b""),
        (section(0x77, b"\xa0\x02hi"), b"hi"),
        (section(0x77, b"\xa1\x02hi"), b"hi"),
        (section(0x77, b"\x40"), b""),
        (b"", b""),
        (section(0x75, b"\xa0\x02hi") + section(0x78, b"\xc1\x01\x00"), b"hi"),
    ],
    ids=["data", "data32", "two-data", "empty", "binary-value", "text-value", "null", "none", "footer"],
)
def test_bodies_of_every_client(body_sections: bytes, body: bytes) -> None:
    assert Decoded(encode_head(outbound()) + body_sections).body == body


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (7, "7"),
        (ulong(7), "7"),
        (True, "True"),
        (None, ""),
        (uuid.UUID(int=7), str(uuid.UUID(int=7))),
        (b"bin", "bin"),
    ],
)
def test_properties_of_every_type_become_strings(value: Any, text: str) -> None:
    decoded = Decoded(bytes(Message(properties={"name": value}).encode()))
    assert decoded.properties == {"name": text}


@pytest.mark.parametrize("value", [uuid.UUID(int=7), 7, "7"])
def test_message_ids_of_every_type_become_strings(value: Any) -> None:
    decoded = Decoded(bytes(Message(id=value, correlation_id=value, subject="APPREC").encode()))
    assert (decoded.field("message_id"), decoded.field("correlation_id")) == (str(value), str(value))
    assert (decoded.field("subject"), decoded.field("content_type")) == ("APPREC", "")


def test_our_own_head_reads_back() -> None:
    decoded = Decoded(encode_head(outbound()))
    assert decoded.field("content_type") == CONTENT_TYPE
    assert decoded.field("to") == KPR_QUEUE
    assert decoded.properties == outbound().envelope.properties


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not a message",
        section(0x75, b"\xb0\xff\xff\xff\xff"),
        section(0x73, b"\xc0\x06\x01\xa1\x03\xff\xfe\xfd"),
        section(0x76, b"\x45"),
        section(0x01, b"\x45"),
        b"\x45",
    ],
    ids=["empty", "text", "short", "not-utf8", "sequence", "unknown-section", "no-section"],
)
def test_what_is_no_message_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(Undecodable):
        Decoded(raw)


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_anything_else(noise: bytes) -> None:
    for raw in (noise, encode_head(outbound()) + noise):
        with contextlib.suppress(Undecodable):
            Decoded(raw)


@pytest.mark.parametrize(
    ("header", "annotations", "deliveries", "redelivered"),
    [
        (b"", b"", 0, False),
        (section(0x70, b"\xc0\x02\x01\x41"), b"", 0, False),
        (section(0x70, b"\xc0\x06\x05\x41\x40\x40\x42\x43"), b"", 0, True),
        (section(0x70, b"\xc0\x07\x05\x41\x40\x40\x42\x52\x03"), b"", 3, True),
        (b"", section(0x72, b"\xc1\x14\x02\xa3\x10x-delivery-count\x54\x04"), 4, False),
        (b"", section(0x72, b"\xc1\x14\x02\xa3\x10x-acquired-count\x54\x05"), 5, False),
        (b"", section(0x72, b"\xc1\x14\x02\xa3\x10x-delivery-count\xa1\x01x"), 0, False),
    ],
    ids=["none", "short", "redelivered", "header", "delivery-count", "acquired-count", "no-number"],
)
def test_how_often_it_was_delivered_is_what_the_broker_says(
    header: bytes, annotations: bytes, deliveries: int, *, redelivered: bool
) -> None:
    message = Decoded(header + annotations + section(0x75, b"\xa0\x02hi"))
    assert (message.deliveries, message.redelivered, message.body) == (deliveries, redelivered, b"hi")
