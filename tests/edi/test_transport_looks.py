"""Looking at a mailbox: *nothing came* and *could not look* are different answers, and a stop is heard at once."""

from __future__ import annotations

import dataclasses
import itertools
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from kpr_sender.client import Client
from kpr_sender.edi import pop3
from kpr_sender.edi.mailboxes import mailbox
from kpr_sender.edi.smtp import SmtpSender
from kpr_sender.edi.transport import EdiTransport
from kpr_sender.errors import AccessRefused, BusUnreachable
from kpr_sender.settings.edi import EdiSettings, MailboxKind, MailboxPlace
from tests.helpers.edi_municipality import by_mail, edi_sandbox
from tests.helpers.fake_time import FakeTime
from tests.helpers.loopback import serving
from tests.helpers.municipality import Municipality
from tests.helpers.smtp_server import account, with_login

_HER_IDS = (900002, 171479)
_EMPTY = {"UIDL": b"+OK\r\n.\r\n", "LIST": b"+OK\r\n.\r\n"}


def _pop3(answers: dict[str, bytes], came: list[float], clock: Callable[[], float]) -> Callable[..., None]:
    """Return a POP3 server; when each session began is kept."""

    def behave(connected: socket.socket, _ended: threading.Event) -> None:
        came.append(clock())
        connected.sendall(b"+OK hi\r\n")
        with closing(connected.makefile("r")) as lines:
            for line in lines:
                connected.sendall(answers.get(line.strip().partition(" ")[0], b"+OK\r\n"))

    return behave


def _settings(port: int) -> EdiSettings:
    place = MailboxPlace(MailboxKind.POP3, "127.0.0.1", port)
    return account(1, mailbox=place, connect_timeout=5.0, look_every=40.0, **with_login())


def _transport(settings: EdiSettings, stop: threading.Event, clock: Callable[[], float]) -> EdiTransport:
    sender, box = SmtpSender(settings), mailbox(settings, stopped=stop.is_set)
    return EdiTransport(settings, sender, box, her_ids=_HER_IDS, closing=stop, monotonic=clock)


@pytest.mark.parametrize("login", [True, False])
def test_a_mailbox_that_cannot_be_looked_at_is_no_empty_one(kommune: Municipality, login: bool) -> None:  # noqa: FBT001
    """G5: exit code, text and journal say why, until a look succeeds."""
    refused = {"PASS": b"-ERR [IN-USE] another session\r\n" if login else b"-ERR [AUTH] no\r\n"}
    with edi_sandbox(kommune) as box, serving(_pop3(refused, [], time.monotonic)) as port:
        known = {"mailbox": f"pop3://127.0.0.1:{port}", "look_every": "1h"}
        with Client(by_mail(kommune, box, **known)) as client:
            client.submit()
            if login:
                assert client.wait(timeout=1.2).exit_code == 69
            else:
                with pytest.raises(AccessRefused):
                    client.wait(timeout=1.2)
            status = client.status()
            assert status is not None
            assert status.exit_code == (69 if login else 77)
            assert ("IN-USE" if login else "AUTH") in status.text()
        with Client(by_mail(kommune, box)) as client:
            assert client.wait(timeout=20).exit_code == 0


def test_the_pauses_between_looks_go_on_from_call_to_call() -> None:
    """A server that is down is not asked anew at each call; who has no time at all gets one look in any case."""
    clock, came = FakeTime(), list[float]()
    with serving(_pop3(_EMPTY | {"PASS": b"-ERR [SYS/TEMP] later\r\n"}, came, clock)) as port:
        transport = _transport(_settings(port), clock, clock)
        while clock.at < 100:
            with pytest.raises(BusUnreachable, match="SYS/TEMP"):
                transport.receive(5.0)
        pauses = [after - before for before, after in itertools.pairwise(came)]
        grown = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, *[30.0] * (len(pauses) - 6)]
        assert all(most / 2 <= pause <= most for pause, most in zip(pauses, grown, strict=True))
        assert len(set(pauses)) == len(pauses), "those who lost one server do not come back at the same time"
        with pytest.raises(BusUnreachable):
            transport.receive(0.0)
        assert came[-1] == clock.at
    came.clear()
    with serving(_pop3(_EMPTY, came, clock)) as port:
        transport = _transport(_settings(port), clock, clock)
        began = clock.at
        assert [transport.receive(30.0) for _ in range(4)] == [None] * 4
        assert [at - began for at in came] == [0.0, 40.0, 80.0, 120.0]


@pytest.mark.parametrize("answers", [_EMPTY, {"PASS": b"-ERR [IN-USE] another session\r\n"}])
def test_a_stop_is_heard_in_a_pause_and_changes_no_answer(answers: dict[str, bytes]) -> None:
    stop, came = threading.Event(), list[float]()
    with serving(_pop3(answers, came, time.monotonic)) as port:
        transport = _transport(_settings(port), stop, time.monotonic)
        threading.Timer(0.2, stop.set).start()
        began = time.monotonic()
        if answers is _EMPTY:
            assert transport.receive(60.0) is None
        else:
            with pytest.raises(BusUnreachable, match="IN-USE"):
                transport.receive(60.0)
        assert time.monotonic() - began < 5
        assert len(came) == 1


def test_what_a_stop_kept_from_being_looked_at_is_not_called_empty() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(BusUnreachable, match="was not looked at yet when the run was told to stop"):
        _transport(_settings(1), stop, time.monotonic).receive(1.0)


def test_a_stop_in_the_pause_before_another_attempt_at_the_mail_server_is_the_last_of_it() -> None:
    class StopsAtOnce(FakeTime):
        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            return super().wait(timeout)

    clock, came = StopsAtOnce(), list[float]()

    def refusing(connected: socket.socket, _ended: threading.Event) -> None:
        came.append(clock.at)
        connected.sendall(b"421 later\r\n")

    with serving(refusing) as port:
        settings = dataclasses.replace(_settings(1), smtp_port=port, smtp_host="127.0.0.1")
        with pytest.raises(BusUnreachable):
            _transport(settings, clock, clock).connect()
    assert len(came) == 1


def test_attempts_at_the_mail_server_pause_by_chance_within_one_budget() -> None:
    clock, came = FakeTime(), list[float]()

    def refusing(connected: socket.socket, _ended: threading.Event) -> None:
        came.append(clock.at)
        connected.sendall(b"421 later\r\n")

    with serving(refusing) as port:
        settings = dataclasses.replace(_settings(1), smtp_port=port, smtp_host="127.0.0.1", reconnect_budget=20.0)
        with pytest.raises(BusUnreachable, match="later"):
            _transport(settings, clock, clock).connect()
    assert 20 - 16 <= clock.at <= 20
    assert all(most / 2 <= pause <= most for pause, most in zip(clock.pauses, [0.5, 1.0, 2.0, 4.0], strict=False))
    assert not {0.5, 1.0, 2.0, 4.0} & set(clock.pauses)
    assert len(came) == len(clock.pauses) + 1


def test_a_look_gets_on_however_long_the_lists_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pop3, "_LOOK_SECONDS", -1.0)
    listed = {
        "UIDL": b"+OK\r\n1 a\r\n2 b\r\n.\r\n",
        "LIST": b"+OK\r\n1 9\r\n2 9\r\n.\r\n",
        "TOP": b"+OK\r\nX: y\r\n.\r\n",
    }
    came: list[float] = []
    with serving(_pop3(listed, came, time.monotonic)) as port:
        assert _transport(_settings(port), threading.Event(), time.monotonic).receive(0.0) is None
    assert len(came) == 2
