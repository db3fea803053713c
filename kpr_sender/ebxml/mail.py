"""Mails as they are sent: headers that are the same at every attempt, and a body that is stored as it is sent.

A payload message is ``multipart/related`` with the envelope first and the sealed payload second; an Acknowledgment or
MessageError is ``text/xml`` alone. Every part is base64: nothing in it begins with a dot or is longer than a line may
be. MessageId, Content-IDs, boundary and digests are fixed with the body (promise G3); Date and Message-ID are new at
each attempt, and lead back to the eb:MessageId by their form.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from cryptography.x509 import Certificate
from lxml import etree

from kpr_sender.cms.port import Signer
from kpr_sender.cms.write import encrypt, encrypted_length, seal, sealed_length
from kpr_sender.ebxml import envelope, signature
from kpr_sender.ebxml.envelope import EbxmlMessage, SignedReference

TEXT_XML: Final = "text/xml"
MULTIPART_RELATED: Final = "multipart/related"
SEALED_TYPE: Final = "application/pkcs7-mime; smime-type=enveloped-data"
SOAP_ACTION: Final = '"ebXML"'
"""With the quotes (HITS 1172, rule 51)."""

ADDED_BYTES: Final = 2_000
"""What Date, Message-ID, the SMTP envelope and the Received lines of servers may add to a mail, in bytes."""

_SOAP_TYPE: Final = f'{TEXT_XML}; charset="UTF-8"'
_INNER_HEAD: Final = b"Content-Type: application/xml\r\nContent-Transfer-Encoding: binary\r\n\r\n"
_LINE: Final = 76  # characters (RFC 2045 6.8)
_LINE_BYTES: Final = 57  # that they are of
_LINES_AT_ONCE: Final = 8_192
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]{1,900}")
_ADDRESS: Final = re.compile(r"[\x21-\x7e]+@[\x21-\x7e]+")
_ATTEMPT: Final = re.compile(
    r"<?\s*([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\.[0-9A-Za-z]{1,64}(?:@|\s*>?\Z)"
)


@dataclass(frozen=True, slots=True)
class MailAddresses:
    """EDI addresses, as Adresseregisteret has them for the two HER-ids (HITS 1172, rules 261 and 262)."""

    sender: str
    receiver: str

    def __post_init__(self) -> None:
        if not all(map(_ADDRESS.fullmatch, (self.sender, self.receiver))):
            raise ValueError("an EDI address is name@domain, without blanks or other characters than ASCII")


@dataclass(frozen=True, slots=True)
class PayloadForm:
    """What is inside the CMS; KPR publishes neither.

    Attributes:
        signed_inside: SignedData inside EnvelopedData, as on AMQP; else EnvelopedData alone.
        inner_mime: A MIME part round the content (HITS 1172 5.15.1); else the content itself, as real messages have it.
    """

    signed_inside: bool = False
    inner_mime: bool = False


@dataclass(frozen=True, slots=True)
class EbxmlMail:
    """A mail, ready to be stored or sent.

    Attributes:
        head: Headers that are the same at every attempt: name and value, in order.
        length: Of the body, in bytes.
        message_id: eb:MessageId.
        references: What its signature is over, with digests: a signed answer repeats them.
    """

    head: tuple[tuple[str, str], ...]
    length: int
    message_id: str
    references: tuple[SignedReference, ...]
    _parts: tuple[bytes | bytearray, ...] = field(repr=False)
    _between: tuple[bytes, ...] = field(repr=False)

    def chunks(self) -> Iterator[bytes]:
        """Yield the body; the same at every call."""
        for number, part in enumerate(self._parts):
            yield self._between[number]
            yield from _base64_lines(part)
        yield self._between[-1]


def payload_mail(
    content: Iterable[bytes],
    content_length: int,
    *,
    sent: EbxmlMessage,
    addresses: MailAddresses,
    signer: Signer,
    recipient: Certificate,
    form: PayloadForm = PayloadForm(),
) -> EbxmlMail:
    """Seal a payload and make its mail. Memory: the sealed payload, once.

    Args:
        content: The Hodemelding or AppRec.
        content_length: Its length in bytes.
        sent: What the envelope says.
        addresses: Of From and To.
        signer: Signs the envelope.
        recipient: The receiver's encryption certificate. Its dates and key usage are ``certificates.check``'s matter.
        form: What is inside the CMS.

    Raises:
        ValueError: The content is empty or does not add up to ``content_length``; a text has a character that XML or a
            header cannot carry.
        AccessRefused: One of the keys is not RSA of at least 2048 bits, or the signer's key is not its certificate's.
        SignatureRefused: A text of the envelope has no canonical form that all agree on.
    """
    head = _INNER_HEAD if form.inner_mime else b""
    length = len(head) + content_length
    chunks = _after(head, content)
    if form.signed_inside:
        whole = sealed_length(length, signer, recipient)
        sealed = _collected(seal(chunks, length, signer=signer, recipient=recipient), whole)
    else:
        sealed = _collected(encrypt(chunks, length, recipient=recipient), encrypted_length(length, recipient))
    soap_id, payload_id = _content_ids(sent, addresses)
    unsigned = envelope.payload_message(sent, content_id=payload_id)
    signed = signature.sign(unsigned, signer=signer, digests={payload_id: hashlib.sha256(sealed).digest()})
    between = _between(sent, soap_id, payload_id)
    return EbxmlMail(
        head=_head(addresses, sent.names.action, _multipart_type(sent, soap_id)),
        length=sum(map(len, between)) + _base64_length(len(signed.xml)) + _base64_length(len(sealed)),
        message_id=sent.ids.message_id,
        references=signed.references,
        _parts=(signed.xml, sealed),
        _between=between,
    )


def payload_mail_length(
    content_length: int,
    *,
    sent: EbxmlMessage,
    addresses: MailAddresses,
    signer: Signer,
    recipient: Certificate,
    form: PayloadForm = PayloadForm(),
) -> int:
    """Return how long the whole mail of ``payload_mail`` will be at most, in bytes, with all that is added to it.

    Raises:
        ValueError, AccessRefused: As ``payload_mail``.
    """
    length = content_length + (len(_INNER_HEAD) if form.inner_mime else 0)
    sealed = sealed_length(length, signer, recipient) if form.signed_inside else encrypted_length(length, recipient)
    soap_id, payload_id = _content_ids(sent, addresses)
    unsigned = envelope.payload_message(sent, content_id=payload_id)
    soap = signature.signed_length(unsigned, certificate=signer.certificate, content_ids=[payload_id])
    head = header_block(_head(addresses, sent.names.action, _multipart_type(sent, soap_id)))
    between = sum(map(len, _between(sent, soap_id, payload_id)))
    return len(head) + between + _base64_length(soap) + _base64_length(sealed) + ADDED_BYTES


def signal_mail(
    unsigned: etree._Element, *, message_id: str, action: str, addresses: MailAddresses, signer: Signer
) -> EbxmlMail:
    """Sign an Acknowledgment or MessageError and make its mail.

    Args:
        unsigned: Of ``envelope.acknowledgment`` or ``envelope.message_error``.
        message_id: Its own eb:MessageId.
        action: Its Action; becomes the subject.
        addresses: Of From and To.
        signer: Signs the envelope.

    Raises:
        ValueError, AccessRefused, SignatureRefused: As ``payload_mail``.
    """
    signed = signature.sign(unsigned, signer=signer, digests={})
    return EbxmlMail(
        head=(*_head(addresses, action, _SOAP_TYPE), ("Content-Transfer-Encoding", "base64")),
        length=_base64_length(len(signed.xml)),
        message_id=message_id,
        references=signed.references,
        _parts=(signed.xml,),
        _between=(b"", b""),
    )


def header_block(
    head: Iterable[tuple[str, str]], *, at: datetime | None = None, attempt: str = "", host: str = ""
) -> bytes:
    """Return a mail's headers and the empty line after them, with Date and Message-ID where an attempt is given.

    Args:
        head: Of ``EbxmlMail.head``, or as it was stored.
        at: When the attempt is made; aware.
        attempt: Of ``attempt_id``.
        host: The domain of our address.
    """
    lines = [f"{name}: {value}\r\n" for name, value in head]
    if at is not None:
        lines += [f"Date: {format_datetime(at.astimezone(UTC))}\r\n", f"Message-ID: <{attempt}@{host}>\r\n"]
    return "".join((*lines, "\r\n")).encode("ascii")


def attempt_id(message_id: str, random: str) -> str:
    """Return the ENVID of an attempt, which is the left side of its Message-ID too: ``EBMESSAGEID.RANDOM``.

    Args:
        message_id: eb:MessageId, a UUID.
        random: Letters and digits, new for each attempt.

    Raises:
        ValueError: One of the two has another form.
    """
    made = f"{message_id}.{random}"
    if message_id_of(made) != message_id:
        raise ValueError("an attempt needs a UUID, and letters and digits")
    return made


def message_id_of(written: str) -> str:
    """Return the eb:MessageId of a Message-ID or ENVID of ours, in lower case; empty for any other."""
    found = _ATTEMPT.match(written.strip())
    return found[1].lower() if found else ""


def _head(addresses: MailAddresses, subject: str, content_type: str) -> tuple[tuple[str, str], ...]:
    if not _HEADER_VALUE.fullmatch(subject):
        raise ValueError("an Action needs letters of ASCII")
    return mail_head(addresses.sender, addresses.receiver, subject, content_type)


def mail_head(sender: str, receiver: str, subject: str, content_type: str) -> tuple[tuple[str, str], ...]:
    """Return the headers of a payload message's mail: also of one that was stored, of which these four are."""
    return (
        ("From", sender),
        ("To", receiver),
        ("Subject", subject),
        ("MIME-Version", "1.0"),
        ("SOAPAction", SOAP_ACTION),
        ("Content-Type", content_type),
    )


def _content_ids(sent: EbxmlMessage, addresses: MailAddresses) -> tuple[str, str]:
    """Return the Content-IDs of envelope and payload: as unique as the MessageId, so that a retry has the same."""
    domain = addresses.sender.rpartition("@")[2]
    return f"envelope.{sent.ids.message_id}@{domain}", f"payload.{sent.ids.message_id}@{domain}"


def _boundary(sent: EbxmlMessage) -> str:
    return f"=_{sent.ids.message_id}"  # no base64 has _ or a hyphen in it


def _multipart_type(sent: EbxmlMessage, soap_id: str) -> str:
    return f'{MULTIPART_RELATED}; type="{TEXT_XML}"; start="<{soap_id}>"; boundary="{_boundary(sent)}"'


def _between(sent: EbxmlMessage, soap_id: str, payload_id: str) -> tuple[bytes, ...]:
    """Return what stands before, between and after the two parts."""
    boundary = _boundary(sent)
    heads = [
        f"--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-ID: <{content_id}>\r\n\r\n".encode("ascii")
        for content_type, content_id in ((_SOAP_TYPE, soap_id), (SEALED_TYPE, payload_id))
    ]
    return (*heads, f"--{boundary}--\r\n".encode("ascii"))


def _after(head: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def _collected(chunks: Iterable[memoryview], length: int) -> bytearray:
    """Return all chunks in one buffer of the length that is known before."""
    whole = bytearray(length)
    end = 0
    for chunk in chunks:
        whole[end : end + len(chunk)] = chunk
        end += len(chunk)
    return whole


def _base64_lines(data: bytes | bytearray) -> Iterator[bytes]:
    view = memoryview(data)
    step = _LINE_BYTES * _LINES_AT_ONCE
    for start in range(0, len(view), step):
        encoded = binascii.b2a_base64(view[start : start + step], newline=False)
        lines = [encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE)]
        yield b"\r\n".join((*lines, b""))


def _base64_length(length: int) -> int:
    """Return the length of ``_base64_lines``."""
    lines = -(-length // _LINE_BYTES)
    return 4 * -(-length // 3) + 2 * lines
