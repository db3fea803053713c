"""Reads a Hodemelding 1.2 (HIS 80601) as strictly as a receiver that trusts nobody.

Its structure is checked as its schema does: order, number and kind of all elements but the payload's. The tables are
written from the standard, since its schema is not ours to pass on; the tests compare the two.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from lxml import etree

from kpr_sender.messages import safe_xml
from kpr_sender.messages.hodemelding import MIG_VERSION, NAMESPACE, Hodemelding
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.model import MessageType, Party

MAX_BYTES: Final = 50_000_000
"""Largest Hodemelding that is read, in bytes: NHN's bound on a message of the bus."""

_PERSON: Final = "FamilyName? MiddleName? GivenName? DateOfBirth? Sex? Nationality?"
_MODEL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "MsgHead": "MsgInfo (Document+|PatientReport+) XmlSignature?",
        "MsgInfo": "Type MIGversion GenDate MsgId ProcessingStatus? RequestedPriority? Ack? ConversationRef? Sender "
        "Receiver OtherReceiver* Patient?",
        "ConversationRef": "RefToParent RefToConversation",
        "Sender": "ComMethod? Organisation",
        "Receiver": "ComMethod? Organisation",
        "OtherReceiver": "ComMethod? RoleReceiver (Organisation|Patient|Person|HealthcareProfessional)?",
        "Organisation": "(OrganisationName TypeOrganisation? Ident+ Address? TeleCom* Organisation? "
        "HealthcareProfessional?)?",
        "HealthcareProfessional": f"TypeHealthcareProfessional? RoleToPatient? {_PERSON} Ident+ Address? TeleCom*",
        "Patient": f"{_PERSON} Ident* Address? TeleCom*",
        "Person": f"{_PERSON} Ident* Address? TeleCom*",
        "Ident": "Id TypeId",
        "Address": "Type? StreetAdr? PostalCode? City? Postbox? County? Country?",
        "TeleCom": "TypeTelecom? TeleAddress",
        "PatientReport": "DocumentConnection? CaseNo Document+ Patient?",
        "Document": "DocumentConnection? ContentType? ContentDescription? ContentCategory? Consent? Annotation? "
        "FromDate? ToDate? OidRef? EnquiryRefId? RefDoc",
        "RefDoc": "IssueDate? MsgType Id? MimeType? Description? Compression? (FileReference|Content)?",
    }
)
"""Children of each element that has some, in order; every other element has none."""
_NO_CHILDREN: Final = re.compile("")
_CHILDREN: Final = {
    parent: re.compile(re.sub(r"\w+", r"(?:\g<0>,)", model).replace(" ", "")) for parent, model in _MODEL.items()
}
_ATTRIBUTES: Final = frozenset({"V", "S", "DN", "OT"})
_DATE_TIME: Final = re.compile(
    r"-?[0-9]{4,}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?"
)
_MH: Final = f"{{{NAMESPACE}}}"
_SIGNATURE: Final = "{http://www.w3.org/2000/09/xmldsig#}Signature"


class StructureRefused(MessageRefused):
    """The header is not valid by the standard's schema: nobody can be sure whom an answer would be for."""


def read(xml: bytes, *, max_bytes: int = MAX_BYTES) -> tuple[Hodemelding, etree._Element]:
    """Return what a Hodemelding says, and its payload's root element.

    Args:
        xml: The message.
        max_bytes: Largest message that is read, in bytes.

    Raises:
        StructureRefused: It is XML, and not a valid Hodemelding.
        MessageRefused: It is not XML, or not a Hodemelding as KPR takes them.
    """
    root = safe_xml.parse(xml, max_bytes=max_bytes)
    if root.tag != f"{_MH}MsgHead":
        raise StructureRefused("the root is not MsgHead 1.2")
    for violation in itertools.chain(_violations(root), _violations_of_values(root)):
        raise StructureRefused(violation)
    try:
        hodemelding = Hodemelding(
            type=MessageType(_one(root, "MsgInfo/Type").get("V", "")),
            type_text=_one(root, "MsgInfo/Type").get("DN", ""),
            msg_id=_text(root, "MsgInfo/MsgId").lower(),
            generated_at=datetime.fromisoformat(_text(root, "MsgInfo/GenDate")),
            sender=_read_party(root, "MsgInfo/Sender"),
            receiver=_read_party(root, "MsgInfo/Receiver"),
            ack=_asks_for_receipt(root),
        )
    except MessageRefused:
        raise
    except ValueError:
        raise MessageRefused("its Type, MsgId or GenDate is not valid") from None
    return hodemelding, _payload(root)


def _violations(element: etree._Element) -> Iterator[str]:
    """Yield what is wrong with the structure of an element and all below it, without anything personal."""
    name = etree.QName(element).localname
    if not _ATTRIBUTES.issuperset(key for key in map(str, element.attrib) if not key.startswith("{")):
        yield f"{name} has an attribute that it must not have"
    if name == "Content":
        return
    children = list(element.iterchildren("*"))
    names = ["XmlSignature" if child.tag == _SIGNATURE else str(child.tag).removeprefix(_MH) for child in children]
    if not _CHILDREN.get(name, _NO_CHILDREN).fullmatch("".join(f"{each}," for each in names)):
        yield f"{name} does not hold the elements that it must, in their order"
        return
    if children and ((element.text or "").strip() or any((child.tail or "").strip() for child in element)):
        yield f"{name} holds text between its elements"
    for child in children:
        if child.tag != _SIGNATURE:
            yield from _violations(child)


def _violations_of_values(root: etree._Element) -> Iterator[str]:
    if _text(root, "MsgInfo/MIGversion") != MIG_VERSION:
        yield "MIGversion is not that of Hodemelding 1.2"
    if not _DATE_TIME.fullmatch(_text(root, "MsgInfo/GenDate")):
        yield "GenDate is not a date with a time"


def _payload(root: etree._Element) -> etree._Element:
    document = _one(root, "Document/RefDoc")
    if _one(document, "MsgType").get("V") != "XML":
        raise MessageRefused("its RefDoc is not of the type XML")
    elements = list(_one(document, "Content").iterchildren("*"))
    if len(elements) != 1:
        raise MessageRefused("its Content does not hold exactly one element")
    return elements[0]


def _asks_for_receipt(root: etree._Element) -> bool:
    return any(ack.get("V") == "J" for ack in _one(root, "MsgInfo").findall(f"{_MH}Ack"))


def _read_party(root: etree._Element, path: str) -> Party:
    level_1 = _one(root, f"{path}/Organisation")
    level_2 = _one(level_1, "Organisation")
    return Party(
        name=_text(level_1, "OrganisationName"),
        her_id=_her_id(level_1),
        service_name=_text(level_2, "OrganisationName"),
        service_her_id=_her_id(level_2),
        organisation_number=_idents(level_1).get("ENH"),
    )


def _her_id(organisation: etree._Element) -> int:
    value = _idents(organisation).get("HER", "")
    if not re.fullmatch("[0-9]{1,10}", value):
        raise MessageRefused("an Organisation has no HER-id")
    return int(value)


def _idents(organisation: etree._Element) -> dict[str, str]:
    idents = organisation.findall(f"{_MH}Ident")
    found = {safe_xml.attribute(_one(ident, "TypeId"), "V"): _text(ident, "Id") for ident in idents}
    if len(found) < len(idents):
        raise MessageRefused("an Organisation has two Ident of one type")
    return found


def _text(parent: etree._Element, path: str) -> str:
    return safe_xml.value(_one(parent, path))


def _one(parent: etree._Element, path: str) -> etree._Element:
    """Return the one element at ``path``; exactly one at each step, so that there is never a choice."""
    for name in path.split("/"):
        found = parent.findall(f"{_MH}{name}")
        if len(found) != 1:
            raise MessageRefused(f"it has {len(found) or 'no'} {name} where one is wanted")
        parent = found[0]
    return parent
