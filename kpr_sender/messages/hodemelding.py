"""Hodemelding 1.2 (HIS 80601): the frame round a payload, and the same read back.

Field by field what FHI's own reporting tool sends to the same department, with tjenestebasert adressering (HIS 1153):
one Document with the payload inline in RefDoc/Content, no IssueDate, no compression, no base64, no ds:Signature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lxml import etree

from kpr_sender.errors import ConfigInvalid
from kpr_sender.messages import safe_xml
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.model import MessageType, Party

NAMESPACE: Final = "http://www.kith.no/xmlstds/msghead/2006-05-24"
MIG_VERSION: Final = "v1.2 2006-05-24"
HER_OID: Final = "2.16.578.1.12.4.1.1.9051"
"""Kodeverk 9051, type of identifier of an organisation; FHI's tool sends the short ``9051``, both are valid."""

MAX_BYTES: Final = 50_000_000
"""Largest Hodemelding that is read, in bytes: NHN's bound on a message of the bus."""

END: Final = b"</MsgHead>"
"""What ``frame``'s bytes behind the payload end in; a ds:Signature belongs just before it."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLOSE: Final = b"</Content>"
_MH: Final = f"{{{NAMESPACE}}}"
_AS_DEFAULT: Final[dict[Any, str]] = {None: NAMESPACE}


@dataclass(frozen=True, slots=True)
class Hodemelding:
    """Everything in a Hodemelding but its payload.

    Attributes:
        type: MsgInfo/Type V.
        type_text: MsgInfo/Type DN; no source says which text FHI wants.
        msg_id: Lower-case UUID.
        generated_at: GenDate; aware. Written in whole seconds, with its own offset.
        sender: The municipality and its tjenestested.
        receiver: FHI and its tjenestested.
        ack: Ask for an AppRec (``Ack V="J"``).
    """

    type: MessageType
    type_text: str
    msg_id: str
    generated_at: datetime
    sender: Party
    receiver: Party
    ack: bool

    def __post_init__(self) -> None:
        if not _UUID.fullmatch(self.msg_id):
            raise ValueError("MsgId must be a lower-case UUID")
        offset = self.generated_at.utcoffset()
        if offset is None or offset.seconds % 60 or offset.microseconds:
            raise ValueError("GenDate needs an offset in whole minutes")


def frame(hodemelding: Hodemelding) -> tuple[bytes, bytes]:
    """Return the bytes before and behind the payload: head + payload + tail is the message, in UTF-8.

    Raises:
        ConfigInvalid: A name holds a character that XML cannot carry.
    """
    try:
        xml = etree.tostring(_tree(hodemelding), encoding="UTF-8", xml_declaration=True)
    except ValueError:
        raise ConfigInvalid(
            "A name of sender or receiver, or the text of the message type, holds a control character.",
            where="sender, receiver, hodemelding",
        ) from None
    head, _, tail = xml.rpartition(_CLOSE)
    return head, _CLOSE + tail


def _tree(hodemelding: Hodemelding) -> etree._Element:
    root = etree.Element(f"{_MH}MsgHead", nsmap=_AS_DEFAULT)
    info = _child(root, "MsgInfo")
    _child(info, "Type", V=hodemelding.type.value, DN=hodemelding.type_text)
    _child(info, "MIGversion", MIG_VERSION)
    _child(info, "GenDate", hodemelding.generated_at.isoformat(timespec="seconds"))
    _child(info, "MsgId", hodemelding.msg_id)
    if hodemelding.ack:
        _child(info, "Ack", V="J", DN="Ja")
    _party(_child(info, "Sender"), hodemelding.sender)
    _party(_child(info, "Receiver"), hodemelding.receiver)
    document = _child(_child(root, "Document"), "RefDoc")
    _child(document, "MsgType", V="XML", DN="XML-instans")
    _child(document, "Content", "")  # the empty text keeps the end tag, where the payload goes
    return root


def _party(parent: etree._Element, party: Party) -> None:
    level_1 = _child(parent, "Organisation")
    _child(level_1, "OrganisationName", party.name)
    _ident(level_1, str(party.her_id), V="HER", S=HER_OID, DN="HER-id")
    if party.organisation_number is not None:
        _ident(level_1, party.organisation_number, V="ENH", S=HER_OID, DN="Organisasjonsnummeret i Enhetsregisteret")
    level_2 = _child(level_1, "Organisation")
    _child(level_2, "OrganisationName", party.service_name)
    _ident(level_2, str(party.service_her_id), V="HER", S=HER_OID, DN="HER-id")


def _ident(parent: etree._Element, value: str, **type_id: str) -> None:
    ident = _child(parent, "Ident")
    _child(ident, "Id", value)
    _child(ident, "TypeId", **type_id)


def _child(parent: etree._Element, name: str, text: str | None = None, **attributes: str) -> etree._Element:
    child = etree.SubElement(parent, f"{_MH}{name}")
    child.text = text
    for key, value in attributes.items():
        child.set(key, value)
    return child


def read(xml: bytes, *, max_bytes: int = MAX_BYTES) -> tuple[Hodemelding, etree._Element]:
    """Return what a Hodemelding says, and its payload's root element.

    As strict as a receiver that trusts nobody: for the sandbox and for tests.

    Args:
        xml: The message.
        max_bytes: Largest message that is read, in bytes.

    Raises:
        MessageRefused: It is not a Hodemelding as ``frame`` makes them.
    """
    root = safe_xml.parse(xml, max_bytes=max_bytes)
    if root.tag != f"{_MH}MsgHead":
        raise MessageRefused("its root is not MsgHead 1.2")
    if _text(root, "MsgInfo/MIGversion") != MIG_VERSION:
        raise MessageRefused("its MIGversion is not that of Hodemelding 1.2")
    try:
        hodemelding = Hodemelding(
            type=MessageType(_one(root, "MsgInfo/Type").get("V", "")),
            type_text=_one(root, "MsgInfo/Type").get("DN", ""),
            msg_id=_text(root, "MsgInfo/MsgId"),
            generated_at=datetime.fromisoformat(_text(root, "MsgInfo/GenDate")),
            sender=_read_party(root, "MsgInfo/Sender"),
            receiver=_read_party(root, "MsgInfo/Receiver"),
            ack=_asks_for_receipt(root),
        )
    except MessageRefused:
        raise
    except ValueError:
        raise MessageRefused("its Type, MsgId or GenDate is not a right one") from None
    return hodemelding, _payload(root)


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
    return {
        _one(ident, "TypeId").get("V", "").strip(): _text(ident, "Id") for ident in organisation.findall(f"{_MH}Ident")
    }


def _text(parent: etree._Element, path: str) -> str:
    return (_one(parent, path).text or "").strip()


def _one(parent: etree._Element, path: str) -> etree._Element:
    """Return the one element at ``path``; exactly one at each step, so that there is never a choice."""
    for name in path.split("/"):
        found = parent.findall(f"{_MH}{name}")
        if len(found) != 1:
            raise MessageRefused(f"it has {len(found) or 'no'} {name} where one is wanted")
        parent = found[0]
    return parent
