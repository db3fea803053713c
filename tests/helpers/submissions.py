"""Submissions made by hand, in any pair of states, and what is known of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kpr_sender.errors import LastError
from kpr_sender.model import Environment, MessageType, Receipt, ReceiptError, Shipment, Submission
from kpr_sender.report import Report
from kpr_sender.states import ReceiptStatus, ShipmentState

AT = datetime(2025, 1, 10, 12, 0, tzinfo=UTC)
DAY = 24 * 3600.0


def receipt(*, verified: bool, problem: str = "", status: ReceiptStatus = ReceiptStatus.OK) -> Receipt:
    """Return a receipt; an error's OT names somebody."""
    errors = (ReceiptError("T02", "2.16.578.1.12.4.1.1.8221", "XML validerer ikke", "KARI NORDMANN"),)
    return Receipt(1, "m-1", status, errors if status is not ReceiptStatus.OK else (), verified, problem, AT)


def shipment(
    message_type: MessageType,
    state: ShipmentState,
    *,
    receipts: tuple[Receipt, ...] = (),
    last_error: LastError | None = None,
    needs_person: bool = False,
) -> Shipment:
    """Return a shipment that was published once."""
    return Shipment(
        msg_id=f"msg-{message_type}",
        submission_id="2024-1",
        type=message_type,
        state=state,
        message_id=f"amqp-{message_type}",
        receiver_her_id=171479,
        payload_sha256="0" * 64,
        sealed_sha256="1" * 64,
        sealed_bytes=1234,
        attempts=1,
        created_at=AT,
        published_at=AT,
        receipts=receipts,
        last_error=last_error,
        needs_person=needs_person,
    )


def pair(first: Shipment | ShipmentState, second: Shipment | ShipmentState) -> Submission:
    """Return a submission of two shipments, or of one in each of two states."""
    made = tuple(
        one if isinstance(one, Shipment) else shipment(message_type, one)
        for message_type, one in zip(MessageType, (first, second), strict=True)
    )
    return Submission("2024-1", Environment.VALIDERING, 900002, "9999", "00", 2024, AT, made)


def told(submission: Submission, *, later: timedelta = timedelta(0)) -> Report:
    """Return what is known of a submission, so long after it was published."""
    return Report(submission, overdue_after=DAY, asked_at=AT + later)
