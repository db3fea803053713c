"""What a mail from our mailbox is (EDI): read, verified by the receiver's certificate, and opened with our keys.

A mail is stored without what servers wrote round it: the same message, sent again, is the same bytes. What is read of a
message is what its signature covers (``ebxml.signature``); its payload is opened only after that is valid.
"""

from __future__ import annotations

import email.parser
import email.policy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kpr_sender.cms.port import Decrypter
from kpr_sender.cms.read import Policy
from kpr_sender.ebxml import answers, read_mail, signature
from kpr_sender.ebxml.answers import Answer, Correspondence, PayloadMessage
from kpr_sender.ebxml.canonical import MAX_BYTES
from kpr_sender.ebxml.content import open_payload
from kpr_sender.ebxml.envelope import SignedReference
from kpr_sender.ebxml.read_mail import USUAL_BOUNDS, Mail, MailBounds, NotEbxml
from kpr_sender.ebxml.reports import Other
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.registry.latest import LatestCounterpart

_MAIL: Final = re.compile(rb"(?:From [^\n]*\n)?[A-Za-z][A-Za-z0-9-]{0,70}:")
_KEPT: Final = ("MIME-Version", "SOAPAction", "Content-Type", "Content-Transfer-Encoding", "In-Reply-To", "References")
"""What a stored mail has of its headers: what it is read by, and nothing of who carried it."""
_ENVELOPE: Final = 2 * MAX_BYTES
"""Bytes of a mail of ours in which its envelope is, in base64: the first part."""
_EMPTY_LINE: Final = re.compile(rb"\r?\n\r?\n")


def looks_like_mail(body: bytes) -> bool:
    """Tell a mail from CMS, which begins with a digit of ASCII, and from XML: it begins with a header."""
    return _MAIL.match(body) is not None


def stored_form(raw: bytes) -> bytes:
    """Return a mail as it is stored: its content as it came, of its headers those that say what that is."""
    ends = _EMPTY_LINE.search(raw)
    if ends is None:
        return raw
    head = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(raw[: ends.end()])
    kept = [f"{name}: {' '.join(str(head[name]).split())}\r\n" for name in _KEPT if head[name] is not None]
    return "".join((*kept, "\r\n")).encode("ascii", "replace") + raw[ends.end() :]


def own_references(body: bytes, content_type: str) -> tuple[SignedReference, ...]:
    """Return what the envelope of a mail of ours signs, from its stored body; nothing where that cannot be read."""
    mail = read_mail.read(b"Content-Type: %s\r\n\r\n%s" % (content_type.encode("ascii"), body[:_ENVELOPE]))
    if isinstance(mail, NotEbxml) or mail.soap is None:
        return ()
    try:
        return signature.references(mail.soap.body)
    except MessageRefused:
        return ()


@dataclass(frozen=True, slots=True)
class MailReader:
    """Reads what the receiver's message server, and servers on the way, send us.

    Attributes:
        her_id: Ours, level 2.
        sender: Who answers us, with the certificates that it may sign with.
        decrypters: Open what is sealed for us.
        policy: Bounds of what is opened.
        bounds: Of what is read.
    """

    her_id: int
    sender: LatestCounterpart
    decrypters: Sequence[Decrypter]
    policy: Policy
    bounds: MailBounds = USUAL_BOUNDS

    def read(self, raw: bytes, mail: Mail | None = None) -> Answer:
        """Say what a mail is, and how far it is verified; ask the register once more where no certificate fits.

        Args:
            raw: The mail.
            mail: What was read of it already.
        """
        found = mail or read_mail.read(raw, self.bounds)
        if isinstance(found, NotEbxml):
            return Other(found.reason)
        answer = self._classified(found)
        assurance = getattr(answer, "assurance", None)
        if assurance is not None and not assurance.is_verified and self.sender.ask_again():
            return self._classified(found)
        return answer

    def content(self, message: PayloadMessage) -> bytes:
        """Open the payload of a verified message: XML, in a MIME part, packed or signed inside as well or not.

        Raises:
            ProtectionRefused: It does not open with our keys, or there is nothing in it that can be read.
            AccessRefused, KeyUnavailable: As a key raises them.
        """
        if not message.assurance.is_verified:
            raise AssertionError("nothing is opened before it is verified")
        signers = self.sender.current.signing
        return open_payload(message.payload, decrypters=self.decrypters, signers=signers, policy=self.policy)

    def _classified(self, mail: Mail) -> Answer:
        certificates = self.sender.current.signing
        return answers.classify(mail, Correspondence(self.her_id, self.sender.her_id, certificates))
