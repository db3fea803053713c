"""Messages in and out, and the header that tells of earlier deliveries: the rest of the message stays as it came."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proton import Message

from kpr_sender.sandbox.amqp_message import BusMessage, NoMessage, delivered, read, write, write_as_clone

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20).filter(
    lambda x: x != "None"
)
MESSAGES = st.builds(
    BusMessage,
    message_id=TEXT,
    subject=TEXT,
    to=TEXT,
    reply_to=TEXT,
    correlation_id=TEXT,
    content_type=ASCII,
    properties=st.dictionaries(TEXT, TEXT, max_size=5),
    body=st.binary(max_size=300),
)


@given(MESSAGES)
def test_what_is_written_is_read(message: BusMessage) -> None:
    assert read(write(message)) == message


@given(MESSAGES)
def test_nothing_says_that_a_message_is_durable(message: BusMessage) -> None:
    """As from NHN's client: no header section, which begins with these bytes."""
    assert not write(message).startswith(b"\x00\x53\x70")


@given(MESSAGES, st.integers(0, 2**32 - 1), st.integers(0, 2**32), st.booleans())
def test_the_counts_change_nothing_else(message: BusMessage, count: int, returned: int, durable: bool) -> None:  # noqa: FBT001
    counters = {"x-delivery-count": returned} if returned else {}
    data = delivered(write(message), again=returned > 0, count=count, counters=counters, durable=durable)
    assert read(data) == message
    decoded: Any = Message()
    decoded.decode(data)
    assert (decoded.delivery_count, decoded.first_acquirer, decoded.durable) == (count, returned == 0, durable)
    assert (decoded.annotations or {}) == counters


@given(MESSAGES)
def test_a_clone_is_of_the_year_1_and_keeps_its_header(message: BusMessage) -> None:
    data = delivered(write_as_clone(message), again=True, count=2)
    assert read(data) == message
    decoded: Any = Message()
    decoded.decode(data)
    assert (decoded.durable, decoded.ttl, decoded.delivery_count) == (True, (2**32 - 1) / 1000, 2)
    assert (decoded.creation_time, decoded.expiry_time) == (-62135596800, -62135596800)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail_otherwise_than_by_saying_so(data: bytes) -> None:
    for begun in (b"", b"\x00\x53\x70"):
        delivered(begun + data, again=True, count=1, counters={"x-delivery-count": 1})
    try:
        read(data)
    except NoMessage:
        return


@pytest.mark.parametrize(("body", "inferred"), [("text", False), (b"binary", False), ([1, 2], True), (None, False)])
def test_only_one_data_section_is_a_body(body: object, inferred: bool) -> None:  # noqa: FBT001
    message: Any = Message(inferred=inferred)
    message.body = body
    assert read(message.encode()).body is None
