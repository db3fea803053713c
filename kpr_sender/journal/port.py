"""What the journeys ask of a journal, whatever it is stored in.

The rules every implementation MUST keep:

1. Every change is one transaction, and each appends an event: when, what, why, who. Events are never changed.
2. A shipment changes only by ``states.apply``, written by compare-and-set on the state it was read in.
3. Sealed bytes, their digest and the envelope never change (promise G3), but for these, which store what was before:
   ``reseal``, other sealed bytes for what no transfer was begun of under its message-id, with all else as it was; and
   ``let_go`` and ``resend``, by which a person lets the content go again under another message-id or MsgId.
4. ``publishing`` is durable before ``begin_publish`` returns (promise G1).
5. Only ``KprError`` comes out, and ``ImpossibleTransition`` for an error in the program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from kpr_sender.errors import JournalUnwritable, LastError
from kpr_sender.model import (
    CertificateName,
    Certificates,
    Envelope,
    Environment,
    MessageType,
    Receipt,
    ReceiptError,
    Shipment,
    SourceFile,
    Submission,
)
from kpr_sender.states import PERSON_CAUSES, Cause, ReceiptStatus

REVIEWED: Final = "reviewed"
"""What the event says of a submission whose data a person has looked at in FHI's feedback view."""
LOOK_ANYWAY: Final = "look-anyway"
"""The same of a look that a person asked for at a queue that others share (promise G8)."""
CREATED: Final = "created"
"""What the history calls a shipment's first line."""
RECEIPT_DISCARDED: Final = "receipt-discarded"
"""The same of an unverified receipt that counts no more."""
DECISIONS: Final = frozenset(
    {
        *(cause.value for cause in PERSON_CAUSES),
        *("findings-accepted", "receipt-accepted", "replaced", "kept", RECEIPT_DISCARDED, REVIEWED, LOOK_ANYWAY),
    }
)
"""What the history calls what a person decided."""


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
        kept: MsgIds of the delivered half that it keeps of the submission it replaces.
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


@dataclass(frozen=True, slots=True)
class ReceiptDocument:
    """A receipt with what came: the sealed original and, where it could be opened, the XML. May hold personal data."""

    receipt: Receipt
    xml: bytes | None = field(repr=False)
    sealed: bytes = field(repr=False)


class JournalView(Protocol):
    """What can be read. Every method raises ``JournalUnwritable`` where the journal cannot be read."""

    def submission(self, submission_id: str) -> Submission | None:
        """Return the submission with its shipments and their receipts."""

    def submissions(self) -> tuple[Submission, ...]:
        """Return all submissions, the newest first."""

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
        """Return the submission that has exactly these payloads, whichever HER-id it was made under.

        One under ``sender_her_id`` comes first.
        """

    def shipment(self, msg_id: str) -> Shipment | None:
        """Return the shipment that has or had this MsgId, in lower case."""

    def shipment_by_message_id(self, message_id: str) -> Shipment | None:
        """Return the shipment that has or had this AMQP message-id: what error-queue messages name."""

    def envelope(self, msg_id: str) -> Envelope:
        """Return what stands outside the sealed bytes."""

    def sealed(self, msg_id: str) -> bytes:
        """Return the sealed bytes, checked against their digest.

        Raises:
            JournalUnwritable: They are damaged, and must not be sent.
        """

    def events(self, msg_id: str | None) -> tuple[JournalEvent, ...]:
        """Return the history of one shipment, under each MsgId that it has or had, or of all; the oldest first."""

    def receipt_documents(self, submission_id: str, *, verified_only: bool = False) -> tuple[ReceiptDocument, ...]:
        """Return the submission's receipts as they came, the oldest first."""

    def receipt_document(self, receipt_id: int) -> ReceiptDocument | None:
        """Return one receipt as it came."""

    def unverified_receipts(self) -> tuple[int, ...]:
        """Return the numbers of the receipts whose evaluation may still change something, the oldest first.

        They are neither verified nor discarded, and of a submission that is not delivered.
        """

    def unverified_stored(self, msg_id: str | None) -> tuple[int, int]:
        """Return how many unverified receipts are stored that name a shipment, and how many bytes they take.

        Args:
            msg_id: One that the shipment has or had; None for those that name none, of all shipments.
        """

    def stored_receipt(self, sealed: bytes, msg_id: str) -> Receipt | None:
        """Return the receipt that came as these bytes; None where there is none.

        Args:
            sealed: The bytes.
            msg_id: Whose is wanted where several shipments have it; next a verified one.
        """

    def decisions(self) -> tuple[JournalEvent, ...]:
        """Return what persons decided of the journal as a whole, the oldest first."""

    def refused(self) -> JournalUnwritable | None:
        """Return why it may not be written to, for example because it was restored from backup; None where it may."""

    def close(self) -> None:
        """Close it; twice is harmless."""


class Journal(JournalView, Protocol):
    """What can be changed, one transaction each. Every method raises ``JournalUnwritable`` where it cannot be."""

    def recover(self) -> tuple[str, ...]:
        """Move every ``publishing`` shipment to ``in_doubt`` (promise G1); return their MsgIds.

        Raises:
            InternalError: This process does not hold the journal's lock, so another may be publishing right now.
        """

    def create(self, new: NewSubmission) -> Submission:
        """Store a pair with its sealed bytes: all of it or nothing.

        Raises:
            AlreadySubmitted: A payload, or this sender's municipality and year, is submitted already.
            UsageError: It replaces a submission that is not here.
            ConfigInvalid: It is for another environment than the journal (promise G7).
            InternalError: ``sealed`` yields more or fewer bytes than announced, or what it keeps is no delivered
                half of what it replaces.
        """

    def reseal(self, new: NewShipment, *, why: str) -> Shipment:
        """Give a shipment other sealed bytes that was not offered to the bus under its message-id, in one transaction.

        Args:
            new: The same shipment, MsgId, message-id, envelope, Hodemelding and payload, sealed anew. Where a person
                has let it go again, the same payload and MsgId are enough, and it may have another message-id.
            why: Why, in words.

        Raises:
            NeedsPerson: An answer came to what the journal holds as never sent.
            InternalError: A transfer of it was begun, or ``new`` is another shipment.
        """

    def begin_publish(self, msg_id: str) -> Shipment:
        """``sealed`` to ``publishing`` and one attempt more, durable before return.

        Raises:
            NeedsPerson: An answer came to what the journal holds as never sent: sending might be sending twice.
            ImpossibleTransition: It is not ``sealed``.
        """

    def end_publish(
        self, msg_id: str, cause: Cause, *, evidence: Mapping[str, str | int], error: LastError | None
    ) -> Shipment:
        """Move a ``publishing`` shipment on; an answer that came meanwhile takes effect now.

        Args:
            msg_id: Which shipment.
            cause: ``ACCEPTED``, ``NOT_SENT`` or ``NO_OUTCOME``.
            evidence: How far the transfer came; stored with the event.
            error: What went wrong, or None, which clears what was noted before.

        Raises:
            ImpossibleTransition: It is not ``publishing``, or the cause is another.
        """

    def add_receipt(  # noqa: PLR0913 - a receipt is that many things
        self,
        msg_id: str,
        *,
        status: ReceiptStatus | None,
        errors: Sequence[ReceiptError],
        verified: bool,
        problem: str,
        xml: bytes | None,
        sealed: bytes,
        cause: Cause | None,
        signer: CertificateName | None = None,
        accepted: tuple[str, str] | None = None,
        names_nobody: bool = False,
    ) -> Receipt | None:
        """Store a receipt and move its shipment, in one transaction.

        The same sealed bytes again are a duplicate: an event, nothing else, except that an unverified receipt which
        is verified now takes the old one's place. A verified receipt whose status contradicts the state is stored with
        the contradiction in ``problem`` and calls for a person; it moves nothing.

        Args:
            msg_id: The MsgId it answers, which a shipment has or had. For one that was given up, the known answer
                changes nothing, and another calls for a person.
            status: What it says, None where it could not be read.
            errors: All its Error elements.
            verified: Decrypted, signed by the receiver, about this MsgId (promise G4).
            problem: Why it is not verified.
            xml: The AppRec, None where it could not be opened.
            sealed: The bytes as they came.
            cause: What it does to the shipment; None for nothing. Only a verified receipt has one.
            signer: The receiver's certificate that verified it; None where none did.
            accepted: A person's reason and name, where one has accepted its sender.
            names_nobody: Whether it is stored for this MsgId only because its shipment has waited longest.

        Returns:
            The receipt as stored, or None for a duplicate.

        Raises:
            InternalError: ``cause`` does not follow from a verified ``status``.
        """

    def change_unverified(
        self,
        receipt_id: int,
        *,
        status: ReceiptStatus | None,
        errors: Sequence[ReceiptError],
        problem: str,
        xml: bytes | None,
    ) -> Receipt:
        """Store what a receipt that is still not verified turned out to be when it was evaluated anew."""

    def discard_receipt(self, receipt_id: int, *, reason: str, by: str) -> Receipt:
        """Let an unverified receipt count no more; its bytes stay.

        Raises:
            UsageError: There is no reason or no name.
        """

    def fault(self, msg_id: str, *, condition: str, description: str, data: str = "", message_id: str = "") -> Shipment:
        """Take note that a message on the error queue names this shipment. Again is harmless.

        One about a message-id that it does not have any more changes nothing.

        Args:
            msg_id: Which shipment.
            condition: The bus's or receiver's ``errorCondition``.
            description: Its ``errorDescription``, clean.
            data: Its ``errorConditionData`` in words, clean.
            message_id: The message-id that it names; the present one when not given.
        """

    def decide(self, msg_id: str, cause: Cause, *, reason: str, by: str) -> Shipment:
        """Let a person's decision take effect, and store who decided it and why.

        Args:
            msg_id: Which shipment.
            cause: One of ``PERSON_CAUSES`` that does not let it go again.
            reason: Why, in the person's words.
            by: Who decided it.

        Raises:
            UsageError: There is no reason or no name.
            ImpossibleTransition: The cause is another, or the shipment's state does not have it.
        """

    def note_review(self, msg_id: str, *, note: str, by: str) -> None:
        """Store that a person looked at a submission's data in FHI's feedback view; as an event, nothing moves.

        Args:
            msg_id: The submission's own first shipment.
            note: What the person noted; may be empty.
            by: Who looked.
        """

    def note_look(self, msg_id: str, *, reason: str, by: str, emptied: bool) -> None:
        """Store that a person asked for one look more at a shared queue; as an event, nothing moves.

        Args:
            msg_id: The submission's first shipment.
            reason: Why, in the person's words.
            by: Who asked.
            emptied: Whether the other messages' owner has said that the queue was read.
        """

    def let_go(self, msg_id: str, *, message_id: str, reason: str, by: str) -> Shipment:
        """Let a person's word that it has not arrived take effect: the same bytes go again under another message-id.

        Args:
            msg_id: Which shipment.
            message_id: A new one: a receiver drops what it has seen, without any answer (HITS 1216 2.2.3).
            reason: Why, in the person's words.
            by: Who decided it.

        Raises:
            UsageError: There is no reason or no name.
            ImpossibleTransition: The shipment's state does not have it.
        """

    def resend(self, msg_id: str, new: NewShipment, *, reason: str, by: str) -> Shipment:
        """Let a person send a shipment's content again, sealed anew, in one transaction.

        Args:
            msg_id: Which shipment.
            new: The same payload, under the ids that it is to have.
            reason: Why, in the person's words.
            by: Who decided it.

        Raises:
            UsageError: There is no reason or no name.
            ImpossibleTransition: The shipment's state does not have it.
            InternalError: ``new`` is another shipment.
        """

    def note_unknown_receipt(self, msg_id: str, *, original_msg_id: str, text: str) -> bool:
        """Record that a verified receipt answers a message that is not in this journal: a person must look.

        Args:
            msg_id: The shipment it is recorded for.
            original_msg_id: The MsgId that it answers.
            text: What it says, in a sentence without personal data.

        Returns:
            Whether it is new.
        """

    def note_error(self, msg_id: str, error: LastError | None) -> None:
        """Set or clear what last went wrong, without moving the shipment."""
