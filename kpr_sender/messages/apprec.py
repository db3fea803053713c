"""Application receipts, AppRec 1.0 and 1.1: tolerant in form, strict in meaning.

The two versions differ in namespace and MIGversion only. Senders differ more: blanks round codes, V and S of an error
swapped, upper-case GUIDs, odd MIGversions and dates, parts left out. None of that matters. What matters is never
guessed: the namespace, the one status and the one MsgId that is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lxml import etree

from kpr_sender.messages import safe_xml
from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.model import Party, ReceiptError
from kpr_sender.states import ReceiptStatus

MAX_BYTES: Final = 5_000_000
"""Largest receipt that is read, in bytes; real ones have about 2 000."""

ERROR_OID: Final = "2.16.578.1.12.4.1.1.8221"
"""Kodeverk 8221, errors in an application receipt."""

_NAMESPACES: Final = {
    "1.0": "http://www.kith.no/xmlstds/apprec/2004-11-21",
    "1.1": "http://www.kith.no/xmlstds/apprec/2012-02-15",
}
_VERSIONS: Final = {namespace: version for version, namespace in _NAMESPACES.items()}
_MIG_VERSIONS: Final = {"1.0": "1.0 2004-11-21", "1.1": "v1.1 2012-02-15"}

_STATUS: Final = {str(status.value): status for status in ReceiptStatus}
_STATUS_TEXTS: Final = {"1": "OK", "2": "Avvist", "3": "OK, feil i delmelding"}  # kodeverk 8258

_OID: Final = re.compile(r"[0-9]+(\.[0-9]+){3,}")
_HER_ID: Final = re.compile(r"[0-9]{1,10}")
_MAX_CODE: Final = 20  # characters of a status that is none


@dataclass(frozen=True, slots=True)
class AppRec:
    """What an application receipt says.

    Attributes:
        version: ``1.0`` or ``1.1``, by namespace.
        apprec_id: Its own Id; may be empty.
        generated_at: GenDate as it stands, dates of senders being what they are; may be empty.
        status: None for anything but exactly one Status with 1, 2 or 3: never success.
        status_code: Status V as it stands, cut.
        errors: All Error elements, in order.
        original_msg_id: The MsgId it answers: lower case, without braces.
        original_type: V of the type it answers; may be empty.
        sender_her_ids: Every HER-id of the sender, organisation before department before person.
        receiver_her_ids: The same of the receiver.
    """

    version: str
    apprec_id: str
    generated_at: str
    status: ReceiptStatus | None
    status_code: str
    errors: tuple[ReceiptError, ...]
    original_msg_id: str
    original_type: str
    sender_her_ids: tuple[int, ...]
    receiver_her_ids: tuple[int, ...]


def parse(xml: bytes) -> AppRec:
    """Return what a receipt says. To be called on verified bytes only, where the receiver seals its receipts.

    Raises:
        MessageRefused: Not XML, not an AppRec, or it does not say which one message it answers.
    """
    root = safe_xml.parse(xml, max_bytes=MAX_BYTES)
    name = etree.QName(root)
    version = _VERSIONS.get(name.namespace or "")
    if version is None or name.localname != "AppRec":
        raise MessageRefused("its root is neither AppRec 1.0 nor 1.1")
    receipt = _Part(root, name.namespace or "")
    status = receipt.all("Status")
    code = _code(status[0]) if len(status) == 1 else ""
    return AppRec(
        version=version,
        apprec_id=receipt.text("Id"),
        generated_at=receipt.text("GenDate"),
        status=_STATUS.get(code),
        status_code=code[:_MAX_CODE],
        errors=tuple(_error(element) for element in receipt.all("Error")),
        original_msg_id=_original_msg_id(receipt),
        original_type=_code(*receipt.all("OriginalMsgId/MsgType")[:1]),
        sender_her_ids=tuple(receipt.her_ids("Sender")),
        receiver_her_ids=tuple(receipt.her_ids("Receiver")),
    )


def _original_msg_id(receipt: _Part) -> str:
    found = receipt.all("OriginalMsgId/Id")
    msg_id = (found[0].text or "").strip(" \t\r\n{}").lower() if len(found) == 1 else ""
    if not msg_id:
        raise MessageRefused("it does not say which one message it answers (OriginalMsgId/Id)")
    return msg_id


def _code(*elements: etree._Element) -> str:
    return elements[0].get("V", "").strip() if elements else ""


def _error(element: etree._Element) -> ReceiptError:
    code, system = element.get("V", "").strip(), element.get("S", "").strip()
    if _OID.fullmatch(code) and not _OID.fullmatch(system):  # some senders swap the two
        code, system = system, code
    return ReceiptError(
        code=code,
        code_system=system,
        text=element.get("DN", "").strip(),
        detail=element.get("OT", "").strip(),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Elements of one receipt, found by path in its own namespace."""

    element: etree._Element
    namespace: str

    def all(self, path: str) -> list[etree._Element]:
        return self.element.findall("/".join(f"{{{self.namespace}}}{name}" for name in path.split("/")))

    def text(self, path: str) -> str:
        return next(((found.text or "").strip() for found in self.all(path)), "")

    def her_ids(self, side: str) -> Iterator[int]:
        """Yield the HER-ids of one side, in the order they stand, wherever in HCP they stand."""
        # Inst, Dept, HCProf and HCPerson have Id with TypeId, their AdditionalId has Id with Type.
        for found in self.all(f"{side}/HCP"):
            for holder in found.iter():
                inner = _Part(holder, self.namespace)
                kind = _code(*(inner.all("TypeId") or inner.all("Type"))).upper()
                value = inner.text("Id")
                if kind == "HER" and _HER_ID.fullmatch(value):
                    yield int(value)


def build(
    *,
    version: str,
    apprec_id: str,
    generated_at: datetime,
    status_code: str,
    errors: Sequence[ReceiptError],
    original: Hodemelding,
) -> bytes:
    """Return a receipt for a Hodemelding: what a receiver answers with. For the sandbox and for tests.

    Args:
        version: ``1.0`` or ``1.1``.
        apprec_id: Its own Id.
        generated_at: GenDate; aware.
        status_code: Status V: 1, 2, 3, or whatever a test wants.
        errors: Error elements, in order.
        original: What is answered.
    """
    namespace = _NAMESPACES[version]

    def add(parent: etree._Element, name: str, text: str | None = None, **attributes: str) -> etree._Element:
        child = etree.SubElement(parent, f"{{{namespace}}}{name}")
        child.text = text
        for key, value in attributes.items():
            if value:
                child.set(key, value)
        return child

    def add_party(side: str, party: Party) -> None:
        inst = add(add(add(root, side), "HCP"), "Inst")
        add(inst, "Name", party.name)
        add(inst, "Id", str(party.her_id))
        add(inst, "TypeId", V="HER", DN="HER-id")
        dept = add(inst, "Dept")
        add(dept, "Name", party.service_name)
        add(dept, "Id", str(party.service_her_id))
        add(dept, "TypeId", V="HER", DN="HER-id")

    as_default: dict[Any, str] = {None: namespace}
    root = etree.Element(f"{{{namespace}}}AppRec", nsmap=as_default)
    add(root, "MsgType", V="APPREC", DN="Applikasjonskvittering")
    add(root, "MIGversion", _MIG_VERSIONS[version])
    add(root, "GenDate", generated_at.isoformat(timespec="seconds"))
    add(root, "Id", apprec_id)
    add_party("Sender", original.receiver)
    add_party("Receiver", original.sender)
    add(root, "Status", V=status_code, DN=_STATUS_TEXTS.get(status_code, ""))
    for error in errors:
        add(root, "Error", V=error.code, S=error.code_system, DN=error.text, OT=error.detail)
    answered = add(root, "OriginalMsgId")
    add(answered, "MsgType", V=original.type.value, DN=original.type_text)
    add(answered, "IssueDate", original.generated_at.isoformat(timespec="seconds"))
    add(answered, "Id", original.msg_id)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
