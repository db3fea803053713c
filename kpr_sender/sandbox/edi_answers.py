"""Builds the mails of the sandbox's message server: Acknowledgment, MessageError, SOAP Fault, bounce, AppRec.

The envelopes are ``kpr_sender.ebxml``'s; the mails are written here, since a fault in ours must not be hidden by the
same in the sandbox's.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final
from xml.sax.saxutils import escape

from cryptography.x509 import Certificate
from lxml import etree

from kpr_sender.cms.port import Signer
from kpr_sender.cms.write import encrypt
from kpr_sender.ebxml import envelope
from kpr_sender.ebxml.envelope import (
    EbxmlError,
    EbxmlMessage,
    EbxmlNames,
    EbxmlParties,
    MessageIds,
    Severity,
    SignedReference,
)
from kpr_sender.ebxml.signature import sign
from kpr_sender.sandbox.edi_faults import FAILED
from kpr_sender.sandbox.edi_letter import DS, Letter, text
from kpr_sender.sandbox.edi_smtp import AcceptedMail
from kpr_sender.sandbox.faults import FaultName, Faults

HOST: Final = "rehearsal.example"
_LINE: Final = 76
_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_APPREC: Final = "APPREC"


@dataclass(frozen=True, slots=True)
class EdiAnswers:
    """Builds the answers of one message server to one municipality.

    Attributes:
        own_address: Its EDI address.
        their_address: The municipality's.
        signer: Returns the receiver's signing key at this moment.
        impostor: Makes a key that is not the receiver's.
        recipient: Returns the municipality's encryption certificate at this moment.
        now: The clock; aware.
    """

    own_address: str
    their_address: str
    signer: Callable[[], Signer]
    impostor: Callable[[], Signer]
    recipient: Callable[[], Certificate]
    now: Callable[[], datetime]

    def acknowledgment(self, letter: Letter, faults: Faults) -> bytes:
        """Return the envelope that acknowledges a message, signed."""
        wrong = faults.find(FaultName.WRONG_DIGEST, letter.action) is not None
        root = envelope.acknowledgment(
            parties(letter).for_answer,
            self._ids(letter),
            cpa=letter.named("CPAId"),
            acknowledged=letter.message_id,
            accepted_at=self.now(),
            references=[_reference(one, wrong=wrong) for one in letter.references],
        )
        if faults.find(FaultName.UNSIGNED_ACKNOWLEDGEMENT, letter.action):
            return bytes(_DECLARATION + etree.tostring(root, encoding="UTF-8"))
        return self._signed(root, self._is_impostor(FaultName.ACKNOWLEDGEMENT_SIGNER, letter, faults))

    def message_error(self, letter: Letter, code: str, severity: Severity, description: str) -> bytes:
        """Return the envelope that refuses a message or remarks on it, signed."""
        ids = replace(self._ids(letter), ref_to=letter.message_id)
        error = EbxmlError(code, severity, description)
        root = envelope.message_error(parties(letter).for_answer, ids, cpa=letter.named("CPAId"), errors=[error])
        return self._signed(root, impostor=False)

    def signal_mail(self, soap: bytes, subject: str) -> bytes:
        """Return a mail with an Acknowledgment or MessageError: a new one for each time that it is sent."""
        return self._signal_mail(soap, subject, {})

    def _signal_mail(self, soap: bytes, subject: str, about: Mapping[str, str]) -> bytes:
        head = {**self._head(subject), **about, "SOAPAction": '"ebXML"', "Content-Type": 'text/xml; charset="UTF-8"'}
        return _mail({**head, "Content-Transfer-Encoding": "base64"}, _base64(soap))

    def soap_fault(self, letter: Letter, description: str) -> bytes:
        """Return the mail with a SOAP Fault: what answers a message whose parties cannot be read."""
        soap = (
            _DECLARATION.decode("ascii")
            + '<SOAP:Envelope xmlns:SOAP="http://schemas.xmlsoap.org/soap/envelope/"><SOAP:Body><SOAP:Fault>'
            f"<faultcode>SOAP:Client</faultcode><faultstring>{escape(description)}</faultstring>"
            "</SOAP:Fault></SOAP:Body></SOAP:Envelope>"
        ).encode()
        about = {"In-Reply-To": found, "References": found} if (found := letter.header("Message-ID")) else {}
        return self._signal_mail(soap, "SOAP Fault", about)

    def bounce(self, mail: AcceptedMail, action: str) -> bytes:
        """Return the report of a mail server about a mail (RFC 3464).

        Args:
            mail: What cannot be delivered.
            action: ``failed`` or ``delayed``.
        """
        status, why = ("5.1.1", "550 5.1.1 unknown user") if action == FAILED else ("4.4.1", "451 4.4.1 no answer yet")
        envid = [f"Original-Envelope-Id: {mail.envid}"] if mail.envid else []
        report = [
            *("Reporting-MTA: dns; " + HOST, *envid, "Arrival-Date: " + format_datetime(self.now()), ""),
            *(f"Final-Recipient: rfc822; {mail.recipient}", f"Action: {action}", f"Status: {status}"),
            f"Diagnostic-Code: smtp; {why}",
        ]
        headers = mail.data.partition(b"\r\n\r\n")[0].decode("ascii", "replace").split("\r\n")
        parts = (
            ("text/plain; charset=us-ascii", ["This is the mail system. A message could not be delivered."]),
            ("message/delivery-status", report),
            ("text/rfc822-headers", headers),
        )
        boundary = uuid.uuid4().hex
        kind = f'multipart/report; report-type=delivery-status; boundary="{boundary}"'
        head = self._head("Undelivered Mail Returned to Sender") | {"From": f"MAILER-DAEMON@{HOST}"}
        head |= {"To": mail.sender, "Auto-Submitted": "auto-replied", "Content-Type": kind}
        return _mail(
            head, _multipart(boundary, [(f"Content-Type: {kind}", "\r\n".join(lines)) for kind, lines in parts])
        )

    def receipt(self, letter: Letter, apprec: bytes, faults: Faults) -> tuple[str, bytes, dict[str, str]]:
        """Return an AppRec in an ebXML message of its own.

        Returns:
            Its eb:MessageId, its complete mail, and the digests of its signature by URI.
        """
        sealed = apprec
        kind = "application/xml"
        if not faults.find(FaultName.UNSEALED_ANSWER, letter.action):
            sealed = b"".join(map(bytes, encrypt([apprec], len(apprec), recipient=self.recipient())))
            kind = "application/pkcs7-mime; smime-type=enveloped-data"
        content_id, soap_id = (f"{uuid.uuid4()}@{HOST}" for _ in range(2))
        there = parties(letter)
        back = EbxmlParties(there.to_her_id, there.from_her_id, there.to_role, there.from_role)
        names = EbxmlNames(letter.named("Service"), _APPREC, letter.named("CPAId"), _service_type(letter))
        ids = replace(self._ids(letter), ref_to=letter.message_id)
        root = envelope.payload_message(EbxmlMessage(back, names, ids), content_id=content_id)
        digests = {content_id: hashlib.sha256(sealed).digest()}
        signer = self.impostor() if self._is_impostor(FaultName.WRONG_SIGNER, letter, faults) else self.signer()
        signed = sign(root, signer=signer, digests=digests)
        boundary = uuid.uuid4().hex
        start = f'multipart/related; type="text/xml"; start="<{soap_id}>"; boundary="{boundary}"'
        parts = [
            (_part_head('text/xml; charset="UTF-8"', soap_id), _base64(signed.xml)),
            (_part_head(kind, content_id), _base64(sealed)),
        ]
        head = {**self._head(_APPREC), "SOAPAction": '"ebXML"', "Content-Type": start}
        mail = _mail(head, _multipart(boundary, parts))
        return ids.message_id, mail, {one.uri: one.digest for one in signed.references}

    def _signed(self, root: etree._Element, impostor: bool) -> bytes:  # noqa: FBT001 - what it says
        return sign(root, signer=self.impostor() if impostor else self.signer(), digests={}).xml

    def _is_impostor(self, name: FaultName, letter: Letter, faults: Faults) -> bool:
        return faults.find(name, letter.action) is not None

    def _ids(self, letter: Letter) -> MessageIds:
        return MessageIds(str(uuid.uuid4()), letter.named("ConversationId"), self.now())

    def foreign(self, letter: Letter, number: int) -> bytes:
        """Return a mail for another system of the municipality's: a person's, or KPR's acknowledgement of its message.

        Args:
            letter: A message of ours.
            number: Even for the one, odd for the other.
        """
        if number % 2 == 0:
            head = self._head("Lunsj") | {"Content-Type": "text/plain; charset=utf-8"}
            return _mail(head, "Blir du med?\r\n")
        root = envelope.acknowledgment(
            parties(letter).for_answer,
            MessageIds(str(uuid.uuid4()), str(uuid.uuid4()), self.now()),
            cpa=letter.named("CPAId"),
            acknowledged=str(uuid.uuid4()),
            accepted_at=self.now(),
            references=[],
        )
        return self.signal_mail(self._signed(root, impostor=False), "ebXml acknowledgment")

    def _head(self, subject: str) -> dict[str, str]:
        return {
            "From": self.own_address,
            "To": self.their_address,
            "Subject": subject,
            "Date": format_datetime(self.now().astimezone(UTC)),
            "Message-ID": f"<{uuid.uuid4()}@{HOST}>",
            "MIME-Version": "1.0",
        }


def again(mail: bytes) -> bytes:
    """Return a mail as it is sent again: the same with a new Message-ID (HITS 1172 4.2.3.2)."""
    return re.sub(rb"(?m)^Message-ID: .*\r$", f"Message-ID: <{uuid.uuid4()}@{HOST}>\r".encode(), mail, count=1)


def parties(letter: Letter) -> EbxmlParties:
    """Return who a message is from and to; the first HER-id of each side, 0 where there is none."""
    first = [next(iter(letter.party(side)), "") for side in ("From", "To")]
    from_, to = (int(one) if one.isascii() and one.isdecimal() else 0 for one in first)
    return EbxmlParties(from_, to, letter.named("From", "Role"), letter.named("To", "Role"))


def _service_type(letter: Letter) -> str:
    service = None if letter.message is None else letter.message.find(f"{envelope.EB}Service")
    return "" if service is None else service.get(f"{envelope.EB}type", "")


def _reference(element: etree._Element, *, wrong: bool) -> SignedReference:
    """Copy a ds:Reference of the message's signature."""
    digest = "".join(text(element, f"{DS}DigestValue").split())
    method = element.find(f"{DS}DigestMethod")
    transforms = tuple(one.get("Algorithm", "") for one in element.iterfind(f"{DS}Transforms/{DS}Transform"))
    return SignedReference(
        uri=element.get("URI", ""),
        digest=base64.b64encode(hashlib.sha256(digest.encode()).digest()).decode() if wrong else digest,
        digest_method="" if method is None else method.get("Algorithm", ""),
        transforms=transforms,
    )


def _part_head(kind: str, content_id: str) -> str:
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <{content_id}>"


def _multipart(boundary: str, parts: Iterable[tuple[str, str]]) -> str:
    return "".join(f"--{boundary}\r\n{head}\r\n\r\n{body}\r\n" for head, body in parts) + f"--{boundary}--\r\n"


def _base64(data: bytes) -> str:
    encoded = base64.b64encode(data).decode("ascii")
    return "".join(f"{encoded[at : at + _LINE]}\r\n" for at in range(0, len(encoded), _LINE))


def _mail(headers: dict[str, str], body: str) -> bytes:
    return ("".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n" + body).encode("utf-8")
