"""From a name to a connected socket: every address gets its share of the time, and nothing reads along."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from kpr_sender.bus.dial import dial
from kpr_sender.errors import AccessRefused, BusUnreachable
from kpr_sender.http_client import HttpClient
from kpr_sender.net import open_socket, verifying
from tests.helpers.bus_settings import bus_settings
from tests.helpers.loopback import black_hole, resolve, server_context, serving
from tests.helpers.tls_certificates import Authority, make_authority


def is_quiet(_: socket.socket, ended: threading.Event) -> None:
    ended.wait(10)


def answers(connected: socket.socket, _: threading.Event) -> None:
    connected.recv(4096)
    connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def test_a_silent_first_address_takes_a_moment_and_not_the_time_of_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the bus and for registers alike: a dead node, a firewall, IPv6 without a route."""
    with black_hole() as hole, serving(answers) as port:
        resolve(monkeypatch, [("127.0.0.1", hole), ("127.0.0.1", port)])
        began = time.monotonic()
        with dial(bus_settings(0, host="localhost"), began + 10) as connected:
            assert connected.getpeername()[1] == port
        with HttpClient(seconds=10, max_bytes=10) as client:
            assert client.ask("http://two.example/").body == b"OK"
        assert time.monotonic() - began < 4


def test_many_silent_addresses_are_tried_within_a_short_time_and_the_other_family_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with black_hole() as hole, contextlib.ExitStack() as running:
        try:
            port = running.enter_context(serving(is_quiet, host="::1"))
        except OSError:
            pytest.skip("this machine has no IPv6")
        resolve(monkeypatch, [*[("127.0.0.1", hole)] * 12, ("::1", port)])
        began = time.monotonic()
        with open_socket("many.example", 1, deadline=began + 10) as connected:
            assert connected.family is socket.AF_INET6
        assert time.monotonic() - began < 8
        resolve(monkeypatch, [*[("127.0.0.1", hole)] * 12, ("127.0.0.1", running.enter_context(serving(is_quiet)))])
        open_socket("many.example", 1, deadline=time.monotonic() + 1.5).close()


def test_an_address_that_never_shakes_hands_does_not_take_the_time_of_the_others(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = server_context(authority, tmp_path, "two.example")
    settings = bus_settings(0, host="two.example", tls=True, ca_file=authority.ca_file)
    with serving(is_quiet) as mute, serving(is_quiet, context=context) as port:
        resolve(monkeypatch, [("127.0.0.1", mute), ("127.0.0.1", port)])
        with dial(settings, time.monotonic() + 1.5) as connected:
            assert connected.getpeername()[1] == port


def test_a_refused_certificate_is_final_whatever_another_address_would_show(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, right = (server_context(authority, tmp_path / name, name) for name in ("other.example", "two.example"))
    settings = bus_settings(0, host="two.example", tls=True, ca_file=authority.ca_file)
    with serving(is_quiet, context=wrong) as first, serving(is_quiet, context=right) as second:
        resolve(monkeypatch, [("127.0.0.1", first), ("127.0.0.1", second)])
        with pytest.raises(AccessRefused, match="another host name"):
            dial(settings, time.monotonic() + 5)


def test_the_last_failure_is_reported_and_silence_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with black_hole() as hole:
        for addresses, words in (
            ((("127.0.0.1", closed),), "refused"),
            ((("127.0.0.1", hole),) * 2, "no answer in time"),
        ):
            resolve(monkeypatch, addresses)
            began = time.monotonic()
            with pytest.raises(BusUnreachable, match=words):
                dial(bus_settings(0, host="localhost"), began + 0.4)
            assert time.monotonic() - began < 8


def test_a_name_server_that_is_silent_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked.wait(10))
    began = time.monotonic()
    with pytest.raises(BusUnreachable, match=r"name cannot be looked up \(no answer in time\)"):
        dial(bus_settings(0, host="localhost"), began + 0.2)
    assert time.monotonic() - began < 8
    asked.set()


def test_no_variable_of_the_environment_makes_us_write_down_keys(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL's key log opens every recorded connection, the login among them."""
    written = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(written))
    context = server_context(authority, tmp_path, "127.0.0.1")
    with serving(answers, context=context) as port:
        dial(bus_settings(port, tls=True, ca_file=authority.ca_file), time.monotonic() + 10).close()
        with HttpClient(seconds=10, max_bytes=10, tls=verifying(authority.ca_file, key="ca")) as client:
            assert client.ask(f"https://127.0.0.1:{port}/").body == b"OK"
    assert not written.exists()
    ssl.create_default_context()
    assert written.exists(), "a context that obeys it shows"
