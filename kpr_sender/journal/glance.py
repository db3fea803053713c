"""A view for one look at what counts in a journal: as ``queries``, by few statements, and what was read stays read.

A fleet's status opens hundreds of journals, and SQLite compiles each statement anew for each of them. So a submission
is read as a whole: its shipments, and by one statement each all of their receipts, versions and lines of history. What
makes an alarm, a discarded receipt or the word of an error is in ``sql`` alone, for every view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal import rows, sql
from kpr_sender.journal.database import Database, Store, StoredRow
from kpr_sender.journal.queries import SqlView
from kpr_sender.journal.values import JournalEvent, SubmissionEntry
from kpr_sender.model import Environment, Submission


class _Whole(NamedTuple):
    """A submission with the history of each of its shipments, by their present MsgId."""

    submission: Submission
    history: dict[str, tuple[JournalEvent, ...]]


class Glance(SqlView):
    """A view of one moment.

    Args:
        store: The journal.
        environment: Its environment.
        refused: Returns why it may not be written to.
    """

    def __init__(self, store: Store, environment: Environment, refused: Callable[[], JournalUnwritable | None]) -> None:
        super().__init__(store, environment)
        self._refused = refused
        self._entries: tuple[SubmissionEntry, ...] | None = None
        self._wholes: dict[str, _Whole | None] = {}

    @property
    def store(self) -> Store:
        """Where it is stored."""
        return self._store

    def entries(self) -> tuple[SubmissionEntry, ...]:
        """Return what one chooses by among all submissions, the newest first."""
        if self._entries is None:
            self._entries = super().entries()
        return self._entries

    def submission(self, submission_id: str) -> Submission | None:
        """Return the submission with its shipments and their receipts."""
        if submission_id not in self._wholes:
            with self._store.reading() as connection:
                row = connection.execute(sql.SUBMISSION, (submission_id,)).fetchone()
                self._wholes[submission_id] = None if row is None else _read(connection, row)
        whole = self._wholes[submission_id]
        return None if whole is None else whole.submission

    def events(self, msg_id: str | None) -> tuple[JournalEvent, ...]:
        """Return the history of one shipment, or of all, the oldest first."""
        for whole in self._wholes.values():
            if whole is not None and msg_id in whole.history:
                return whole.history[msg_id]
        return super().events(msg_id)

    def refused(self) -> JournalUnwritable | None:
        """Return why it may not be written to; None where it may."""
        return self._refused()


def _read(connection: Database, row: StoredRow) -> _Whole:
    """Read a submission as a whole, from its row; what there is of it is what ``rows.read_submission`` finds."""
    shipments = connection.execute(sql.SHIPMENTS_OF, {"submission_id": row["submission_id"]}).fetchall()
    if not shipments:
        return _Whole(rows.submission_of(row, ()), {})
    ids = tuple(one["shipment_id"] for one in shipments)
    receipts = connection.execute(sql.of_each(sql.RECEIPTS_OF_EACH, ids), ids).fetchall()
    versions = connection.execute(sql.of_each(sql.VERSIONS_OF_EACH, ids), ids).fetchall()
    events = connection.execute(sql.of_each(sql.EVENTS_OF_EACH, ids), ids).fetchall()
    found, history = [], {}
    for shipment in shipments:
        number, msg_id = shipment["shipment_id"], shipment["msg_id"]
        own = [one for one in events if one["shipment_id"] == number]
        said = connection.execute(sql.ERROR_MESSAGE_OF, (msg_id, shipment["since"])).fetchone()
        found.append(
            rows.shipment_of(
                shipment,
                [rows.receipt_of(one) for one in receipts if one["shipment_id"] == number],
                [rows.version_of(one) for one in versions if one["shipment_id"] == number],
                said and rows.error_message_of(said),
                rows.known_by_history([one for one in own if one["what"] in sql.KNOWN_WHATS], shipment["message_id"]),
            )
        )
        history[msg_id] = tuple(map(rows.event_of, own))
    return _Whole(rows.submission_of(row, found), history)
