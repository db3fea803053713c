"""Reading the journal, whichever database it is in, without changing it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal import rows, sql
from kpr_sender.journal.database import Database, Store, Value
from kpr_sender.journal.values import JournalEvent, NewSubmission, NoticeRecord, ReceiptDocument, SubmissionEntry
from kpr_sender.model import (
    Envelope,
    Environment,
    MessageType,
    Receipt,
    Shipment,
    Submission,
)
from kpr_sender.texts import Text

_WHO_PRUNED: Final = Text("kpr-send journal log says who decided it and why.")


class SqlView:
    """A ``JournalView`` on an open store; also a context manager that closes it. ``refused`` is the database's own."""

    def __init__(self, store: Store, environment: Environment) -> None:
        """Made by the storages only."""
        self._store = store
        self._environment = environment

    def submission(self, submission_id: str) -> Submission | None:
        """Return the submission with its shipments and their receipts."""
        with self._store.reading() as connection:
            return rows.read_submission(connection, submission_id)

    def submissions(self) -> tuple[Submission, ...]:
        """Return all submissions, the newest first."""
        with self._store.reading() as connection:
            ids = [row["submission_id"] for row in connection.execute(sql.SUBMISSION_IDS)]
            return tuple(filter(None, (rows.read_submission(connection, submission_id) for submission_id in ids)))

    def entries(self) -> tuple[SubmissionEntry, ...]:
        """Return what one chooses by among all submissions, the newest first."""
        with self._store.reading() as connection:
            return tuple(map(rows.entry_of, connection.execute(sql.SUBMISSION_ENTRIES)))

    def perhaps_open(self) -> frozenset[str]:
        """Return the ids of the submissions of which more may be known than that all is delivered."""
        with self._store.reading() as connection:
            return frozenset(row["submission_id"] for row in connection.execute(sql.PERHAPS_OPEN))

    def by_payloads(
        self,
        *,
        environment: Environment,
        sender_her_id: int,
        kommunenummer: str,
        bydel: str,
        year: int,
        payload_sha256: Mapping[MessageType, str],
    ) -> Submission | None:
        """Return the submission that has exactly these payloads, whichever HER-id it was made under."""
        columns: dict[str, Value] = {
            "environment": environment.value,
            "sender_her_id": sender_her_id,
            "kommunenummer": kommunenummer,
            "bydel": bydel,
            "year": year,
        }
        with self._store.reading() as connection:
            holders = [
                holders_of_payload(connection, columns, message_type, digest)
                for message_type, digest in payload_sha256.items()
            ]
            for submission_id in holders[0] if holders else ():
                if any(submission_id not in others for others in holders):
                    continue
                found = rows.present(rows.read_submission(connection, submission_id))
                if {shipment.type for shipment in found.shipments} == set(payload_sha256):
                    return found
            return None

    def shipment(self, msg_id: str) -> Shipment | None:
        """Return the shipment that has or had this MsgId, in lower case."""
        return self._one_shipment(sql.SHIPMENT, (msg_id,))

    def shipment_by_message_id(self, message_id: str) -> Shipment | None:
        """Return the shipment that has or had this AMQP message-id: what error-queue messages name."""
        return self._one_shipment(sql.SHIPMENT_BY_MESSAGE_ID, {"message_id": message_id})

    def envelope(self, msg_id: str) -> Envelope:
        """Return what stands outside the sealed bytes."""
        with self._store.reading() as connection:
            return rows.envelope_of(rows.shipment_row(connection, msg_id)["envelope"])

    def sealed(self, msg_id: str) -> bytes:
        """Return the sealed bytes, checked against their digest."""
        with self._store.reading() as connection:
            row = rows.shipment_row(connection, msg_id)
            sealed = b"".join(connection.sealed(row["sealed_id"], at_once=True) or ())
            if not sealed and rows.read_shipment(connection, row).pruned_at is not None:
                raise JournalUnwritable(
                    Text("The sealed bytes of {msg_id} were removed by a person's decision.", msg_id=msg_id),
                    next_step=_WHO_PRUNED,
                )
            if hashlib.sha256(sealed).hexdigest() != row["sealed_sha256"]:
                raise self._store.damaged(
                    Text("the sealed bytes of {msg_id} are not those that were written", msg_id=msg_id)
                )
            return sealed

    def events(self, msg_id: str | None) -> tuple[JournalEvent, ...]:
        """Return the history of one shipment, or of all, the oldest first."""
        with self._store.reading() as connection:
            found = connection.execute(sql.EVENTS) if msg_id is None else connection.execute(sql.EVENTS_OF, (msg_id,))
            return tuple(rows.event_of(row) for row in found)

    def receipt_documents(self, submission_id: str, *, verified_only: bool = False) -> tuple[ReceiptDocument, ...]:
        """Return the submission's receipts as they came, the oldest first."""
        with self._store.reading() as connection:
            wanted: dict[str, Value] = {"submission_id": submission_id, "verified": int(verified_only)}
            found = connection.execute(sql.RECEIPT_DOCUMENTS, wanted)
            return tuple(rows.document_of(row) for row in found)

    def receipt_document(self, receipt_id: int) -> ReceiptDocument | None:
        """Return one receipt as it came."""
        with self._store.reading() as connection:
            row = connection.execute(sql.RECEIPT, (receipt_id,)).fetchone()
            return None if row is None else rows.document_of(row)

    def unverified_receipts(self) -> tuple[int, ...]:
        """Return the numbers of the receipts whose evaluation may still change something, the oldest first."""
        with self._store.reading() as connection:
            return tuple(row["receipt_id"] for row in connection.execute(sql.UNVERIFIED_RECEIPTS))

    def unverified_stored(self, msg_id: str | None) -> tuple[int, int]:
        """Return how many unverified receipts name a shipment, or none at all, and how many bytes they take."""
        with self._store.reading() as connection:
            row = connection.execute(sql.UNVERIFIED_STORED, {"msg_id": msg_id}).fetchone()
            return row["number"], row["bytes"]

    def stored_receipt(self, sealed: bytes, msg_id: str) -> Receipt | None:
        """Return the receipt that came as these bytes."""
        with self._store.reading() as connection:
            wanted = {"sealed_sha256": hashlib.sha256(sealed).hexdigest(), "msg_id": msg_id}
            row = connection.execute(sql.STORED_RECEIPT, wanted).fetchone()
            return None if row is None else rows.receipt_of(row)

    def unfinished_pruning(self) -> tuple[Receipt, ...] | None:
        """Return the receipts whose copies may be left of a pruning that is not finished; None where none is."""
        with self._store.reading() as connection:
            if not connection.execute(sql.IS_UNFINISHED).fetchone()["pruning_unfinished"]:
                return None
            return tuple(rows.receipt_of(row) for row in connection.execute(sql.PRUNED_RECEIPTS))

    def has_forgotten(self, msg_id: str) -> bool:
        """Tell whether a shipment was begun before this journal was restored, and is not in it."""
        with self._store.reading() as connection:
            return connection.execute(sql.HAS_FORGOTTEN, (msg_id,)).fetchone() is not None

    def decisions(self) -> tuple[JournalEvent, ...]:
        """Return what persons decided of the journal as a whole, the oldest first."""
        with self._store.reading() as connection:
            found = [rows.decision_of(row) for row in connection.execute(sql.DECISIONS_OF_JOURNAL)]
        return tuple(found)

    def notices(self) -> tuple[NoticeRecord, ...]:
        """Return what persons were told, and what waits to be sent again."""
        with self._store.reading() as connection:
            return tuple(rows.notice_of(row) for row in connection.execute(sql.NOTICES))

    def refused(self) -> JournalUnwritable | None:
        """Return why it may not be written to; None where it may."""
        raise NotImplementedError

    def close(self) -> None:
        """Close it; twice is harmless."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _one_shipment(self, statement: str, name: tuple[str] | dict[str, str]) -> Shipment | None:
        with self._store.reading() as connection:
            row = connection.execute(statement, name).fetchone()
            return None if row is None else rows.read_shipment(connection, row)


def holders_of_payload(
    connection: Database, columns: Mapping[str, Value], message_type: MessageType, payload_sha256: str
) -> list[str]:
    """Return the ids of the submissions that hold this payload: those it was made for, then those that keep it.

    What makes two submissions the same is environment, kommunenummer, bydel, year, type and payload. The HER-id that a
    message was sent from is none of it: it may be corrected. What has it comes first.

    Args:
        connection: To the journal.
        columns: ``environment``, ``sender_her_id``, ``kommunenummer``, ``bydel`` and ``year``.
        message_type: Of the payload.
        payload_sha256: Its digest.
    """
    key = {**columns, "type": message_type.value, "payload_sha256": payload_sha256}
    rows = connection.execute(sql.HOLDERS_OF_PAYLOAD, key).fetchall()
    made_for = dict.fromkeys(row["submission_id"] for row in rows)
    return [*made_for, *(row["kept_by"] for row in rows if row["kept_by"] is not None)]


def latest_submission(connection: Database, columns: Mapping[str, Value]) -> Submission | None:
    """Return the newest submission of a municipality's year, whichever HER-id it was made under; None for none."""
    row = connection.execute(sql.LATEST_SUBMISSION, columns).fetchone()
    return None if row is None else rows.read_submission(connection, row["submission_id"])


def same_payload(
    connection: Database, new: NewSubmission, columns: Mapping[str, Value]
) -> dict[MessageType, Submission]:
    """Return the submissions that have payloads of a new one already, by type."""
    found = {}
    for shipment in new.shipments:
        holders = holders_of_payload(connection, columns, shipment.type, shipment.payload_sha256)
        if holders:
            found[shipment.type] = rows.present(rows.read_submission(connection, holders[0]))
    return found
