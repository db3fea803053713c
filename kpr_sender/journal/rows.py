"""Rows to values and back."""

from __future__ import annotations

import dataclasses
import functools
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from kpr_sender.journal.failures import Unreadable
from kpr_sender.journal.port import JournalEvent, NewShipment, NewSubmission, ReceiptDocument
from kpr_sender.model import (
    CertificateName,
    Certificates,
    Envelope,
    Environment,
    LastError,
    MessageType,
    Receipt,
    ReceiptError,
    Shipment,
    Submission,
)
from kpr_sender.states import ReceiptStatus, ShipmentState

Value = str | int | bytes | None
_P = ParamSpec("_P")
_T = TypeVar("_T")


def _as_written(read: Callable[_P, _T]) -> Callable[_P, _T]:
    """Rows are ours: what does not read back is not as it was written."""

    @functools.wraps(read)
    def reading(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return read(*args, **kwargs)
        except (ValueError, TypeError, KeyError, AttributeError):
            what = read.__name__.removesuffix("_of")
            raise Unreadable(f"a row that holds a {what} does not read back") from None  # it may quote the row (G6)

    return reading


def time_text(at: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds, so that texts sort as times do.

    Args:
        at: An aware time.

    Raises:
        ValueError: It has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("a time without a time zone")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def time_of(text: str) -> datetime:
    """Return the time that ``time_text`` wrote."""
    return datetime.fromisoformat(text).astimezone(UTC)


def envelope_text(envelope: Envelope) -> str:
    """Return the envelope as JSON."""
    return json.dumps(dataclasses.asdict(envelope) | {"properties": dict(envelope.properties)}, ensure_ascii=False)


@_as_written
def envelope_of(text: str) -> Envelope:
    """Return the envelope that ``envelope_text`` wrote."""
    return Envelope(**json.loads(text))


def errors_text(errors: Sequence[ReceiptError]) -> str:
    """Return an AppRec's errors as JSON."""
    return json.dumps([dataclasses.asdict(error) for error in errors], ensure_ascii=False)


def details_text(details: Mapping[str, str | int]) -> str:
    """Return an event's evidence as JSON."""
    return json.dumps(dict(details), ensure_ascii=False)


def submission_row(new: NewSubmission, at: str) -> dict[str, Value]:
    """Return a new submission's columns."""
    return {
        "submission_id": new.submission_id,
        "environment": new.environment.value,
        "sender_her_id": new.sender_her_id,
        "kommunenummer": new.kommunenummer,
        "bydel": new.bydel,
        "year": new.year,
        "created_at": at,
        "created_by": new.by,
        "replaces": new.replaces,
        "reason": new.reason.strip(),
    }


def shipment_row(submission: NewSubmission, new: NewShipment, at: str) -> dict[str, Value]:
    """Return a new shipment's columns, but for those of the sealed bytes' table."""
    return {
        "submission_id": submission.submission_id,
        "environment": submission.environment.value,
        "sender_her_id": submission.sender_her_id,
        "year": submission.year,
        "type": new.type.value,
        "msg_id": new.msg_id,
        "message_id": new.message_id,
        "receiver_her_id": new.receiver_her_id,
        "envelope": envelope_text(new.envelope),
        "payload_sha256": new.payload_sha256,
        "payload_bytes": new.payload_bytes,
        "lopenr": new.lopenr,
        "hodemelding_sha256": new.hodemelding_sha256,
        **certificate_columns(new.certificates),
        "sealed_bytes": new.sealed_bytes,
        "created_at": at,
        "state": ShipmentState.SEALED.value,
    }


def certificate_columns(certificates: Certificates) -> dict[str, str]:
    """Return the columns that say what a shipment is sealed with."""
    return {
        "encryption_sha1": certificates.encryption.sha1,
        "encryption_serial": certificates.encryption.serial,
        "signing_sha1": certificates.signing.sha1,
        "signing_serial": certificates.signing.serial,
    }


def _certificate_of(row: sqlite3.Row, use: str) -> CertificateName | None:
    sha1 = row[f"{use}_sha1"]
    return None if sha1 is None else CertificateName(sha1, row[f"{use}_serial"])


def _certificates_of(row: sqlite3.Row) -> Certificates | None:
    encryption, signing = _certificate_of(row, "encryption"), _certificate_of(row, "signing")
    return None if encryption is None or signing is None else Certificates(encryption, signing)


@_as_written
def submission_of(row: sqlite3.Row, shipments: Sequence[Shipment]) -> Submission:
    """Return a submission."""
    return Submission(
        submission_id=row["submission_id"],
        environment=Environment(row["environment"]),
        sender_her_id=row["sender_her_id"],
        kommunenummer=row["kommunenummer"],
        bydel=row["bydel"],
        year=row["year"],
        created_at=time_of(row["created_at"]),
        shipments=tuple(shipments),
        replaces=row["replaces"],
        reason=row["reason"],
    )


@_as_written
def shipment_of(row: sqlite3.Row, receipts: Sequence[Receipt]) -> Shipment:
    """Return a shipment."""
    code = row["last_error_code"]
    return Shipment(
        msg_id=row["msg_id"],
        submission_id=row["submission_id"],
        type=MessageType(row["type"]),
        state=ShipmentState(row["state"]),
        message_id=row["message_id"],
        receiver_her_id=row["receiver_her_id"],
        payload_sha256=row["payload_sha256"],
        sealed_sha256=row["sealed_sha256"],
        sealed_bytes=row["sealed_bytes"],
        attempts=row["attempts"],
        created_at=time_of(row["created_at"]),
        published_at=None if row["published_at"] is None else time_of(row["published_at"]),
        receipts=tuple(receipts),
        last_error=None if code is None else LastError(code, row["last_error_text"]),
        needs_person=bool(row["needs_person"]),
        certificates=_certificates_of(row),
        hodemelding_sha256=row["hodemelding_sha256"] or "",
    )


@_as_written
def receipt_of(row: sqlite3.Row) -> Receipt:
    """Return a receipt."""
    return Receipt(
        receipt_id=row["receipt_id"],
        msg_id=row["msg_id"],
        status=None if row["status"] is None else ReceiptStatus(row["status"]),
        errors=tuple(ReceiptError(**error) for error in json.loads(row["errors"])),
        verified=bool(row["verified"]),
        problem=row["problem"],
        received_at=time_of(row["received_at"]),
        signer=_certificate_of(row, "signer"),
    )


@_as_written
def document_of(row: sqlite3.Row) -> ReceiptDocument:
    """Return a receipt with what came."""
    return ReceiptDocument(receipt=receipt_of(row), xml=row["xml"], sealed=row["sealed"])


@_as_written
def event_of(row: sqlite3.Row) -> JournalEvent:
    """Return a line of the history."""
    moved = {"from": row["from_state"], "to": row["to_state"]}
    return JournalEvent(
        at=time_of(row["at"]),
        msg_id=row["msg_id"],
        what=row["what"],
        why=row["why"],
        who=row["who"],
        details={name: state for name, state in moved.items() if state is not None} | json.loads(row["details"]),
    )
