"""Messages in and out, and the header that tells of earlier deliveries: the rest of the message stays as it came."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proton import Message

from kpr_sender.sandbox.amqp_message import BusMessage, NoMessage, read, with_delivery_count, write

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


@given(MESSAGES, st.integers(0, 2**32 - 1))
def test_the_delivery_count_changes_nothing_else(message: BusMessage, count: int) -> None:
    data = with_delivery_count(write(message), count)
    assert read(data) == message
    decoded: Any = Message()
    decoded.decode(data)
    assert (decoded.delivery_count, decoded.first_acquirer, decoded.durable) == (count, count == 0, True)
    assert with_delivery_count(data, count) == data


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail_otherwise_than_by_saying_so(data: bytes) -> None:
    with_delivery_count(data, 1)
    with_delivery_count(b"\x00\x53\x70" + data, 1)
    try:
        read(data)
    except NoMessage:
        return


@pytest.mark.parametrize(("body", "inferred"), [("text", False), (b"binary", False), ([1, 2], True), (None, False)])
def test_only_one_data_section_is_a_body(body: object, inferred: bool) -> None:  # noqa: FBT001
    message: Any = Message(inferred=inferred)
    message.body = body
    assert read(message.encode()).body is None
