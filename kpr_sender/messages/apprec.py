"""Application receipts, AppRec 1.0 and 1.1: tolerant in form, strict in meaning.

The two versions differ in namespace and MIGversion only. Senders differ more: blanks round codes, V and S of an error
swapped, upper-case GUIDs, odd MIGversions and dates, parts left out. None of that matters. What matters is never
guessed: the namespace, the one status, the one MsgId that is answered, the one sender. What the schema allows once is
read once, and a value that we decide by holds no comment (``safe_xml``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lxml import etree

from kpr_sender.messages import safe_xml
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.safe_xml import WHITE
from kpr_sender.messages.transport import plain_id
from kpr_sender.model import ReceiptError
from kpr_sender.privacy import foreign_text
from kpr_sender.states import ReceiptStatus
from kpr_sender.texts import Text

MAX_BYTES: Final = 5_000_000
"""Largest receipt that is read, in bytes; real ones have about 2 000."""

ERROR_OID: Final = "2.16.578.1.12.4.1.1.8221"
"""Kodeverk 8221, errors in an application receipt."""

NAMESPACES: Final = {
    "1.0": "http://www.kith.no/xmlstds/apprec/2004-11-21",
    "1.1": "http://www.kith.no/xmlstds/apprec/2012-02-15",
}
"""By version."""

MOST_ERRORS: Final = 20
"""Of a receipt that is not verified: anybody can send one with 50,000."""
MOST_ERRORS_VERIFIED: Final = 1_000
"""Of one that is; its own bytes, which are stored, have all of them."""
_MOST_ERROR_TEXT: Final = 300_000
"""Characters of the errors that are read, together: to clean them takes its time, under the journal's lock."""

_VERSIONS: Final = {namespace: version for version, namespace in NAMESPACES.items()}
_STATUS: Final = {str(status.value): status for status in ReceiptStatus}

_OID: Final = re.compile(r"[0-9]+(\.[0-9]+){3,}")
_HER_ID: Final = re.compile(r"[0-9]{1,10}")
_ORGANISATION: Final = re.compile(r"[0-9]{9}")
_MAX_CODE: Final = 60  # characters of a code or a date
_MAX_ID: Final = 200  # characters of a MsgId; ours have 36


@dataclass(frozen=True, slots=True)
class AppRec:
    """An application receipt.

    Attributes:
        version: ``1.0`` or ``1.1``, by namespace.
        generated_at: GenDate as it is written, since senders write it in many ways; may be empty.
        status: None for anything but exactly one Status with 1, 2 or 3: never success.
        status_code: Status V as it is written, cut.
        errors: The Error elements, in order: as many as were wanted.
        errors_left: How many more there are.
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
    errors_left: int = 0


def parse(xml: bytes, *, most_errors: int | None = MOST_ERRORS) -> AppRec:
    """Read a receipt. To be called on verified bytes only, where the receiver seals its receipts.

    Args:
        xml: The receipt.
        most_errors: How many of its Errors are wanted, within a bound on all their text; None for all.

    Raises:
        MessageRefused: Not XML, not an AppRec, or it does not say which one message it answers.
    """
    root = safe_xml.parse_answer(xml, max_bytes=MAX_BYTES)
    name = etree.QName(root)
    version = _VERSIONS.get(name.namespace or "")
    if version is None or name.localname != "AppRec":
        raise MessageRefused(Text("its root is neither AppRec 1.0 nor 1.1"))
    receipt = _Part(root, name.namespace or "")
    status = receipt.all("Status")
    code = safe_xml.attribute(status[0], "V") if len(status) == 1 and not len(status[0]) else ""
    elements = receipt.all("Error")
    errors = tuple(map(_error, _first(elements, most_errors)))
    return AppRec(
        version=version,
        generated_at=_date(receipt.all("GenDate")),
        status=_STATUS.get(code),
        status_code=foreign_text(code, _MAX_CODE),
        errors=errors,
        original_msg_id=_original_msg_id(receipt),
        original_type=foreign_text(safe_xml.attribute(receipt.one("OriginalMsgId/MsgType"), "V"), _MAX_CODE),
        original_issued_at=_date(receipt.all("OriginalMsgId/IssueDate")),
        sender_her_ids=tuple(map(int, receipt.ids("Sender", "HER", _HER_ID))),
        receiver_her_ids=tuple(map(int, receipt.ids("Receiver", "HER", _HER_ID))),
        sender_organisations=tuple(receipt.ids("Sender", "ENH", _ORGANISATION)),
        errors_left=len(elements) - len(errors),
    )


def _original_msg_id(receipt: _Part) -> str:
    msg_id = plain_id(safe_xml.value(receipt.one("OriginalMsgId/Id")))
    if not msg_id:
        raise MessageRefused(Text("it does not say which one message it answers (OriginalMsgId/Id)"))
    if len(msg_id) > _MAX_ID:
        raise MessageRefused(
            Text("the MsgId that it answers has more than {max_id} characters (OriginalMsgId/Id)", max_id=_MAX_ID)
        )
    return msg_id


def _date(found: list[etree._Element]) -> str:
    """Return the first date, which is only shown and remarked on, as it is written: as text or as V."""
    written = ((one.text or "").strip(WHITE) or one.get("V", "") for one in found[:1])
    return foreign_text(next(written, ""), _MAX_CODE)


def _first(elements: list[etree._Element], most: int | None) -> list[etree._Element]:
    """Return the first Errors, one at least, as many as are wanted and have no more text than is read."""
    if most is None:
        return elements
    read = itertools.accumulate(sum(map(len, element.attrib.values())) for element in elements[:most])
    return elements[: max(1, sum(size <= _MOST_ERROR_TEXT for size in read))]


def _error(element: etree._Element) -> ReceiptError:
    code, system = element.get("V", "").strip(WHITE), element.get("S", "").strip(WHITE)
    if _OID.fullmatch(code) and not _OID.fullmatch(system):  # some senders swap the two
        code, system = system, code
    return ReceiptError(
        code=foreign_text(code),
        code_system=foreign_text(system),
        text=foreign_text(element.get("DN", "")),  # free text to senders: some write sentences there
        detail=foreign_text(element.get("OT", "")),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Elements of one receipt, found by path in its own namespace."""

    element: etree._Element
    namespace: str

    def all(self, path: str) -> list[etree._Element]:
        return self.element.findall("/".join(f"{{{self.namespace}}}{name}" for name in path.split("/")))

    def one(self, path: str) -> etree._Element | None:
        """Return the one element at a path, or None; at each part of it there may be one only."""
        outer, _, inner = path.partition("/")
        found = safe_xml.only(self.all(outer))
        return found if found is None or not inner else _Part(found, self.namespace).one(inner)

    def text(self, path: str) -> str:
        return safe_xml.value(self.one(path))

    def ids(self, side: str, kind: str, form: re.Pattern[str]) -> Iterator[str]:
        """Yield the ids of one kind and form of one side, in document order, wherever in HCP they are."""
        # Inst, Dept, HCProf and HCPerson have Id with TypeId, their AdditionalId has Id with Type.
        found = self.one(f"{side}/HCP")
        for holder in () if found is None else found.iter("{*}*"):
            inner = _Part(holder, self.namespace)
            kind_of_id = safe_xml.attribute(inner.one("TypeId") if inner.all("TypeId") else inner.one("Type"), "V")
            if kind_of_id.upper() == kind and form.fullmatch(value := inner.text("Id")):
                yield value
