"""What a mail server says and what comes of it: verdict, error, and what is never done."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import Envelope

from kpr_sender.bus.port import Reach, Verdict
from kpr_sender.edi.smtp import SmtpSender
from kpr_sender.errors import (
    AccessRefused,
    BusUnreachable,
    ConfigInvalid,
    InDoubt,
    InputRefused,
    InternalError,
    KprError,
    LoginRefused,
)
from kpr_sender.settings.edi import EdiSettings, SmtpSecurity
from kpr_sender.settings.secrets import Secret
from tests.helpers.loopback import server_context, serving
from tests.helpers.smtp_server import MESSAGE_ID, OURS, account, outgoing, smtp_server, with_login
from tests.helpers.tls_certificates import make_authority

Said = list[bytes]


@pytest.mark.parametrize(
    ("at", "answer", "error", "reach"),
    [
        ("MAIL", "451 4.7.1 greylisted", BusUnreachable, Reach.NOT_BEGUN),
        ("MAIL", "553 5.1.8 not your address", ConfigInvalid, Reach.NOT_BEGUN),
        ("MAIL", "530 5.7.0 log in first", AccessRefused, Reach.NOT_BEGUN),
        ("MAIL", "552 5.3.4 too big", InputRefused, Reach.NOT_BEGUN),
        ("RCPT", "450 4.2.0 greylisted", BusUnreachable, Reach.NOT_BEGUN),
        ("RCPT", "550 5.1.1 nobody", ConfigInvalid, Reach.NOT_BEGUN),
        ("RCPT", "554 5.7.1 relay access denied", ConfigInvalid, Reach.NOT_BEGUN),
        ("RCPT", "552 5.2.2 mailbox full", BusUnreachable, Reach.NOT_BEGUN),
        ("mail", "452 4.3.1 no space", BusUnreachable, Reach.OUTCOME),
        ("mail", "421 4.3.2 going down", BusUnreachable, Reach.OUTCOME),
        ("mail", "552 5.3.4 too big", InputRefused, Reach.OUTCOME),
        ("mail", "554 5.7.1 against the rules", AccessRefused, Reach.OUTCOME),
        ("mail", "554 5.6.0 no such content", ConfigInvalid, Reach.OUTCOME),
    ],
)
def test_a_refusal_is_not_sent_at_any_point(at: str, answer: str, error: type[KprError], reach: Reach) -> None:
    with smtp_server() as server, SmtpSender(account(server.port)) as sender:
        server.answers[at] = answer
        outcome = sender.submit(outgoing())
        assert (outcome.verdict, type(outcome.error), outcome.reach) == (Verdict.NOT_SENT, error, reach)
        assert outcome.condition == f"smtp:{answer[:3]}"
        assert outcome.description == answer[4:]
        assert outcome.may_be_repeated is (error is BusUnreachable)
        server.answers.clear()
        assert sender.submit(outgoing()).verdict is Verdict.ACCEPTED
        assert len(server.mails) == 1


def _content(mail: Envelope) -> bytes:
    assert isinstance(mail.content, bytes)
    return mail.content


def test_each_attempt_has_its_own_message_id_and_the_same_bytes_otherwise() -> None:
    moment = datetime(2027, 1, 14, 9, 30, tzinfo=UTC)
    with smtp_server() as server, SmtpSender(account(server.port), now=lambda: moment) as sender:
        for _ in range(2):
            assert sender.submit(outgoing()).verdict is Verdict.ACCEPTED
        assert server.sessions == 1
    first, second = (_content(one).split(b"\r\n") for one in server.mails)
    differ = [(one, other) for one, other in zip(first, second, strict=True) if one != other]
    assert len(differ) == 1
    assert all(line.startswith(f"Message-ID: <{MESSAGE_ID}.".encode()) for line in differ[0])
    assert b"Date: Thu, 14 Jan 2027 09:30:00 +0000" in first
    assert server.mails[0].mail_options == [f"SIZE={len(_content(server.mails[0]))}"]


def test_what_must_not_leave_does_not() -> None:
    with smtp_server(data_size_limit=400) as server, SmtpSender(account(server.port)) as sender:
        for mail, error in (
            (outgoing(b"PEd1ZA==\r\n" * 100), InputRefused),
            (outgoing(b"a\nb\r\n"), InternalError),
            (outgoing(b"no end"), InternalError),
            (outgoing(recipient="kpr@example.no> NOTIFY=NEVER"), InternalError),
            (outgoing(may_begin=lambda: False), BusUnreachable),
        ):
            outcome = sender.submit(mail)
            assert (outcome.verdict, type(outcome.error), outcome.bytes_handed_over) == (Verdict.NOT_SENT, error, 0)
        assert server.mails == []
    with smtp_server() as server, SmtpSender(account(server.port, max_mail_bytes=200)) as sender:
        assert isinstance(sender.submit(outgoing()).error, InputRefused)
        assert server.sessions == 0


def test_bytes_of_8_bits_go_where_the_server_takes_them_and_else_not_at_all() -> None:
    content = "Kjøp nå\r\n".encode()
    with smtp_server() as server, SmtpSender(account(server.port)) as sender:
        assert sender.submit(outgoing(content)).verdict is Verdict.ACCEPTED
        assert "BODY=8BITMIME" in server.mails[0].mail_options
        assert content in _content(server.mails[0])
    with smtp_server(decode_data=True) as server, SmtpSender(account(server.port)) as sender:
        outcome = sender.submit(outgoing(content))
        assert (outcome.verdict, type(outcome.error), outcome.bytes_handed_over) == (Verdict.NOT_SENT, ConfigInvalid, 0)
        assert server.mails == []


def test_by_default_an_answer_is_waited_for_as_rfc_5321_says_and_a_mail_is_as_large_as_nhn_takes() -> None:
    settings = EdiSettings()
    assert (settings.answer_timeout, settings.max_mail_bytes) == (10 * 60, 51_200_000)


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
def test_the_host_name_is_checked_and_a_login_tried_once(tmp_path: Path, security: SmtpSecurity) -> None:
    authority = make_authority(tmp_path)
    context = server_context(authority, tmp_path, "localhost")
    how: dict[str, Any] = {"implicit": context} if security is SmtpSecurity.TLS else {"tls_context": context}
    with smtp_server(**how) as server:

        def tried(**changes: Any) -> KprError | None:
            given = with_login(smtp_security=security, tls_ca=authority.ca_file) | changes
            with SmtpSender(account(server.port, **given)) as sender:
                return sender.submit(outgoing()).error

        assert tried() is None
        assert isinstance(tried(password=Secret("wrong")), LoginRefused)
        assert len(server.logins) == 2
        assert type(tried(smtp_host="127.0.0.1")) is AccessRefused
        assert type(tried(tls_ca=make_authority(tmp_path / "other").ca_file)) is AccessRefused
        assert len(server.logins) == 2
        assert len(server.mails) == 1


def test_without_tls_nothing_is_sent_where_it_is_asked_for() -> None:
    with smtp_server() as server:
        for security, error in ((SmtpSecurity.STARTTLS, AccessRefused), (SmtpSecurity.TLS, ConfigInvalid)):
            with SmtpSender(account(server.port, smtp_security=security)) as sender:
                assert type(sender.submit(outgoing()).error) is error
        assert server.mails == []


def test_without_tls_neither_mail_nor_login_goes_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kpr_sender.edi.dial.on_this_machine", lambda _: False)
    monkeypatch.setattr("kpr_sender.edi.smtp_session.on_this_machine", lambda _: False)
    with smtp_server(auth_require_tls=False) as server:
        for changes in ({}, with_login(), with_login(allow_plaintext=True)):
            with SmtpSender(account(server.port, **changes)) as sender:
                assert type(sender.submit(outgoing()).error) is ConfigInvalid
        assert (server.mails, server.logins) == ([], [])
        with SmtpSender(account(server.port, allow_plaintext=True)) as sender:
            assert sender.submit(outgoing()).verdict is Verdict.ACCEPTED


def _scripted(answer: bytes, said: Said, *, greeting: bytes = b"220 hi\r\n") -> Callable[..., None]:
    """Return a server that says yes to all, and this to the end of the mail; what it was told is kept."""

    def behave(connected: socket.socket, _ended: threading.Event) -> None:
        connected.sendall(greeting)
        with closing(connected.makefile("rb")) as lines:
            for line in lines:
                said.append(line)
                if line == b"DATA\r\n":
                    connected.sendall(b"354 go on\r\n")
                    for part in lines:
                        said.append(part)
                        if part == b".\r\n":
                            break
                    connected.sendall(answer)
                    if answer.endswith(b"END"):
                        return
                else:
                    connected.sendall(b"250-hi\r\n250 DSN\r\n")

    return behave


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"250 ok\r\n", Verdict.ACCEPTED),
        (b"250-ok\r\n250 really\r\n", Verdict.ACCEPTED),
        (b"251 elsewhere\r\n", Verdict.IN_DOUBT),
        (b"354 once more\r\n", Verdict.IN_DOUBT),
        (b"25\r\n", Verdict.IN_DOUBT),
        (b"hello\r\n", Verdict.IN_DOUBT),
        (b"250-" + b"x" * 10_000 + b"\r\n", Verdict.IN_DOUBT),
        (b"500-" + b"x" * 10_000 + b"\r\n", Verdict.IN_DOUBT),
        (b"250-for ever\r\n" * 200, Verdict.IN_DOUBT),
        (b"\xff\xfe\r\n", Verdict.IN_DOUBT),
        (b"END", Verdict.IN_DOUBT),
        (b"554 5.7.1 no, 150180 12345 is in it\r\n", Verdict.NOT_SENT),
    ],
)
def test_only_a_complete_reply_is_the_servers_word(answer: bytes, verdict: Verdict) -> None:
    said: Said = []
    with serving(_scripted(answer, said)) as port, SmtpSender(account(port)) as sender:
        outcome = sender.submit(outgoing())
    assert outcome.verdict is verdict
    assert (verdict is Verdict.IN_DOUBT) is isinstance(outcome.error, InDoubt)
    assert "12345" not in f"{outcome}{outcome.error}"
    assert said[1].startswith(f"MAIL FROM:<{OURS}> RET=HDRS ENVID={MESSAGE_ID}.".encode())
    assert said[2].endswith(b" NOTIFY=FAILURE\r\n")


def test_no_answer_in_time_is_in_doubt_and_a_trickle_is_no_answer() -> None:
    def trickle(connected: socket.socket, ended: threading.Event) -> None:
        connected.sendall(b"220 hi\r\n")
        with closing(connected.makefile("rb")) as lines:
            for line in lines:
                if line == b".\r\n":
                    break
                if line[:4] in (b"ehlo", b"MAIL", b"RCPT", b"DATA"):
                    connected.sendall(b"354 go\r\n" if line == b"DATA\r\n" else b"250 hi\r\n")
            connected.sendall(b"250-")
            while not ended.wait(0.05):
                connected.sendall(b"x")

    with serving(trickle) as port, SmtpSender(account(port, answer_timeout=0.5)) as sender:
        outcome = sender.submit(outgoing())
    assert (outcome.verdict, outcome.reach) == (Verdict.IN_DOUBT, Reach.HANDED_OVER)


def test_a_server_that_answers_before_the_end_does_not_have_the_mail() -> None:
    """And what it said then is not taken for the answer to the end."""

    def eager(connected: socket.socket, _ended: threading.Event) -> None:
        connected.sendall(b"220 hi\r\n")
        with closing(connected.makefile("rb")) as lines:
            for line in lines:
                connected.sendall(b"354 go\r\n250 ok\r\n" if line == b"DATA\r\n" else b"250 hi\r\n")

    with serving(eager) as port, SmtpSender(account(port)) as sender:
        outcome = sender.submit(outgoing())
    assert (outcome.verdict, outcome.reach) == (Verdict.NOT_SENT, Reach.INCOMPLETE)


def test_what_was_said_in_clear_before_tls_does_not_count(tmp_path: Path) -> None:
    """CVE-2011-0411: whoever is on the way would put words into the server's mouth."""

    def injecting(connected: socket.socket, _ended: threading.Event) -> None:
        connected.sendall(b"220 hi\r\n")
        with closing(connected.makefile("rb")) as lines:
            for line in lines:
                clear = b"220 go\r\n250 AUTH PLAIN\r\n" if line == b"STARTTLS\r\n" else b"250-hi\r\n250 STARTTLS\r\n"
                connected.sendall(clear)

    settings = {"smtp_security": SmtpSecurity.STARTTLS, "tls_ca": make_authority(tmp_path).ca_file}
    with serving(injecting) as port, SmtpSender(account(port, **settings)) as sender:
        outcome = sender.submit(outgoing())
    assert (outcome.verdict, type(outcome.error)) == (Verdict.NOT_SENT, AccessRefused)
    assert "clear text" in str(outcome.error)
