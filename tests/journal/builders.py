"""What the journal's tests are made of: a clock, new submissions, receipts, and a replay of the history."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from kpr_sender.journal.port import Journal
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.journal.values import JournalEvent, NewShipment, NewSubmission
from kpr_sender.model import CertificateName, Certificates, Envelope, Environment, MessageType, Receipt, Shipment
from kpr_sender.states import CAUSE_OF_STATUS, Cause, ReceiptStatus, ShipmentState, after

START: Final = datetime(2025, 1, 10, 12, 0, 0, 250, tzinfo=UTC)
_numbers = itertools.count(1)


@dataclass
class Clock:
    """Time that passes a second at each look."""

    at: datetime = START
    looks: int = field(default=0)

    def __call__(self) -> datetime:
        self.looks += 1
        return self.at + timedelta(seconds=self.looks)


def open_journal(path: Path, environment: Environment = Environment.LOKAL) -> SqliteJournal:
    return SqliteJournal.open(path, environment, now=Clock(), who="vakt")


def content_of(msg_id: str, size: int) -> bytes:
    block = hashlib.sha256(msg_id.encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def in_chunks(content: bytes, size: int = 1000) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


ENVELOPE: Final = Envelope(
    queue="171479_async",
    subject="KPR_IPL",
    reply_to="8140000_async",
    correlation_id="c1",
    content_type="application/pkcs7-mime",
    properties={"fromHerId": "8140000", "toHerId": "171479"},
)


CERTIFICATES: Final = Certificates(CertificateName("e" * 40, "01"), CertificateName("5" * 40, "02"))


def new_shipment(
    message_type: MessageType = MessageType.KPR_IPL,
    *,
    msg_id: str = "",
    payload: str = "",
    sealed_bytes: int = 5000,
    sealed: Iterable[bytes] | None = None,
) -> NewShipment:
    number = next(_numbers)
    msg_id = msg_id or f"{number:08x}-0000-4000-8000-000000000000"
    return NewShipment(
        type=message_type,
        msg_id=msg_id,
        message_id=f"bus-{msg_id}",
        receiver_her_id=171479,
        envelope=ENVELOPE,
        payload_sha256=hashlib.sha256((payload or msg_id).encode()).hexdigest(),
        payload_bytes=4000,
        lopenr="7",
        hodemelding_sha256="d" * 64,
        certificates=CERTIFICATES,
        sealed_bytes=sealed_bytes,
        sealed=in_chunks(content_of(msg_id, sealed_bytes)) if sealed is None else sealed,
    )


def new_submission(  # noqa: PLR0913 -- each test says the one it is about
    submission_id: str = "2024-aaaa0001",
    *,
    environment: Environment = Environment.LOKAL,
    sender_her_id: int = 8140000,
    kommunenummer: str = "4601",
    bydel: str = "00",
    year: int = 2024,
    replaces: str | None = None,
    reason: str = "",
    shipments: tuple[NewShipment, ...] = (),
) -> NewSubmission:
    return NewSubmission(
        accepted={},
        submission_id=submission_id,
        environment=environment,
        sender_her_id=sender_her_id,
        kommunenummer=kommunenummer,
        bydel=bydel,
        year=year,
        replaces=replaces,
        reason=reason,
        by="kari",
        shipments=shipments or (new_shipment(MessageType.KPR_IPL), new_shipment(MessageType.KPR_IDE)),
    )


def created(journal: Journal) -> Shipment:
    """A new pair's fagmelding, sealed."""
    return journal.create(new_submission()).shipments[0]


def brought_to(journal: Journal, state: ShipmentState) -> Shipment:
    """A new pair's fagmelding, brought to a state by the ways that lead there now."""
    msg_id = created(journal).msg_id
    if state is not ShipmentState.SEALED:
        journal.begin_publish(msg_id)
    if state not in {ShipmentState.SEALED, ShipmentState.PUBLISHING}:
        cause = Cause.NO_OUTCOME if state is ShipmentState.IN_DOUBT else Cause.ACCEPTED
        journal.end_publish(msg_id, cause, evidence={}, error=None)
    for status, cause in CAUSE_OF_STATUS.items():
        if after(ShipmentState.PUBLISHED, cause) is state:
            add_verified(journal, msg_id, status, sealed=b"the first answer")
    if state is ShipmentState.FAULTED:
        journal.fault(msg_id, condition="abc:tns-invalid", description="")
    shipment = journal.shipment(msg_id)
    assert shipment is not None
    assert shipment.state is state
    return shipment


def resent(journal: Journal, new: NewShipment, *, msg_id: str = "", message_id: str = "") -> Shipment:
    """What a person sends again, sealed anew, under the ids given or the MsgId it had and another message-id."""
    content = content_of(f"again {next(_numbers)}", 4500)
    again = dataclasses.replace(
        new,
        msg_id=msg_id or new.msg_id,
        message_id=message_id or f"again-{next(_numbers)}",
        sealed_bytes=len(content),
        sealed=in_chunks(content),
    )
    return journal.resend({new.msg_id: again}, reason="asked FHI", by="kari")[0]


def add_verified(journal: Journal, msg_id: str, status: ReceiptStatus, *, sealed: bytes) -> Receipt | None:
    return journal.add_receipt(
        msg_id,
        status=status,
        errors=(),
        verified=True,
        problem="",
        xml=b"<AppRec/>",
        sealed=sealed,
        cause=CAUSE_OF_STATUS[status],
    )


def add_unverified(journal: Journal, msg_id: str, *, sealed: bytes) -> Receipt | None:
    return journal.add_receipt(
        msg_id, status=None, errors=(), verified=False, problem="Unknown signer.", xml=None, sealed=sealed, cause=None
    )


def state_of(journal: Journal, msg_id: str) -> ShipmentState:
    shipment = journal.shipment(msg_id)
    assert shipment is not None
    return shipment.state


def replayed(events: Iterable[JournalEvent]) -> dict[str, ShipmentState]:
    """The present states, from the history alone; every step of it must be one of the table's ways."""
    states: dict[str, ShipmentState] = {}
    for event in events:
        if "to" not in event.details:
            continue
        if "from" in event.details:
            assert states[event.msg_id] == event.details["from"]
            states[event.msg_id] = after(states[event.msg_id], Cause(event.what))
        else:
            assert event.msg_id not in states
            states[event.msg_id] = ShipmentState.SEALED
        assert states[event.msg_id] == event.details["to"]
    return states
