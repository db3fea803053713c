"""IMAP: what is never done, on a real Dovecot; and a server that answers more than was asked for."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import closing

import pytest
from imapclient import IMAPClient  # type: ignore[import-untyped]  # it says no types

from kpr_sender.edi.imap import TAKEN
from kpr_sender.edi.mailboxes import mailbox
from kpr_sender.edi.port import MailEntry, MailNotRead
from kpr_sender.errors import BusUnreachable, KprError, LoginRefused
from kpr_sender.settings.edi import MailboxKind, MailboxPlace
from kpr_sender.settings.secrets import Secret
from tests.helpers.loopback import serving
from tests.helpers.others_mail import answer, state
from tests.helpers.postfix_dovecot import MailServers
from tests.helpers.smtp_server import account, with_login

pytestmark = pytest.mark.xdist_group("mail-servers")


@pytest.mark.parametrize("offered", [{"UIDPLUS"}, {"MOVE"}, set[str]()])
def test_a_mail_goes_alone_or_not_at_all(
    mail_servers: MailServers, monkeypatch: pytest.MonkeyPatch, offered: set[str]
) -> None:
    """Another reader has marked a mail for deletion: a plain EXPUNGE would remove it."""
    mail_servers.lay(b"From: a\n\nothers\n", "1.marked", seen=True)
    marked = mail_servers.maildir() / "cur/1.marked:2,S"
    marked.rename(marked.with_name("1.marked:2,ST"))
    mail_servers.lay(answer(1), "2.ours")
    has = IMAPClient.has_capability
    monkeypatch.setattr(
        IMAPClient,
        "has_capability",
        lambda self, name: name in offered if name in {"MOVE", "UIDPLUS"} else has(self, name),
    )
    box = mailbox(mail_servers.account())
    ours = box.look().entries[1]
    assert box.probe().can_take is bool(offered)
    assert box.take(ours) is bool(offered)
    left = state(mail_servers.maildir())
    assert left["1.marked"][1] == "ST"
    assert len(left) == (1 if offered else 2)
    assert all("T" not in flags for name, (_, flags) in left.items() if name != "1.marked")
    moved = [one for part in ("new", "cur") for one in mail_servers.maildir().glob(f".INBOX.{TAKEN}/{part}/*")]
    assert len(moved) == ("MOVE" in offered)


def test_a_name_of_another_time_means_no_mail(mail_servers: MailServers) -> None:
    mail_servers.lay(answer(1), "2.ours")
    box = mailbox(mail_servers.account())
    (entry,) = box.look().entries
    stale = MailEntry(f"1{entry.key}", entry.size, entry.head)
    assert (box.fetch(stale), box.take(stale), len(box.look().keys)) == (None, False, 1)


def test_nothing_of_others_mail_is_logged(mail_servers: MailServers, caplog: pytest.LogCaptureFixture) -> None:
    mail_servers.lay(b"From: a\nSubject: somebody's secret\n\nothers\n", "1.other")
    with caplog.at_level(logging.DEBUG):
        assert mailbox(mail_servers.account()).look().entries
    assert "secret" not in caplog.text
    assert mail_servers.password not in caplog.text


def _server(answers: dict[str, bytes]) -> Callable[..., None]:
    """Return a server that answers commands by name, and says OK to all."""

    def behave(connected: socket.socket, _ended: threading.Event) -> None:
        connected.sendall(b"* OK hi\r\n")
        with closing(connected.makefile("r")) as lines:
            for line in lines:
                tag, _, command = line.strip().partition(" ")
                key = max((one for one in answers if command.startswith(one)), key=len, default="")
                told = answers.get(key, b"")
                if b"TAG" in told:
                    connected.sendall(told.replace(b"TAG", tag.encode()))
                else:
                    connected.sendall(told + tag.encode() + b" OK done\r\n")

    return behave


_BASE = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
    "EXAMINE": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n",
    "UID SEARCH": b"* SEARCH 1\r\n",
}


@pytest.mark.parametrize(
    "answer",
    [
        b"* 1 FETCH (UID 1 RFC822.SIZE {999999999}\r\n",
        b"* 1 FETCH (UID 1 RFC822.SIZE {-1}\r\n",
        b"* 1 FETCH ((((\r\n",
        b"* 1 FETCH (UID x)\r\n",
        b"* BYE FETCH failed\r\n",
        b"TAG NO [SERVERBUG] Internal error\r\n",
    ],
)
def test_a_mail_that_is_not_shown_is_neither_nothing_nor_the_end_of_the_look(answer: bytes) -> None:
    with serving(_server(_BASE | {"UID FETCH": answer})) as port:
        place = MailboxPlace(MailboxKind.IMAP, "127.0.0.1", port, "INBOX")
        box = mailbox(account(1, mailbox=place, connect_timeout=3.0, **with_login(password=Secret("hunter2"))))
        (entry,) = box.look().entries
        assert (entry.key, entry.head) == ("7.1", b"")
        with pytest.raises(MailNotRead) as raised:
            box.fetch(entry)
    assert isinstance(raised.value.why, BusUnreachable)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"UID SEARCH": b"* SEARCH x\r\n"}, BusUnreachable),
        ({"UID SEARCH": b"TAG NO [SERVERBUG] no\r\n"}, BusUnreachable),
        ({"EXAMINE": b"x" * 2_000_000 + b"\r\n"}, BusUnreachable),
        ({"LOGIN": b"TAG NO [AUTHENTICATIONFAILED] no\r\n"}, LoginRefused),
        ({"LOGIN": b"TAG NO [UNAVAILABLE] later\r\n"}, BusUnreachable),
        ({"LOGIN": b"* BYE gone\r\n"}, BusUnreachable),
    ],
)
def test_what_is_no_answer_is_no_mail(answers: dict[str, bytes], error: type[KprError]) -> None:
    with serving(_server(_BASE | answers)) as port:
        place = MailboxPlace(MailboxKind.IMAP, "127.0.0.1", port, "INBOX")
        settings = account(1, mailbox=place, connect_timeout=3.0, **with_login(password=Secret("hunter2")))
        with pytest.raises(KprError) as raised:
            mailbox(settings).look()
    assert type(raised.value) is error
    assert "hunter2" not in str(raised.value)
