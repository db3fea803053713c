"""What goes into a journal and what comes out of it, whatever it is stored in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from kpr_sender.model import (
    Certificates,
    Envelope,
    Environment,
    MessageType,
    NoteKind,
    Receipt,
    SourceFile,
)
from kpr_sender.states import PERSON_CAUSES

REVIEWED: Final = "reviewed"
"""What the event says of a submission whose data a person has looked at in FHI's feedback view."""
LOOK_ANYWAY: Final = "look-anyway"
"""The same of a look that a person asked for at a queue that others share (promise G8)."""
CREATED: Final = "created"
"""What the history calls a shipment's first line."""
RECEIPT_DISCARDED: Final = "receipt-discarded"
"""The same of an unverified receipt that counts no more."""
PRUNED: Final = "pruned"
"""The same of a shipment whose sealed bytes and receipts' content a person has removed."""
DECISIONS: Final = frozenset(
    {
        *(cause.value for cause in PERSON_CAUSES),
        *(
            "findings-accepted",
            "receipt-accepted",
            "replaced",
            "kept",
            RECEIPT_DISCARDED,
            REVIEWED,
            LOOK_ANYWAY,
            PRUNED,
        ),
    }
)
"""What the history calls what a person decided."""


@dataclass(frozen=True, slots=True)
class SubmissionEntry:
    """What one chooses by among submissions, without their shipments.

    Attributes:
        replaces: The submission this one replaces, or None.
    """

    submission_id: str
    kommunenummer: str
    bydel: str
    year: int
    replaces: str | None


@dataclass(frozen=True, slots=True)
class NewShipment:
    """A shipment to be stored, with its sealed bytes as a stream.

    Attributes:
        payload_sha256: Digest of the payload, 64 hexadecimal digits: what makes a second send of it impossible.
        payload_bytes: Size of the payload in bytes.
        lopenr: The EPJ's running number, as it came.
        hodemelding_sha256: Digest of the Hodemelding round the payload, 64 hexadecimal digits.
        certificates: What it is sealed with.
        sealed_bytes: How many bytes ``sealed`` yields, exactly.
        file: Where its payload is read from; None where that is not known.
        sealed: Iterated once, inside the creating transaction; must not call the journal.
    """

    type: MessageType
    msg_id: str
    message_id: str
    receiver_her_id: int
    envelope: Envelope
    payload_sha256: str
    payload_bytes: int
    lopenr: str
    hodemelding_sha256: str
    certificates: Certificates
    sealed_bytes: int
    sealed: Iterable[bytes | memoryview] = field(repr=False)
    file: SourceFile | None = None


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """A pair to be stored.

    Attributes:
        replaces: The submission it replaces after contact with FHI (FHI's letter 24/04733-1), or None.
        reason: Why it replaces it; required with ``replaces``.
        accepted: How many findings of the check a person has accepted, by rule; empty where there was nothing to.
        by: The person or account that submits.
        kept: MsgIds of the half that it keeps, which FHI has, of the submission it replaces.
    """

    submission_id: str
    environment: Environment
    sender_her_id: int
    kommunenummer: str
    bydel: str
    year: int
    replaces: str | None
    reason: str
    accepted: Mapping[str, int]
    by: str
    shipments: tuple[NewShipment, ...]
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One line of a shipment's history.

    Attributes:
        at: When, UTC.
        what: A stable word: a ``Cause`` where the shipment moved, else what was noted.
        why: One sentence.
        who: The person or program.
        details: Evidence; holds ``to`` (and ``from``, unless it was created) where the state was set.
    """

    at: datetime
    msg_id: str
    what: str
    why: str
    who: str
    details: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What a mail says of a mail that we sent: an Acknowledgment, an error, a bounce.

    Attributes:
        message_id: The eb:MessageId that it is about.
        sha256: Digest of its bytes: the same mail may come again.
        condition: The error's code; empty where there is none.
        description: What it says, clean.
        data: More of it in words, clean.
        kind: What it is, where it moves nothing.
    """

    message_id: str
    sha256: str
    condition: str = ""
    description: str = ""
    data: str = ""
    kind: NoteKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRecord:
    """What a person was told, or is to be told, of one state of one thing; the latest episode of it.

    Attributes:
        kind: Which state, a stable word of ``operator.notices``.
        subject: Of what: a submission's id, a certificate's role, a day; never a person.
        began_at: When a run first saw it, UTC.
        ended_at: When a run first saw that it is over; None while it lasts.
        waits: The addresses that it still has to be sent to, by their place in the list, from 1 on.
        unsure: Those of them that it was offered to, at ``tried_at``, without an outcome: it may have arrived there.
        begin_sent_at: When its beginning last arrived somewhere, in whichever episode.
        end_sent_at: The same of its end.
    """

    kind: str
    subject: str
    began_at: datetime
    ended_at: datetime | None = None
    waits: frozenset[int] = frozenset()
    unsure: frozenset[int] = frozenset()
    tried_at: datetime | None = None
    begin_sent_at: datetime | None = None
    end_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReceiptDocument:
    """A receipt with what came: the sealed original and, where it could be opened, the XML. May hold personal data.

    Where ``receipt.pruned`` there is neither any more: no XML, and no bytes.
    """

    receipt: Receipt
    xml: bytes | None = field(repr=False)
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JournalFinding:
    """What is not as it must be, without personal data, and the file, MsgId or submission it is about."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Verification:
    """All that is wrong with a journal, and how much was looked at, by kind."""

    findings: tuple[JournalFinding, ...]
    counted: dict[str, int]


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much a person had removed: sealed messages and their bytes, receipts."""

    messages: int
    sealed_bytes: int
    receipts: int


class Begun(NamedTuple):
    """A shipment whose transfer has begun, ``attempts`` times."""

    msg_id: str
    type: str
    sender_her_id: int
    kommunenummer: str
    bydel: str
    year: int
    payload_sha256: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a journal that a person accepts.

    Attributes:
        found: What spoke against it, in words.
        in_doubt: MsgIds that were sealed and are in doubt now.
        forgotten: Shipments that were begun and that the journal does not hold.
    """

    found: str
    in_doubt: tuple[str, ...]
    forgotten: tuple[Begun, ...]
