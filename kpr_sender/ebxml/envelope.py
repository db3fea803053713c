"""The SOAP envelope of ebXML Messaging 2.0, in three kinds: payload message, Acknowledgment, MessageError.

Elements, their order and their attributes are those of the Norwegian profile (HIS 1037 6, HITS 1171 5.2) and of its
corrected schema. What is made here is not signed yet: ``signature.sign`` is the only way to bytes.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lxml import etree

SOAP_NAMESPACE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
EB_NAMESPACE: Final = "http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd"
XLINK_NAMESPACE: Final = "http://www.w3.org/1999/xlink"
DS_NAMESPACE: Final = "http://www.w3.org/2000/09/xmldsig#"
SOAP: Final = f"{{{SOAP_NAMESPACE}}}"
EB: Final = f"{{{EB_NAMESPACE}}}"
XLINK: Final = f"{{{XLINK_NAMESPACE}}}"
DS: Final = f"{{{DS_NAMESPACE}}}"
XML_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"

SIGNAL_SERVICE: Final = "urn:oasis:names:tc:ebxml-msg:service"
"""Service of every Acknowledgment and MessageError (HITS 1172, rules 106 and 120)."""
ACKNOWLEDGMENT: Final = "Acknowledgment"
MESSAGE_ERROR: Final = "MessageError"
APPREC: Final = "APPREC"
"""Action of an application receipt (HISD 1209 3)."""
TO_PARTY_MSH: Final = "urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"
NEXT_MSH: Final = "urn:oasis:names:tc:ebxml-msg:actor:nextMSH"
SOAP_NEXT: Final = "http://schemas.xmlsoap.org/soap/actor/next"
ENVELOPED_SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
XPATH_FILTER: Final = "http://www.w3.org/TR/1999/REC-xpath-19991116"
INCLUSIVE_C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
NOT_FOR_NEXT: Final = (
    f'not(ancestor-or-self::node()[@SOAP-ENV:actor="{NEXT_MSH}"] | '
    f'ancestor-or-self::node()[@SOAP-ENV:actor="{SOAP_NEXT}"])'
)
"""What the signature is over: all but what the next hop may take out (ebMS 2.0 4.1.3)."""

_VERSION: Final = {f"{EB}version": "2.0"}
_UNDERSTOOD: Final = {f"{SOAP}mustUnderstand": "1", **_VERSION}
_HER: Final = {f"{EB}type": "HER"}
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_NAMESPACES: Final[dict[Any, str]] = {"SOAP": SOAP_NAMESPACE, "eb": EB_NAMESPACE, "xlink": XLINK_NAMESPACE}
_SIGNATURE_NAMESPACE: Final[dict[Any, str]] = {None: DS_NAMESPACE}
_XPATH_NAMESPACE: Final[dict[Any, str]] = {"SOAP-ENV": SOAP_NAMESPACE}


@dataclass(frozen=True, slots=True)
class EbxmlParties:
    """Who writes to whom.

    Attributes:
        from_her_id: Level 2 HER-id of the sender.
        to_her_id: Level 2 HER-id of the receiver.
        from_role: The sender's Role; none in Acknowledgment and MessageError.
        to_role: The receiver's Role, likewise.
    """

    from_her_id: int
    to_her_id: int
    from_role: str = ""
    to_role: str = ""

    @property
    def for_answer(self) -> EbxmlParties:
        """The parties of a signal that answers this message: the other way, without roles (HITS 1171 5.2.1.3)."""
        return EbxmlParties(self.to_her_id, self.from_her_id)


@dataclass(frozen=True, slots=True)
class EbxmlNames:
    """What a message is about; for KPR none of it is published (HISD 1209 gives the method).

    Attributes:
        service: Service.
        action: Action: a code of 8279.
        cpa_id: CPAId.
        service_type: ``Service/@type``; empty for none.
    """

    service: str
    action: str
    cpa_id: str
    service_type: str = ""


@dataclass(frozen=True, slots=True)
class MessageIds:
    """Which message of which conversation, and when.

    Attributes:
        message_id: eb:MessageId: a new UUID for each envelope, the same when that envelope is sent again.
        conversation_id: eb:ConversationId.
        timestamp: When the envelope was made; aware. Written in UTC and whole seconds.
        ref_to: eb:RefToMessageId in MessageData: in a MessageError the message at fault, in an AppRec's envelope
            what it answers; empty for none. An Acknowledgment must not have it there (HITS 1172, rule 109).
    """

    message_id: str
    conversation_id: str
    timestamp: datetime
    ref_to: str = ""

    def __post_init__(self) -> None:
        if self.timestamp.tzinfo is None:
            raise ValueError("the time of a message needs a time zone")


@dataclass(frozen=True, slots=True)
class MessageVersions:
    """Which systems and which version of a message: for the monitoring of versions (HITS 1210).

    Sender and content go together: HITS 1172, rule 279, allows both or none.

    Attributes:
        msh_system: The message server's name, the same in every installation.
        msh_version: Its version.
        system: The name of the system that made the content; empty where it is not known.
        system_version: Its version.
        schema_location: The namespace of the content.
        schema_version: Its published version, for example ``3.7``.
    """

    msh_system: str
    msh_version: str
    schema_location: str
    schema_version: str
    system: str = ""
    system_version: str = ""

    def description(self) -> str:
        """Return the JSON text of eb:Description (HITS 1210 6.2.2)."""
        named = {
            "MSH-system": self.msh_system,
            "MSH-versjon": self.msh_version,
            "fagsystem": self.system,
            "fagsystem-versjon": self.system_version,
        }
        return json.dumps({key: value for key, value in named.items() if value}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class EbxmlMessage:
    """Everything in a payload message's envelope but what is said of its payload.

    Attributes:
        parties: Sender and receiver, with roles.
        names: Service, Action, CPAId.
        ids: New ones.
        versions: For the monitoring of versions; None for none.
    """

    parties: EbxmlParties
    names: EbxmlNames
    ids: MessageIds
    versions: MessageVersions | None = None


@dataclass(frozen=True, slots=True)
class SignedReference:
    """A ds:Reference: what of a message is signed, and its digest.

    Attributes:
        uri: Empty for the envelope, ``cid:`` and the Content-ID for a part of the mail.
        digest: DigestValue, base64.
        digest_method: Its algorithm.
        transforms: Algorithms of the Transforms, in order.
    """

    uri: str
    digest: str
    digest_method: str
    transforms: tuple[str, ...] = ()


class ErrorCode(enum.StrEnum):
    """What a MessageError says (ebMS 2.0 4.2.3.4.1, HITS 1171 8.3)."""

    VALUE_NOT_RECOGNIZED = "ValueNotRecognized"
    NOT_SUPPORTED = "NotSupported"
    INCONSISTENT = "Inconsistent"
    OTHER_XML = "OtherXml"
    DELIVERY_FAILURE = "DeliveryFailure"
    TIME_TO_LIVE_EXPIRED = "TimeToLiveExpired"
    SECURITY_FAILURE = "SecurityFailure"
    MIME_PROBLEM = "MimeProblem"
    UNKNOWN = "Unknown"


class Severity(enum.StrEnum):
    """Whether a message was rejected (Error), or taken with a remark (Warning), which counts as acknowledged."""

    ERROR = "Error"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class EbxmlError:
    """One Error of a MessageError.

    Attributes:
        code: errorCode: one of ``ErrorCode``, or what a peer writes.
        severity: Error for all that does not say Warning.
        description: The peer's own words.
        location: Where, as the peer says it.
    """

    code: str
    severity: Severity
    description: str = ""
    location: str = ""


def cpa_id(one: int, other: int) -> str:
    """Return the CPAId of two parties without a registered agreement: lowest and highest HER-id (HIS 1037 6.2.1)."""
    return f"{min(one, other)}_{max(one, other)}"


def payload_message(sent: EbxmlMessage, *, content_id: str) -> etree._Element:
    """Return the envelope of a message with one payload, unsigned.

    Args:
        sent: What it says.
        content_id: Content-ID of the payload's part, without angle brackets.

    Raises:
        ValueError: A text has a character that XML cannot carry.
    """
    root, header, body = _envelope()
    message = _message_header(header, sent.parties, sent.names, sent.ids)
    etree.SubElement(message, f"{EB}DuplicateElimination")
    if sent.versions is not None:
        _text(message, "Description", sent.versions.description(), **{XML_LANG: "NO"})
    to_party = {f"{SOAP}actor": TO_PARTY_MSH}
    etree.SubElement(header, f"{EB}AckRequested", {**_UNDERSTOOD, f"{EB}signed": "true", **to_party})
    manifest = etree.SubElement(body, f"{EB}Manifest", _VERSION)
    where = {f"{XLINK}type": "simple", f"{XLINK}href": f"cid:{content_id}"}
    reference = etree.SubElement(manifest, f"{EB}Reference", where)
    if sent.versions is not None:
        schema = {f"{EB}location": sent.versions.schema_location, f"{EB}version": sent.versions.schema_version}
        etree.SubElement(reference, f"{EB}Schema", schema)
    return root


def acknowledgment(
    parties: EbxmlParties,
    ids: MessageIds,
    *,
    cpa: str,
    acknowledged: str,
    accepted_at: datetime,
    references: Iterable[SignedReference],
) -> etree._Element:
    """Return the envelope of an Acknowledgment, unsigned.

    Args:
        parties: From who acknowledges to who sent; roles are left out.
        ids: A new MessageId, the conversation of the message that is acknowledged.
        cpa: CPAId of that message, character for character.
        acknowledged: Its MessageId, likewise.
        accepted_at: When it was taken; aware.
        references: The ds:References of its signature, which are copied.

    Raises:
        ValueError: A text has a character that XML cannot carry, or the MessageData has a RefToMessageId.
    """
    if ids.ref_to:
        raise ValueError("an Acknowledgment has RefToMessageId in its own element only (HITS 1172, rule 109)")
    root, header, _ = _envelope()
    _message_header(header, parties, EbxmlNames(SIGNAL_SERVICE, ACKNOWLEDGMENT, cpa), ids)
    to_party = {f"{SOAP}actor": TO_PARTY_MSH}
    element = etree.SubElement(header, f"{EB}Acknowledgment", {**_UNDERSTOOD, **to_party})
    _text(element, "Timestamp", _moment(accepted_at))
    _text(element, "RefToMessageId", acknowledged)
    for reference in references:
        reference_element(element, reference)
    return root


def message_error(parties: EbxmlParties, ids: MessageIds, *, cpa: str, errors: Iterable[EbxmlError]) -> etree._Element:
    """Return the envelope of a MessageError, unsigned.

    Args:
        parties: From who refuses or remarks to who sent.
        ids: A new MessageId, the conversation of the message at fault, and its MessageId as ``ref_to``.
        cpa: CPAId of that message.
        errors: At least one.

    Raises:
        ValueError: No error; or a text has a character that XML cannot carry.
    """
    listed = tuple(errors)
    if not listed:
        raise ValueError("a MessageError needs an Error")
    root, header, _ = _envelope()
    _message_header(header, parties, EbxmlNames(SIGNAL_SERVICE, MESSAGE_ERROR, cpa), ids)
    worst = Severity.ERROR if any(one.severity is Severity.ERROR for one in listed) else Severity.WARNING
    element = etree.SubElement(header, f"{EB}ErrorList", {**_UNDERSTOOD, f"{EB}highestSeverity": worst.value})
    for one in listed:
        named = {f"{EB}errorCode": one.code, f"{EB}severity": one.severity.value, f"{EB}location": one.location}
        error = etree.SubElement(element, f"{EB}Error", {key: value for key, value in named.items() if value})
        if one.description:
            _text(error, "Description", one.description, **{XML_LANG: "en"})
    return root


def reference_element(parent: etree._Element, reference: SignedReference) -> etree._Element:
    """Append a ds:Reference, as a signature and an Acknowledgment have it."""
    element = etree.SubElement(parent, f"{DS}Reference", {"URI": reference.uri}, nsmap=_SIGNATURE_NAMESPACE)
    if reference.transforms:
        transforms = etree.SubElement(element, f"{DS}Transforms")
        for algorithm in reference.transforms:
            transform = etree.SubElement(transforms, f"{DS}Transform", Algorithm=algorithm)
            if algorithm == XPATH_FILTER:
                etree.SubElement(transform, f"{DS}XPath", nsmap=_XPATH_NAMESPACE).text = NOT_FOR_NEXT
    etree.SubElement(element, f"{DS}DigestMethod", Algorithm=reference.digest_method)
    etree.SubElement(element, f"{DS}DigestValue").text = reference.digest
    return element


def _envelope() -> tuple[etree._Element, etree._Element, etree._Element]:
    root = etree.Element(f"{SOAP}Envelope", nsmap=_NAMESPACES)
    return root, etree.SubElement(root, f"{SOAP}Header"), etree.SubElement(root, f"{SOAP}Body")


def _message_header(
    header: etree._Element, parties: EbxmlParties, names: EbxmlNames, ids: MessageIds
) -> etree._Element:
    message = etree.SubElement(header, f"{EB}MessageHeader", _UNDERSTOOD)
    for side, her_id, role in (
        ("From", parties.from_her_id, parties.from_role),
        ("To", parties.to_her_id, parties.to_role),
    ):
        party = etree.SubElement(message, f"{EB}{side}")
        _text(party, "PartyId", str(her_id), **_HER)
        if role:
            _text(party, "Role", role)
    _text(message, "CPAId", names.cpa_id)
    _text(message, "ConversationId", ids.conversation_id)
    _text(message, "Service", names.service, **({f"{EB}type": names.service_type} if names.service_type else {}))
    _text(message, "Action", names.action)
    data = etree.SubElement(message, f"{EB}MessageData")
    _text(data, "MessageId", ids.message_id)
    _text(data, "Timestamp", _moment(ids.timestamp))
    if ids.ref_to:
        _text(data, "RefToMessageId", ids.ref_to)
    return message


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime(_TIME)


def _text(parent: etree._Element, name: str, text: str, **attributes: str) -> None:
    child = etree.SubElement(parent, f"{EB}{name}", attributes)
    child.text = text
