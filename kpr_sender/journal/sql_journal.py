"""The journal, whichever database it is in, to read and write: every change is one transaction.

What the databases have of their own, their locks and what they know of a restored journal, is in ``sqlite`` and
``postgres``.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime

from kpr_sender import states
from kpr_sender.errors import (
    ConfigInvalid,
    InDoubt,
    InternalError,
    JournalUnwritable,
    KprError,
    LastError,
    RejectedByReceiver,
    UsageError,
)
from kpr_sender.journal import marker, rows, sql
from kpr_sender.journal.admission import (
    alarm_open,
    require_admissible,
    require_clean,
    require_nothing_forgotten,
    require_reason,
)
from kpr_sender.journal.database import Store, Value
from kpr_sender.journal.queries import SqlView, latest_submission, same_payload
from kpr_sender.journal.transaction import NOTHING, Transaction, answered_unsent
from kpr_sender.journal.values import (
    LOOK_ANYWAY,
    RECEIPT_DISCARDED,
    REVIEWED,
    NewShipment,
    NewSubmission,
    NoticeRecord,
    Pruned,
    Signal,
)
from kpr_sender.model import (
    CertificateName,
    Environment,
    MessageType,
    Receipt,
    ReceiptError,
    Shipment,
    Submission,
)
from kpr_sender.states import (
    CAUSE_OF_STATUS,
    Arrival,
    Cause,
    HistoryLine,
    ImpossibleTransition,
    ReceiptStatus,
    ShipmentState,
)
from kpr_sender.texts import Text, paragraph, quoted


class SqlJournal(SqlView):
    """A ``Journal``, to read and write; a context manager that closes it."""

    def __init__(self, store: Store, environment: Environment, *, now: Callable[[], datetime], who: str) -> None:
        """Made by the storages only."""
        super().__init__(store, environment)
        self._now = now
        self._who = who
        self._inode: int | None = None
        self._marked: marker.HighWaterMark | None = None
        self._marking = threading.RLock()  # from the mark that is prepared to the one that is put

    def recover(self) -> tuple[str, ...]:
        """Move every ``publishing`` shipment to ``in_doubt`` (promise G1); return their MsgIds."""
        if not self._is_locked():
            raise InternalError(Text("Recovery without the journal's lock: another process may be publishing."))
        error = LastError(InDoubt.code, Text("An earlier run ended before the outcome of the transfer was known."))
        with self._transaction() as transaction:
            unfinished = rows.msg_ids_in_state(transaction.connection, ShipmentState.PUBLISHING)
            for msg_id in unfinished:
                transaction.apply(msg_id, Cause.NO_OUTCOME, error=error, why=error.text)
            return unfinished

    def create(self, new: NewSubmission) -> Submission:
        """Store a pair with its sealed bytes: all of it or nothing."""
        if new.environment is not self._environment:
            its, ours = new.environment.value, self._environment.value
            raise ConfigInvalid(
                Text("A submission for {its} does not go into a journal for {ours}.", its=its, ours=ours),
                where=self._store.place,
            )
        with self._transaction() as transaction:
            connection = transaction.connection
            columns = rows.new_submission_columns(new, rows.time_text(transaction.at))
            forgotten = connection.execute(sql.FORGOTTEN_IN_THE_WAY, columns)
            require_nothing_forgotten(new, tuple(row["msg_id"] for row in forgotten))
            latest = latest_submission(connection, columns)
            require_admissible(new, latest=latest, same_payload=same_payload(connection, new, columns))
            alarmed = connection.execute(sql.OPEN_ALARM).fetchone()
            if alarmed is not None:
                raise alarm_open(alarmed["alarm"], alarmed["msg_id"], Text("Nothing new is submitted"))
            replaced = () if latest is None else latest.shipments
            kept = [one for one in replaced if one.msg_id in new.kept]
            types = [one.type for one in new.shipments] + [one.type for one in kept]
            if new.kept and sorted(types) != sorted(MessageType):
                raise InternalError(Text("{id} is no pair with what it keeps of another.", id=new.submission_id))
            sql.insert(connection, "submission", columns)
            for shipment in new.shipments:
                transaction.create(shipment, new, columns)
            evidence = {"by_submission": new.submission_id}
            for one in replaced:
                if one in kept:
                    transaction.keep(one, new)
                else:
                    transaction.apply(one.msg_id, Cause.REPLACED, why=new.reason.strip(), who=new.by, evidence=evidence)
            return rows.present(rows.read_submission(connection, new.submission_id))

    def reseal(self, new: NewShipment, *, why: str) -> Shipment:
        """Give a shipment that was not offered to the bus other sealed bytes, in one transaction."""
        with self._transaction() as transaction:
            transaction.reseal(new, why=why)
            return transaction.shipment(new.msg_id)

    def begin_publish(self, msg_id: str) -> Shipment:
        """``sealed`` to ``publishing`` and one attempt more, durable before return."""
        with self._marking:
            with self._transaction() as transaction:
                life = transaction.lifecycle(msg_id)
                if states.answered_though_unsent(life):
                    raise answered_unsent(msg_id, "sent", life.alarm)
                transaction.apply(msg_id, Cause.PUBLISH_BEGINS)
                begun = transaction.shipment(msg_id)
                mark = marker.mark_of(transaction.connection, self._inode)
                mark = replace(mark, step=mark.step + 1)  # this transaction is counted at its end
                marker.prepare(self._store.marks, mark)
            try:
                marker.put(self._store.marks)
                self._marked = mark
            except JournalUnwritable as error:
                # The transfer begins after this method returns: it is certain that the bus does not have it.
                with suppress(KprError):
                    self.end_publish(msg_id, Cause.NOT_SENT, evidence=NOTHING, error=LastError.of(error))
                raise
            self._testify(mark)
            return begun

    def require_transfer_may_begin(self) -> None:
        """Let it begin: where the lock dies with its process nobody else can have it."""

    def end_publish(
        self, msg_id: str, cause: Cause, *, evidence: Mapping[str, str | int], error: LastError | None
    ) -> Shipment:
        """Move a ``publishing`` shipment on; an answer that came meanwhile takes effect now."""
        return self._apply(msg_id, cause, among=states.OUTCOMES, evidence=evidence, error=error)

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
        """Store a receipt and move its shipment, in one transaction; None for a duplicate."""
        if cause is not None and not (verified and status is not None and CAUSE_OF_STATUS[status] is cause):
            raise InternalError(Text("A receipt moves a shipment by its status alone, not by {cause}.", cause=cause))
        if accepted is not None:
            require_reason(*accepted)
        digest = hashlib.sha256(sealed).hexdigest()
        evidence: dict[str, str | int] = {"receipt_sha256": digest, "verified": int(verified)}
        if status is not None:
            evidence["status"] = status.value
        if names_nobody:
            evidence["names_nobody"] = 1
        with self._transaction() as transaction:
            connection = transaction.connection
            stored = connection.execute(sql.RECEIPT_BY_SEALED, (msg_id, digest)).fetchone()
            if accepted is not None:
                transaction.note(msg_id, HistoryLine("receipt-accepted", *accepted, details=evidence))
            arrival = Arrival.NEW
            if stored is not None:
                arrival = Arrival.VERIFIED_NOW if verified > stored["verified"] else Arrival.DUPLICATE
            change = transaction.apply(
                msg_id, cause or Cause.RECEIPT_UNVERIFIED, why=problem, evidence=evidence, arrival=arrival
            )
            if arrival is Arrival.DUPLICATE:
                return None
            columns: dict[str, Value] = {
                "msg_id": msg_id,
                "status": None if status is None else status.value,
                "errors": rows.errors_text(errors),
                "verified": int(verified),
                "problem": paragraph(problem, change.contradiction),
                "received_at": rows.time_text(transaction.at),
                "sealed_sha256": digest,
                "xml": xml,
                "sealed": sealed,
                "signer_sha1": None if signer is None else signer.sha1,
                "signer_serial": None if signer is None else signer.serial,
            }
            if stored is None:
                receipt_id = sql.insert(connection, "receipt", columns)
            else:
                receipt_id = stored["receipt_id"]
                connection.execute(sql.VERIFY_RECEIPT, sql.clean(columns) | {"receipt_id": receipt_id})
            return rows.receipt_of(connection.execute(sql.RECEIPT, (receipt_id,)).fetchone())

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
        with self._transaction() as transaction:
            connection = transaction.connection
            row = connection.execute(sql.RECEIPT, (receipt_id,)).fetchone()
            columns = {
                "receipt_id": receipt_id,
                "status": None if status is None else status.value,
                "errors": rows.errors_text(errors),
                "problem": problem,
                "xml": xml,
            }
            connection.execute(sql.CHANGE_UNVERIFIED, sql.clean(columns))
            transaction.note(row["msg_id"], HistoryLine("receipt-evaluated-anew", problem))
            return rows.receipt_of(connection.execute(sql.RECEIPT, (receipt_id,)).fetchone())

    def discard_receipt(self, receipt_id: int, *, reason: str, by: str) -> Receipt:
        """Let an unverified receipt count no more; its bytes stay."""
        require_reason(reason, by)
        with self._transaction() as transaction:
            connection = transaction.connection
            receipt = rows.receipt_of(connection.execute(sql.RECEIPT, (receipt_id,)).fetchone())
            details = {"receipt_id": receipt_id}
            line = HistoryLine(RECEIPT_DISCARDED, reason.strip(), by.strip(), details=details)
            transaction.note(receipt.msg_id, line)
            return rows.receipt_of(connection.execute(sql.RECEIPT, (receipt_id,)).fetchone())

    def fault(self, msg_id: str, *, condition: str, description: str, data: str = "", message_id: str = "") -> Shipment:
        """Take note that a message on the error queue names this shipment. Again is harmless."""
        text = Text("The receiver's error queue message says no more.")
        if condition:
            text = Text("The receiver's error queue message says {condition}.", condition=quoted(condition))
        error = LastError(RejectedByReceiver.code, text)
        evidence = {"condition": condition, "description": description, "data": data}
        return self._apply(msg_id, Cause.ERROR_QUEUE, evidence=evidence, error=error, message_id=message_id)

    def note_signal(self, msg_id: str, cause: Cause, signal: Signal) -> bool:
        """Take note of what a mail says of a mail; False where that very mail was noted before."""
        error, said = None, quoted(*filter(None, (signal.condition, signal.description)))
        if cause in states.REFUSING_SIGNALS:
            what = states.SIDE_EFFECTS[cause].why
            text = Text("{what} {said}.", what=what, said=said) if said else what
            error = LastError(RejectedByReceiver.code, text)
        with self._transaction() as transaction:
            named = {"msg_id": msg_id, "signal_sha256": signal.sha256}
            if transaction.connection.execute(sql.SIGNAL, named).fetchone() is not None:
                return False
            evidence: dict[str, str | int] = {"message_id": signal.message_id, "signal_sha256": signal.sha256}
            words = {name: getattr(signal, name) for name in ("condition", "description", "data", "kind")}
            evidence |= {name: str(text) for name, text in words.items() if text}
            transaction.apply(msg_id, cause, error=error, evidence=evidence, message_id=signal.message_id)
            return True

    def decide(self, msg_id: str, cause: Cause, *, reason: str, by: str) -> Shipment:
        """Let a person's decision take effect, and store who decided it and why."""
        require_reason(reason, by)
        among = states.PERSON_CAUSES - states.SENT_AGAIN
        return self._apply(msg_id, cause, among=among, why=reason.strip(), who=by.strip())

    def let_go(self, msg_id: str, *, message_id: str, reason: str, by: str) -> Shipment:
        """Let a person's word that it has not arrived take effect: the same bytes, another message-id."""
        require_reason(reason, by)
        with self._transaction() as transaction:
            self._require_nobody_sends(transaction, msg_id)
            transaction.let_go(msg_id, message_id, why=reason.strip(), who=by.strip())
            return transaction.shipment(msg_id)

    def resend(
        self, new: Mapping[str, NewShipment], *, reason: str, by: str, not_arrived: bool = False
    ) -> list[Shipment]:
        """Let a person send content again, sealed anew, in one transaction: a pair goes one way, or stays."""
        require_reason(reason, by)
        with self._transaction() as transaction:
            for msg_id, anew in new.items():
                self._require_nobody_sends(transaction, msg_id)
                transaction.resend(msg_id, anew, not_arrived=not_arrived, why=reason.strip(), who=by.strip())
            return [transaction.shipment(anew.msg_id) for anew in new.values()]

    def note_review(self, msg_id: str, *, note: str, by: str) -> None:
        """Store that a person looked at a submission's data in FHI's feedback view; as an event, nothing moves."""
        require_clean(note, by, where="--note")
        with self._transaction() as transaction:
            transaction.note(msg_id, HistoryLine(REVIEWED, note, by))

    def note_look(self, msg_id: str, *, reason: str, by: str, emptied: bool) -> None:
        """Store that a person asked for one look more at a shared queue; as an event, nothing moves."""
        require_reason(reason, by)
        with self._transaction() as transaction:
            transaction.note(msg_id, HistoryLine(LOOK_ANYWAY, reason, by, details={"emptied": int(emptied)}))

    def note_unknown_receipt(self, msg_id: str, *, original_msg_id: str, text: str) -> bool:
        """Record that a verified receipt answers a message that is not in this journal; return whether it is new."""
        with self._transaction() as transaction:
            named = (original_msg_id,)
            if transaction.connection.execute(sql.UNKNOWN_RECEIPT, named).fetchone() is not None:
                return False
            evidence = {"original_msg_id": original_msg_id}
            transaction.apply(msg_id, Cause.RECEIPT_UNKNOWN, why=text, evidence=evidence)
            return True

    def note_error(self, msg_id: str, error: LastError | None) -> None:
        """Set or clear what last went wrong, without moving the shipment."""
        with self._transaction() as transaction:
            row = rows.shipment_row(transaction.connection, msg_id)
            transaction.write(row["msg_id"], row, states.noted(rows.lifecycle_of(row), error))

    def note_notices(self, records: Sequence[NoticeRecord]) -> None:
        """Store what persons were told."""
        with self._transaction() as transaction:
            for columns in map(rows.notice_columns, records):
                transaction.connection.execute(sql.FORGET_NOTICE, columns)
                transaction.connection.execute(sql.NOTE_NOTICE, columns)

    def release(self, msg_id: str, *, reason: str, by: str) -> None:
        """Let a forgotten shipment (``recovery``) no longer stand in the way of a new submission."""
        require_reason(reason, by)
        with self._transaction() as transaction:
            self._require_nobody_sends(transaction, msg_id)
            values = {"msg_id": msg_id, "at": rows.time_text(transaction.at), "who": by, "why": reason}
            if transaction.connection.execute(sql.RELEASE_FORGOTTEN, sql.clean(values)).rowcount != 1:
                raise UsageError(
                    Text("{id} is not a shipment that this journal has forgotten, or it was released.", id=msg_id),
                    next_step=Text("See kpr-send journal verify for those that are."),
                )

    def prune(self, submission_ids: Sequence[str], *, reason: str, by: str) -> Pruned:
        """Remove the sealed bytes and the receipts' content of submissions, in one transaction."""
        from kpr_sender.journal.pruning import prune  # noqa: PLC0415 - a person asks for it once a year

        require_reason(reason, by)
        with self._transaction() as transaction:
            return prune(transaction, submission_ids, why=reason.strip(), who=by.strip())

    def finish_pruning(self) -> None:
        """Let what was removed leave the file, and give its space back."""
        self._store.compact()
        with self._transaction() as transaction:
            transaction.connection.execute(sql.SET_UNFINISHED, (0,))

    def refused(self) -> None:
        """Return None: it was opened to be written to."""

    def close(self) -> None:
        """Close it; twice is harmless."""
        with suppress(KprError):
            self._mark()  # a mark that is left behind is harmless: the journal knows more
        super().close()

    def _apply(
        self,
        msg_id: str,
        cause: Cause,
        *,
        among: frozenset[Cause] = states.ANSWERS,
        error: LastError | None = None,
        why: str = "",
        who: str = "",
        evidence: Mapping[str, str | int] = NOTHING,
        message_id: str = "",
    ) -> Shipment:
        with self._transaction() as transaction:
            if cause not in among:
                raise ImpossibleTransition(transaction.lifecycle(msg_id).state, cause)
            transaction.apply(msg_id, cause, error=error, why=why, who=who, evidence=evidence, message_id=message_id)
            return transaction.shipment(msg_id)

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with self._store.writing() as connection:
            before = connection.total_changes
            yield Transaction(connection, self._now(), self._who)
            if connection.total_changes != before:
                connection.execute(sql.COUNT_STEP)

    def _mark(self) -> None:
        """Bring the mark to where the journal is."""
        with self._marking:
            with self._store.reading() as connection:
                mark = marker.mark_of(connection, self._inode)
            if mark != self._marked:
                marker.write(self._store.marks, mark)
                self._marked = mark
            self._testify(mark)

    def _testify(self, mark: marker.HighWaterMark) -> None:
        """Have the mark elsewhere, too, where the database has a place for it."""

    def _is_locked(self) -> bool:
        """Whether this process alone may decide what becomes of shipments."""
        raise NotImplementedError

    def _require_nobody_sends(self, transaction: Transaction, msg_id: str) -> None:
        """Refuse to let a shipment go again that another process may still be sending."""
