"""Reads a Hodemelding 1.2 (HIS 80601) as strictly as a receiver that trusts nobody."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from lxml import etree

from kpr_sender.messages import safe_xml
from kpr_sender.messages.hodemelding import MIG_VERSION, NAMESPACE, Hodemelding
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.model import MessageType, Party

MAX_BYTES: Final = 50_000_000
"""Largest Hodemelding that is read, in bytes: NHN's bound on a message of the bus."""

_MH: Final = f"{{{NAMESPACE}}}"


def read(xml: bytes, *, max_bytes: int = MAX_BYTES) -> tuple[Hodemelding, etree._Element]:
    """Return what a Hodemelding says, and its payload's root element.

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
        raise MessageRefused("its Type, MsgId or GenDate is not valid") from None
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
