"""G1 over SMTP: the connection is cut after every byte of the dialogue, and what we say is what the server has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.bus.port import Reach, Verdict
from kpr_sender.edi import smtp_session
from kpr_sender.edi.smtp import SmtpSender
from kpr_sender.settings.edi import SmtpSecurity
from tests.helpers.fault_proxy import Cut, FaultProxy, Faults
from tests.helpers.figures import figure
from tests.helpers.loopback import server_context
from tests.helpers.smtp_server import SmtpServer, account, outgoing, smtp_server, with_login
from tests.helpers.tls_certificates import make_authority


class _Cuts:
    """One sender after another through the proxy; each is compared with what the server has."""

    def __init__(self, server: SmtpServer, proxy: FaultProxy, **settings: Any) -> None:
        self._server, self._proxy = server, proxy
        self._settings = account(proxy.port, **settings)
        self.seen = Counter[str]()
        self.wrong: list[str] = []

    def length(self) -> tuple[int, int]:
        """Return the bytes of a dialogue without a cut: ours, and the server's, each without the goodbye."""
        with SmtpSender(self._settings) as sender:
            assert sender.submit(outgoing()).verdict is Verdict.ACCEPTED
            passage = self._proxy.passages[-1]
            return passage.let_through, passage.answered

    def one(self, faults: Faults) -> None:
        before = len(self._server.mails)
        self._proxy.upcoming.append(faults)
        sender = SmtpSender(self._settings)
        outcome = sender.submit(outgoing())
        self._proxy.finish(self._proxy.passages[-1])
        sender.close()
        self._server.settle()
        has = len(self._server.mails) - before
        self.seen[outcome.verdict] += 1
        wrong = {Verdict.ACCEPTED: has != 1, Verdict.NOT_SENT: has != 0, Verdict.IN_DOUBT: has > 1}
        # Doubt is for what was handed over whole: before that, everything is certain.
        careless = (outcome.verdict is Verdict.IN_DOUBT) != (outcome.reach is Reach.HANDED_OVER)
        if wrong[outcome.verdict] or careless or (outcome.error is None) != (outcome.verdict is Verdict.ACCEPTED):
            self.wrong.append(f"{faults}: {outcome}, and the server has {has}")
        if "_ssl.c" in str(outcome.error):
            self.wrong.append(f"{faults}: a person reads {outcome.error}")

    def counted(self, name: str) -> None:
        figure(
            name,
            cuts=self.seen.total(),
            not_sent=self.seen[Verdict.NOT_SENT],
            in_doubt=self.seen[Verdict.IN_DOUBT],
            sent=self.seen[Verdict.ACCEPTED],
            misclassified=len(self.wrong),
        )
        assert self.wrong == []


@pytest.fixture
def plain() -> Iterator[tuple[SmtpServer, FaultProxy]]:
    with smtp_server() as server, FaultProxy(server.port) as proxy:
        yield server, proxy


@pytest.mark.parametrize(
    ("cut", "step"), [(Cut.RESET, 1), (Cut.CLOSE, 4), pytest.param(Cut.CLOSE, 1, marks=pytest.mark.nightly)]
)
def test_a_cut_after_every_byte_of_ours_is_never_misclassified(
    plain: tuple[SmtpServer, FaultProxy], cut: Cut, step: int
) -> None:
    cuts = _Cuts(*plain)
    ours, _ = cuts.length()
    for count in range(1, ours + 1, step):
        cuts.one(Faults(cut_after=count, cut=cut))
    assert cuts.seen[Verdict.NOT_SENT]
    cuts.counted("SMTP cut after every byte of the client")


def test_a_cut_after_every_byte_of_the_servers_is_never_misclassified(plain: tuple[SmtpServer, FaultProxy]) -> None:
    cuts = _Cuts(*plain)
    _, theirs = cuts.length()
    for count in range(1, theirs + 1):
        cuts.one(Faults(cut_after_answer=count, cut=Cut.CLOSE))
    assert min(cuts.seen[verdict] for verdict in Verdict) > 0
    cuts.counted("SMTP cut after every byte of the server")


def test_silence_after_the_dot_ends_in_doubt_and_before_it_in_not_sent(plain: tuple[SmtpServer, FaultProxy]) -> None:
    cuts = _Cuts(*plain, connect_timeout=0.3, answer_timeout=0.3)
    ours, _ = cuts.length()
    for count in (3, 30, 60, 90, ours - 10, ours - 3, ours - 1, ours):
        cuts.one(Faults(cut_after=count, cut=Cut.SWALLOW))
    assert cuts.seen[Verdict.NOT_SENT] >= 4
    assert cuts.seen[Verdict.IN_DOUBT] >= 1
    cuts.counted("SMTP silent after a byte")


def test_a_mail_that_the_network_does_not_take_is_certainly_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it waits in our own kernel, which would have taken the end as well."""
    monkeypatch.setattr(smtp_session, "CHUNK_SECONDS", 0.5)
    with smtp_server() as server, FaultProxy(server.port, receive_buffer=8_192) as proxy:
        proxy.faults = Faults(cut_after=2_000, cut=Cut.STALL)
        sender = SmtpSender(account(proxy.port))
        outcome = sender.submit(outgoing(b"PEd1ZA==\r\n" * 4_000))
        proxy.finish(proxy.passages[-1])
        sender.close()
    assert (outcome.verdict, outcome.reach, server.mails) == (Verdict.NOT_SENT, Reach.INCOMPLETE, [])
    assert outcome.may_be_repeated


@pytest.mark.parametrize(
    ("security", "step"),
    [
        (SmtpSecurity.STARTTLS, 16),
        (SmtpSecurity.TLS, 64),
        pytest.param(SmtpSecurity.STARTTLS, 1, marks=pytest.mark.nightly),
        pytest.param(SmtpSecurity.TLS, 1, marks=pytest.mark.nightly),
    ],
)
def test_a_cut_after_every_sixteenth_byte_under_tls_is_never_misclassified(
    tmp_path: Path, security: SmtpSecurity, step: int
) -> None:
    authority = make_authority(tmp_path)
    context = server_context(authority, tmp_path, "localhost")
    how: dict[str, Any] = {"implicit": context} if security is SmtpSecurity.TLS else {"tls_context": context}
    with smtp_server(**how) as server, FaultProxy(server.port) as proxy:
        cuts = _Cuts(server, proxy, smtp_security=security, tls_ca=authority.ca_file, **with_login())
        ours, theirs = cuts.length()
        for count in range(step, ours + step, step):
            cuts.one(Faults(cut_after=count))
        for count in range(step, theirs + step, step):
            cuts.one(Faults(cut_after_answer=count, cut=Cut.CLOSE))
    cuts.counted("SMTP with TLS cut after every 16th byte")
