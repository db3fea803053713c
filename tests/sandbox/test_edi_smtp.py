"""The sandbox's mail server: what it offers, and what it refuses at which point of the dialogue."""

from __future__ import annotations

import smtplib
from collections.abc import Callable

import pytest

from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.settings.sample_file import EDI_RECEIVER, EDI_SENDER
from tests.sandbox.edi_client import EdiClient, EdiMunicipality

Run = Callable[..., EdiSandbox]


def test_the_dialogue(run_edi: Run, edi_sender: EdiMunicipality) -> None:
    sandbox = run_edi()
    with smtplib.SMTP("127.0.0.1", sandbox.port, timeout=10) as plain:
        plain.ehlo()
        assert {"starttls", "dsn", "8bitmime"} <= plain.esmtp_features.keys()
        assert plain.esmtp_features["size"] == "51200000"
        assert "auth" not in plain.esmtp_features
        assert plain.mail(EDI_SENDER)[0] == 530  # STARTTLS first
    with EdiClient(sandbox, edi_sender.municipality.pki).connected() as server:
        assert server.mail("other@rehearsal.example")[0] == 553  # not this login's
        assert server.mail(EDI_SENDER, ["SIZE=51200001"])[0] == 552
        assert server.mail(EDI_SENDER, ["SIZE=51200000", "BODY=8BITMIME", "ENVID=x.y+2B", "RET=HDRS"])[0] == 250
        assert server.rcpt("nobody@rehearsal.example")[0] == 550
        assert server.rcpt(EDI_RECEIVER, ["NOTIFY=NEVER", f"ORCPT=rfc822;{EDI_RECEIVER}"])[0] == 250
        assert server.rcpt(EDI_RECEIVER)[0] == 452  # one at a time
    assert not sandbox.ledger.lines()


def test_a_wrong_login_is_refused(run_edi: Run, edi_sender: EdiMunicipality) -> None:
    sandbox = run_edi()
    (sandbox.directory / "bus-password").write_text("wrong")
    client = EdiClient(sandbox, edi_sender.municipality.pki)
    with pytest.raises(smtplib.SMTPAuthenticationError), client.connected():
        pass
