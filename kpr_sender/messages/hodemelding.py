"""Hodemelding 1.2 (HIS 80601): the frame round a payload.

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
from kpr_sender.model import MessageType, Party
from kpr_sender.texts import Text

NAMESPACE: Final = "http://www.kith.no/xmlstds/msghead/2006-05-24"
MIG_VERSION: Final = "v1.2 2006-05-24"
HER_OID: Final = "2.16.578.1.12.4.1.1.9051"
"""Kodeverk 9051, type of identifier of an organisation; FHI's tool sends the short ``9051``, both are valid."""

END: Final = b"</MsgHead>"
"""The end of ``frame``'s bytes after the payload; a ds:Signature belongs just before it."""

_PROCESSING: Final = {"D": "Debugging", "P": "Production", "T": "Training"}
"""DN of kodeverk 8213, as NHN's test message has it."""

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
        generated_at: GenDate; aware. Written in whole seconds, with its own offset.
        ack: Ask for an AppRec (``Ack V="J"``).
        processing_status: ProcessingStatus V, of kodeverk 8213; empty for none, as FHI's own tool sends it.
    """

    type: MessageType
    type_text: str
    msg_id: str
    generated_at: datetime
    sender: Party
    receiver: Party
    ack: bool
    processing_status: str = ""

    def __post_init__(self) -> None:
        if not _UUID.fullmatch(self.msg_id):
            raise ValueError("MsgId must be a lower-case UUID")
        offset = self.generated_at.utcoffset()
        if offset is None or offset.seconds % 60 or offset.microseconds:
            raise ValueError("GenDate needs an offset in whole minutes")


def frame(hodemelding: Hodemelding) -> tuple[bytes, bytes]:
    """Return the bytes before and after the payload: head + payload + tail is the message, in UTF-8.

    Raises:
        ConfigInvalid: A name has a character that XML cannot carry.
    """
    try:
        xml = etree.tostring(_tree(hodemelding), encoding="UTF-8", xml_declaration=True)
    except ValueError:
        raise ConfigInvalid(
            Text("A name of sender or receiver, or the text of the message type, has a control character."),
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
    if hodemelding.processing_status:
        status = hodemelding.processing_status
        _child(info, "ProcessingStatus", V=status, DN=_PROCESSING[status])
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
        _ident(level_1, party.organisation_number, V="ENH", S=HER_OID, DN="Organisasjonsnummeret i Enhetsregister")
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
