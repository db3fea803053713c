"""KPR's message server made of others' parts alone: Python's email and xml.etree, xmlsec1, openssl. Nothing of ours.

What it takes was verified with xmlsec1 and opened with openssl; what it answers was signed and sealed with them. So we
and the sandbox cannot be wrong in the same way.
"""

from __future__ import annotations

import email
import email.policy
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest

_SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_EB: Final = "http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd"
_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_SERVICE: Final = "urn:oasis:names:tc:ebxml-msg:service"
_TO_PARTY: Final = "urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"
_SHA256: Final = '<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue/>'
_C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_XPATH: Final = (
    "not(ancestor-or-self::node()[@SOAP-ENV:actor=&quot;urn:oasis:names:tc:ebxml-msg:actor:nextMSH&quot;] | "
    "ancestor-or-self::node()[@SOAP-ENV:actor=&quot;http://schemas.xmlsoap.org/soap/actor/next&quot;])"
)
NO_XMLSEC1: Final = "no xmlsec1 here: apt-get install xmlsec1"
"""Begins as tests/conftest.py knows it, which sees to it that the run says so aloud."""


@dataclass(frozen=True)
class Taken:
    """A message that was verified and opened.

    Attributes:
        fields: The MessageHeader's, by their names; From and To as HER-ids.
        references: The ds:References of its signature, as they are written.
        content: The document in it.
        mail: Who it came from and to.
    """

    fields: dict[str, str]
    references: tuple[str, ...]
    content: bytes
    mail: tuple[str, str]


@dataclass(frozen=True)
class Responder:
    """A message server.

    Attributes:
        folder: Holds sender.pem (whose signatures are taken), recipient.pem (whom answers are sealed for), signer.pem,
            signer.key, opener.pem and opener.key (its own); and whatever is under way.
    """

    folder: Path

    def take(self, whole: bytes) -> Taken:
        """Verify and open a payload message. Skips loudly without xmlsec1; fails where it does not hold."""
        if shutil.which("xmlsec1") is None:
            pytest.skip(NO_XMLSEC1)
        mail = email.message_from_bytes(whole, policy=email.policy.SMTP)
        soap, payload = (bytes(part.get_payload(decode=True)) for part in mail.iter_parts())
        root = ET.fromstring(soap)  # noqa: S314 - a test's own message
        href = next(one.get("{http://www.w3.org/1999/xlink}href", "") for one in root.iter(f"{{{_EB}}}Reference"))
        self._write("soap.xml", soap)
        self._write("payload.p7m", payload)
        url_map = f"--url-map:{href}"
        self._run("xmlsec1", "--verify", "--pubkey-cert-pem", "sender.pem", *_lax(), url_map, "payload.p7m", "soap.xml")
        opened = self._run(
            *("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", "payload.p7m"),
            *("-recip", "opener.pem", "-inkey", "opener.key"),
        )
        names = ("CPAId", "ConversationId", "Service", "Action", "MessageData/MessageId", "MessageData/Timestamp")
        fields = {name: root.findtext(f".//{{{_EB}}}" + name.replace("/", f"/{{{_EB}}}"), "") for name in names}
        fields |= {side: root.findtext(f".//{{{_EB}}}{side}/{{{_EB}}}PartyId", "") for side in ("From", "To")}
        signature = re.search(rb"(?s)<Signature.*</Signature>", soap)
        assert signature is not None
        found = re.findall(r"(?s)<Reference .*?</Reference>", signature[0].decode())
        return Taken(fields, tuple(found), opened, (str(mail["From"]), str(mail["To"])))

    def acknowledge(self, taken: Taken, *, message_id: str, references: Iterable[str] | None = None) -> bytes:
        """Return the mail of an Acknowledgment that repeats the digests, or others."""
        repeated = "".join(taken.references if references is None else references)
        repeated = repeated.replace("<Reference ", f'<Reference xmlns="{_DS}" ')
        block = (
            f'<eb:Acknowledgment SOAP-ENV:mustUnderstand="1" eb:version="2.0" SOAP-ENV:actor="{_TO_PARTY}">'
            f"<eb:Timestamp>2027-01-14T08:31:00Z</eb:Timestamp><eb:RefToMessageId>{taken.fields['MessageData/MessageId']}"
            f"</eb:RefToMessageId>{repeated}</eb:Acknowledgment>"
        )
        return self._signal(taken, message_id, "Acknowledgment", block)

    def refuse(self, taken: Taken, *, message_id: str, code: str, severity: str = "Error", text: str = "") -> bytes:
        """Return the mail of a MessageError."""
        block = (
            f'<eb:ErrorList SOAP-ENV:mustUnderstand="1" eb:version="2.0" eb:highestSeverity="{severity}">'
            f'<eb:Error eb:errorCode="{code}" eb:severity="{severity}"><eb:Description xml:lang="no">{escape(text)}'
            "</eb:Description></eb:Error></eb:ErrorList>"
        )
        ref_to = f"<eb:RefToMessageId>{taken.fields['MessageData/MessageId']}</eb:RefToMessageId>"
        return self._signal(taken, message_id, "MessageError", block, ref_to)

    def app_rec(self, taken: Taken, content: bytes, *, message_id: str) -> bytes:
        """Return the mail of a document that answers, in an ebXML message of its own."""
        self._write("content.xml", content)
        self._run(
            *("openssl", "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", "-in", "content.xml"),
            *("-out", "answer.p7m", "recipient.pem"),
        )
        header = self._header(taken, message_id, taken.fields["Service"], "APPREC", "", "<eb:DuplicateElimination/>")
        asked = (
            '<eb:AckRequested SOAP-ENV:mustUnderstand="1" eb:version="2.0" eb:signed="true" '
            f'SOAP-ENV:actor="{_TO_PARTY}"/>'
        )
        manifest = (
            '<eb:Manifest eb:version="2.0"><eb:Reference xmlns:xlink="http://www.w3.org/1999/xlink" '
            'xlink:type="simple" xlink:href="cid:ref1"/></eb:Manifest>'
        )
        soap = self._signed(header + asked, manifest, ("--url-map:cid:ref1", "answer.p7m"))
        mail = self._mail(taken, "APPREC", message_id)
        mail.set_content(soap, "text", "xml", cid="<ref0>", params={"charset": "UTF-8"})
        mail.make_related()
        sealed = (self.folder / "answer.p7m").read_bytes()
        mail.add_related(sealed, "application", "pkcs7-mime", cid="<ref1>", params={"smime-type": "enveloped-data"})
        return mail.as_bytes()

    def _signal(self, taken: Taken, message_id: str, action: str, block: str, ref_to: str = "") -> bytes:
        soap = self._signed(self._header(taken, message_id, _SERVICE, action, ref_to, "") + block, "", ())
        mail = self._mail(taken, action, message_id)
        mail.set_content(soap, "text", "xml", params={"charset": "UTF-8"})
        return mail.as_bytes()

    def _header(self, taken: Taken, message_id: str, service: str, action: str, ref_to: str, more: str) -> str:
        fields = taken.fields
        return (
            '<eb:MessageHeader SOAP-ENV:mustUnderstand="1" eb:version="2.0">'
            f'<eb:From><eb:PartyId eb:type="HER">{fields["To"]}</eb:PartyId></eb:From>'
            f'<eb:To><eb:PartyId eb:type="HER">{fields["From"]}</eb:PartyId></eb:To>'
            f"<eb:CPAId>{fields['CPAId']}</eb:CPAId><eb:ConversationId>{fields['ConversationId']}</eb:ConversationId>"
            f"<eb:Service>{service}</eb:Service>"
            f"<eb:Action>{action}</eb:Action><eb:MessageData><eb:MessageId>{message_id}</eb:MessageId>"
            f"<eb:Timestamp>2027-01-14T08:31:00Z</eb:Timestamp>{ref_to}</eb:MessageData>{more}</eb:MessageHeader>"
        )

    def _signed(self, blocks: str, body: str, parts: tuple[str, ...]) -> bytes:
        """Return an envelope that xmlsec1 signed."""
        of_part = f'<Reference URI="cid:ref1">{_SHA256}</Reference>' if parts else ""
        signature = (
            f'<Signature xmlns="{_DS}"><SignedInfo><CanonicalizationMethod Algorithm="{_C14N}"/><SignatureMethod '
            'Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><Reference URI=""><Transforms>'
            f'<Transform Algorithm="{_DS}enveloped-signature"/>'
            '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><XPath>'
            + _XPATH
            + "</XPath></Transform>"
            f'<Transform Algorithm="{_C14N}"/></Transforms>{_SHA256}</Reference>{of_part}</SignedInfo><SignatureValue/>'
            "<KeyInfo><X509Data/></KeyInfo></Signature>"
        )
        template = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV="{_SOAP}" xmlns:eb="{_EB}">'
            f"<SOAP-ENV:Header>{blocks}{signature}</SOAP-ENV:Header><SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
        )
        self._write("template.xml", template.encode())
        keys = ("--privkey-pem", "signer.key,signer.pem")
        self._run("xmlsec1", "--sign", *keys, *parts, "--output", "signed.xml", "template.xml")
        return (self.folder / "signed.xml").read_bytes()

    def _mail(self, taken: Taken, subject: str, message_id: str) -> EmailMessage:
        mail = EmailMessage(email.policy.SMTP)
        mail["SOAPAction"] = '"ebXML"'
        mail["To"], mail["From"], mail["Subject"] = (*taken.mail, subject)
        mail["Date"], mail["Message-ID"] = "Thu, 14 Jan 2027 08:31:00 +0000", f"<{message_id}@kpr.example.no>"
        return mail

    def _write(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def _run(self, *command: str) -> bytes:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        assert done.returncode == 0, f"{command[:3]}: {done.stderr.decode(errors='replace')}"
        return done.stdout


def _lax() -> tuple[str, ...]:
    """From 1.3 on xmlsec1 takes the key that it is given only when told to: KeyInfo does not name that one."""
    version = subprocess.run(["xmlsec1", "--version"], capture_output=True, text=True, check=False).stdout
    return ("--enabled-key-data", "rsa") if " 1.2." in version else ("--lax-key-search", "--enabled-key-data", "rsa")
