"""Checking what a journal holds, whichever database it is in, without changing it.

1. The sealed bytes of every shipment and of its earlier versions: as many, and with the digest, as when they were
   sealed (promise G3). They were exchanged only before the first attempt under their message-id or by a person.
2. The history: each step is one of ``states.TRANSITIONS``, and all of them together give the state, the attempts, the
   time of publishing and the ids that the row says (promise G5).
3. The receipts: their digests, and that what is delivered or rejected is so by a verified receipt (promise G4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kpr_sender.journal import rows, sql
from kpr_sender.journal.database import Database, StoredRow
from kpr_sender.journal.rows import Unreadable
from kpr_sender.journal.values import CREATED, PRUNED, JournalFinding
from kpr_sender.states import (
    CAUSE_OF_STATUS,
    PERSON_CAUSES,
    RESEALED,
    SENT_AGAIN,
    Cause,
    ImpossibleTransition,
    Lifecycle,
    ReceiptStatus,
    ShipmentState,
    moved,
    was_offered,
)
from kpr_sender.texts import Text, said

_STATUS_OF_CAUSE: Final = {cause: status for status, cause in CAUSE_OF_STATUS.items()}


@dataclass(slots=True)
class _Replayed:
    """A shipment's life as its history alone says it was."""

    life: Lifecycle | None = None
    last_cause: Cause | None = None
    sealed_sha256: str | int | None = None
    encryption_sha1: str | int | None = None
    ids: dict[str, str | int] = field(default_factory=dict)
    let_go: bool = False
    wrong: list[str] = field(default_factory=list)

    def take(self, event: StoredRow) -> None:
        """Go on by one line of the history."""
        if event["to_state"] is None:
            return
        what, old = event["what"], event["from_state"]
        try:
            new = ShipmentState(event["to_state"])
            start = None if old is None else ShipmentState(old)
        except ValueError:
            self._object(
                event,
                Text(
                    " ({what}) goes from {old} to {event}, and not both are states",
                    what=what,
                    old=old,
                    event=event["to_state"],
                ),
            )
            return
        known = None if self.life is None else self.life.state
        if start is None:
            if what != CREATED or known is not None or new is not ShipmentState.SEALED:
                self._object(event, Text(" ({what}) makes it {new} out of nothing", what=what, new=new.value))
            self.life = Lifecycle(state=new)
            return
        if start is not known:
            self._object(event, Text(" ({what}) starts from {old}, not from {known}", what=what, old=old, known=known))
        self._move(event, replace(self.life or Lifecycle(state=start), state=start), new)

    def _move(self, event: StoredRow, life: Lifecycle, new: ShipmentState) -> None:
        try:
            cause = Cause(event["what"])
            after = moved(life, cause, at=rows.time_of(event["at"]))
        except (ValueError, ImpossibleTransition):
            self._object(
                event, Text(": {state} cannot be moved by {event}", state=life.state.value, event=event["what"])
            )
        else:
            if after.state is not new:
                self._object(
                    event,
                    Text(
                        ": {cause} takes {state} to {state_2}, not to {new}",
                        cause=cause.value,
                        state=life.state,
                        state_2=after.state,
                        new=new,
                    ),
                )
            if cause in PERSON_CAUSES and not (event["who"].strip() and event["why"].strip()):
                self._object(event, Text(": {cause} by nobody, or without a reason", cause=cause.value))
            if cause is Cause.PERSON_NOT_ARRIVED and '"was_message_id"' not in event["details"]:
                after = replace(after, earlier_attempts=life.earlier_attempts)  # schema 3 kept the message-id
            self.let_go |= cause in SENT_AGAIN
            self.last_cause, life = cause, after
        self.life = replace(life, state=new)

    def take_seal(self, event: StoredRow, details: Mapping[str, str | int]) -> None:
        """Go on by what the same line says of the sealed bytes."""
        self.ids.update({name: details[name] for name in ("msg_id", "message_id") if name in details})
        if event["what"] == Cause.PERSON_RESENDS:
            if details.get("was_sealed_sha256") != self.sealed_sha256:
                self._object(event, Text(": it was sealed anew from another digest than it had"))
        elif event["what"] == RESEALED:
            renamed = self.let_go and "was_message_id" in details
            if self.life is None or (was_offered(self.life) and not renamed):
                self._object(event, Text(": it was sealed anew after it was offered"))
            else:
                self.life = replace(self.life, earlier_attempts=self.life.attempts)
            if details.get("was_sealed_sha256") != self.sealed_sha256:
                self._object(event, Text(": it was sealed anew from another digest than it had"))
        elif event["what"] != CREATED:
            return
        self.sealed_sha256, self.encryption_sha1 = details.get("sealed_sha256"), details.get("encryption_sha1")

    def _object(self, event: StoredRow, text: str) -> None:
        self.wrong.append(Text("event {event}{text}", event=event["event_id"], text=text))


def check_content(connection: Database, name: str, counted: dict[str, int]) -> Iterator[JournalFinding]:
    """Yield what is wrong with what a journal holds.

    Args:
        connection: With a transaction open, so that all is one snapshot.
        name: What the journal is called in findings.
        counted: Takes how much was looked at.
    """
    counted["submissions"] = connection.execute("SELECT count(*) FROM submission").fetchone()[0]
    counted["events"] = connection.execute("SELECT count(*) FROM event").fetchone()[0]
    counted["shipments"] = counted["receipts"] = counted["sealed_bytes"] = 0
    for row in connection.execute("SELECT * FROM submission ORDER BY sequence").fetchall():
        yield from _submission(connection, row)
    for row in connection.execute(sql.ALL_SHIPMENTS).fetchall():
        counted["shipments"] += 1
        pruned = _is_pruned(connection, row)
        counted["sealed_bytes"] += 0 if pruned else row["sealed_bytes"]
        yield from _shipment(connection, row, pruned=pruned)
    yield from _sealed_before(connection, name)
    for text_row in connection.execute("SELECT * FROM receipt ORDER BY receipt_id"):
        counted["receipts"] += 1
        for text in _receipt(connection, text_row):
            yield JournalFinding(
                text_row["msg_id"], Text("receipt {text_row}: {text}", text_row=text_row["receipt_id"], text=text)
            )


def _shipment(connection: Database, row: StoredRow, *, pruned: bool) -> Iterator[JournalFinding]:
    for text in (*_readable(row), *_sealed(connection, row, pruned=pruned), *_history(connection, row)):
        yield JournalFinding(row["msg_id"], text)
    for version in connection.execute(sql.VERSIONS_OF, (row["shipment_id"],)).fetchall():
        for text in (*_readable(version, rows.version_of), *_sealed(connection, version, pruned=pruned)):
            yield JournalFinding(
                version["msg_id"], Text("before {version}: {text}", version=version["until"], text=text)
            )


def _submission(connection: Database, row: StoredRow) -> Iterator[JournalFinding]:
    try:
        rows.submission_of(row, ())
    except Unreadable as error:
        yield JournalFinding(row["submission_id"], said(error))
    shipments = connection.execute(sql.SHIPMENTS_OF, {"submission_id": row["submission_id"]}).fetchall()
    if not shipments:
        yield JournalFinding(row["submission_id"], Text("it has no shipment"))
    own = connection.execute(sql.READ_ENVIRONMENT).fetchone()[0]
    if row["environment"] != own:
        yield JournalFinding(
            row["submission_id"], Text("it is for {row}, the journal for {own}", row=row["environment"], own=own)
        )


def _readable(row: StoredRow, read: Callable[[StoredRow], object] = rows.shipment_of) -> Iterator[str]:
    reads: tuple[Callable[[], object], ...] = (lambda: read(row), lambda: rows.envelope_of(row["envelope"]))
    for attempt in reads:
        try:
            attempt()
        except Unreadable as error:
            yield said(error)


def _is_pruned(connection: Database, row: StoredRow) -> bool:
    """Whether a person has had the bytes removed of what may not be sent any more."""
    found = connection.execute(sql.EVENTS_OF, (row["msg_id"],)).fetchall()
    return row["state"] not in ("sealed", "publishing") and any(event["what"] == PRUNED for event in found)


def _sealed(connection: Database, row: StoredRow, *, pruned: bool) -> Iterator[str]:
    digest, length = hashlib.sha256(), 0
    chunks = connection.sealed(row["sealed_id"])
    if chunks is None:
        yield Text("its sealed bytes are not there")
        return
    for chunk in chunks:
        digest.update(chunk)
        length += len(chunk)
    if pruned:
        if length:
            yield Text("its sealed bytes were removed by a person's decision, and are there")
        return
    if length != row["sealed_bytes"] or digest.hexdigest() != row["sealed_sha256"]:
        yield Text("its sealed bytes are not those that were written")


def _sealed_before(connection: Database, name: str) -> Iterator[JournalFinding]:
    stored = connection.execute("SELECT (SELECT count(*) FROM sealed) - (SELECT count(*) FROM shipment)").fetchone()[0]
    exchanged = "SELECT count(*) FROM event WHERE what IN (?, ?)"
    resealed = connection.execute(exchanged, (RESEALED, Cause.PERSON_RESENDS.value)).fetchone()[0]
    if stored != resealed:
        yield JournalFinding(
            name,
            Text(
                "{stored} sealed bytes belong to no shipment; its history has {resealed} that were exchanged.",
                stored=stored,
                resealed=resealed,
            ),
        )


def _history(connection: Database, row: StoredRow) -> Iterator[str]:
    replayed = _Replayed()
    for event in connection.execute(sql.EVENTS_OF, (row["msg_id"],)):
        replayed.take(event)
        try:
            details = rows.event_of(event).details
        except Unreadable as error:
            yield said(error)
            continue
        replayed.take_seal(event, details)
    if replayed.sealed_sha256 != row["sealed_sha256"]:
        yield Text("it was created, or last sealed anew, with another digest of its sealed bytes")
    if replayed.encryption_sha1 != row["encryption_sha1"]:
        yield Text("it was sealed for another certificate than its row says")
    yield from replayed.wrong
    yield from _row_says(replayed, row)
    if (status := _STATUS_OF_CAUSE.get(replayed.last_cause or Cause.ACCEPTED)) is not None:
        yield from _receipt_says(connection, row, status)


def _row_says(replayed: _Replayed, row: StoredRow) -> Iterator[str]:
    """Yield where the row says something else than its history."""
    life = replayed.life or Lifecycle(state=ShipmentState.SEALED)
    if replayed.life is None or life.state != row["state"]:
        yield Text(
            "its history ends {life}, its row says {row}", life=replayed.life and life.state.value, row=row["state"]
        )
    if life.attempts != row["attempts"]:
        yield Text("its history has {attempts} attempts, its row {row}", attempts=life.attempts, row=row["attempts"])
    if life.earlier_attempts != row["earlier_attempts"]:
        yield Text(
            "its history has {earlier_attempts} attempts under earlier ids, its row {row}",
            earlier_attempts=life.earlier_attempts,
            row=row["earlier_attempts"],
        )
    for what, known, in_row in (
        (Text("published"), life.published_at is not None, row["published_at"] is not None),
        (Text("handed over"), life.handed_over, bool(row["handed_over"])),
    ):
        if known != in_row:
            yield (
                Text("its history says {what}, its row the opposite", what=what)
                if known
                else Text("its history says not {what}, its row the opposite", what=what)
            )
    for name, known_id in replayed.ids.items():
        if known_id != row[name]:
            yield Text("its history has another {name} than its row", name=name)


def _receipt_says(connection: Database, row: StoredRow, status: ReceiptStatus) -> Iterator[str]:
    found = connection.execute(sql.RECEIPTS_OF, (row["msg_id"],)).fetchall()
    if not any(receipt["verified"] and receipt["status"] == status for receipt in found):
        yield Text("it is {row}, and no verified receipt says so", row=row["state"])


def _receipt(connection: Database, row: StoredRow) -> Iterator[str]:
    try:
        rows.receipt_of(row)
    except Unreadable as error:
        yield said(error)
    pruned = not row["sealed"] and any(
        event["what"] == PRUNED and event["at"] >= row["received_at"]
        for event in connection.execute(sql.EVENTS_OF, (row["msg_id"],))
    )
    if not pruned and hashlib.sha256(row["sealed"]).hexdigest() != row["sealed_sha256"]:
        yield Text("its bytes are not those that came")
    if row["verified"] and row["status"] is None:
        yield Text("verified, and without a status")
    if row["verified"] and row["xml"] is None and not pruned:
        yield Text("verified, and without the AppRec")
    if not row["verified"] and not row["problem"]:
        yield Text("not verified, and it does not say why")


def forgotten(connection: Database) -> Iterator[JournalFinding]:
    """Yield what was begun before a journal was restored and is not in it, as long as a person has not released it."""
    for row in connection.execute(sql.FORGOTTEN):
        if row["released_at"] is None:
            yield JournalFinding(
                row["msg_id"],
                Text(
                    "a {row} for {row_2} was begun before this journal was restored from backup, and is not in it: "
                    "ask kpr@fhi.no whether it has arrived. Until it is released (kpr-send journal release MSGID "
                    "--reason TEXT --by NAME) no other is sent for that year.",
                    row=row["type"],
                    row_2=row["year"],
                ),
            )
