"""Reading the journal."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from kpr_sender.errors import InternalError
from kpr_sender.journal import sql
from kpr_sender.journal.connection import Store
from kpr_sender.journal.port import JournalEvent, ReceiptDocument
from kpr_sender.journal.sqlite_errors import damaged
from kpr_sender.model import Envelope, Environment, MessageType, Shipment, Submission


class SqliteView:
    """A ``JournalView`` on an open file; also a context manager that closes it."""

    def __init__(self, store: Store, environment: Environment) -> None:
        """Made by ``SqliteJournal.open`` and ``SqliteJournal.open_readonly`` only."""
        self._store = store
        self._environment = environment

    def submission(self, submission_id: str) -> Submission | None:
        """Return the submission with its shipments and their receipts."""
        with self._store.reading() as connection:
            row = connection.execute(sql.SUBMISSION, (submission_id,)).fetchone()
            return None if row is None else read_submission(connection, row)

    def submissions(self) -> tuple[Submission, ...]:
        """Return all submissions, the newest first."""
        with self._store.reading() as connection:
            found = connection.execute(sql.SUBMISSIONS).fetchall()
            return tuple(read_submission(connection, row) for row in found)

    def by_payloads(
        self, *, environment: Environment, sender_her_id: int, year: int, payload_sha256: Mapping[MessageType, str]
    ) -> Submission | None:
        """Return the submission that has exactly these payloads."""
        with self._store.reading() as connection:
            holders = {
                holder_of_payload(connection, environment, sender_her_id, year, message_type, digest)
                for message_type, digest in payload_sha256.items()
            }
            submission_id = holders.pop() if len(holders) == 1 else None
            if submission_id is None:
                return None
            row = connection.execute(sql.SUBMISSION, (submission_id,)).fetchone()
            found = read_submission(connection, row)
            return found if {shipment.type for shipment in found.shipments} == set(payload_sha256) else None

    def shipment(self, msg_id: str) -> Shipment | None:
        """Return the shipment with this MsgId, in lower case."""
        return self._one_shipment(sql.SHIPMENT, msg_id)

    def shipment_by_message_id(self, message_id: str) -> Shipment | None:
        """Return the shipment with this AMQP message-id: what error-queue messages name."""
        return self._one_shipment(sql.SHIPMENT_BY_MESSAGE_ID, message_id)

    def envelope(self, msg_id: str) -> Envelope:
        """Return what stands outside the sealed bytes."""
        with self._store.reading() as connection:
            return sql.envelope_of(shipment_row(connection, msg_id)["envelope"])

    def sealed(self, msg_id: str) -> bytes:
        """Return the sealed bytes, checked against their digest."""
        with self._store.reading() as connection:
            row = shipment_row(connection, msg_id)
            sealed = b""
            if connection.execute(sql.SEALED_IS_THERE, (row["sealed_id"],)).fetchone() is not None:
                # Not by SELECT, which copies the bytes once more: ten times as slow, and twice the memory.
                with connection.blobopen("sealed", "bytes", row["sealed_id"], readonly=True) as blob:
                    sealed = blob.read()
            if hashlib.sha256(sealed).hexdigest() != row["sealed_sha256"]:
                raise damaged(self._store.path, f"the sealed bytes of {msg_id} are not those that were written")
            return sealed

    def events(self, msg_id: str | None) -> tuple[JournalEvent, ...]:
        """Return the history of one shipment, or of all, the oldest first."""
        with self._store.reading() as connection:
            found = connection.execute(sql.EVENTS) if msg_id is None else connection.execute(sql.EVENTS_OF, (msg_id,))
            return tuple(sql.event_of(row) for row in found)

    def receipt_documents(self, submission_id: str) -> tuple[ReceiptDocument, ...]:
        """Return the submission's receipts as they came, the oldest first."""
        with self._store.reading() as connection:
            found = connection.execute(sql.RECEIPT_DOCUMENTS, (submission_id,))
            return tuple(sql.document_of(row) for row in found)

    def close(self) -> None:
        """Close it; twice is harmless."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _one_shipment(self, statement: str, name: str) -> Shipment | None:
        with self._store.reading() as connection:
            row = connection.execute(statement, (name,)).fetchone()
            return None if row is None else read_shipment(connection, row)


def shipment_row(connection: sqlite3.Connection, msg_id: str) -> sqlite3.Row:
    """Return a shipment's row.

    Raises:
        InternalError: There is none: callers ask for what they have read.
    """
    row: sqlite3.Row | None = connection.execute(sql.SHIPMENT, (msg_id,)).fetchone()
    if row is None:
        raise InternalError(f"The journal has no shipment {msg_id}.")
    return row


def read_shipment(connection: sqlite3.Connection, row: sqlite3.Row) -> Shipment:
    """Return a shipment with its receipts."""
    receipts = connection.execute(sql.RECEIPTS_OF, (row["msg_id"],))
    return sql.shipment_of(row, [sql.receipt_of(receipt) for receipt in receipts])


def read_submission(connection: sqlite3.Connection, row: sqlite3.Row) -> Submission:
    """Return a submission with its shipments."""
    shipments = connection.execute(sql.SHIPMENTS_OF, (row["submission_id"],)).fetchall()
    return sql.submission_of(row, [read_shipment(connection, shipment) for shipment in shipments])


def holder_of_payload(
    connection: sqlite3.Connection,
    environment: Environment,
    sender_her_id: int,
    year: int,
    message_type: MessageType,
    payload_sha256: str,
) -> str | None:
    """Return the id of the submission that holds this payload, or None."""
    key = {
        "environment": environment.value,
        "sender_her_id": sender_her_id,
        "year": year,
        "type": message_type.value,
        "payload_sha256": payload_sha256,
    }
    row = connection.execute(sql.SHIPMENT_BY_PAYLOAD, key).fetchone()
    return None if row is None else str(row["submission_id"])
