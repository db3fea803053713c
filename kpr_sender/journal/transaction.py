"""One transaction of the journal: what happens to shipments in it, each change with its line in the history.

What follows from what is ``states.apply``'s to say. Here a shipment is read, the rules are applied, and what they say
is written: by compare-and-set on the state it was read in.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kpr_sender import states
from kpr_sender.errors import InternalError, LastError, NeedsPerson
from kpr_sender.journal import sql
from kpr_sender.journal.port import NewShipment, NewSubmission
from kpr_sender.journal.sql import Value
from kpr_sender.model import Shipment
from kpr_sender.states import Cause, Change, HistoryLine, Lifecycle, ShipmentState, Trigger

NOTHING: Final[Mapping[str, str | int]] = {}
RESEALED: Final = "resealed"
"""What the history calls it."""

_UNCHANGED: Final = (
    *("type", "message_id", "receiver_her_id", "payload_sha256", "payload_bytes", "lopenr", "hodemelding_sha256"),
)


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction.

    Attributes:
        connection: Where the transaction is open.
        at: The transaction's time: one for all it writes; aware.
        who: The person or account that events are written for.
    """

    connection: sqlite3.Connection
    at: datetime
    who: str

    def lifecycle(self, msg_id: str) -> Lifecycle:
        """Return how far a shipment has come."""
        return sql.lifecycle_of(sql.shipment_row(self.connection, msg_id))

    def shipment(self, msg_id: str) -> Shipment:
        """Return a shipment as it is now."""
        return sql.read_shipment(self.connection, sql.shipment_row(self.connection, msg_id))

    def apply(
        self,
        msg_id: str,
        cause: Cause,
        *,
        error: LastError | None = None,
        why: str = "",
        who: str = "",
        evidence: Mapping[str, str | int] = NOTHING,
        arrival: states.Arrival | None = None,
    ) -> Change:
        """Let something happen to a shipment; the arguments are those of ``states.Trigger``.

        Raises:
            ImpossibleTransition: The rules do not have it.
        """
        shipment = self.lifecycle(msg_id)
        change = states.apply(shipment, Trigger(cause, self.at, error, why, who, evidence, arrival))
        self.write(msg_id, shipment, change)
        return change

    def write(self, msg_id: str, read: Lifecycle, change: Change) -> None:
        """Write a change, provided that the shipment is still in the state it was read in."""
        if change.after != read:
            columns = sql.lifecycle_columns(change.after)
            moved = self.connection.execute(
                sql.CHANGE_SHIPMENT, {**columns, "msg_id": msg_id, "state_read": read.state.value}
            )
            _require_one(moved, msg_id)
        for line in change.lines:
            self.note(msg_id, line)

    def note(self, msg_id: str, line: HistoryLine) -> None:
        """Write a line of the history."""
        old, new = line.moved or (None, None)
        sql.insert(
            self.connection,
            "event",
            {
                "at": sql.time_text(self.at),
                "msg_id": msg_id,
                "what": line.what,
                "why": line.why,
                "who": line.who or self.who,
                "from_state": old,
                "to_state": new,
                "details": sql.details_text(line.details),
            },
        )

    def create(self, shipment: NewShipment, submission: NewSubmission, columns: Mapping[str, Value]) -> None:
        """Write a new shipment with its sealed bytes, and who accepted which findings.

        Args:
            shipment: The shipment.
            submission: The submission that it is a part of.
            columns: The submission's.
        """
        msg_id, who = shipment.msg_id, submission.by
        sealed_id, digest = write_sealed(self.connection, shipment)
        fixed = sql.new_shipment_columns(columns, shipment, sql.time_text(self.at))
        sql.insert(self.connection, "shipment", {**fixed, "sealed_id": sealed_id, "sealed_sha256": digest})
        certificates = sql.certificate_columns(shipment.certificates)
        details = {"submission": submission.submission_id, "sealed_sha256": digest, **certificates}
        why = submission.reason.strip() or "A new submission."
        self.note(msg_id, HistoryLine("created", why, who, (None, ShipmentState.SEALED), details))
        if submission.accepted:
            why = f"{sum(submission.accepted.values())} findings of the check were read and accepted."
            self.note(msg_id, HistoryLine("findings-accepted", why, who, details=submission.accepted))

    def reseal(self, new: NewShipment, *, why: str) -> None:
        """Exchange the sealed bytes of a shipment that no transfer was ever begun of (promises G1 to G3).

        Nothing of it has left this machine, so other bytes under the same MsgId and message-id are no second version of
        anything: whatever names them outside, the bus's ledger and FHI, will have seen only one. The old bytes stay.

        Args:
            new: The same shipment, sealed anew.
            why: Why, in words.

        Raises:
            NeedsPerson: An answer came to what the journal holds as never sent.
            InternalError: A transfer of it was begun before, or ``new`` is another shipment.
        """
        row = sql.shipment_row(self.connection, new.msg_id)
        shipment = sql.lifecycle_of(row)
        if shipment.needs_person or self.connection.execute(sql.RECEIPTS_OF, (new.msg_id,)).fetchone() is not None:
            raise answered_unsent(new.msg_id, "sealed anew")
        if not states.may_be_resealed(shipment):
            raise InternalError(f"{new.msg_id} was offered to the bus before, so that its bytes must not change.")
        if any(row[name] != getattr(new, name) for name in _UNCHANGED) or (
            sql.envelope_of(row["envelope"]) != new.envelope
        ):
            raise InternalError(f"What is sealed anew as {new.msg_id} is another shipment than before.")
        sealed_id, digest = write_sealed(self.connection, new)
        certificates = sql.certificate_columns(new.certificates)
        columns = {"sealed_id": sealed_id, "sealed_sha256": digest, "sealed_bytes": new.sealed_bytes, **certificates}
        _require_one(self.connection.execute(sql.RESEAL_SHIPMENT, columns | {"msg_id": new.msg_id}), new.msg_id)
        details = {"was_sealed_sha256": row["sealed_sha256"], "sealed_sha256": digest, **certificates}
        if row["encryption_sha1"] is not None:
            details["was_encryption_sha1"] = row["encryption_sha1"]
        self.note(new.msg_id, HistoryLine(RESEALED, why, details=details))


def answered_unsent(msg_id: str, what: str) -> NeedsPerson:
    """Return the error for a shipment that FHI has answered, though the journal holds it as not sent.

    Args:
        msg_id: Which shipment.
        what: What is not done with it: ``sent``.
    """
    return NeedsPerson(
        f"An answer has come to {msg_id}, which the journal holds as not sent: it is not {what}.",
        next_step="Ask kpr@fhi.no whether the MsgId has arrived.",
    )


def _require_one(changed: sqlite3.Cursor, msg_id: str) -> None:
    if changed.rowcount != 1:
        raise InternalError(f"Shipment {msg_id} was moved by another process at the same moment.")


def write_sealed(connection: sqlite3.Connection, new: NewShipment) -> tuple[int, str]:
    """Stream a shipment's sealed bytes into a row of their own; memory stays flat whatever their size.

    Args:
        connection: With the creating transaction open.
        new: Says how many bytes come, and yields them.

    Returns:
        The row's id, and the SHA-256 of what was written.

    Raises:
        InternalError: More or fewer bytes came than announced.
    """
    sealed_id = connection.execute(sql.ADD_SEALED, (new.sealed_bytes,)).lastrowid
    if sealed_id is None:
        raise InternalError("The journal gave the sealed bytes no row.")
    digest = hashlib.sha256()
    written = 0
    with connection.blobopen("sealed", "bytes", sealed_id) as blob:
        for chunk in new.sealed:
            written += len(chunk)
            if written > new.sealed_bytes:
                raise InternalError(f"The sealed {new.type.norwegian} is more than the {new.sealed_bytes} announced.")
            digest.update(chunk)
            blob.write(chunk)
    if written != new.sealed_bytes:
        raise InternalError(
            f"The sealed {new.type.norwegian} is {written} bytes, not the {new.sealed_bytes} announced."
        )
    return sealed_id, digest.hexdigest()
