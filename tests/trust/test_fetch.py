"""One question over plain HTTP: bounded in size, and never to anything else."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from kpr_sender.trust.fetch import Unreachable, fetch
from tests.helpers.issuers_server import IssuersServer, issuers_server


@pytest.fixture
def server() -> Iterator[IssuersServer]:
    with issuers_server() as running:
        yield running


def test_an_answer_without_end_is_left_off_when_it_is_too_large(server: IssuersServer) -> None:
    def pour(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not server.ended.is_set():
                connection.sendall(bytes(1 << 16))

    server.answers["endless"] = pour
    with pytest.raises(Unreachable, match="too large"):
        fetch(server.at("endless"), most=1000, seconds=60)


@pytest.mark.parametrize(
    "address",
    ["https://127.0.0.1/a", "ldap://a/b", "http://", "http://a:b@127.0.0.1/", "http://127.0.0.1:x/", "http://æ/"],
)
def test_an_address_that_is_not_plain_http_is_not_asked(address: str) -> None:
    with pytest.raises(Unreachable, match="the address"):
        fetch(address, most=1000, seconds=1)
