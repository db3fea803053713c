"""Exchanging the sealed bytes of a shipment that no transfer was ever begun of (promises G1 to G3).

Nothing of it has left this machine, so other bytes under the same MsgId and message-id are no second version of
anything: whatever names them outside, the bus's ledger and FHI, will have seen only one.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kpr_sender.errors import InternalError, NeedsPerson, RejectedByReceiver
from kpr_sender.journal import sql
from kpr_sender.journal.port import NewShipment
from kpr_sender.journal.queries import shipment_row
from kpr_sender.journal.sql import Value
from kpr_sender.model import LastError, Shipment
from kpr_sender.states import PERSON_CAUSES, TRANSITIONS, Cause, ImpossibleTransition, ShipmentState, after

# One step of the journal: what happens inside one transaction, each change with its line in the history.

_WHY: Final[Mapping[Cause, str]] = {
    Cause.PUBLISH_BEGINS: "The transfer is about to begin.",
    Cause.ACCEPTED: "The bus answered accepted.",
    Cause.NOT_SENT: "It is certain that the bus does not have it.",
    Cause.NO_OUTCOME: "The transfer began and no outcome is known.",
    Cause.RECEIPT_OK: "A verified receipt says OK.",
    Cause.RECEIPT_OK_WITH_ERRORS: "A verified receipt says OK, but with errors.",
    Cause.RECEIPT_REJECTED: "A verified receipt says rejected.",
    Cause.ERROR_QUEUE: "A message on the error queue names it.",
}
NOTHING: Final[Mapping[str, str | int]] = {}


@dataclass(frozen=True, slots=True)
class Step:
    """An open transaction.

    Attributes:
        connection: Where the transaction is open.
        at: The step's time: one for all it writes.
        who: The person or account that events are written for.
    """

    connection: sqlite3.Connection
    at: str
    who: str

    def move(
        self,
        row: sqlite3.Row,
        cause: Cause,
        *,
        changes: Mapping[str, Value],
        details: Mapping[str, str | int] = NOTHING,
        why: str = "",
        who: str = "",
    ) -> None:
        """Take a shipment to the state that follows.

        Args:
            row: The shipment as it was read in this step.
            cause: What moves it.
            changes: Other columns that change with it.
            details: The evidence.
            why: In words, where there is more to say than the cause does.
            who: The person who decided it, where it was one.

        Raises:
            ImpossibleTransition: The table does not have it.
        """
        old = ShipmentState(row["state"])
        new = after(old, cause)
        self.change(row, {**changes, "state": new.value})
        self.note(row["msg_id"], cause.value, why=why or _WHY[cause], who=who, old=old, new=new, details=details)

    def replace(self, shipment: Shipment, *, why: str, who: str, details: Mapping[str, str | int]) -> None:
        """Let another take a shipment's place: cancelled where the bus never had it, else only noted."""
        if shipment.state is ShipmentState.SEALED:
            row = shipment_row(self.connection, shipment.msg_id)
            self.move(row, Cause.PERSON_CANCELS, changes={}, details=details, why=why, who=who)
        else:
            self.note(shipment.msg_id, "replaced", why=why, who=who, details=details)

    def end_publish(
        self,
        row: sqlite3.Row,
        cause: Cause,
        *,
        evidence: Mapping[str, str | int],
        error: LastError | None,
        why: str = "",
    ) -> None:
        """Take a shipment out of ``publishing``; an answer that overtook the outcome takes effect now.

        Raises:
            ImpossibleTransition: It is in another state, where the same cause may well be a way on, but not this one's.
        """
        if row["state"] != ShipmentState.PUBLISHING:
            raise ImpossibleTransition(ShipmentState(row["state"]), cause)
        changes: dict[str, Value] = {**error_columns(error), "early_answer": None}
        if cause is Cause.ACCEPTED:
            changes["published_at"] = self.at
        self.move(row, cause, changes=changes, details=evidence, why=why)
        if row["early_answer"] is not None:
            self.answer(shipment_row(self.connection, row["msg_id"]), Cause(row["early_answer"]))

    def decide(self, row: sqlite3.Row, cause: Cause, *, why: str, who: str) -> None:
        """Move a shipment by a person's word.

        Raises:
            ImpossibleTransition: No person decides this cause, or the table does not have it.
        """
        if cause not in PERSON_CAUSES:
            raise ImpossibleTransition(ShipmentState(row["state"]), cause)
        # Whoever says that it has arrived starts the wait for the receipt anew; the history keeps the first time.
        published_at = {Cause.PERSON_ARRIVED: self.at, Cause.PERSON_NOT_ARRIVED: None}
        changes = error_columns(None) | {"published_at": published_at.get(cause, row["published_at"])}
        self.move(row, cause, changes=changes, why=why, who=who)

    def answer(
        self,
        row: sqlite3.Row,
        cause: Cause,
        *,
        evidence: Mapping[str, str | int] = NOTHING,
        error: LastError | None = None,
    ) -> str:
        """Let a receiver's answer take effect where the table allows it.

        An answer that says what is known already is harmless. One that contradicts what is known calls for a person
        and changes nothing else.

        Returns:
            The contradiction in words, or nothing.
        """
        state, msg_id = ShipmentState(row["state"]), row["msg_id"]
        if cause in TRANSITIONS[state]:
            self.move(row, cause, changes=error_columns(error or _ERROR_OF_ANSWER.get(cause)), details=evidence)
            return ""
        if state is ShipmentState.PUBLISHING and row["early_answer"] in {None, cause.value}:
            # The answer overtook the bus's own outcome. The table has no such way: it waits for that outcome.
            self.change(row, {"early_answer": cause.value})
            why = "It came before the bus's outcome, and takes effect after it."
            self.note(msg_id, f"{cause.value}-early", why=why, details=evidence)
            return ""
        if state is after(ShipmentState.PUBLISHED, cause):
            self.note(msg_id, f"{cause.value}-again", why="It says what is known.", details=evidence)
            return ""
        contradiction = f"It contradicts the journal, where the shipment is {state.value}."
        self.change(row, {"needs_person": 1})
        self.note(msg_id, f"{cause.value}-contradicts", why=contradiction, details=evidence)
        return contradiction

    def change(self, row: sqlite3.Row, changes: Mapping[str, Value]) -> None:
        """Change a shipment, provided that it is still in the state it was read in."""
        values = {**dict(row), **changes, "state_read": row["state"]}
        if self.connection.execute(sql.CHANGE_SHIPMENT, values).rowcount != 1:
            raise InternalError(f"Shipment {row['msg_id']} was moved by another process at the same moment.")

    def note(
        self,
        msg_id: str,
        what: str,
        *,
        why: str,
        who: str = "",
        old: ShipmentState | None = None,
        new: ShipmentState | None = None,
        details: Mapping[str, str | int] = NOTHING,
    ) -> None:
        """Write a line of the history."""
        self.connection.execute(
            sql.ADD_EVENT,
            {
                "at": self.at,
                "msg_id": msg_id,
                "what": what,
                "why": why,
                "who": who or self.who,
                "from_state": old,
                "to_state": new,
                "details": sql.details_text(details),
            },
        )


def error_columns(error: LastError | None) -> dict[str, Value]:
    """Return the columns that hold what last went wrong."""
    return {
        "last_error_code": None if error is None else error.code,
        "last_error_text": None if error is None else error.text,
    }


# An AppRec says itself what is wrong; a message on the error queue is no document that a person could read.
_ERROR_OF_ANSWER: Final[Mapping[Cause, LastError]] = {
    Cause.ERROR_QUEUE: LastError(RejectedByReceiver.code, "A message on the error queue names this shipment."),
}


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
    if row["needs_person"] or step.connection.execute(sql.RECEIPTS_OF, (new.msg_id,)).fetchone() is not None:
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
        **sql.certificate_columns(new.certificates),
    }
    changed = step.connection.execute(sql.RESEAL_SHIPMENT, columns | {"msg_id": new.msg_id})
    if changed.rowcount != 1:
        raise InternalError(f"Shipment {new.msg_id} was moved by another process at the same moment.")
    details: dict[str, str | int] = {
        "was_sealed_sha256": row["sealed_sha256"],
        "sealed_sha256": digest,
        **sql.certificate_columns(new.certificates),
    }
    if row["encryption_sha1"] is not None:
        details["was_encryption_sha1"] = row["encryption_sha1"]
    step.note(new.msg_id, RESEALED, why=why, details=details)


def _demand_same(row: sqlite3.Row, new: NewShipment) -> None:
    same = all(row[name] == getattr(new, name) for name in _UNCHANGED)
    if not (
        same
        and row["hodemelding_sha256"] == new.hodemelding_sha256
        and sql.envelope_of(row["envelope"]) == new.envelope
    ):
        raise InternalError(f"What is sealed anew as {new.msg_id} is another shipment than before.")
