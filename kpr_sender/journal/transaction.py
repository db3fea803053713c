"""One transaction of the journal: what happens to shipments in it, each change with its line in the history.

What follows from what is ``states.apply``'s to say. Here a shipment is read, the rules are applied, and what they say
is written: by compare-and-set on the state it was read in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kpr_sender import states
from kpr_sender.errors import InternalError, LastError, NeedsPerson
from kpr_sender.journal import rows, sql
from kpr_sender.journal.admission import alarm_open, pruned_away
from kpr_sender.journal.database import Database, StoredRow, Value
from kpr_sender.journal.values import CREATED, NewShipment, NewSubmission
from kpr_sender.model import Shipment, Transport
from kpr_sender.states import Cause, Change, HistoryLine, Lifecycle, ShipmentState, Trigger
from kpr_sender.texts import Text

NOTHING: Final[Mapping[str, str | int]] = {}
NO_CHANGE: Final[Mapping[str, Value]] = {}

_BY_MAIL: Final[Mapping[Cause, Text]] = {
    Cause.ACCEPTED: Text("The mail server has taken it."),
    Cause.NOT_SENT: Text("It is certain that the mail server does not have it."),
}
"""What the history says of a mail where the rule book's own words are about the bus."""

# What another version of a shipment never changes, and what only a person's word may change.
_CONTENT: Final = ("type", "payload_sha256", "payload_bytes", "lopenr")
_MESSAGE: Final = ("msg_id", "message_id", "receiver_her_id", "hodemelding_sha256")


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction.

    Attributes:
        connection: Where the transaction is open.
        at: The transaction's time: one for all it writes; aware.
        who: The person or account that events are written for.
    """

    connection: Database
    at: datetime
    who: str

    def lifecycle(self, msg_id: str) -> Lifecycle:
        """Return how far a shipment has come."""
        return rows.lifecycle_of(rows.shipment_row(self.connection, msg_id))

    def shipment(self, msg_id: str) -> Shipment:
        """Return a shipment as it is now."""
        return rows.read_shipment(self.connection, rows.shipment_row(self.connection, msg_id))

    def apply(  # noqa: PLR0913 - what may be said of it
        self,
        msg_id: str,
        cause: Cause,
        *,
        error: LastError | None = None,
        why: str = "",
        who: str = "",
        evidence: Mapping[str, str | int] = NOTHING,
        arrival: states.Arrival | None = None,
        message_id: str = "",
        version: Mapping[str, Value] = NO_CHANGE,
        same_ids: bool = False,
    ) -> Change:
        """Let something happen to a shipment; the other arguments are those of ``states.Trigger``.

        ``msg_id`` is one that the shipment has or had, ``message_id`` the one it is about where it is about one, and
        ``version`` what makes it another version, by column.

        Raises:
            ImpossibleTransition: The rules do not have it.
        """
        row = rows.shipment_row(self.connection, msg_id)
        if not why and cause in _BY_MAIL and rows.envelope_of(row["envelope"]).transport is Transport.EDI:
            why = _BY_MAIL[cause]
        earlier = msg_id != row["msg_id"] or message_id not in {"", row["message_id"]}
        trigger = Trigger(cause, self.at, error, why, who, evidence, arrival, earlier, same_ids)
        change = states.apply(rows.lifecycle_of(row), trigger)
        self.write(msg_id, row, change, version)
        return change

    def write(self, msg_id: str, row: StoredRow, change: Change, version: Mapping[str, Value] = NO_CHANGE) -> None:
        """Write a change, provided that the shipment is still in the state it was read in.

        Args:
            msg_id: The MsgId that the history's lines are about.
            row: The shipment as it was read.
            change: Its life from now on, and the lines.
            version: What makes it another version, by column; what it was is stored.
        """
        read = rows.lifecycle_of(row)
        before = rows.lifecycle_columns(read)
        columns = {name: value for name, value in rows.lifecycle_columns(change.after).items() if value != before[name]}
        for line in change.lines:  # first: the tables let bytes be exchanged by a person's word that is in the history
            self.note(msg_id, line)
        if version:
            at = rows.time_text(self.at)
            sql.store_version(self.connection, row, at)
            columns = {**columns, **version, "since": at}
        if columns:
            changed = sql.change_shipment(self.connection, row["shipment_id"], columns, state_read=read.state)
            if not changed:
                raise InternalError(
                    Text("Shipment {msg_id} was moved by another process at the same moment.", msg_id=msg_id)
                )
        if "msg_id" in version:
            self.connection.execute(sql.ADD_MSG_ID, (version["msg_id"], row["shipment_id"]))

    def note(self, msg_id: str, line: HistoryLine) -> None:
        """Write a line of the history."""
        old, new = line.moved or (None, None)
        sql.insert(
            self.connection,
            "event",
            {
                "at": rows.time_text(self.at),
                "msg_id": msg_id,
                "what": line.what,
                "why": line.why,
                "who": line.who or self.who,
                "from_state": old,
                "to_state": new,
                "details": rows.details_text(line.details),
            },
        )

    def create(self, shipment: NewShipment, submission: NewSubmission, columns: Mapping[str, Value]) -> None:
        """Write a new shipment of a submission (``columns``) with its sealed bytes, and who accepted which findings."""
        msg_id, who = shipment.msg_id, submission.by
        sealed_id, digest = write_sealed(self.connection, shipment)
        fixed = rows.new_shipment_columns(columns, shipment, rows.time_text(self.at))
        shipment_id = sql.insert(
            self.connection, "shipment", {**fixed, "sealed_id": sealed_id, "sealed_sha256": digest}
        )
        self.connection.execute(sql.ADD_MSG_ID, (msg_id, shipment_id))
        certificates = rows.certificate_columns(shipment.certificates)
        details = {
            "submission": submission.submission_id,
            "sealed_sha256": digest,
            **certificates,
            **_file_details(shipment),
            **({"replaces": submission.replaces} if submission.replaces else {}),
        }
        why = submission.reason.strip() or Text("A new submission.")
        self.note(msg_id, HistoryLine(CREATED, why, who, (None, ShipmentState.SEALED), details))
        if submission.accepted:
            why = Text(
                "{count} finding of the check was read and accepted.",
                plural="{count} findings of the check were read and accepted.",
                count=sum(submission.accepted.values()),
            )
            self.note(msg_id, HistoryLine("findings-accepted", why, who, details=submission.accepted))

    def keep(self, shipment: Shipment, submission: NewSubmission) -> None:
        """Let a new submission keep a half of what it replaces; ``InternalError`` where FHI does not have it."""
        row = rows.shipment_row(self.connection, shipment.msg_id)
        if not states.is_kept(rows.lifecycle_of(row)):
            raise InternalError(
                Text("{msg_id} is {row}: only what FHI has is kept.", msg_id=shipment.msg_id, row=row["state"])
            )
        self.connection.execute(sql.KEEP, (submission.submission_id, row["shipment_id"]))
        details = {"by_submission": submission.submission_id}
        self.note(shipment.msg_id, HistoryLine("kept", submission.reason.strip(), submission.by, details=details))

    def reseal(self, new: NewShipment, *, why: str) -> None:
        """Do as ``Journal.reseal`` says (promises G1 to G3).

        Nothing of that name has left this machine, so other bytes under it are no second version of anything: whatever
        names them outside, the bus's ledger and FHI, will have seen only one. The old bytes stay. What a person has let
        go again may become another message, and gets another message-id where it was offered under the present one.
        """
        row = self._unpruned(new.msg_id)
        shipment = rows.lifecycle_of(row)
        let_go = self.connection.execute(sql.LET_GO_BEFORE, (row["shipment_id"],)).fetchone() is not None
        receipts = () if let_go else self.connection.execute(sql.RECEIPTS_OF, (new.msg_id,))
        answered = any(receipt["verified"] for receipt in receipts)  # else it is whatever anybody put on our queue
        if shipment.needs_person or shipment.alarm or answered:
            raise answered_unsent(new.msg_id, "sealed anew", shipment.alarm)
        if not states.may_be_published(shipment):
            raise InternalError(
                Text("{msg_id} is {state}: it is not sealed anew.", msg_id=new.msg_id, state=shipment.state.value)
            )
        _require_same(row, new, _CONTENT if let_go else _CONTENT + _MESSAGE)
        if new.message_id == row["message_id"] and states.was_offered(shipment):
            raise InternalError(
                Text("{msg_id} was offered before, so that its bytes must not change.", msg_id=new.msg_id)
            )
        if not let_go and rows.envelope_of(row["envelope"]) != new.envelope:
            raise _another(new)
        version, details = self._sealed_anew(row, new)
        self.write(new.msg_id, row, states.resealed(shipment, why=why, details=details), version)

    def resend(self, msg_id: str, new: NewShipment, *, not_arrived: bool, why: str, who: str) -> None:
        """Do as ``Journal.resend`` says (promises G1 and G3)."""
        row = self._unpruned(msg_id)
        _require_same(row, new, _CONTENT)
        version, details = self._sealed_anew(row, new)
        cause = Cause.PERSON_NOT_ARRIVED if not_arrived else Cause.PERSON_RESENDS
        self.apply(row["msg_id"], cause, why=why, who=who, evidence=details, version=version)

    def let_go(self, msg_id: str, message_id: str, *, why: str, who: str) -> None:
        """Do as ``Journal.let_go`` says: the same sealed bytes, under another message-id but for a mail's."""
        row = self._unpruned(msg_id)
        if message_id == row["message_id"]:
            self.apply(row["msg_id"], Cause.PERSON_NOT_ARRIVED, why=why, who=who, same_ids=True)
            return
        envelope = rows.envelope_of(row["envelope"])
        if envelope.transport is Transport.AMQP:  # a mail is sealed anew before it goes: ``Resealer``
            envelope = replace(envelope, correlation_id=message_id)
        version = {"message_id": message_id, "envelope": rows.envelope_text(envelope)}
        details = _ids(row, version)
        self.apply(row["msg_id"], Cause.PERSON_NOT_ARRIVED, why=why, who=who, evidence=details, version=version)

    def _unpruned(self, msg_id: str) -> StoredRow:
        """Return the row of a shipment that is to go again; what was pruned does not (``UsageError``)."""
        row = rows.shipment_row(self.connection, msg_id)
        if rows.read_shipment(self.connection, row).pruned_at is not None:
            raise pruned_away(msg_id)
        return row

    def _sealed_anew(self, row: StoredRow, new: NewShipment) -> tuple[dict[str, Value], dict[str, str | int]]:
        """Write other sealed bytes for a shipment; return its columns from now on, and what the history says of it."""
        sealed_id, digest = write_sealed(self.connection, new)
        version = {**rows.new_version_columns(new), "sealed_id": sealed_id, "sealed_sha256": digest}
        return version, {**_ids(row, version), **_sealed_details(row, version), **_file_details(new)}


def answered_unsent(msg_id: str, what: str, alarm: str) -> NeedsPerson:
    """Return the error for a sealed shipment that an answer of FHI's keeps from being sent.

    Args:
        msg_id: Which shipment.
        what: What is not done with it: ``sent``.
        alarm: The answer to somebody else's message, in a sentence; empty where it is one to this.
    """
    if alarm:
        return alarm_open(alarm, msg_id, Text("{msg_id} is not {what}", msg_id=msg_id, what=what))
    return NeedsPerson(
        Text(
            "An answer has come to {msg_id}, which the journal holds as not sent: it is not {what}.",
            msg_id=msg_id,
            what=what,
        ),
        next_step=Text("Ask kpr@fhi.no whether the MsgId has arrived."),
    )


def _require_same(row: StoredRow, new: NewShipment, names: Sequence[str]) -> None:
    if any(row[name] != getattr(new, name) for name in names):
        raise _another(new)


def _another(new: NewShipment) -> InternalError:
    return InternalError(Text("What is sealed anew as {msg_id} is another shipment than before.", msg_id=new.msg_id))


def _sealed_details(row: StoredRow, version: Mapping[str, Value]) -> dict[str, str | int]:
    """Return what the history says of bytes that are exchanged."""
    names = ("sealed_sha256", "encryption_sha1", "encryption_serial", "signing_sha1", "signing_serial")
    before = {f"was_{name}": row[name] for name in ("sealed_sha256", "encryption_sha1") if row[name] is not None}
    return {**before, **{name: str(version[name]) for name in names}}


def _file_details(new: NewShipment) -> dict[str, str]:
    return {} if new.file is None else {"file_name": new.file.name, "file_sha256": new.file.sha256}


def _ids(row: StoredRow, version: Mapping[str, Value]) -> dict[str, str | int]:
    """Return what the history says of ids that are exchanged."""
    changed = [name for name in ("msg_id", "message_id") if version.get(name, row[name]) != row[name]]
    return {f"was_{name}": row[name] for name in changed} | {name: str(version[name]) for name in changed}


def write_sealed(connection: Database, new: NewShipment) -> tuple[int, str]:
    """Stream a shipment's sealed bytes into a row of their own; memory stays flat whatever their size.

    Args:
        connection: With the creating transaction open.
        new: Says how many bytes come, and yields them.

    Returns:
        The row's id, and the SHA-256 of what was written.

    Raises:
        InternalError: More or fewer bytes came than announced.
    """
    digest = hashlib.sha256()
    written = 0

    def counted() -> Iterator[bytes | memoryview]:
        nonlocal written
        for chunk in new.sealed:
            written += len(chunk)
            if written > new.sealed_bytes:
                raise InternalError(
                    Text(
                        "The sealed {norwegian} is more than the {sealed_bytes} announced.",
                        norwegian=new.type.norwegian,
                        sealed_bytes=new.sealed_bytes,
                    )
                )
            digest.update(chunk)
            yield chunk

    sealed_id = connection.add_sealed(new.sealed_bytes, counted())
    if written != new.sealed_bytes:
        raise InternalError(
            Text(
                "The sealed {norwegian} is {written} bytes, not the {sealed_bytes} announced.",
                norwegian=new.type.norwegian,
                written=written,
                sealed_bytes=new.sealed_bytes,
            )
        )
    return sealed_id, digest.hexdigest()
