"""A mail as the sandbox's message server reads it: what is there, with the standard library alone; nothing evaluated.

Not by ``kpr_sender.ebxml``: a fault of ours in writing must not be forgiven by the same fault in reading.
"""

from __future__ import annotations

import base64
import email
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from typing import Final

from lxml import etree

from kpr_sender.messages import safe_xml
from kpr_sender.messages.refused import MessageRefused

SOAP: Final = "{http://schemas.xmlsoap.org/soap/envelope/}"
EB: Final = "{http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd}"
DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
XLINK: Final = "{http://www.w3.org/1999/xlink}"
_MAX_SOAP: Final = 1_000_000  # bytes


def elements(parent: etree._Element | None) -> Iterator[etree._Element]:
    """Yield an element's children that are elements."""
    for child in [] if parent is None else parent:
        if isinstance(child.tag, str):
            yield child


def text(parent: etree._Element | None, *path: str) -> str:
    """Return the text of an element below ``parent``, without outer white space; empty where it is not there."""
    found = parent.find("/".join(path)) if parent is not None and path else parent
    return (found.text or "").strip() if found is not None else ""


@dataclass(frozen=True)
class Letter:
    """One mail.

    Attributes:
        data: Headers and body.
    """

    data: bytes

    @cached_property
    def mail(self) -> Message:
        """Its MIME tree; payloads still encoded."""
        return email.message_from_bytes(self.data, policy=email.policy.compat32)

    def header(self, name: str) -> str | None:
        """Return a header of the mail's; None where it is not there."""
        found = self.mail.get(name)
        return None if found is None else str(found).strip()

    @cached_property
    def parts(self) -> tuple[Message, ...]:
        """The parts of a multipart, or the mail itself."""
        payload = self.mail.get_payload()
        return (
            tuple(part for part in payload if isinstance(part, Message)) if isinstance(payload, list) else (self.mail,)
        )

    @cached_property
    def soap_part(self) -> Message | None:
        """The first part that is text/xml."""
        return next((part for part in self.parts if part.get_content_type() == "text/xml"), None)

    @cached_property
    def soap(self) -> bytes:
        """The envelope's bytes."""
        return b"" if self.soap_part is None else decoded(self.soap_part)

    @cached_property
    def root(self) -> etree._Element | None:
        """The envelope; None where it is no XML."""
        try:
            return safe_xml.parse(self.soap, max_bytes=_MAX_SOAP)
        except MessageRefused:
            return None

    @cached_property
    def head(self) -> etree._Element | None:
        """SOAP:Header."""
        return None if self.root is None else self.root.find(f"{SOAP}Header")

    @cached_property
    def body(self) -> etree._Element | None:
        """SOAP:Body."""
        return None if self.root is None else self.root.find(f"{SOAP}Body")

    @cached_property
    def message(self) -> etree._Element | None:
        """eb:MessageHeader."""
        return None if self.head is None else self.head.find(f"{EB}MessageHeader")

    def block(self, name: str) -> etree._Element | None:
        """Return an element of ebXML's in SOAP:Header, or in SOAP:Body for the Manifest."""
        where = self.body if name == "Manifest" else self.head
        return None if where is None else where.find(f"{EB}{name}")

    @cached_property
    def signature(self) -> etree._Element | None:
        """ds:Signature in SOAP:Header."""
        return None if self.head is None else self.head.find(f"{DS}Signature")

    @cached_property
    def references(self) -> tuple[etree._Element, ...]:
        """Every ds:Reference of the signature."""
        return () if self.signature is None else tuple(self.signature.findall(f"{DS}SignedInfo/{DS}Reference"))

    @cached_property
    def digests(self) -> dict[str, str]:
        """What the signature says of each part: DigestValue by URI."""
        return {one.get("URI", ""): "".join(text(one, f"{DS}DigestValue").split()) for one in self.references}

    def party(self, side: str) -> list[str]:
        """Return the HER-ids in eb:From or eb:To."""
        of_type = f"{EB}type"
        found = [] if self.message is None else self.message.findall(f"{EB}{side}/{EB}PartyId")
        return [(one.text or "").strip() for one in found if one.get(of_type) == "HER"]

    def her_id(self, side: str) -> int | None:
        """Return the one HER-id in eb:From or eb:To; None where it cannot be read."""
        named = set(self.party(side))
        only = named.pop() if len(named) == 1 else ""
        return int(only) if only.isascii() and only.isdecimal() and len(only) < _LONGEST_NUMBER else None

    def named(self, *path: str) -> str:
        """Return the text of an element of eb:MessageHeader's."""
        return text(self.message, *(f"{EB}{name}" for name in path))

    @property
    def message_id(self) -> str:
        """eb:MessageId; empty where it is not there."""
        return self.named("MessageData", "MessageId")

    @property
    def action(self) -> str:
        """eb:Action."""
        return self.named("Action")

    @property
    def is_signal(self) -> bool:
        """Whether it is an acknowledgement or an error, which nothing answers."""
        return any(self.block(name) is not None for name in ("Acknowledgment", "ErrorList"))

    @cached_property
    def hrefs(self) -> tuple[str, ...]:
        """What the Manifest points to, as written."""
        manifest = self.block("Manifest")
        found = [] if manifest is None else manifest.findall(f"{EB}Reference")
        return tuple(one.get(f"{XLINK}href", "") for one in found)

    def attachment(self, href: str) -> Message | None:
        """Return the part with the Content-ID that a ``cid:`` names."""
        wanted = href.removeprefix("cid:")
        return next((part for part in self.parts if content_id(part) == wanted), None)


_LONGEST_NUMBER: Final = 12


def content_id(part: Message) -> str:
    """Return a part's Content-ID without its brackets; empty where it has none."""
    return str(part.get("Content-ID") or "").strip().removeprefix("<").removesuffix(">")


def encoding(part: Message) -> str:
    """Return a part's Content-Transfer-Encoding; empty where it has none."""
    return str(part.get("Content-Transfer-Encoding") or "").strip().lower()


def decoded(part: Message) -> bytes:
    """Return a part's bytes; empty where they cannot be decoded."""
    if encoding(part) == "base64":
        payload = part.get_payload()
        try:
            return base64.b64decode("".join(payload.split()), validate=True) if isinstance(payload, str) else b""
        except ValueError:
            return b""
    raw = part.get_payload(decode=True)
    return raw if isinstance(raw, bytes) else b""
