"""Questions to servers that need not be trusted: one deadline, one size, and no answer but a complete one."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kpr_sender.http_client import HttpClient, NoAnswer
from kpr_sender.model import Language
from kpr_sender.net import verifying
from kpr_sender.render.language import say, speaking
from tests.helpers.loopback import Behaviour, server_context, serving
from tests.helpers.tls_certificates import Authority, make_authority

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def says(answer: bytes) -> Behaviour:
    def behave(connected: socket.socket, _: threading.Event) -> None:
        connected.recv(65536)
        connected.sendall(answer)

    return behave


def drips(first: bytes, drop: bytes) -> Behaviour:
    """Send something now and then, so that no single wait is ever long, and never come to an end."""

    def behave(connected: socket.socket, ended: threading.Event) -> None:
        connected.recv(65536)
        connected.sendall(first)
        while not ended.wait(0.01):
            connected.sendall(drop)

    return behave


def says_nothing(_: socket.socket, ended: threading.Event) -> None:
    ended.wait(10)


ENDLESS: dict[str, Behaviour] = {
    "in the head": drips(HEAD + b"X-Slow: ", b"x"),
    "before the head": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "in the body": drips(HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
    "without a length": drips(HEAD + b"\r\n", b"x"),
    "between chunks": drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "nothing": says_nothing,
}


@pytest.mark.parametrize("behave", ENDLESS.values(), ids=[name.replace(" ", "-") for name in ENDLESS])
def test_one_deadline_holds_over_all_of_an_answer_with_tls_and_without(
    authority: Authority, tmp_path: Path, behave: Behaviour
) -> None:
    context = server_context(authority, tmp_path, "127.0.0.1")
    tls = verifying(authority.ca_file, key="ca")
    with serving(behave) as plain, serving(behave, context=context) as secure, serving(says_nothing) as mute:
        for url in (f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}", f"https://127.0.0.1:{mute}"):
            began = time.monotonic()
            with (
                HttpClient(seconds=0.3, max_bytes=1_000_000, tls=tls) as client,
                pytest.raises(NoAnswer, match=r"no answer in 0\.3 seconds"),
            ):
                client.ask(url)
            assert 0.3 <= time.monotonic() - began < 8


EVIL = {
    "a length of 24 digits": HEAD + b"Content-Length: " + b"9" * 24 + b"\r\n\r\nx",
    "a length of 5,000 digits": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nx",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\nx",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "a chunk of 10^23": HEAD + b"Transfer-Encoding: chunked\r\n\r\n152d02c7e14af6800000\r\nx",
    "a chunk of 5,000 digits": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\nx",
    "an endless head": HEAD + b"X: y\r\n" * 100_000,
    "an endless line": HEAD + b"X: " + b"y" * 1_000_000,
    "control characters": HEAD + b"X: \x00\x1b[2J\r\n\r\nx",
    "a status of many digits": b"HTTP/1.1 20000000000000000000000 OK\r\n\r\n",
    "no HTTP": b"\x16\x03\x01" * 100,
    "nothing": b"",
    "half a body": HEAD + b"Content-Length: 10\r\n\r\nhalf",
}


@pytest.mark.parametrize("answer", EVIL.values(), ids=[name.replace(" ", "-") for name in EVIL])
def test_whatever_a_server_answers_ends_as_no_answer_and_in_no_other_error(answer: bytes) -> None:
    with (
        serving(says(answer)) as port,
        HttpClient(seconds=5, max_bytes=1000) as client,
        pytest.raises(NoAnswer),
    ):
        client.ask(f"http://127.0.0.1:{port}/", b"question")


@pytest.mark.parametrize(
    "url", ["", "http://", "http://[::1", "http://127.0.0.1:x/", "ftp://127.0.0.1/", "http://æ/\n"]
)
def test_an_address_that_is_none_is_no_answer(url: str) -> None:
    with HttpClient(seconds=1, max_bytes=1000) as client, pytest.raises(NoAnswer):
        client.ask(url)


def test_a_connection_serves_several_questions_and_one_that_was_closed_meanwhile_is_made_anew() -> None:
    accepted: list[bytes] = []

    def behave(connected: socket.socket, _: threading.Event) -> None:
        for _number in range(2):
            accepted.append(connected.recv(65536))
            connected.sendall(HEAD + b"A: 1\r\na: 2\r\nContent-Length: 2\r\n\r\nOK")

    with serving(behave) as port, HttpClient(seconds=5, max_bytes=2) as client:
        for number in range(4):
            answer = client.ask(f"http://127.0.0.1:{port}/a?b", headers={"SOAPAction": "x"}, login=("user", "æ:"))
            assert (answer.status, answer.headers["a"], answer.body) == (200, "1, 2", b"OK")
            if number == 1:
                time.sleep(0.05)  # until the server's end has arrived
        assert len(accepted) == 4
        head, *fields = accepted[0].decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
        assert head == "GET /a?b HTTP/1.1"
        assert dict(field.split(": ", 1) for field in fields) == {
            "Host": f"127.0.0.1:{port}",
            "User-Agent": "kpr-sender",
            "Accept": "*/*",
            "SOAPAction": "x",
            "Accept-Encoding": "identity",
            "Authorization": "Basic dXNlcjrDpjo=",
        }


def test_a_server_that_answers_before_it_has_read_all_is_heard() -> None:
    def refuses(connected: socket.socket, _: threading.Event) -> None:
        connected.recv(1000)
        connected.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(OSError):
            connected.shutdown(socket.SHUT_WR)
            while connected.recv(1 << 20):
                pass

    with serving(refuses) as port, HttpClient(seconds=5, max_bytes=2) as client:
        assert client.ask(f"http://127.0.0.1:{port}/", bytes(5_000_000)).status == 413


def test_the_server_is_verified_by_the_name_that_was_asked_for(authority: Authority, tmp_path: Path) -> None:
    context = server_context(authority, tmp_path, "other.example")
    flaws = {}
    contexts: dict[str, Callable[[], ssl.SSLContext | None]] = {
        "ours": lambda: verifying(authority.ca_file, key="ca"),
        "none": lambda: None,
    }
    with serving(says(HEAD + b"\r\n"), context=context) as port:
        for name, tls in contexts.items():
            with (
                HttpClient(seconds=5, max_bytes=9, tls=tls()) as client,
                pytest.raises(NoAnswer, match="certificate is refused") as caught,
            ):
                client.ask(f"https://127.0.0.1:{port}/")
            flaws[name] = caught.value.certificate_flaw
    assert flaws["ours"].startswith("it is made out to another host name: IP address mismatch")
    assert flaws["none"].startswith("it is not issued by an authority that we know: ")
    with speaking(Language.NB):
        assert say(flaws["none"]).startswith("det er ikke utstedt av en utsteder vi kjenner: ")
