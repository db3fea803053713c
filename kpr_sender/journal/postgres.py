"""The journal in PostgreSQL, to read and write: its lease, and what this machine knows of a restored database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from kpr_sender.errors import InDoubt, JournalUnwritable, LastError
from kpr_sender.journal import recovery, rows
from kpr_sender.journal.postgres_connection import PostgresStore
from kpr_sender.journal.postgres_errors import StaleFence, lease_lost
from kpr_sender.journal.postgres_lease import Lease
from kpr_sender.journal.postgres_restored import know_timeline, objection_to
from kpr_sender.journal.queries import SqlView
from kpr_sender.journal.sql_journal import SqlJournal
from kpr_sender.journal.transaction import Transaction
from kpr_sender.model import Environment, Shipment
from kpr_sender.states import Cause, HistoryLine
from kpr_sender.texts import Text

LATE_OUTCOME: Final = "outcome-by-stale-holder"
"""What the history calls the outcome of a transfer whose holder had lost the lease: evidence, no more."""

# In doubt by another holder than the one that began the transfer: that one was lost, and nobody knows when it ended.
# After a failover that is so of any shipment: what the journal has of it may be from before it was sent.
_QUIET: Final = """
    SELECT CAST(ceil(? - extract(epoch FROM clock_timestamp() - max(since))) AS INTEGER) AS left_seconds
    FROM (
      (SELECT stored_at AS since FROM acceptance ORDER BY acceptance_id DESC LIMIT 1)
      UNION ALL
      (SELECT lost.stored_at FROM event AS lost JOIN known_msg_id USING (msg_id)
       WHERE shipment_id = (SELECT shipment_id FROM known_msg_id WHERE msg_id = ?)
         AND lost.from_state = 'publishing' AND lost.to_state = 'in_doubt'
         AND lost.fence <> (
           SELECT begun.fence FROM event AS begun
           WHERE begun.msg_id = lost.msg_id AND begun.to_state = 'publishing' AND begun.event_id < lost.event_id
           ORDER BY begun.event_id DESC LIMIT 1)
       ORDER BY lost.event_id DESC LIMIT 1)) AS over
"""
_IS_KNOWN: Final = "SELECT 1 FROM known_msg_id WHERE msg_id = ?"


class PostgresView(SqlView):
    """A ``JournalView`` on an open database; also a context manager that closes it."""

    _store: PostgresStore

    @property
    def store(self) -> PostgresStore:
        """Where it is stored."""
        return self._store

    def refused(self) -> JournalUnwritable | None:
        """Return why it may not be written to; None where it may."""
        with self._store.reading() as database:
            what = objection_to(database, self._store.marks)
        return recovery.refused(self._store.place, what) if what else None


class PostgresJournal(SqlJournal):
    """A ``Journal``, to read and write; a context manager that closes it.

    Args:
        store: The journal.
        environment: Its environment.
        lease: Ours.
        now: The clock; aware times.
        who: The person or account that events are written for.
        quiet_seconds: How long a lost holder may still be sending after its last word.
    """

    _store: PostgresStore

    def __init__(
        self,
        store: PostgresStore,
        environment: Environment,
        lease: Lease,
        *,
        now: Callable[[], datetime],
        who: str,
        quiet_seconds: float,
    ) -> None:
        super().__init__(store, environment, now=now, who=who)
        self._lease = lease
        self._quiet_seconds = quiet_seconds
        with store.reading() as database:
            what = objection_to(database, store.marks)
        if what:
            raise recovery.refused(store.place, what)
        with store.writing() as database:
            know_timeline(database, rows.time_text(now()))
        self._mark()

    @property
    def store(self) -> PostgresStore:
        """Where it is stored."""
        return self._store

    def begin_publish(self, msg_id: str) -> Shipment:
        """As ``Journal.begin_publish``, and only with a fresh lease."""
        self.require_transfer_may_begin()
        return super().begin_publish(msg_id)

    def end_publish(
        self, msg_id: str, cause: Cause, *, evidence: Mapping[str, str | int], error: LastError | None
    ) -> Shipment:
        """As ``Journal.end_publish``; a stale holder's outcome is stored as evidence, and moves nothing."""
        try:
            return super().end_publish(msg_id, cause, evidence=evidence, error=error)
        except StaleFence:
            details: dict[str, str | int] = {"cause": cause.value, **evidence}
            why = Text("The transfer's outcome, from a run that had lost the lease meanwhile.")
            line = HistoryLine(LATE_OUTCOME, why, details=details)
            with self._store.testifying() as database:
                if database.execute(_IS_KNOWN, (msg_id,)).fetchone():  # a server that took over may not have it
                    Transaction(database, self._now(), self._who).note(msg_id, line)
            raise

    def require_transfer_may_begin(self) -> None:
        """Refuse to begin a transfer where another may have the lease."""
        if not self._lease.is_fresh:
            raise lease_lost(self._store.place)

    def close(self) -> None:
        """Close it; twice is harmless."""
        super().close()
        self._lease.release()

    def _is_locked(self) -> bool:
        return self._lease.is_held

    def _require_nobody_sends(self, transaction: Transaction, msg_id: str) -> None:
        """Refuse before a lost holder has certainly ended: its lease, its transfer and its connection are over.

        Nobody knows what a database that was restored or failed over has lost: the wait is the whole journal's then.
        """
        row: Any = transaction.connection.execute(_QUIET, (str(self._quiet_seconds), msg_id)).fetchone()
        if (row["left_seconds"] or 0) > 0:
            raise InDoubt(
                Text(
                    "The run that began to send {msg_id} may still be sending it: it is not let go again before "
                    "{seconds} seconds have passed.",
                    msg_id=msg_id,
                    seconds=row["left_seconds"],
                ),
                where=self._store.place,
                next_step=Text("Wait that long, ask FHI again, then run the same command again."),
            )
