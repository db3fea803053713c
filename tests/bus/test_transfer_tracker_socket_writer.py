"""G1: no byte arrives that was not counted, whatever TLS and the kernel do with it on the way."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from collections.abc import Iterator

import pytest

from kpr_sender.bus.transfer_tracker import LARGEST_CHUNK, SocketWriter, TransferTracker
from tests.helpers.tls_certificates import make_authority

_RECORD = 16 * 1024
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Counted(TransferTracker):
    """Counts instead of reading frames."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def accepted(self, data: bytes) -> None:
        self.bytes += len(data)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("tls")
    authority = make_authority(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.issue(folder / "server", "127.0.0.1"))
    return ssl.create_default_context(cafile=authority.ca_file), server


@pytest.fixture(params=["plain", "tls"])
def pair(
    request: pytest.FixtureRequest, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends with hardly any room between them."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        end.setblocking(False)
    if request.param == "tls":
        ours = contexts[0].wrap_socket(ours, server_hostname="127.0.0.1", do_handshake_on_connect=False)
        theirs = contexts[1].wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
        shaken = 0
        while shaken < 2:
            shaken = 0
            for end in (ours, theirs):
                with contextlib.suppress(*_WOULD_BLOCK):
                    end.do_handshake()
                    shaken += 1
    yield ours, theirs
    ours.close()
    theirs.close()


def read(end: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(*_WOULD_BLOCK):
        while piece := end.recv(65536):
            data += piece
    return data


def test_what_the_other_side_can_read_is_counted_when_the_socket_takes_no_more(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    counted = Counted()
    outlet = SocketWriter(ours, counted)
    with contextlib.suppress(*_WOULD_BLOCK):
        outlet.send(bytes(LARGEST_CHUNK))
    assert len(read(theirs)) <= counted.bytes < LARGEST_CHUNK


def test_with_more_to_say_every_time_each_byte_is_counted_before_it_can_be_read(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """The stream grows while a record waits for room, as it does when a heartbeat falls due behind a transfer."""
    ours, theirs = pair
    counted = Counted()
    outlet = SocketWriter(ours, counted)
    random_numbers = random.Random(7)
    stream = random_numbers.randbytes(20 * _RECORD)
    sent, known, arrived = 0, 0, b""
    while sent < len(stream):
        known = min(len(stream), max(known, sent) + random_numbers.randrange(1, 3 * _RECORD))
        with contextlib.suppress(*_WOULD_BLOCK):
            sent += outlet.send(stream[sent : min(known, sent + LARGEST_CHUNK)])
        assert counted.bytes == sent
        arrived += read(theirs)
        assert len(arrived) <= sent
    while len(arrived) < len(stream):
        arrived += read(theirs)
    assert arrived == stream
