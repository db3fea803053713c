"""Everything that can come to a municipality's queues, each with what it means."""

from __future__ import annotations

import enum
import hashlib
import uuid
from dataclasses import replace
from typing import Final

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.states import Cause
from tests.helpers.stage import Stage
from tests.proofs.model import Belief, Letter, Meaning


class Kind(enum.Enum):
    """What comes."""

    OK = enum.auto()
    OK_WITH_ERRORS = enum.auto()
    REJECTED = enum.auto()
    ERROR_QUEUE = enum.auto()
    UNKNOWN_STATUS = enum.auto()
    WRONG_SIGNER = enum.auto()
    WRONG_SIGNER_UNNAMED = enum.auto()
    WRONG_HER_ID = enum.auto()
    UNSEALED = enum.auto()
    GARBAGE = enum.auto()
    GARBAGE_UNNAMED = enum.auto()
    UNKNOWN_MSG_ID = enum.auto()
    FOREIGN = enum.auto()
    FOREIGN_ERROR = enum.auto()


_BELIEVED: Final = {
    Kind.OK: ("1", Cause.RECEIPT_OK),
    Kind.OK_WITH_ERRORS: ("3", Cause.RECEIPT_OK_WITH_ERRORS),
    Kind.REJECTED: ("2", Cause.RECEIPT_REJECTED),
}
_OTHER_HER_ID: Final = 122612


def message(stage: Stage, kind: Kind, letter: Letter) -> tuple[Inbound, Meaning]:
    """Make a message of a kind about a shipment."""
    if kind in {Kind.ERROR_QUEUE, Kind.FOREIGN_ERROR}:
        return _on_error_queue(stage, kind, letter)
    inbound = _on_receipts_queue(stage, kind, letter)
    digest = hashlib.sha256(inbound.body).hexdigest()
    if kind in _BELIEVED:
        return inbound, Meaning(Belief.BELIEVED, True, letter.msg_id, _BELIEVED[kind][1], digest)
    if kind is Kind.UNKNOWN_MSG_ID:
        return inbound, Meaning(Belief.STRANGER, False, digest=digest)
    if kind is Kind.FOREIGN:
        return inbound, Meaning(Belief.FOREIGN, False)
    settled = kind is Kind.UNKNOWN_STATUS  # signed by FHI and about ours: nobody else's, and no key makes it readable
    unnamed = kind is Kind.GARBAGE_UNNAMED  # what is badly signed names the shipment inside
    reads = kind not in {Kind.GARBAGE, Kind.GARBAGE_UNNAMED}
    acceptable = Cause.RECEIPT_OK if kind is Kind.WRONG_HER_ID else None
    return inbound, Meaning(
        Belief.KEPT, settled, letter.msg_id, digest=digest, unnamed=unnamed, reads=reads, acceptable=acceptable
    )


def _on_error_queue(stage: Stage, kind: Kind, letter: Letter) -> tuple[Inbound, Meaning]:
    ours = kind is Kind.ERROR_QUEUE
    properties = {
        "fromHerId": str(stage.counterpart.her_id),
        "originalMessageId": letter.message_id if ours else str(uuid.uuid4()),
        "errorCondition": "transport:invalid-certificate",
    }
    inbound = Inbound(None, Source.ERRORS, str(uuid.uuid4()), "", "", "", properties, b"")
    if not ours:
        return inbound, Meaning(Belief.FOREIGN, False)
    return inbound, Meaning(Belief.BELIEVED, True, letter.msg_id, Cause.ERROR_QUEUE, message_id=letter.message_id)


def _on_receipts_queue(stage: Stage, kind: Kind, letter: Letter) -> Inbound:
    status = _BELIEVED.get(kind, ("1", None))[0]
    msg_id = str(uuid.uuid4()) if kind is Kind.UNKNOWN_MSG_ID else letter.msg_id
    her_id = _OTHER_HER_ID if kind is Kind.WRONG_HER_ID else None
    xml = stage.apprec(msg_id, letter.type, status, her_id=her_id)
    if kind is Kind.UNKNOWN_STATUS:
        xml = xml.replace(b'Status V="1"', b'Status V="9"')
    inbound = stage.inbound(b"", correlation_id=letter.message_id)
    if kind is Kind.FOREIGN:
        return replace(inbound, body=b"hello", correlation_id="another's", properties={"fromHerId": "8094866"})
    if kind is Kind.UNSEALED:
        return replace(inbound, body=xml)
    if kind in {Kind.GARBAGE, Kind.GARBAGE_UNNAMED}:
        named = letter.message_id if kind is Kind.GARBAGE else ""
        return replace(inbound, body=b"\x30\x03\x02\x01" + uuid.uuid4().bytes[:1], correlation_id=named)
    if kind in {Kind.WRONG_SIGNER, Kind.WRONG_SIGNER_UNNAMED}:
        named = letter.message_id if kind is Kind.WRONG_SIGNER else ""
        return replace(inbound, body=stage.sealed(xml, by=stage.stranger), correlation_id=named)
    return replace(inbound, body=stage.sealed(xml))
