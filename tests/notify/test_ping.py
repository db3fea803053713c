"""Pings as healthchecks has them: the start beside the run, the end after it, each bounded, no address in any words."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.notify import ping
from kpr_sender.notify.ping import HttpPinger
from kpr_sender.settings.secrets import Secret
from kpr_sender.texts import Text
from tests.helpers.loopback import serving
from tests.helpers.watcher import SECRET, Watcher


def pinger(url: str) -> HttpPinger:
    return HttpPinger(Secret(url), lambda: "0f8fad5b-d9cb-469f-a165-70867728950e")


def test_start_success_and_failure_are_said_in_order_under_one_id(watcher: Watcher) -> None:
    one = pinger(f"{watcher.ping_url}?create=1")
    one.begin()
    assert one.end(failure=None, text="exit code 80") == ""
    assert one.end(failure=83, text="exit code 83") == ""
    assert watcher.pings == [("/start", ""), ("", "exit code 80"), ("/83", "exit code 83")]
    assert watcher.rids == ["0f8fad5b-d9cb-469f-a165-70867728950e"] * 3


def test_what_does_not_take_a_ping_is_said_without_its_address(watcher: Watcher) -> None:
    watcher.answers[f"/ping/{SECRET}"] = 404
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}/{SECRET}"
        said = [pinger(url).end(failure=None, text="") for url in (watcher.ping_url, closed)]
    assert said == ["HTTP 404", "no connection: Connection refused"]
    assert isinstance(said[1], Text), "so that it is said in the reader's language"


def test_nobody_waits_longer_than_the_bound_or_after_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping, "START_SECONDS", 0.3)
    monkeypatch.setattr(ping, "SECONDS", 0.6)

    def silent(connected: socket.socket, ended: threading.Event) -> None:
        connected.recv(65_536)
        ended.wait(10)

    with serving(silent) as port:
        one = pinger(f"http://127.0.0.1:{port}/{SECRET}")
        began = time.monotonic()
        one.begin()
        assert time.monotonic() - began < 0.25
        assert "no answer in" in one.end(failure=None, text="")
        assert time.monotonic() - began < 2
        monkeypatch.setattr(ping, "SECONDS", 60.0)
        began = time.monotonic()
        assert "told to stop" in one.end(failure=None, text="", stopped=lambda: True)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "url",
    [
        f"http://example.org/{SECRET}",
        f"https://user:{SECRET}@example.org/",
        f"ftp://127.0.0.1/{SECRET}",
        f"https:///{SECRET}",
        f"{SECRET}",
        f"https://[::1/{SECRET}",
        f"https://example.org:99999/{SECRET}",
        f"https://exämple.org/{SECRET}",
        f"https://example.org/{SECRET} x",
    ],
)
def test_what_is_no_address_with_tls_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigInvalid, match="https://") as refused:
        pinger(url)
    assert SECRET not in str(refused.value)
