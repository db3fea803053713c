"""What a mail is to us, and how far it is verified: by its elements, not by Service and Action.

Whatever is read of an envelope comes out of what its signature covers, where that is valid. Where it is not, the same
is read of what came, for one purpose: to say which message of ours it claims to answer. Nothing may follow from that.
Nobody signs a SOAP Fault or a server's report (``reports``).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.x509 import Certificate
from lxml import etree

from kpr_sender.cms.port import ProtectionRefused
from kpr_sender.ebxml import signature
from kpr_sender.ebxml.canonical import MAX_BYTES
from kpr_sender.ebxml.envelope import DS, EB, SOAP, XLINK, EbxmlError, Severity, SignedReference
from kpr_sender.ebxml.read_mail import Mail, MailPart
from kpr_sender.ebxml.reports import Bounce, Other, SoapFault, server_report, soap_fault, words
from kpr_sender.ebxml.signature import SHA256_ONLY, SignaturePolicy
from kpr_sender.messages import safe_xml
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.transport import is_guid, plain_id
from kpr_sender.privacy import foreign_text
from kpr_sender.texts import Text, said

MOST_ERRORS: Final = 20
_MOST_ID: Final = 200  # characters of an id; ours have 36
_MOST_CODE: Final = 120  # characters of what is shown of a code or a date
_OF_A_SIGNAL: Final = (f"{SOAP}Header/{EB}Acknowledgment", f"{SOAP}Header/{EB}ErrorList")
_SEALED_TYPES: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_HER_ID: Final = re.compile(r"[0-9]{1,10}")
_KNOWN_BLOCKS: Final = frozenset({
    *(f"{EB}{name}" for name in ("MessageHeader", "AckRequested", "Acknowledgment", "ErrorList", "MessageOrder")),
    f"{EB}SyncReply",
    f"{DS}Signature",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Correspondence:
    """Whom we write to, as the register or the configuration has it.

    Attributes:
        own_her_id: Ours, level 2.
        their_her_id: The receiver's, level 2.
        certificates: What the receiver may sign with.
        policy: Which signatures are accepted.
    """

    own_her_id: int
    their_her_id: int
    certificates: Sequence[Certificate]
    policy: SignaturePolicy = SHA256_ONLY


@dataclass(frozen=True, slots=True)
class Assurance:
    """How far a message is verified.

    Attributes:
        certificate: Which of the receiver's certificates signed it, and all that was read of it; None where it is not
            verified. Whether it is valid now is ``certificates.check``'s matter.
        problem: Why it is not verified, as a clause with *it* for the message; empty where it is.
    """

    certificate: Certificate | None = None
    problem: str = ""

    @property
    def is_verified(self) -> bool:
        """Whether it is the receiver's, for us, and unchanged."""
        return self.certificate is not None


@dataclass(frozen=True, slots=True)
class EbxmlHeader:
    """A MessageHeader. The ids are others' words, character for character: they are compared and copied, not shown.

    Attributes:
        from_her_id: None where there is not exactly one.
        to_her_id: Likewise.
        timestamp: As it is written.
        ref_to: RefToMessageId of MessageData; empty for none.
    """

    from_her_id: int | None
    to_her_id: int | None
    message_id: str = field(repr=False)
    conversation_id: str = field(repr=False)
    cpa_id: str = field(repr=False)
    service: str
    action: str
    timestamp: str
    ref_to: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PayloadMessage:
    """A message with a payload: an AppRec to us.

    Attributes:
        ack_requested: Whether an Acknowledgment is asked for; where not, a Warning is the answer (HITS 1172 4.2.2.1).
        payload: The sealed payload; empty where there is none.
        references: What its signature is over, which an Acknowledgment repeats.
    """

    header: EbxmlHeader
    assurance: Assurance
    ack_requested: bool
    payload: bytes = field(repr=False)
    references: tuple[SignedReference, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Acknowledgment:
    """An Acknowledgment: the other message server has the message. It says nothing of the content.

    Attributes:
        acknowledged: The MessageId that it names, in lower case where it is a UUID.
        references: The digests that it repeats; may be none.
    """

    header: EbxmlHeader
    assurance: Assurance
    acknowledged: str = field(repr=False)
    references: tuple[SignedReference, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageError:
    """A MessageError: rejected, or taken with a Warning.

    Attributes:
        refused: The MessageId that it names, in lower case where it is a UUID.
        severity: The worst of what it says; Error for anything that is not a Warning.
        errors: Cleaned, the first ones.
    """

    header: EbxmlHeader
    assurance: Assurance
    refused: str = field(repr=False)
    severity: Severity
    errors: tuple[EbxmlError, ...]


Answer = PayloadMessage | Acknowledgment | MessageError | SoapFault | Bounce | Other


class Digests(enum.StrEnum):
    """How the digests that an Acknowledgment repeats compare with those that we sent."""

    ALL = "all"
    SOME = "some"
    NONE = "none"
    """It repeats none, as both real ones that were seen: counts, with a note."""
    DIFFERENT = "different"
    """It acknowledges something else than what we sent: never counts."""


def compare(sent: Iterable[SignedReference], repeated: Iterable[SignedReference]) -> Digests:
    """Compare the digests of an Acknowledgment with those of the envelope that we sent."""
    ours = {reference.uri: (reference.digest_method, reference.digest) for reference in sent}
    theirs = [(one.uri, (one.digest_method, "".join(one.digest.split()))) for one in repeated]
    if any(ours.get(uri) != digest for uri, digest in theirs):  # each, also where one address is named twice
        return Digests.DIFFERENT
    if not theirs:
        return Digests.NONE
    return Digests.ALL if {uri for uri, _ in theirs} == ours.keys() else Digests.SOME


def classify(mail: Mail, correspondence: Correspondence | None) -> Answer:
    """Say what a mail is, and how far it is verified; without a correspondence only what it claims to be.

    Never raises for what is in it.
    """
    if mail.soap is None:
        return server_report(mail)
    try:
        root = safe_xml.parse_answer(mail.soap.body, max_bytes=MAX_BYTES)
        if root.tag != f"{SOAP}Envelope":
            return Other(Text("it is no ebXML message: its root is not SOAP:Envelope"))
        if (fault := _block(root, "Body", f"{SOAP}Fault")) is not None:
            return soap_fault(mail, fault)
        return _ebxml(mail, mail.soap, root, correspondence)
    except MessageRefused as error:
        return Other(error.reason)


def _ebxml(mail: Mail, soap: MailPart, claimed: etree._Element, correspondence: Correspondence | None) -> Answer:
    """Read a message out of what is signed; out of what came, where that is not valid or not to be verified."""
    if correspondence is None:
        return _message(mail, claimed, Assurance(problem=_NOT_ASKED), ())
    parts = {name: part.body for name, part in mail.attachments.items() if not part.problem}
    try:
        verified = signature.verify(
            soap.body, parts=parts, expected=correspondence.certificates, policy=correspondence.policy
        )
    except ProtectionRefused as error:
        return _message(mail, claimed, Assurance(problem=said(error)), signature.references(soap.body))
    assurance = Assurance(verified.certificate)
    try:
        _check(mail, verified.root, correspondence)
    except _UnfitMessage as error:
        assurance = Assurance(problem=said(error))
    return _message(mail, verified.root, assurance, verified.references)


_NOT_ASKED: Final = Text("it was not verified")


class _UnfitMessage(Exception):
    """A message whose signature is valid, and which is not for us or does not say what it must."""


def _check(mail: Mail, root: etree._Element, correspondence: Correspondence) -> None:
    message = _block(root, "Header", f"{EB}MessageHeader")
    if message is None:
        raise _UnfitMessage(Text("it has no MessageHeader"))
    if message.get(f"{EB}version", "2.0") != "2.0":
        raise _UnfitMessage(Text("it is of another version than ebXML Messaging 2.0"))
    header = _header(message)
    if header.from_her_id != correspondence.their_her_id:
        raise _UnfitMessage(Text("it is not from the receiver that we send to"))
    if header.to_her_id != correspondence.own_her_id:
        raise _UnfitMessage(Text("it is for another HER-id than ours"))
    if not header.message_id:
        raise _UnfitMessage(Text("it has no MessageId"))
    for block in root.iterfind(f"{SOAP}Header/*"):
        if block.get(f"{SOAP}mustUnderstand") in {"1", "true"} and block.tag not in _KNOWN_BLOCKS:
            raise _UnfitMessage(Text("it has a block that must be understood, and that ebXML does not know"))
    if all(root.find(path) is None for path in _OF_A_SIGNAL):
        _check_payload(mail, root)


def _check_payload(mail: Mail, root: etree._Element) -> None:
    if len(root.findall(f"{SOAP}Body/*")) > 1:
        raise _UnfitMessage(Text("it has more in its Body than a Manifest"))
    part = _payload_part(mail, root)
    if part is None or part.problem:
        raise _UnfitMessage(Text("its Manifest does not name exactly one part that is there and can be read"))
    if part.content_type not in _SEALED_TYPES:
        raise _UnfitMessage(Text("its payload is not sealed: it is no application/pkcs7-mime"))


def _payload_part(mail: Mail, root: etree._Element) -> MailPart | None:
    found = root.findall(f"{SOAP}Body/{EB}Manifest/{EB}Reference")
    name = found[0].get(f"{XLINK}href", "").removeprefix("cid:") if len(found) == 1 else ""
    attachments = mail.attachments
    return attachments.get(name) or attachments.get(signature.unescaped(name)) if name else None


def _message(mail: Mail, root: etree._Element, assurance: Assurance, signed: tuple[SignedReference, ...]) -> Answer:
    """Raise MessageRefused for what is none of the three kinds, or two at once (HITS 1172 5.11.3)."""
    acknowledgment, errors, asked = (
        _block(root, "Header", f"{EB}{name}") for name in ("Acknowledgment", "ErrorList", "AckRequested")
    )
    manifest = _block(root, "Body", f"{EB}Manifest")
    message = _block(root, "Header", f"{EB}MessageHeader")
    if message is None:
        raise MessageRefused(Text("it is no ebXML message: it has no MessageHeader"))
    header = _header(message)
    if acknowledgment is not None and (errors is not None or asked is not None or manifest is not None):
        raise MessageRefused(Text("it is an Acknowledgment and something else at once"))
    if errors is not None and manifest is not None:
        raise MessageRefused(Text("it is a MessageError and something else at once"))
    if acknowledgment is not None:
        return Acknowledgment(
            header,
            assurance,
            _id(_child(acknowledgment, "RefToMessageId")),
            signature.read_references(acknowledgment),
        )
    if errors is not None:
        return _error_list(header, assurance, errors)
    if manifest is None and asked is None:
        raise MessageRefused(Text("it is an ebXML message without payload, acknowledgement or error"))
    part = _payload_part(mail, root)
    return PayloadMessage(header, assurance, asked is not None, part.body if part else b"", signed)


def _error_list(header: EbxmlHeader, assurance: Assurance, errors: etree._Element) -> MessageError:
    listed = errors.findall(f"{EB}Error")
    worst = [errors.get(f"{EB}highestSeverity"), *(one.get(f"{EB}severity") for one in listed)]
    return MessageError(
        header,
        assurance,
        _id(header.ref_to),
        Severity.WARNING if set(worst) == {Severity.WARNING.value} else Severity.ERROR,
        tuple(
            EbxmlError(
                code=foreign_text(one.get(f"{EB}errorCode", ""), _MOST_CODE),
                severity=Severity.WARNING if one.get(f"{EB}severity") == Severity.WARNING else Severity.ERROR,
                description=words(one.find(f"{EB}Description")),
                location=foreign_text(one.get(f"{EB}location", "")),
            )
            for one in listed[:MOST_ERRORS]
        ),
    )


def _header(message: etree._Element) -> EbxmlHeader:
    data = safe_xml.only(message.findall(f"{EB}MessageData"))
    return EbxmlHeader(
        from_her_id=_her_id(message, "From"),
        to_her_id=_her_id(message, "To"),
        message_id=_child(data, "MessageId"),
        conversation_id=_child(message, "ConversationId"),
        cpa_id=_child(message, "CPAId"),
        service=foreign_text(_child(message, "Service"), _MOST_CODE),
        action=foreign_text(_child(message, "Action"), _MOST_CODE),
        timestamp=foreign_text(_child(data, "Timestamp"), _MOST_CODE),
        ref_to=_child(data, "RefToMessageId"),
    )


def _her_id(message: etree._Element, side: str) -> int | None:
    """Return the one HER-id of a side; ids of other types may stand beside it."""
    party = safe_xml.only(message.findall(f"{EB}{side}"))
    ids = [] if party is None else party.findall(f"{EB}PartyId")
    found = {safe_xml.value(one) for one in ids if one.get(f"{EB}type", "").upper() == "HER"}
    return int(written) if len(found) == 1 and _HER_ID.fullmatch(written := found.pop()) else None


def _block(root: etree._Element, place: str, tag: str) -> etree._Element | None:
    """Return the one element of this name in Header or Body, of which there may be one only."""
    holder = safe_xml.only(root.findall(f"{SOAP}{place}"))
    return None if holder is None else safe_xml.only(holder.findall(tag))


def _child(parent: etree._Element | None, name: str) -> str:
    if parent is None:
        return ""
    text = safe_xml.value(safe_xml.only(parent.findall(f"{EB}{name}")))
    if len(text) > _MOST_ID:
        raise MessageRefused(Text("its {name} is too long", name=name))
    return text


def _id(written: str) -> str:
    """Return an id as we write ours, where it may be one."""
    plain = plain_id(written)
    return plain if is_guid(plain) else written
