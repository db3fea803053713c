"""The journal in SQLite: every change is one transaction."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self

from kpr_sender.errors import (
    ConfigInvalid,
    InDoubt,
    InternalError,
    JournalUnwritable,
    KprError,
    NeedsPerson,
    RejectedByReceiver,
    UsageError,
)
from kpr_sender.journal import recovery, sql
from kpr_sender.journal.admission import demand_admissible, demand_nothing_forgotten
from kpr_sender.journal.connection import Store, open_to_read, open_to_write
from kpr_sender.journal.location import stable_inode
from kpr_sender.journal.lock import held_by_this_process
from kpr_sender.journal.port import NewShipment, NewSubmission
from kpr_sender.journal.queries import SqliteView, holder_of_payload, read_shipment, read_submission, shipment_row
from kpr_sender.journal.recovery import objection_to
from kpr_sender.journal.sql import Value
from kpr_sender.journal.transaction import NOTHING, Step, error_columns, reseal, write_sealed
from kpr_sender.model import (
    CertificateName,
    Environment,
    LastError,
    MessageType,
    Receipt,
    ReceiptError,
    Shipment,
    Submission,
)
from kpr_sender.states import CAUSE_OF_STATUS, Cause, ReceiptStatus, ShipmentState


class SqliteJournal(SqliteView):
    """A ``Journal``, to read and write; a context manager that closes it."""

    def __init__(self, store: Store, environment: Environment, *, now: Callable[[], datetime], who: str) -> None:
        """Made by ``open`` only."""
        super().__init__(store, environment)
        self._now = now
        self._who = who
        self._inode = stable_inode(store.path)
        self._marked: recovery.Mark | None = None
        self._marking = threading.RLock()  # from the marker that is prepared to the one that is put

    @classmethod
    def open(cls, path: Path, environment: Environment, *, now: Callable[[], datetime], who: str) -> Self:
        """Open a journal, made where missing.

        Args:
            path: The file; made with mode 0600, its folder with 0700.
            environment: The only one this journal is for.
            now: The clock; aware times.
            who: The person or account that events are written for.

        Raises:
            JournalUnwritable: It cannot be made, opened or written, is damaged, from a newer version, or no journal; or
                its marker says that it was put back, copied or lost (``marker``).
            ConfigInvalid: It is another environment's (promise G7).
        """
        recovery.demand_not_lost(path)
        journal = cls(open_to_write(path, environment, now=now), environment, now=now, who=who)
        try:
            journal._demand_own_marker()
        except BaseException:
            journal._store.close()  # not close(): a journal that is refused must not become its marker's
            raise
        return journal

    @staticmethod
    def open_readonly(path: Path, environment: Environment) -> SqliteView | None:
        """Open a journal for reading, without lock and beside a run that writes; None where there is none yet.

        Raises:
            JournalUnwritable: It cannot be read, is damaged, from another version, or no journal.
            ConfigInvalid: It is another environment's (promise G7).
        """
        store = open_to_read(path, environment)
        return None if store is None else SqliteView(store, environment)

    def recover(self) -> tuple[str, ...]:
        """Move every ``publishing`` shipment to ``in_doubt`` (promise G1); return their MsgIds."""
        if not held_by_this_process(self._store.path):
            raise InternalError("Recovery without the journal's lock: another process may be publishing.")
        error = LastError(InDoubt.code, "An earlier run ended before the bus had answered.")
        with self._step() as step:
            unfinished = step.connection.execute(sql.SHIPMENTS_IN_STATE, (ShipmentState.PUBLISHING.value,)).fetchall()
            for row in unfinished:
                step.end_publish(row, Cause.NO_OUTCOME, evidence=NOTHING, error=error, why=error.text)
            return tuple(row["msg_id"] for row in unfinished)

    def create(self, new: NewSubmission) -> Submission:
        """Keep a pair with its sealed bytes: all of it or nothing."""
        if new.environment is not self._environment:
            raise ConfigInvalid(
                f"A submission for {new.environment.value} does not go into a journal for {self._environment.value}.",
                where=str(self._store.path),
            )
        with self._step() as step:
            in_the_way = step.connection.execute(sql.FORGOTTEN_IN_THE_WAY, sql.submission_row(new, step.at))
            demand_nothing_forgotten(new, tuple(row["msg_id"] for row in in_the_way))
            latest = _latest(step.connection, new)
            demand_admissible(new, latest=latest, same_payload=_same_payload(step.connection, new))
            step.connection.execute(sql.ADD_SUBMISSION, sql.submission_row(new, step.at))
            reason = new.reason.strip()
            for shipment in new.shipments:
                sealed_id, digest = write_sealed(step.connection, shipment)
                sealed = {"sealed_id": sealed_id, "sealed_sha256": digest}
                step.connection.execute(sql.ADD_SHIPMENT, sql.shipment_row(new, shipment, step.at) | sealed)
                step.note(
                    shipment.msg_id,
                    "created",
                    why=reason or "A new submission.",
                    who=new.by,
                    new=ShipmentState.SEALED,
                    details={
                        "submission": new.submission_id,
                        "sealed_sha256": digest,
                        **sql.certificate_columns(shipment.certificates),
                    },
                )
                if new.accepted:
                    step.note(
                        shipment.msg_id,
                        "findings-accepted",
                        why=f"{sum(new.accepted.values())} findings of the check were read and accepted.",
                        who=new.by,
                        details=new.accepted,
                    )
            for replaced in () if latest is None else latest.shipments:
                step.replace(replaced, why=reason, who=new.by, details={"by_submission": new.submission_id})
            row = step.connection.execute(sql.SUBMISSION, (new.submission_id,)).fetchone()
            return read_submission(step.connection, row)

    def reseal(self, new: NewShipment, *, why: str) -> Shipment:
        """Give a shipment that was never offered to the bus other sealed bytes, in one transaction."""
        with self._step() as step:
            reseal(step, new, why=why)
            return read_shipment(step.connection, shipment_row(step.connection, new.msg_id))

    def begin_publish(self, msg_id: str) -> Shipment:
        """``sealed`` to ``publishing`` and one attempt more, durable before return."""
        with self._marking:
            with self._step() as step:
                row = shipment_row(step.connection, msg_id)
                if row["needs_person"]:
                    raise NeedsPerson(
                        f"An answer has come to {msg_id}, which the journal holds as not sent: it is not sent.",
                        next_step="Ask kpr@fhi.no whether the MsgId has arrived.",
                    )
                step.move(row, Cause.PUBLISH_BEGINS, changes={"attempts": row["attempts"] + 1})
                begun = read_shipment(step.connection, shipment_row(step.connection, msg_id))
                mark = recovery.of_journal(step.connection, self._inode)
                mark = replace(mark, step=mark.step + 1)  # this one is counted on the way out
                recovery.prepare(self._store.path, mark)
            try:
                recovery.put(self._store.path)
                self._marked = mark
            except JournalUnwritable as error:
                # The transfer begins after this method returns: it is certain that the bus does not have it.
                with suppress(KprError):
                    self.end_publish(msg_id, Cause.NOT_SENT, evidence=NOTHING, error=LastError.of(error))
                raise
            return begun

    def end_publish(
        self, msg_id: str, cause: Cause, *, evidence: Mapping[str, str | int], error: LastError | None
    ) -> Shipment:
        """Move a ``publishing`` shipment on; an answer that came meanwhile takes effect now."""
        with self._step() as step:
            step.end_publish(shipment_row(step.connection, msg_id), cause, evidence=evidence, error=error)
            return read_shipment(step.connection, shipment_row(step.connection, msg_id))

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
    ) -> Receipt | None:
        """Keep a receipt and move its shipment, in one transaction; None for a duplicate."""
        if cause is not None and not (verified and status is not None and CAUSE_OF_STATUS[status] is cause):
            raise InternalError(f"A receipt moves a shipment by its own verified status only, not by {cause.value}.")
        digest = hashlib.sha256(sealed).hexdigest()
        evidence: dict[str, str | int] = {"receipt_sha256": digest, "verified": int(verified)}
        if status is not None:
            evidence["status"] = status.value
        with self._step() as step:
            shipment = shipment_row(step.connection, msg_id)
            known = step.connection.execute(sql.RECEIPT_BY_SEALED, (msg_id, digest)).fetchone()
            if known is not None and (known["verified"] or not verified):
                step.note(msg_id, "receipt-duplicate", why="The same bytes came again.", details=evidence)
                return None
            if known is None:
                step.note(msg_id, "receipt-kept", why=problem or "A receipt came.", details=evidence)
            else:
                why = "A receipt that was kept but not believed is verified now."
                step.note(msg_id, "receipt-verified", why=why, details=evidence)
            contradiction = "" if cause is None else step.answer(shipment, cause)
            columns: dict[str, Value] = {
                "msg_id": msg_id,
                "status": None if status is None else status.value,
                "errors": sql.errors_text(errors),
                "verified": int(verified),
                "problem": " ".join(filter(None, (problem, contradiction))),
                "received_at": step.at,
                "sealed_sha256": digest,
                "xml": xml,
                "sealed": sealed,
                "signer_sha1": None if signer is None else signer.sha1,
                "signer_serial": None if signer is None else signer.serial,
            }
            if known is None:
                receipt_id = step.connection.execute(sql.ADD_RECEIPT, columns).lastrowid
            else:
                receipt_id = known["receipt_id"]
                step.connection.execute(sql.VERIFY_RECEIPT, columns | {"receipt_id": receipt_id})
            return sql.receipt_of(step.connection.execute(sql.RECEIPT, (receipt_id,)).fetchone())

    def fault(self, msg_id: str, *, condition: str, description: str) -> Shipment:
        """Take note that a message on the error queue names this shipment. Again is harmless."""
        evidence = {"condition": condition, "description": description}
        with self._step() as step:
            error = LastError(
                RejectedByReceiver.code, f"The receiver's error queue message says {condition or 'no more'}."
            )
            step.answer(shipment_row(step.connection, msg_id), Cause.ERROR_QUEUE, evidence=evidence, error=error)
            return read_shipment(step.connection, shipment_row(step.connection, msg_id))

    def decide(self, msg_id: str, cause: Cause, *, reason: str, by: str) -> Shipment:
        """Let a person's decision take effect, and keep who decided it and why."""
        if not reason.strip() or not by.strip():
            raise UsageError("A decision needs a reason and the name of the person who takes it.")
        with self._step() as step:
            step.decide(shipment_row(step.connection, msg_id), cause, why=reason.strip(), who=by.strip())
            return read_shipment(step.connection, shipment_row(step.connection, msg_id))

    def note_error(self, msg_id: str, error: LastError | None) -> None:
        """Set or clear what last went wrong, without moving the shipment."""
        with self._step() as step:
            row = shipment_row(step.connection, msg_id)
            columns = error_columns(error)
            if all(row[name] == value for name, value in columns.items()):
                return  # a cron job that meets the same error every ten minutes does not fill the history
            step.change(row, columns)
            why = "What went wrong before is over." if error is None else error.text
            step.note(msg_id, "error-noted", why=why, details=NOTHING if error is None else {"code": error.code})

    def release(self, msg_id: str, *, reason: str, by: str) -> None:
        """Let a forgotten shipment (``restored``) no longer stand in the way of a new submission.

        Args:
            msg_id: Which shipment.
            reason: What FHI said, in the person's own words.
            by: The person.

        Raises:
            UsageError: It is not a forgotten one, or was released before.
        """
        with self._step() as step:
            values = {"msg_id": msg_id, "at": step.at, "who": by, "why": reason}
            if step.connection.execute(sql.RELEASE_FORGOTTEN, values).rowcount != 1:
                raise UsageError(
                    f"{msg_id} is not a shipment that this journal has forgotten, or it was released before.",
                    next_step="See kpr-send journal verify for those that are.",
                )

    def close(self) -> None:
        """Close it; twice is harmless."""
        with suppress(KprError):
            self._mark()  # a marker that is left behind is harmless: the journal knows more
        super().close()

    @contextmanager
    def _step(self) -> Iterator[Step]:
        with self._store.writing() as connection:
            before = connection.total_changes
            yield Step(connection, sql.time_text(self._now()), self._who)
            if connection.total_changes != before:
                connection.execute(sql.COUNT_STEP)

    def _mark(self) -> None:
        """Bring the marker to where the journal is."""
        with self._marking:
            with self._store.reading() as connection:
                mark = recovery.of_journal(connection, self._inode)
            if mark != self._marked:
                recovery.write(self._store.path, mark)
                self._marked = mark

    def _demand_own_marker(self) -> None:
        with self._store.reading() as connection:
            self._marked, _, what = objection_to(connection, self._store.path, self._inode)
        if what:
            raise recovery.refused(self._store.path, what)
        self._mark()


def _latest(connection: sqlite3.Connection, new: NewSubmission) -> Submission | None:
    row = connection.execute(sql.LATEST_SUBMISSION, sql.submission_row(new, at="")).fetchone()
    return None if row is None else read_submission(connection, row)


def _same_payload(connection: sqlite3.Connection, new: NewSubmission) -> dict[MessageType, Submission]:
    found = {}
    for shipment in new.shipments:
        holder = holder_of_payload(
            connection, new.environment, new.sender_her_id, new.year, shipment.type, shipment.payload_sha256
        )
        if holder is not None:
            row = connection.execute(sql.SUBMISSION, (holder,)).fetchone()
            found[shipment.type] = read_submission(connection, row)
    return found
