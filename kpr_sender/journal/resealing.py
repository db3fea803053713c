"""Exchanging the sealed bytes of a shipment that no transfer was ever begun of (promises G1 to G3).

Nothing of it has left this machine, so other bytes under the same MsgId and message-id are no second version of
anything: whatever names them outside, the bus's ledger and FHI, will have seen only one.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from kpr_sender.errors import InternalError, NeedsPerson
from kpr_sender.journal import rows, statements
from kpr_sender.journal.port import NewShipment
from kpr_sender.journal.rows import Value
from kpr_sender.journal.sealing import write_sealed
from kpr_sender.journal.step import Step
from kpr_sender.journal.view import shipment_row
from kpr_sender.states import ShipmentState

RESEALED: Final = "resealed"
"""What the history calls it."""

_UNCHANGED: Final = ("type", "message_id", "receiver_her_id", "payload_sha256", "payload_bytes", "lopenr")


def reseal(step: Step, new: NewShipment, *, why: str) -> None:
    """Write the new sealed bytes beside the old ones and let the shipment have them.

    Args:
        step: The transaction that it all happens in.
        new: The same shipment, sealed anew.
        why: Why, in words.

    Raises:
        NeedsPerson: An answer came to what the journal holds as never sent.
        InternalError: A transfer of it was begun before, or ``new`` is another shipment.
    """
    row = shipment_row(step.connection, new.msg_id)
    if row["needs_person"] or step.connection.execute(statements.RECEIPTS_OF, (new.msg_id,)).fetchone() is not None:
        raise NeedsPerson(
            f"An answer has come to {new.msg_id}, which the journal holds as not sent: it is not sealed anew.",
            next_step="Ask kpr@fhi.no whether the MsgId has arrived.",
        )
    if row["state"] != ShipmentState.SEALED or row["attempts"] != 0:
        raise InternalError(f"{new.msg_id} was offered to the bus before, so that its bytes must not change.")
    _demand_same(row, new)
    sealed_id, digest = write_sealed(step.connection, new)
    columns: dict[str, Value] = {
        "sealed_id": sealed_id,
        "sealed_sha256": digest,
        "sealed_bytes": new.sealed_bytes,
        **rows.certificate_columns(new.certificates),
    }
    changed = step.connection.execute(statements.RESEAL_SHIPMENT, columns | {"msg_id": new.msg_id})
    if changed.rowcount != 1:
        raise InternalError(f"Shipment {new.msg_id} was moved by another process at the same moment.")
    details: dict[str, str | int] = {
        "was_sealed_sha256": row["sealed_sha256"],
        "sealed_sha256": digest,
        **rows.certificate_columns(new.certificates),
    }
    if row["encryption_sha1"] is not None:
        details["was_encryption_sha1"] = row["encryption_sha1"]
    step.note(new.msg_id, RESEALED, why=why, details=details)


def _demand_same(row: sqlite3.Row, new: NewShipment) -> None:
    same = all(row[name] == getattr(new, name) for name in _UNCHANGED)
    if not (
        same
        and row["hodemelding_sha256"] == new.hodemelding_sha256
        and rows.envelope_of(row["envelope"]) == new.envelope
    ):
        raise InternalError(f"What is sealed anew as {new.msg_id} is another shipment than before.")
