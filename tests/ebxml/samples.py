"""Messages as the tests of this room send them: between a municipality of the synthetic range and KPR."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from kpr_sender.ebxml.envelope import (
    EbxmlMessage,
    EbxmlNames,
    EbxmlParties,
    MessageIds,
    MessageVersions,
    SignedReference,
    acknowledgment,
    cpa_id,
)
from kpr_sender.ebxml.mail import EbxmlMail, MailAddresses, PayloadForm, header_block, payload_mail, signal_mail
from kpr_sender.ebxml.read_mail import Mail, read
from tests.helpers import pki
from tests.helpers.pki import Kind

US: Final = 8_140_000
KPR: Final = 122_612
MESSAGE_ID: Final = "7d3f5a52-8f7e-4a53-9d0c-2f8a6f1f7a01"
ACK_ID: Final = "7d3f5a52-8f7e-4a53-9d0c-2f8a6f1f7a02"
ATTEMPT: Final = f"{MESSAGE_ID}.1"
CONVERSATION: Final = "0c2b7a5e-3a53-4f0e-8a52-6f1f7a018f7e"
AT: Final = datetime(2027, 1, 14, 8, 30, tzinfo=UTC)
OURS: Final = MailAddresses("storevik@edi.nhn.no", "kpr@edi.nhn.no")
THEIRS: Final = MailAddresses("kpr@edi.nhn.no", "storevik@edi.nhn.no")
CONTENT: Final = "<MsgHead>æøå</MsgHead>\n".encode()
PLAIN: Final = PayloadForm()
VERSIONS: Final = MessageVersions("kpr-sender", "0.1.0", "http://www.kith.no/xmlstds/kpr", "3.7", "EPJ", "12.1")

SENT: Final = EbxmlMessage(
    EbxmlParties(US, KPR, "KPR_IPLsender", "KPR_IPLreceiver"),
    EbxmlNames("S-KPR_IPL", "KPR_IPL", cpa_id(US, KPR), "kithService"),
    MessageIds(MESSAGE_ID, CONVERSATION, AT),
    VERSIONS,
)


def shipment(content: bytes = CONTENT, *, sent: EbxmlMessage = SENT, form: PayloadForm = PLAIN) -> EbxmlMail:
    """Return our mail to KPR."""
    return payload_mail(
        [content],
        len(content),
        sent=sent,
        addresses=OURS,
        signer=pki.key_pair(Kind.SIGNER),
        recipient=pki.certificate(Kind.RECEIVER_ENCRYPTION),
        form=form,
    )


def acknowledged(
    references: Iterable[SignedReference], *, signer: Kind = Kind.RECEIVER_SIGNER, acknowledged: str = MESSAGE_ID
) -> EbxmlMail:
    """Return KPR's Acknowledgment of it."""
    unsigned = acknowledgment(
        SENT.parties.for_answer,
        MessageIds(ACK_ID, CONVERSATION, AT),
        cpa=SENT.names.cpa_id,
        acknowledged=acknowledged,
        accepted_at=AT,
        references=references,
    )
    return signal_mail(
        unsigned, message_id=ACK_ID, action="Acknowledgment", addresses=THEIRS, signer=pki.key_pair(signer)
    )


def raw(mail: EbxmlMail, attempt: str = ATTEMPT) -> bytes:
    """Return a mail as an SMTP server gets it."""
    return header_block(mail.head, at=AT, attempt=attempt, host="edi.nhn.no") + b"".join(mail.chunks())


def soap(mail: EbxmlMail) -> bytes:
    """Return a mail's envelope."""
    found = read(raw(mail))
    assert isinstance(found, Mail)
    assert found.soap is not None
    return found.soap.body


def report(action: str, *, envid: str = ATTEMPT, embedded: str = f"<{ATTEMPT}@edi.nhn.no>") -> bytes:
    """Return a report as Postfix writes it."""
    return f"""\
Content-Type: multipart/report; report-type=delivery-status; boundary="b/1"

This is a MIME-encapsulated message.

--b/1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you.

--b/1
Content-Type: message/delivery-status

Reporting-MTA: dns; edi.nhn.no
Original-Envelope-Id: {envid}

Final-Recipient: rfc822; kpr@edi.nhn.no
Action: {action}
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown
 in virtual mailbox table

--b/1
Content-Type: text/rfc822-headers

From: storevik@edi.nhn.no
Message-ID: {embedded}

--b/1--
""".encode()
