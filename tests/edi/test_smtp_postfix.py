"""Mail out through a real Postfix: STARTTLS, AUTH, SIZE and DSN; and what it has when it is killed at every stage."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from typing import Any

import pytest

from kpr_sender.bus.port import Reach, Verdict
from kpr_sender.edi import smtp_session
from kpr_sender.edi.port import OutgoingMail
from kpr_sender.edi.smtp import SmtpSender
from kpr_sender.edi.smtp_connection import SmtpConnection
from kpr_sender.errors import BusUnreachable, ConfigInvalid, InputRefused, KprError, LoginRefused
from kpr_sender.fault_points import FaultPoint, armed
from kpr_sender.settings.edi import SmtpSecurity
from kpr_sender.settings.secrets import Secret
from tests.helpers.figures import figure
from tests.helpers.nightly import scaled
from tests.helpers.postfix_dovecot import LIMIT, NOBODY, MailServers
from tests.helpers.smtp_server import BODY, outgoing

pytestmark = pytest.mark.xdist_group("mail-servers")

_COMMANDS = ("EHLO", "STARTTLS", "EHLO under TLS", "AUTH", "MAIL", "RCPT", "DATA")


def test_a_pair_is_delivered_byte_for_byte_over_one_connection(mail_servers: MailServers) -> None:
    ids = [str(uuid.uuid4()) for _ in range(2)]
    with SmtpSender(mail_servers.account()) as sender:
        probe = sender.probe()
        assert (probe.size, probe.logged_in, probe.dsn) == (LIMIT, True, True)
        assert probe.handshake is not None
        assert probe.handshake.tls.startswith("TLSv1.3")
        outcomes = [sender.submit(outgoing(message_id=one)) for one in ids]
    assert [one.verdict for one in outcomes] == [Verdict.ACCEPTED] * 2
    assert [mail_servers.delivered("kpr", one.encode(), expected=1) for one in ids] == [1, 1]
    mails = [one.read_bytes() for one in (mail_servers.maildir("kpr") / "new").iterdir()]
    assert all(mail.replace(b"\n", b"\r\n").endswith(b"\r\n\r\n" + BODY) for mail in mails)
    assert all(mail.count(b"\nMessage-ID: <") == 1 for mail in mails)


def test_with_tls_from_the_first_byte_it_is_the_same(mail_servers: MailServers) -> None:
    settings = mail_servers.account(smtp_security=SmtpSecurity.TLS, smtp_port=mail_servers.smtps)
    with SmtpSender(settings) as sender:
        assert sender.submit(outgoing()).verdict is Verdict.ACCEPTED


def test_what_it_refuses_is_not_sent_and_says_whose_fault_it_is(mail_servers: MailServers) -> None:
    refused: dict[str, tuple[OutgoingMail, dict[str, Any], type[KprError]]] = {
        "address": (outgoing(recipient="who@example.no"), {}, ConfigInvalid),
        "domain": (outgoing(sender="kommune@[bad"), {}, ConfigInvalid),
        "size": (outgoing(b"PEd1ZA==\r\n" * (LIMIT // 10)), {}, InputRefused),
        "login": (outgoing(), {"password": Secret("wrong")}, LoginRefused),
        "port": (outgoing(), {"smtp_port": mail_servers.smtps, "connect_timeout": 2.0}, BusUnreachable),
    }
    for name, (mail, changes, error) in refused.items():
        with SmtpSender(mail_servers.account(**changes)) as sender:
            outcome = sender.submit(mail)
        assert (outcome.verdict, type(outcome.error)) == (Verdict.NOT_SENT, error), name
    assert mail_servers.delivered("kpr", b"Message-ID") == 0


def test_what_cannot_be_delivered_comes_back_with_our_envelope_id(mail_servers: MailServers) -> None:
    message_id = str(uuid.uuid4())
    with SmtpSender(mail_servers.account(), random=lambda: "attempt1") as sender:
        assert sender.submit(outgoing(message_id=message_id, recipient=NOBODY)).verdict is Verdict.ACCEPTED
    wanted = f"Original-Envelope-Id: {message_id}.attempt1".encode()
    assert mail_servers.delivered("kommune-kpr", wanted, expected=1) == 1
    (report,) = [one.read_bytes() for one in (mail_servers.maildir() / "new").iterdir()]
    assert b"PEd1ZA==" not in report  # RET=HDRS
    assert f"Message-ID: <{message_id}.attempt1@example.no>".encode() in report


class _Killed:
    """Kills Postfix once, at one stage of the next dialogue."""

    def __init__(self, servers: MailServers) -> None:
        self._servers = servers
        self.seen = Counter[str]()
        self.wrong: list[str] = []

    def compare(self, name: str, sender: SmtpSender) -> None:
        """Send, have Postfix up again, and compare what we say with what it has."""
        message_id = str(uuid.uuid4())
        outcome = sender.submit(outgoing(message_id=message_id))
        sender.close()
        self._servers.start_postfix()
        expected = 1 if outcome.verdict is Verdict.ACCEPTED else None
        has = self._servers.delivered("kpr", message_id.encode(), expected=expected)
        self.seen[outcome.verdict] += 1
        right = {Verdict.ACCEPTED: has == 1, Verdict.NOT_SENT: has == 0, Verdict.IN_DOUBT: has <= 1}
        if not right[outcome.verdict] or (outcome.verdict is Verdict.IN_DOUBT) != (outcome.reach is Reach.HANDED_OVER):
            self.wrong.append(f"{name}: {outcome}, and the server has {has}")

    def at(self, point: FaultPoint, pause: float) -> None:
        """Kill it so many seconds after a point of ours."""
        left = [point]

        def kill(reached: FaultPoint) -> None:
            if reached in left:
                left.clear()
                time.sleep(pause)
                self._servers.kill_postfix()

        with armed(kill):
            self.compare(f"{point} {pause}", SmtpSender(self._servers.account()))

    def counted(self) -> None:
        """Note what was counted, and fail for what was wrong."""
        figure(
            "Postfix killed at every stage",
            kills=self.seen.total(),
            not_sent=self.seen[Verdict.NOT_SENT],
            in_doubt=self.seen[Verdict.IN_DOUBT],
            sent=self.seen[Verdict.ACCEPTED],
            misclassified=len(self.wrong),
        )
        assert self.wrong == []


def test_killed_at_every_stage_nothing_is_misclassified(
    mail_servers: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = _Killed(mail_servers)

    def after_command(number: int) -> type[SmtpConnection]:
        class Killing(SmtpConnection):
            left = number

            def putcmd(self, cmd: str, args: str = "") -> None:
                super().putcmd(cmd, args)
                Killing.left -= 1
                if Killing.left == -1:
                    mail_servers.kill_postfix()

        return Killing

    for number, name in enumerate(_COMMANDS):
        with monkeypatch.context() as patched:
            patched.setattr(smtp_session, "SmtpConnection", after_command(number))
            killed.compare(name, SmtpSender(mail_servers.account()))
    assert killed.wrong == []
    assert killed.seen == {Verdict.NOT_SENT: len(_COMMANDS)}

    pauses = (0.0, 0.002, 0.005, 0.02, 0.1)
    killed.at(FaultPoint.MID_TRANSFER, 0.0)
    for pause in pauses:
        killed.at(FaultPoint.AFTER_TRANSFER, pause)
    killed.counted()


@pytest.mark.nightly
def test_killed_two_hundred_times_about_the_end_of_the_mail_nothing_is_misclassified(mail_servers: MailServers) -> None:
    killed, chance = _Killed(mail_servers), random.Random(5)
    for _ in range(scaled(200)):
        killed.at(FaultPoint.AFTER_TRANSFER, chance.uniform(0.0, 0.03))
    killed.counted()
