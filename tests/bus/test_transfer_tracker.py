"""G1: *not sent* rests on knowing which bytes left. Proven against the bytes proton really makes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.bus.proton_engine import SERVER, Collector, Connection, Event, Transport, silent_transport
from kpr_sender.bus.transfer_tracker import TransferTracker, read_transfer


def stream_of(message: bytes, *, frame: int, piece: int, tag: str = "1") -> tuple[bytes, int]:
    """Return what a client of proton's sends for one message, and where in it the message's transfer begins."""
    client, server = silent_transport(), silent_transport(SERVER)
    ours, theirs = Connection(), Connection()
    collector: Any = Collector()
    theirs.collect(collector)
    server.max_frame_size = frame
    client.bind(ours)
    server.bind(theirs)
    ours.open()
    session = ours.session()
    session.open()
    link = session.sender("link")
    link.open()
    everything = bytearray()
    for _ in range(3):
        everything += move(client, server)
        while (event := collector.peek()) is not None:
            if event.type is Event.CONNECTION_REMOTE_OPEN:
                theirs.open()
            elif event.type is Event.SESSION_REMOTE_OPEN:
                event.session.open()
            elif event.type is Event.LINK_REMOTE_OPEN:
                event.link.open()
                event.link.flow(1)
            collector.pop()
        move(server, client)
    begin = len(everything)
    link.delivery(tag)
    for at in range(0, len(message), piece):
        link.stream(message[at : at + piece])
        if at + piece >= len(message):
            link.advance()
        everything += move(client, server)
    return bytes(everything), begin


def move(source: Transport, target: Transport) -> bytes:
    moved = bytearray()
    while (pending := source.pending()) > 0:
        data = bytes(source.peek(pending) or b"")
        source.pop(len(data))
        moved += data
        for at in range(0, len(data), 512):
            target.push(data[at : at + 512])
    return bytes(moved)


@pytest.mark.parametrize(("size", "frame", "piece"), [(40, 4096, 4096), (3000, 512, 700), (20_000, 4096, 4096)])
def test_the_message_counts_as_handed_over_with_its_very_last_byte_and_not_one_before(
    size: int, frame: int, piece: int
) -> None:
    stream, begin = stream_of(b"m" * size, frame=frame, piece=piece)
    follower = TransferTracker()
    follower.accepted(stream[:begin])
    follower.begin()
    for at in range(begin, len(stream)):
        assert not follower.handed_over(size)
        follower.accepted(stream[at : at + 1])
    assert follower.handed_over(size)
    assert follower.message_bytes == size


@given(st.data(), st.integers(1, 5000), st.sampled_from([512, 777, 4096]), st.integers(100, 2000))
def test_however_the_socket_takes_it_the_evidence_is_the_same(
    data: st.DataObject, size: int, frame: int, piece: int
) -> None:
    stream, begin = stream_of(bytes(size), frame=frame, piece=piece)
    cut = data.draw(st.integers(begin, len(stream)))
    follower = TransferTracker()
    follower.accepted(stream[:begin])
    follower.begin()
    at = begin
    while at < cut:
        step = data.draw(st.integers(1, cut - at))
        follower.accepted(stream[at : at + step])
        at += step
    assert follower.handed_over(size) == (cut == len(stream))
    assert follower.message_bytes <= size


def test_heartbeats_between_the_parts_change_nothing() -> None:
    heartbeat = bytes.fromhex("0000000802000000")
    stream, begin = stream_of(bytes(3000), frame=512, piece=700)
    follower = TransferTracker()
    follower.begin()
    follower.accepted(stream[:begin] + heartbeat)
    at = begin
    while at < len(stream):
        size = int.from_bytes(stream[at : at + 4], "big")
        follower.accepted(stream[at : at + size] + heartbeat)
        at += size
    assert follower.handed_over(3000)
    assert follower.message_bytes == 3000


def test_a_stream_nobody_understands_is_never_certain() -> None:
    follower = TransferTracker()
    follower.begin()
    follower.accepted(b"\x00\x00\x10\x00\x02\x00\x00\x00" + bytes(0x1000 - 8))
    assert follower.handed_over(1000)


@pytest.mark.parametrize(
    ("performative", "more"),
    [
        ("005314c00602434340a00140".ljust(40, "0"), False),
        ("005314c00d0643430100a0013143424100", False),
        ("005314d0000000070000000643434043424100", True),
        ("005314c0080643434043425601", True),
        ("005314c0080643434043425600", False),
        ("0080000000000000001445", False),
    ],
)
def test_transfers_are_read_in_every_encoding_and_the_unreadable_count_as_the_last(
    performative: str, *, more: bool
) -> None:
    body = bytes.fromhex(performative)
    read = read_transfer(bytes.fromhex("0000004002000000") + body)
    assert read is not None
    assert read[1] is more
