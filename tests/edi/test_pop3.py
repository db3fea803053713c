"""POP3 servers as they come: slow ones, ones that lack a command, and lines of any length."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from kpr_sender.edi import pop3
from kpr_sender.edi.mailboxes import mailbox
from kpr_sender.edi.port import HEAD_BYTES, Mailbox, MailEntry, MailTooLarge
from kpr_sender.errors import BusUnreachable, ConfigInvalid, KprError, LoginRefused
from kpr_sender.settings.edi import MailboxKind, MailboxPlace
from tests.helpers.loopback import serving
from tests.helpers.smtp_server import account, with_login

_ENTRY = MailEntry("a", 1, b"")


def _box(port: int) -> Mailbox:
    place = MailboxPlace(MailboxKind.POP3, "127.0.0.1", port)
    return mailbox(account(1, mailbox=place, max_inbound=100_000, connect_timeout=5.0, **with_login()))


def _server(answers: dict[str, bytes], said: list[str], *, pause: float = 0.0) -> Callable[..., None]:
    """Return a server that answers commands, by their beginning; what it was told is kept."""

    def behave(connected: socket.socket, ended: threading.Event) -> None:
        connected.sendall(b"+OK hi\r\n")
        with closing(connected.makefile("r")) as lines:
            for line in lines:
                said.append(line.strip())
                key = max((one for one in answers if line.startswith(one)), key=len, default="")
                if key == "TOP":
                    ended.wait(pause)
                connected.sendall(answers.get(key, b"+OK\r\n"))

    return behave


def _listed(*names: str) -> dict[str, bytes]:
    uidl = "".join(f"{number} {name}\r\n" for number, name in enumerate(names, start=1))
    sizes = "".join(f"{number} 100\r\n" for number in range(1, len(names) + 1))
    lists = {"UIDL": f"+OK\r\n{uidl}.\r\n".encode(), "LIST": f"+OK\r\n{sizes}.\r\n".encode()}
    return lists | {"TOP": b"+OK\r\nFrom: a\r\n\r\n.\r\n"}


def test_a_session_ends_in_time_and_the_next_look_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pop3, "_LOOK_SECONDS", 0.3)
    said: list[str] = []
    names = [f"u{number}" for number in range(12)]
    known: set[str] = set()
    looks = 0
    with serving(_server(_listed(*names), said, pause=0.1)) as port:
        complete = False
        while not complete:
            look = _box(port).look(known)
            known |= {one.key for one in look.entries}
            complete, looks = look.complete, looks + 1
    assert known == look.keys == set(names)
    assert 1 < looks < 12
    assert said.count("QUIT") == looks
    assert len([one for one in said if one.startswith("TOP")]) == 12
    assert not {one for one in said if one.startswith(("DELE", "RETR"))}


@pytest.mark.parametrize("what", ["silence", "head without end"])
def test_whoever_keeps_us_waiting_is_left(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(pop3, "SESSION_SECONDS", 0.5)
    monkeypatch.setattr(pop3, "_LOOK_SECONDS", 0.3)
    answers = _listed("a") | {"TOP": b"" if what == "silence" else b"+OK\r\n" + b"X: y\r\n" * 20_000}
    with serving(_server(answers, [])) as port:
        began = time.monotonic()
        with pytest.raises(BusUnreachable):
            _box(port).look()
        assert time.monotonic() - began < 3


def test_a_server_that_hangs_up_over_mail_after_mail_is_down() -> None:
    """Over some of them it may; nobody logs in once for each of a thousand mails."""
    came: list[int] = []
    names = [f"u{number}" for number in range(1000)]

    def behave(connected: socket.socket, ended: threading.Event) -> None:
        came.append(1)
        answers = _listed(*names)
        connected.sendall(b"+OK hi\r\n")
        with closing(connected.makefile("r")) as lines:
            for line in lines:
                if line.startswith("TOP") or ended.is_set():
                    return
                connected.sendall(answers.get(line.strip(), b"+OK\r\n"))

    with serving(behave) as port:
        box, known = _box(port), set[str]()
        with suppress(BusUnreachable):
            while len(known) < len(names):
                known |= {one.key for one in box.look(known).entries}
        assert 1 < len(known) < len(came) < 20


def test_a_head_is_bounded_and_a_mail_too_large_is_left() -> None:
    head = b"X: " + b"y" * 3_000_000 + b"\r\n\r\n"
    said: list[str] = []
    answers = _listed("a") | {"TOP": b"+OK\r\n" + head + b".\r\n", "RETR": b"+OK\r\n" + head + b".\r\n"}
    with serving(_server(answers, said)) as port:
        (entry,) = _box(port).look().entries
        assert entry.head == head[:HEAD_BYTES]
        with pytest.raises(MailTooLarge):
            _box(port).fetch(entry)


def test_a_mail_is_read_by_top_and_by_retr_only_where_that_is_not_all_of_it() -> None:
    whole = b"From: a\r\n\r\n" + b"z" * 100 + b"\r\n"
    said: list[str] = []
    answers = _listed("a") | {"TOP 1 2": b"+OK\r\n" + whole + b".\r\n", "RETR": b"+OK\r\n" + whole + b".\r\n"}
    with serving(_server(answers, said)) as port:
        assert _box(port).fetch(_ENTRY) == whole
        assert "RETR 1" not in said
    with serving(_server(_listed("a") | {"RETR": answers["RETR"]}, said)) as port:
        assert _box(port).fetch(_ENTRY) == whole
        assert "RETR 1" in said


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"PASS": b"-ERR [IN-USE] another session\r\n"}, BusUnreachable),
        ({"PASS": b"-ERR maildrop already locked\r\n"}, BusUnreachable),
        ({"PASS": b"-ERR [AUTH] no\r\n"}, LoginRefused),
        ({"PASS": b"-ERR no\r\n"}, LoginRefused),
        ({"PASS": b"what\r\n"}, BusUnreachable),
        ({"UIDL": b"-ERR unknown command\r\n"}, ConfigInvalid),
        ({"UIDL": b"-ERR [SYS/TEMP] Internal error\r\n"}, BusUnreachable),
        (_listed("a") | {"TOP": b"-ERR unknown\r\n", "CAPA": b"+OK\r\nUIDL\r\n.\r\n"}, ConfigInvalid),
        ({"UIDL": b"+OK\r\n" + b"1 " + b"x" * 17_000_000 + b"\r\n.\r\n"}, BusUnreachable),
    ],
)
def test_what_it_refuses_says_whose_fault_it_is(answers: dict[str, bytes], error: type[KprError]) -> None:
    with serving(_server(answers, [])) as port, pytest.raises(KprError) as raised:
        _box(port).look()
    assert type(raised.value) is error


def test_only_what_has_a_name_of_its_own_is_deleted_and_only_an_answered_quit_counts() -> None:
    said: list[str] = []
    with serving(_server(_listed("a", "twice", "twice"), said)) as port:
        box = _box(port)
        assert box.look().keys == {"a"}
        assert not box.take(MailEntry("twice", 1, b""))
        assert box.take(_ENTRY)
    assert [one for one in said if one.startswith("DELE")] == ["DELE 1"]
    with serving(_server(_listed("a") | {"QUIT": b"-ERR not all deleted\r\n"}, said)) as port:
        assert not _box(port).take(_ENTRY)
