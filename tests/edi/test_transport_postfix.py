"""A pair out over Postfix, acknowledgements and AppRecs back over Dovecot; KPR's message server is none of our code."""

from __future__ import annotations

import smtplib
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpr_sender.bus.port import Inbound, Verdict
from kpr_sender.ebxml.answers import Acknowledgment, PayloadMessage
from kpr_sender.ebxml.envelope import EbxmlMessage, EbxmlNames, MessageIds, cpa_id
from kpr_sender.ebxml.mail import EbxmlMail, MailAddresses, payload_mail
from kpr_sender.edi.mailboxes import mailbox
from kpr_sender.edi.port import OutgoingMail
from kpr_sender.edi.smtp import SmtpSender
from kpr_sender.edi.transport import EdiTransport
from kpr_sender.settings.edi import MailboxKind
from tests.ebxml.samples import CONTENT, KPR, SENT, US, VERSIONS
from tests.ebxml.test_answers import answer_of
from tests.helpers import pki
from tests.helpers.edi_responder import Responder
from tests.helpers.figures import figure
from tests.helpers.others_mail import others, state
from tests.helpers.pki import Kind
from tests.helpers.postfix_dovecot import OURS, THEIRS, MailServers

pytestmark = pytest.mark.xdist_group("mail-servers")


@pytest.fixture
def responder(tmp_path: Path) -> Responder:
    owners = {
        "sender": Kind.SIGNER,
        "recipient": Kind.ENCRYPTION,
        "signer": Kind.RECEIVER_SIGNER,
        "opener": Kind.RECEIVER_ENCRYPTION,
    }
    for name, kind in owners.items():
        (tmp_path / f"{name}.pem").write_bytes(pki.certificate_pem(kind))
        if name in {"signer", "opener"}:
            (tmp_path / f"{name}.key").write_bytes(pki.key_pem(kind))
    return Responder(tmp_path)


def _sealed(kind: str) -> EbxmlMail:
    names = EbxmlNames(f"S-{kind}", kind, cpa_id(US, KPR), "string")
    ids = MessageIds(str(uuid.uuid4()), str(uuid.uuid4()), datetime.now(UTC))
    return payload_mail(
        [CONTENT],
        len(CONTENT),
        sent=EbxmlMessage(SENT.parties, names, ids, VERSIONS),
        addresses=MailAddresses(OURS, THEIRS),
        signer=pki.key_pair(Kind.SIGNER),
        recipient=pki.certificate(Kind.RECEIVER_ENCRYPTION),
    )


@contextmanager
def _transport(servers: MailServers, kind: MailboxKind) -> Iterator[EdiTransport]:
    settings = servers.account(kind, look_every=0.2)
    made = EdiTransport(settings, SmtpSender(settings), mailbox(settings), her_ids=(US, KPR), closing=threading.Event())
    try:
        yield made
    finally:
        made.close()


def _answered(servers: MailServers, responder: Responder, message_id: str) -> None:
    """Let KPR's message server take a message from its mailbox, and answer twice over Postfix."""
    assert servers.delivered("kpr", f"Message-ID: <{message_id}.".encode(), expected=1) == 1
    folder = servers.maildir("kpr") / "new"
    (whole,) = [raw for one in folder.iterdir() if message_id.encode() in (raw := one.read_bytes())]
    taken = responder.take(whole)
    assert (taken.content, taken.fields["MessageData/MessageId"]) == (CONTENT, message_id)
    mails = [
        responder.acknowledge(taken, message_id=str(uuid.uuid4())),
        responder.app_rec(taken, b"<AppRec/>", message_id=str(uuid.uuid4())),
    ]
    with smtplib.SMTP("localhost", servers.smtp, local_hostname="kpr.example") as theirs:
        theirs.starttls(context=servers.trusting)
        theirs.login(THEIRS, servers.password)
        for mail in mails:
            assert theirs.sendmail(THEIRS, [OURS], mail) == {}


@pytest.mark.parametrize("kind", [MailboxKind.IMAPS, MailboxKind.POP3S])
def test_a_pair_goes_out_and_its_answers_come_back(
    mail_servers: MailServers, responder: Responder, kind: MailboxKind
) -> None:
    for name, content in others(3, size=20_000):
        mail_servers.lay(content, name)
    before = state(mail_servers.maildir())
    pair = [_sealed("KPR_IPL"), _sealed("KPR_IDE")]
    received: list[Inbound] = []
    with _transport(mail_servers, kind) as transport:
        for mail in pair:
            body = b"".join(mail.chunks())
            assert (
                transport.submit(OutgoingMail(mail.message_id, OURS, THEIRS, mail.head, body)).verdict
                is Verdict.ACCEPTED
            )
        assert transport.receive(0) is None
        for mail in pair:
            _answered(mail_servers, responder, mail.message_id)
        ends = time.monotonic() + 20
        while len(received) < 4 and time.monotonic() < ends:
            if (inbound := transport.receive(1.0)) is not None:
                received.append(inbound)
        answers = [answer_of(inbound.body) for inbound in received]
        assert all(transport.settle(inbound) for inbound in received)
    acknowledged = {
        one.acknowledged for one in answers if isinstance(one, Acknowledgment) and one.assurance.is_verified
    }
    receipts = [one for one in answers if isinstance(one, PayloadMessage) and one.assurance.is_verified]
    assert acknowledged == {mail.message_id for mail in pair}
    assert len(receipts) == 2
    assert state(mail_servers.maildir()) == before
    figure("pairs over Postfix and Dovecot", pairs=1, acknowledgements=2, receipts=2, lost=0)
