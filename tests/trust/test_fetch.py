"""What is fetched from an issuer: bounded in size and time, and over plain HTTP alone."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from kpr_sender.http_client import NoAnswer
from kpr_sender.trust.fetch import fetch
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
    with pytest.raises(NoAnswer, match="larger than 1,000 bytes"):
        fetch(server.at("endless"), most=1000, seconds=60)


def test_a_head_without_end_takes_no_longer_than_it_may(server: IssuersServer) -> None:
    """Each wait is short; only all of them together are too long."""

    def drip_headers(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not server.ended.wait(0.02):
                connection.sendall(b"x")

    server.answers["slow"] = drip_headers
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"no answer in 0\.3 seconds"):
        fetch(server.at("slow"), most=1000, seconds=0.3)
    assert time.monotonic() - began < 5


def test_an_answer_that_is_cut_off_here_is_not_taken_for_a_complete_one(server: IssuersServer) -> None:
    """Without a length, an answer ends with its connection."""

    def drip_without_length(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not server.ended.wait(0.02):
                connection.sendall(b"x")

    server.answers["slow"] = drip_without_length
    with pytest.raises(NoAnswer, match=r"no answer in 0\.3 seconds"):
        fetch(server.at("slow"), most=1000, seconds=0.3)


def test_no_proxy_is_taken_from_the_environment(server: IssuersServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.answers["a.crl"] = b"x"
    assert fetch(server.at("a.crl"), most=1000, seconds=5) == b"x"


@pytest.mark.parametrize(
    "address",
    ["https://127.0.0.1/a", "ldap://a/b", "http://", "http://a:b@127.0.0.1/", "http://127.0.0.1:x/", "http://æ/"],
)
def test_an_address_that_is_not_plain_http_is_not_asked(address: str) -> None:
    with pytest.raises(NoAnswer, match="the address"):
        fetch(address, most=1000, seconds=1)
