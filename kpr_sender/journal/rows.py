"""Rows to values and back, and the few reads that join them."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, ParamSpec, TypeVar

from kpr_sender.errors import InternalError, LastError
from kpr_sender.journal import sql
from kpr_sender.journal.database import Database, StoredRow, Value
from kpr_sender.journal.stored_texts import as_words, from_json
from kpr_sender.journal.values import (
    PRUNED,
    JournalEvent,
    NewShipment,
    NewSubmission,
    NoticeRecord,
    ReceiptDocument,
    SubmissionEntry,
)
from kpr_sender.model import (
    CertificateName,
    Certificates,
    Envelope,
    Environment,
    ErrorMessage,
    MailNote,
    MessageType,
    NoteKind,
    Receipt,
    ReceiptError,
    Shipment,
    SourceFile,
    Submission,
    Transport,
    Version,
)
from kpr_sender.privacy import shown
from kpr_sender.states import REFUSING_SIGNALS, Cause, Lifecycle, ReceiptStatus, ShipmentState
from kpr_sender.texts import Text

NOTHING: Final[Mapping[str, Any]] = {}
_NOTICE_TIMES: Final = ("ended_at", "tried_at", "begin_sent_at", "end_sent_at")
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Unreadable(Exception):
    """A row does not read back: it is not as it was written."""


def _as_written(read: Callable[_P, _T]) -> Callable[_P, _T]:
    """Rows are ours: what does not read back is not as it was written."""

    @functools.wraps(read)
    def reading(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return read(*args, **kwargs)
        except (ValueError, TypeError, KeyError, AttributeError):
            what = read.__name__.removesuffix("_of")
            raise Unreadable(
                Text("a row that holds a {what} does not read back", what=what)
            ) from None  # it may quote the row (G6)

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
    stored = json.loads(text)
    return Envelope(**stored | {"transport": Transport(stored.get("transport", Transport.AMQP))})


def errors_text(errors: Sequence[ReceiptError]) -> str:
    """Return an AppRec's errors as JSON, clean and bounded."""
    return json.dumps(shown([dataclasses.asdict(error) for error in errors]), ensure_ascii=False)


def details_text(details: Mapping[str, str | int]) -> str:
    """Return an event's evidence as JSON, clean and bounded."""
    return json.dumps(shown(details), ensure_ascii=False)


def new_submission_columns(new: NewSubmission, at: str) -> dict[str, Value]:
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


def new_shipment_columns(submission: Mapping[str, Value], new: NewShipment, at: str) -> dict[str, Value]:
    """Return a new shipment's columns, but for those that say which its sealed bytes are.

    Args:
        submission: Its submission's columns.
        new: The shipment.
        at: The time now, as text.
    """
    return {
        **{name: submission[name] for name in ("submission_id", "environment", "sender_her_id", "year")},
        "type": new.type.value,
        "payload_sha256": new.payload_sha256,
        "payload_bytes": new.payload_bytes,
        "lopenr": new.lopenr,
        **new_version_columns(new),
        "created_at": at,
        "since": at,
        "state": ShipmentState.SEALED.value,
    }


def new_version_columns(new: NewShipment) -> dict[str, Value]:
    """Return what makes a version of a shipment, but for the columns that say which its sealed bytes are."""
    return {
        "msg_id": new.msg_id,
        "message_id": new.message_id,
        "receiver_her_id": new.receiver_her_id,
        "envelope": envelope_text(new.envelope),
        "hodemelding_sha256": new.hodemelding_sha256,
        **certificate_columns(new.certificates),
        "sealed_bytes": new.sealed_bytes,
    }


def certificate_columns(certificates: Certificates) -> dict[str, str]:
    """Return the columns that say what a shipment is sealed with."""
    return {
        "encryption_sha1": certificates.encryption.sha1,
        "encryption_serial": certificates.encryption.serial,
        "signing_sha1": certificates.signing.sha1,
        "signing_serial": certificates.signing.serial,
    }


def _certificate_of(row: StoredRow, use: str) -> CertificateName | None:
    sha1 = row[f"{use}_sha1"]
    return None if sha1 is None else CertificateName(sha1, row[f"{use}_serial"])


def _certificates_of(row: StoredRow) -> Certificates | None:
    encryption, signing = _certificate_of(row, "encryption"), _certificate_of(row, "signing")
    return None if encryption is None or signing is None else Certificates(encryption, signing)


@_as_written
def submission_of(row: StoredRow, shipments: Sequence[Shipment]) -> Submission:
    """Read a submission from its row."""
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
        reason=as_words(row["reason"]),
    )


def entry_of(row: StoredRow) -> SubmissionEntry:
    """Return what one chooses a submission by."""
    return SubmissionEntry(row["submission_id"], row["kommunenummer"], row["bydel"], row["year"], row["replaces"])


@_as_written
def lifecycle_of(row: StoredRow) -> Lifecycle:
    """Return how far a shipment has come."""
    return Lifecycle(**_lifecycle(row))


def lifecycle_columns(shipment: Lifecycle) -> dict[str, Value]:
    """Return the columns that ``lifecycle_of`` reads; ``alarm`` is none, the history has it."""
    published_at, error = shipment.published_at, shipment.last_error
    return {
        "state": shipment.state.value,
        "attempts": shipment.attempts,
        "earlier_attempts": shipment.earlier_attempts,
        "handed_over": int(shipment.handed_over),
        "published_at": None if published_at is None else time_text(published_at),
        "last_error_code": None if error is None else error.code,
        "last_error_text": None if error is None else error.text,
        "needs_person": int(shipment.needs_person),
        "settled": int(shipment.settled),
        "early_answer": shipment.early_answer,
        "acknowledged_at": None if shipment.acknowledged_at is None else time_text(shipment.acknowledged_at),
    }


def _lifecycle(row: StoredRow) -> dict[str, Any]:
    code, published_at, early_answer = row["last_error_code"], row["published_at"], row["early_answer"]
    # A journal of an earlier version is read as it is.
    acknowledged_at = row["acknowledged_at"] if "acknowledged_at" in row.keys() else None  # noqa: SIM118 - a row is no mapping
    return {
        "state": ShipmentState(row["state"]),
        "attempts": row["attempts"],
        "earlier_attempts": row["earlier_attempts"],
        "handed_over": bool(row["handed_over"]),
        "published_at": None if published_at is None else time_of(published_at),
        "last_error": None if code is None else LastError(code, as_words(row["last_error_text"])),
        "needs_person": bool(row["needs_person"]),
        "settled": bool(row["settled"]),
        "early_answer": None if early_answer is None else Cause(early_answer),
        "alarm": row["alarm"] or "",
        "acknowledged_at": None if acknowledged_at is None else time_of(acknowledged_at),
    }


@_as_written
def version_of(row: StoredRow) -> Version:
    """Return an earlier version of a shipment."""
    return Version(
        msg_id=row["msg_id"],
        message_id=row["message_id"],
        sealed_sha256=row["sealed_sha256"],
        since=time_of(row["since"]),
        until=time_of(row["until"]),
    )


@_as_written
def shipment_of(
    row: StoredRow,
    receipts: Sequence[Receipt] = (),
    earlier: Sequence[Version] = (),
    error_message: ErrorMessage | None = None,
    of_history: Mapping[str, Any] = NOTHING,
) -> Shipment:
    """Read a shipment from its row, with what was read of it elsewhere."""
    return Shipment(
        **of_history,
        **_lifecycle(row),
        msg_id=row["msg_id"],
        submission_id=row["submission_id"],
        type=MessageType(row["type"]),
        message_id=row["message_id"],
        receiver_her_id=row["receiver_her_id"],
        payload_sha256=row["payload_sha256"],
        sealed_sha256=row["sealed_sha256"],
        sealed_bytes=row["sealed_bytes"],
        created_at=time_of(row["created_at"]),
        receipts=tuple(receipts),
        certificates=_certificates_of(row),
        hodemelding_sha256=row["hodemelding_sha256"] or "",
        lopenr=as_words(row["lopenr"]),
        error_message=error_message,
        earlier=tuple(earlier),
        transport=envelope_of(row["envelope"]).transport,
    )


@_as_written
def known_by_history(events: Sequence[StoredRow], message_id: str) -> dict[str, Any]:
    """Return what only the history knows of a shipment, by ``Shipment``'s attributes, from its lines."""
    known: dict[str, Any] = {}
    noted: dict[NoteKind, MailNote] = {}
    for row in events:
        details = from_json(row["details"])
        if row["what"] == Cause.PERSON_NOT_ARRIVED:
            noted.clear()  # another mail goes, perhaps under the same id
        elif row["what"] == Cause.SIGNAL_NOTED and details.get("message_id") == message_id:
            kind = NoteKind(details.get("kind", NoteKind.OTHER))
            since = noted[kind].since if kind in noted else time_of(row["at"])
            noted[kind] = MailNote(kind, since, details.get("condition", ""), details.get("description", ""))
        if "file_sha256" in details:
            known["file"] = SourceFile(str(details["file_name"]), str(details["file_sha256"]))
        elif row["what"] == Cause.PERSON_ARRIVED:
            known["arrived_at"] = time_of(row["at"])
        elif row["what"] == PRUNED:
            known["pruned_at"] = time_of(row["at"])
    return known | {"noted": tuple(noted.values())}


@_as_written
def error_message_of(row: StoredRow) -> ErrorMessage:
    """Return what refused a shipment without being a receipt, from its line in the history."""
    details = from_json(row["details"])
    condition, description, data = (str(details.get(name, "")) for name in ("condition", "description", "data"))
    cause = next(one for one in (Cause.ERROR_QUEUE, *REFUSING_SIGNALS) if row["what"].startswith(one.value))
    return ErrorMessage(time_of(row["at"]), condition, description, data, cause)


def _flag(row: StoredRow, name: str) -> bool:
    return name in row.keys() and bool(row[name])  # noqa: SIM118 - a row is no mapping


@_as_written
def receipt_of(row: StoredRow) -> Receipt:
    """Read a receipt from its row."""
    return Receipt(
        receipt_id=row["receipt_id"],
        msg_id=row["msg_id"],
        status=None if row["status"] is None else ReceiptStatus(row["status"]),
        errors=tuple(ReceiptError(**error) for error in from_json(row["errors"])),
        verified=bool(row["verified"]),
        problem=as_words(row["problem"]),
        received_at=time_of(row["received_at"]),
        signer=_certificate_of(row, "signer"),
        discarded=_flag(row, "discarded"),
        pruned=_flag(row, "pruned"),
    )


@_as_written
def document_of(row: StoredRow) -> ReceiptDocument:
    """Return a receipt with what came."""
    return ReceiptDocument(receipt=receipt_of(row), xml=row["xml"], sealed=row["sealed"])


@_as_written
def event_of(row: StoredRow) -> JournalEvent:
    """Return a line of the history."""
    moved = {"from": row["from_state"], "to": row["to_state"]}
    return JournalEvent(
        at=time_of(row["at"]),
        msg_id=row["msg_id"],
        what=row["what"],
        why=as_words(row["why"]),
        who=as_words(row["who"]),
        details={name: state for name, state in moved.items() if state is not None} | from_json(row["details"]),
    )


@_as_written
def decision_of(row: StoredRow) -> JournalEvent:
    """Return a person's decision on the journal as a whole."""
    details = {"found": row["found"]} if row["found"] else {}
    return JournalEvent(time_of(row["at"]), row["msg_id"], row["what"], row["why"], row["who"], details)


@_as_written
def notice_of(row: StoredRow) -> NoticeRecord:
    """Return what a person was told of one thing."""
    times = {name: None if row[name] is None else time_of(row[name]) for name in _NOTICE_TIMES}
    return NoticeRecord(
        kind=row["kind"],
        subject=row["subject"],
        began_at=time_of(row["began_at"]),
        waits=frozenset(map(int, row["waits"].split())),
        unsure=frozenset(map(int, row["unsure"].split())),
        **times,
    )


def notice_columns(record: NoticeRecord) -> dict[str, str | None]:
    """Return the columns of what a person was told."""
    times = {name: getattr(record, name) for name in _NOTICE_TIMES}
    return {
        "kind": record.kind,
        "subject": record.subject,
        "began_at": time_text(record.began_at),
        "waits": " ".join(map(str, sorted(record.waits))),
        "unsure": " ".join(map(str, sorted(record.unsure))),
        **{name: None if at is None else time_text(at) for name, at in times.items()},
    }


def shipment_row(connection: Database, msg_id: str) -> StoredRow:
    """Return the row of the shipment that has or had a MsgId.

    Raises:
        InternalError: There is none: callers ask for what they have read.
    """
    row: StoredRow | None = connection.execute(sql.SHIPMENT, (msg_id,)).fetchone()
    if row is None:
        raise InternalError(Text("The journal has no shipment {msg_id}.", msg_id=msg_id))
    return row


def msg_ids_in_state(connection: Database, state: ShipmentState) -> tuple[str, ...]:
    """Return the MsgIds of the shipments in a state, in the order they were created in."""
    return tuple(row["msg_id"] for row in connection.execute(sql.SHIPMENTS_IN_STATE, (state.value,)))


def read_shipment(connection: Database, row: StoredRow) -> Shipment:
    """Return a shipment with the receipts for its present MsgId, and what it was before."""
    receipts = connection.execute(sql.RECEIPTS_OF, (row["msg_id"],))
    earlier = connection.execute(sql.VERSIONS_OF, (row["shipment_id"],))
    said = connection.execute(sql.ERROR_MESSAGE_OF, (row["msg_id"], row["since"])).fetchone()
    return shipment_of(
        row,
        [receipt_of(one) for one in receipts],
        [version_of(one) for one in earlier],
        said and error_message_of(said),
        known_by_history(connection.execute(sql.KNOWN_BY_HISTORY, (row["shipment_id"],)).fetchall(), row["message_id"]),
    )


def read_submission(connection: Database, submission_id: str) -> Submission | None:
    """Return a submission with its shipments; None where there is none."""
    row = connection.execute(sql.SUBMISSION, (submission_id,)).fetchone()
    if row is None:
        return None
    shipments = connection.execute(sql.SHIPMENTS_OF, {"submission_id": submission_id}).fetchall()
    return submission_of(row, [read_shipment(connection, shipment) for shipment in shipments])


def present(found: Submission | None) -> Submission:
    """Return a submission that the same transaction has just seen or written."""
    if found is None:
        raise InternalError(Text("The journal does not have what was just written to it."))
    return found
