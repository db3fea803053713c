"""What the journeys ask of a journal, whatever it is stored in.

The rules every implementation MUST keep:

1. Every change is one transaction, and each of a shipment appends an event: when, what, why, who. Events are never
   changed.
2. A shipment changes only by ``states.apply``, written by compare-and-set on the state it was read in.
3. Sealed bytes, their digest and the envelope never change (promise G3), but for these, which store what was before:
   ``reseal``, other sealed bytes for what no transfer was begun of under its message-id, with all else as it was; and
   ``let_go`` and ``resend``, by which a person lets the content go again under another message-id or MsgId. ``prune``
   removes the bytes of what is over, and leaves digest and envelope as they are.
4. ``publishing`` is durable before ``begin_publish`` returns (promise G1).
5. Only ``KprError`` comes out, and ``ImpossibleTransition`` for an error in the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kpr_sender.documents import Document
from kpr_sender.errors import JournalUnwritable, LastError
from kpr_sender.journal.values import (
    Accepted,
    JournalEvent,
    NewShipment,
    NewSubmission,
    NoticeRecord,
    Pruned,
    ReceiptDocument,
    Signal,
    SubmissionEntry,
    Verification,
)
from kpr_sender.model import (
    CertificateName,
    Envelope,
    Environment,
    MessageType,
    Receipt,
    ReceiptError,
    Shipment,
    Submission,
)
from kpr_sender.states import Cause, ReceiptStatus

T = TypeVar("T")


class JournalView(Protocol):
    """What can be read. Every method raises ``JournalUnwritable`` where the journal cannot be read."""

    def submission(self, submission_id: str) -> Submission | None:
        """Return the submission with its shipments and their receipts."""

    def submissions(self) -> tuple[Submission, ...]:
        """Return all submissions, the newest first."""

    def entries(self) -> tuple[SubmissionEntry, ...]:
        """Return what one chooses by among all submissions, the newest first; far quicker than ``submissions``."""

    def perhaps_open(self) -> frozenset[str]:
        """Return the ids of the submissions of which more may be known than that all is delivered; far quicker."""

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
        """Return the submission that has exactly these payloads, under any HER-id; ``sender_her_id``'s comes first."""

    def shipment(self, msg_id: str) -> Shipment | None:
        """Return the shipment that has or had this MsgId, in lower case."""

    def shipment_by_message_id(self, message_id: str) -> Shipment | None:
        """Return the shipment that has or had this AMQP message-id: what error-queue messages name."""

    def envelope(self, msg_id: str) -> Envelope:
        """Return what stands outside the sealed bytes."""

    def sealed(self, msg_id: str) -> bytes:
        """Return the sealed bytes, checked against their digest.

        Raises:
            JournalUnwritable: They are damaged, and must not be sent; or they were pruned.
        """

    def events(self, msg_id: str | None) -> tuple[JournalEvent, ...]:
        """Return the history of one shipment, under each MsgId that it has or had, or of all; the oldest first."""

    def receipt_documents(self, submission_id: str, *, verified_only: bool = False) -> tuple[ReceiptDocument, ...]:
        """Return the submission's receipts as they came, the oldest first."""

    def receipt_document(self, receipt_id: int) -> ReceiptDocument | None:
        """Return one receipt as it came."""

    def unverified_receipts(self) -> tuple[int, ...]:
        """Return the numbers of the receipts whose evaluation may still change something, the oldest first.

        They are neither verified, discarded nor pruned, and of a submission that is not delivered.
        """

    def unverified_stored(self, msg_id: str | None) -> tuple[int, int]:
        """Return how many unverified receipts name a shipment, or nothing for None, and how many bytes they take."""

    def stored_receipt(self, sealed: bytes, msg_id: str) -> Receipt | None:
        """Return the receipt that came as these bytes, ``msg_id``'s before others'; None where there is none."""

    def unfinished_pruning(self) -> tuple[Receipt, ...] | None:
        """Return all pruned receipts where a pruning is not finished: a copy of one may be left. None where none is."""

    def has_forgotten(self, msg_id: str) -> bool:
        """Tell whether a shipment was begun before this journal was restored, and is not in it."""

    def decisions(self) -> tuple[JournalEvent, ...]:
        """Return what persons decided of the journal as a whole, the oldest first."""

    def notices(self) -> tuple[NoticeRecord, ...]:
        """Return what persons were told, and what waits to be sent again; by kind and subject."""

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
            AlreadySubmitted: A payload, or the municipality's year, is submitted already.
            NeedsPerson: FHI has answered what somebody else sent, and no person has settled that.
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

    def require_transfer_may_begin(self) -> None:
        """Be asked right before a transfer's first byte, on any thread; ``JournalLocked`` where none must leave."""

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
        """Take note that a message on the error queue names this shipment; again, or an earlier id, changes nothing.

        Args:
            msg_id: Which shipment.
            condition: The bus's or receiver's ``errorCondition``.
            description: Its ``errorDescription``, clean.
            data: Its ``errorConditionData`` in words, clean.
            message_id: The message-id that it names; the present one when not given.
        """

    def note_signal(self, msg_id: str, cause: Cause, signal: Signal) -> bool:
        """Take note of what a mail says of this shipment's (one of ``SIGNALS``); False where it was noted before."""

    def decide(self, msg_id: str, cause: Cause, *, reason: str, by: str) -> Shipment:
        """Let a person's decision take effect, and store who decided it and why.

        Args:
            msg_id: Which shipment.
            cause: One of ``PERSON_CAUSES`` that does not let it go again.
            reason: Why, in the person's words.
            by: Who decided it.

        Raises: As ``let_go``, ImpossibleTransition for another cause, too.
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
        """Let a person's word that it has not arrived take effect: the same bytes go again.

        Args:
            msg_id: Which shipment.
            message_id: A new one: a receiver drops what it has seen, without any answer (HITS 1216 2.2.3). With EDI its
                own, which is within the bytes: no answer to it is known.
            reason: Why, in the person's words.
            by: Who decided it.

        Raises:
            UsageError: There is no reason or no name.
            ImpossibleTransition: The shipment's state does not have it.
        """

    def resend(
        self, new: Mapping[str, NewShipment], *, reason: str, by: str, not_arrived: bool = False
    ) -> list[Shipment]:
        """Let a person send content again, or what waits another way, sealed anew: all in one transaction.

        Args:
            new: The same payload for each MsgId, under the ids that it is to have.
            reason: Why, in the person's words.
            by: Who decided it.
            not_arrived: Whether that is FHI's word that it has not arrived, and the bytes cannot go as they are.

        Raises:
            UsageError, ImpossibleTransition, InternalError: As for ``let_go``; or one is another shipment.
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

    def note_notices(self, records: Sequence[NoticeRecord]) -> None:
        """Store what persons were told, each in place of what was known of the same kind and subject."""

    def prune(self, submission_ids: Sequence[str], *, reason: str, by: str) -> Pruned:
        """Remove sealed bytes and receipts' content of submissions, up to ``finish_pruning``; ids and states stay.

        Args:
            submission_ids: Which ones; of a half that one keeps of another, too.
            reason: Why, in the person's words.
            by: Who decided it.

        Raises:
            UsageError, InternalError: There is no reason or no name; a shipment of them may still be sent or answered.
        """

    def finish_pruning(self) -> None:
        """Let what was removed leave the disk as far as the journal can; ``JournalUnwritable`` where that must wait."""

    def release(self, msg_id: str, *, reason: str, by: str) -> None:
        """Let a shipment that a restored journal has forgotten no longer stand in the way of a new submission.

        Args:
            msg_id: One that it has forgotten.
            reason: Why, in the person's words.
            by: Who decided it.

        Raises:
            UsageError: It has forgotten no such shipment, it was released before, or reason or name is missing.
        """


class JournalStorage(Protocol):
    """Where one journal is stored, and what is done with it as a whole.

    Each method raises ``JournalUnwritable`` where it cannot be used so, ``ConfigInvalid`` for another environment (G7).
    """

    def require_own(self) -> None:
        """Refuse a journal, or what goes with it, that another user owns, and could not use after this one's run."""

    def require_safe(self) -> None:
        """Refuse a place where others could change it, or where what is written does not last."""

    def migrate(self) -> tuple[int, int] | None:
        """Bring a database's tables up to date; return the versions before and now, None where opening does that."""

    def open(self, *, who: str) -> Journal:
        """Return the journal, made where missing, and locked for this process until it is closed.

        Args:
            who: The person or account that events are written for.

        Raises:
            JournalLocked: Another run has locked it.
            JournalUnwritable: Also when it was restored from backup, copied or lost, and where ``require_safe`` would.
        """

    def reading(self) -> AbstractContextManager[JournalView | None]:
        """Let the journal be read, beside whoever has locked it; None where there is none yet."""

    def ask(self, question: Callable[[JournalView | None], T]) -> T:
        """Return what a question comes to, asked of the journal as it is now; it may be asked twice."""

    def last_held(self) -> datetime | None:
        """Return when a run last locked it, UTC; None where none did, or that is not known."""

    def note_run(self) -> None:
        """Lock it for a moment, for a run that has nothing to do; makes no journal. ``JournalLocked`` as ``open``."""

    def verify(self) -> Verification | None:
        """Check all of it beside whoever writes it, in one snapshot; None for none. What is wrong is not raised."""

    def back_up(self, target: Path) -> Mapping[str, int]:
        """Copy it to a new file, also while another run writes it, and check the copy.

        Returns:
            How much is in the copy, by kind.

        Raises:
            UsageError: There is no journal, or the target exists.
            JournalUnwritable: Also where the copy cannot be written or is not sound: it is removed again.
        """

    def is_same(self, one: Path, other: Path) -> bool:
        """Tell whether two files are copies of one journal; not where one cannot be read."""

    def move_to(self, other: JournalStorage, *, who: str) -> Mapping[str, int]:
        """Have a database take it over, and be refused from then on; return how much there was, by kind."""

    def document(self, name: str, *, within: JournalView | None = None) -> Document:
        """Return what is kept beside it under a name: ``looks``, ``logins``; read over ``within``'s connection."""

    def export(self) -> Iterator[Mapping[str, Any]]:
        """Yield what may leave the machine, in one consistent snapshot; nothing where there is no journal yet."""

    def accept(self, *, reason: str, by: str) -> Accepted:
        """Go on with a journal that was restored from backup, copied or lost, by a person's decision.

        Raises:
            UsageError: Nothing speaks against the journal, or reason or name is missing.
        """

    def witness_concerns(self) -> Iterator[str]:
        """Yield why an older journal that is restored together with its mark might go unnoticed."""
