"""Application receipts, AppRec 1.0 and 1.1: tolerant in form, strict in meaning.

The two versions differ in namespace and MIGversion only. Senders differ more: blanks round codes, V and S of an error
swapped, upper-case GUIDs, odd MIGversions and dates, parts left out. None of that matters. What matters is never
guessed: the namespace, the one status and the one MsgId that is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lxml import etree

from kpr_sender.messages import safe_xml
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.messages.transport import plain_id
from kpr_sender.model import ReceiptError
from kpr_sender.privacy import foreign_text
from kpr_sender.states import ReceiptStatus

MAX_BYTES: Final = 5_000_000
"""Largest receipt that is read, in bytes; real ones have about 2 000."""

ERROR_OID: Final = "2.16.578.1.12.4.1.1.8221"
"""Kodeverk 8221, errors in an application receipt."""

NAMESPACES: Final = {
    "1.0": "http://www.kith.no/xmlstds/apprec/2004-11-21",
    "1.1": "http://www.kith.no/xmlstds/apprec/2012-02-15",
}
"""By version."""

_VERSIONS: Final = {namespace: version for version, namespace in NAMESPACES.items()}
_STATUS: Final = {str(status.value): status for status in ReceiptStatus}

_OID: Final = re.compile(r"[0-9]+(\.[0-9]+){3,}")
_HER_ID: Final = re.compile(r"[0-9]{1,10}")
_ORGANISATION: Final = re.compile(r"[0-9]{9}")
_MAX_CODE: Final = 20  # characters of a status that is none
_MAX_TEXT: Final = 300  # characters of each part of an Error


@dataclass(frozen=True, slots=True)
class AppRec:
    """An application receipt.

    Attributes:
        version: ``1.0`` or ``1.1``, by namespace.
        generated_at: GenDate as it is written, since senders write it in many ways; may be empty.
        status: None for anything but exactly one Status with 1, 2 or 3: never success.
        status_code: Status V as it is written, cut.
        errors: All Error elements, in order.
        original_msg_id: The MsgId it answers, as we write ids.
        original_type: V of the type it answers; may be empty.
        original_issued_at: IssueDate of what it answers, as it is written; may be empty.
        sender_her_ids: Every HER-id of the sender, organisation before department before person.
        sender_organisations: Every organisation number of the sender, likewise.
        receiver_her_ids: The same of the receiver.
    """

    version: str
    generated_at: str
    status: ReceiptStatus | None
    status_code: str
    errors: tuple[ReceiptError, ...]
    original_msg_id: str
    original_type: str
    original_issued_at: str
    sender_her_ids: tuple[int, ...]
    receiver_her_ids: tuple[int, ...]
    sender_organisations: tuple[str, ...] = ()


def parse(xml: bytes) -> AppRec:
    """Read a receipt. To be called on verified bytes only, where the receiver seals its receipts.

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
        generated_at=receipt.text("GenDate"),
        status=_STATUS.get(code),
        status_code=code[:_MAX_CODE],
        errors=tuple(_error(element) for element in receipt.all("Error")),
        original_msg_id=_original_msg_id(receipt),
        original_type=_code(*receipt.all("OriginalMsgId/MsgType")[:1]),
        original_issued_at=_date(*receipt.all("OriginalMsgId/IssueDate")[:1]),
        sender_her_ids=tuple(map(int, receipt.ids("Sender", "HER", _HER_ID))),
        receiver_her_ids=tuple(map(int, receipt.ids("Receiver", "HER", _HER_ID))),
        sender_organisations=tuple(receipt.ids("Sender", "ENH", _ORGANISATION)),
    )


def _original_msg_id(receipt: _Part) -> str:
    found = receipt.all("OriginalMsgId/Id")
    msg_id = plain_id(found[0].text or "") if len(found) == 1 else ""
    if not msg_id:
        raise MessageRefused("it does not say which one message it answers (OriginalMsgId/Id)")
    return msg_id


def _code(*elements: etree._Element) -> str:
    return elements[0].get("V", "").strip() if elements else ""


def _date(*elements: etree._Element) -> str:
    return ((elements[0].text or "").strip() or elements[0].get("V", "").strip()) if elements else ""


def _error(element: etree._Element) -> ReceiptError:
    code, system = element.get("V", "").strip(), element.get("S", "").strip()
    if _OID.fullmatch(code) and not _OID.fullmatch(system):  # some senders swap the two
        code, system = system, code
    return ReceiptError(
        code=foreign_text(code, _MAX_TEXT),
        code_system=system if _OID.fullmatch(system) else foreign_text(system, _MAX_TEXT),
        text=foreign_text(element.get("DN", ""), _MAX_TEXT),  # free text to senders: some write sentences there
        detail=element.get("OT", "").strip()[:_MAX_TEXT],
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

    def ids(self, side: str, kind: str, form: re.Pattern[str]) -> Iterator[str]:
        """Yield the ids of one kind and form of one side, in document order, wherever in HCP they are."""
        # Inst, Dept, HCProf and HCPerson have Id with TypeId, their AdditionalId has Id with Type.
        for found in self.all(f"{side}/HCP"):
            for holder in found.iter():
                inner = _Part(holder, self.namespace)
                value = inner.text("Id")
                if _code(*(inner.all("TypeId") or inner.all("Type"))).upper() == kind and form.fullmatch(value):
                    yield value
