"""Notices by apprise: what became of each address, and that no address is anywhere but in its own request."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.logs import logging_to
from kpr_sender.notify import apprise_sender
from kpr_sender.notify.apprise_sender import AppriseNotifier
from kpr_sender.notify.port import Delivery
from kpr_sender.settings.secrets import Secret
from tests.helpers.loopback import serving
from tests.helpers.watcher import SECRET, Watcher


def notifier(*lines: str) -> AppriseNotifier:
    return AppriseNotifier(Secret("\n".join(lines), several_lines=True))


def to(*places: int) -> dict[int, tuple[str, str]]:
    return dict.fromkeys(places, ("a", "b"))


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        yield taken.getsockname()[1]


def test_each_address_gets_it_and_says_what_became_of_it(watcher: Watcher, closed_port: int) -> None:
    watcher.answers["/notice/c"] = 500
    away = f"json://x:{SECRET}@127.0.0.1:{closed_port}/"
    sender = notifier("# comment", watcher.notify_url("a"), "", away, watcher.notify_url("b"), watcher.notify_url("c"))
    assert (sender.addresses, sender.flaws()) == (4, ())

    became = sender.send(dict.fromkeys((1, 2, 4), ("Tittel æøå", "Første linje\nandre <b>linje</b> & 100 %")))
    assert became == {1: Delivery.SENT, 2: Delivery.NOT_SENT, 4: Delivery.NOT_SENT}
    assert watcher.notices == [("a", "Tittel æøå", "Første linje\nandre <b>linje</b> & 100 %")]


def test_an_address_that_apprise_does_not_know_keeps_no_other_from_being_told(watcher: Watcher) -> None:
    sender = notifier(f"nonsense://{SECRET}", watcher.notify_url(), f"mailto://user:{SECRET}@")
    assert [flaw.what for flaw in sender.flaws()] == [
        "Line 1 is no address that apprise knows.",
        "Line 3 is no address that apprise knows.",
    ]
    assert sender.send(to(1, 2, 3)) == {1: Delivery.NOT_SENT, 2: Delivery.SENT, 3: Delivery.NOT_SENT}


def test_a_server_that_does_not_answer_is_not_waited_for_and_may_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_sender, "SECONDS", 0.5)
    monkeypatch.setattr(apprise_sender, "_READ_SECONDS", 0.2)

    def silent(connected: socket.socket, ended: threading.Event) -> None:
        connected.recv(65_536)
        ended.wait(10)

    with serving(silent) as port:
        sender = notifier(*(f"json://127.0.0.1:{port}/{number}" for number in range(5)))
        assert not sender.flaws()
        began = time.monotonic()
        assert set(sender.send(to(*range(1, 6))).values()) == {Delivery.UNKNOWN}
        assert time.monotonic() - began < 5 * 0.5  # all at the same time
        assert set(sender.send(to(1), stopped=lambda: True).values()) == {Delivery.UNKNOWN}


def test_nothing_of_an_address_is_logged_or_printed_whatever_goes_wrong(
    watcher: Watcher, closed_port: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    watcher.answers["/notice/bad"] = 500
    bad = (
        watcher.notify_url("bad"),
        f"json://bruker:{SECRET}@127.0.0.1:{closed_port}/{SECRET}",
        f"jsons://bruker:{SECRET}@127.0.0.1:{watcher.port}/{SECRET}?verify=no",
        f"nonsense://{SECRET}",
        f"mailto://{SECRET}:{SECRET}@",
        f"mailto://bruker:{SECRET}@127.0.0.1:{closed_port}?smtp=127.0.0.1&to=a@example.no&mode=insecure",
    )
    log = tmp_path / "log.jsonl"
    with logging_to(log, level="debug"):
        logging.getLogger("apprise").debug(SECRET)  # as it does by itself
        logging.getLogger("urllib3.connectionpool").debug(SECRET)
        sender = notifier(*bad)
        errors = [str(flaw) for flaw in sender.flaws()]
        assert Delivery.SENT not in sender.send(to(*range(1, len(bad) + 1))).values()
    sender.send(to(*range(1, len(bad) + 1)))
    told = capfd.readouterr()
    assert SECRET not in f"{errors} {sender!r} {told.out} {told.err} {log.read_text()}"
    assert told.err == ""


@pytest.mark.parametrize("text", ["# nobody", "\n".join(["json://a/"] * 21)], ids=["none", "too many"])
def test_none_and_too_many_are_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="Expected 1 to 20 addresses"):
        notifier(text)
