"""Checking a journal from end to end, without changing it: ``kpr-send journal verify``.

1. The file: SQLite's own integrity and foreign keys, private permissions, the tables as the migrations make them.
2. The sealed bytes of every shipment and of its earlier versions: as many, and with the digest, as when they were
   sealed (promise G3). They were exchanged only before the first attempt under their message-id or by a person.
3. The history: each step is one of ``states.TRANSITIONS``, and all of them together give the state, the attempts, the
   time of publishing and the ids that the row says (promise G5).
4. The receipts: their digests, and that what is delivered or rejected is so by a verified receipt (promise G4).
5. The mark: whether the journal was restored from backup, copied or lost something (promise G1).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from kpr_sender.errors import JournalUnwritable
from kpr_sender.file_owners import keeps_owners
from kpr_sender.journal import recovery, rows, schema, sql
from kpr_sender.journal.file_errors import of_os
from kpr_sender.journal.location import beside, stable_inode
from kpr_sender.journal.recovery import objection_to
from kpr_sender.journal.rows import Unreadable
from kpr_sender.journal.values import CREATED, PRUNED, JournalFinding, Verification
from kpr_sender.model import Environment
from kpr_sender.settings.file_access import OTHERS
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
from kpr_sender.texts import Text, paragraph, said

_MOST_FINDINGS: Final = 100  # of SQLite's: one torn page can be thousands
_CHUNK_BYTES: Final = 1 << 20
_UNFINISHED: Final = Text(
    "what a person had removed may be left in its -wal file and among the receipts' copies: the next kpr-send "
    "wait or send finishes that."
)
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

    def take(self, event: sqlite3.Row) -> None:
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

    def _move(self, event: sqlite3.Row, life: Lifecycle, new: ShipmentState) -> None:
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

    def take_seal(self, event: sqlite3.Row, details: Mapping[str, str | int]) -> None:
        """Go on by what the same line says of the sealed bytes."""
        self.ids.update({name: details[name] for name in ("msg_id", "message_id") if name in details})
        if event["what"] == Cause.PERSON_RESENDS:
            if details.get("was_sealed_sha256") != self.sealed_sha256:
                self._object(event, Text(": it was sealed anew from another digest than it had"))
        elif event["what"] == RESEALED:
            renamed = self.let_go and "was_message_id" in details
            if self.life is None or (was_offered(self.life) and not renamed):
                self._object(event, Text(": it was sealed anew after it was offered to the bus"))
            else:
                self.life = replace(self.life, earlier_attempts=self.life.attempts)
            if details.get("was_sealed_sha256") != self.sealed_sha256:
                self._object(event, Text(": it was sealed anew from another digest than it had"))
        elif event["what"] != CREATED:
            return
        self.sealed_sha256, self.encryption_sha1 = details.get("sealed_sha256"), details.get("encryption_sha1")

    def _object(self, event: sqlite3.Row, text: str) -> None:
        self.wrong.append(Text("event {event}{text}", event=event["event_id"], text=text))


def verify(path: Path, environment: Environment) -> Verification | None:
    """Check a journal beside whoever writes it, in one consistent snapshot; None where there is none.

    Args:
        path: The journal, or a backup of it.
        environment: The only one it may be for.

    Raises:
        ConfigInvalid: It is another environment's (promise G7).
    """
    counted: dict[str, int] = {}
    findings: list[JournalFinding] = []
    try:
        store = recovery.open_there(path, environment)
        if store is None:
            return None
        with closing(store), store.reading() as connection:
            findings.extend(_permissions(path))
            *_, objection = objection_to(connection, path, stable_inode(path))
            findings.extend(check(connection, str(path), counted))
            if connection.execute(sql.IS_UNFINISHED).fetchone()["pruning_unfinished"]:
                findings.append(JournalFinding(str(path), _UNFINISHED))
            if objection:
                findings.append(JournalFinding(str(path), objection))
            findings.extend(_forgotten(connection))
    except JournalUnwritable as error:
        findings.append(JournalFinding(str(path), paragraph(error.what, error.next_step)))
    except OSError as error:
        findings.append(JournalFinding(str(path), of_os(path, error).what))
    return Verification(tuple(findings), counted)


def check(connection: sqlite3.Connection, name: str, counted: dict[str, int]) -> Iterator[JournalFinding]:
    """Yield what is wrong inside a journal's file.

    Args:
        connection: With a transaction open, so that all is one snapshot.
        name: What the file is called in findings.
        counted: Takes how much was looked at.

    Raises:
        sqlite3.Error: It is so damaged that SQLite cannot read on.
    """
    yield from _integrity(connection, name)
    yield from _schema(connection, name)
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


def _shipment(connection: sqlite3.Connection, row: sqlite3.Row, *, pruned: bool) -> Iterator[JournalFinding]:
    for text in (*_readable(row), *_sealed(connection, row, pruned=pruned), *_history(connection, row)):
        yield JournalFinding(row["msg_id"], text)
    for version in connection.execute(sql.VERSIONS_OF, (row["shipment_id"],)).fetchall():
        for text in (*_readable(version, rows.version_of), *_sealed(connection, version, pruned=pruned)):
            yield JournalFinding(
                version["msg_id"], Text("before {version}: {text}", version=version["until"], text=text)
            )


def _permissions(path: Path) -> Iterator[JournalFinding]:
    if os.name != "posix":
        return
    for file in (path, beside(path, "-wal"), beside(path, ".mark")):
        if file.exists() and (mode := file.stat().st_mode & 0o777) & OTHERS and keeps_owners(file):
            yield JournalFinding(
                str(file), Text("others may read or write it (mode {mode}); it must be 0600.", mode=format(mode, "04o"))
            )


def _integrity(connection: sqlite3.Connection, name: str) -> Iterator[JournalFinding]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST_FINDINGS})"):
        if text != "ok":
            yield JournalFinding(name, Text("SQLite finds it damaged: {text}.", text=text))
    for row in connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_FINDINGS):
        yield JournalFinding(
            name,
            Text(
                "row {row} of {row_2} belongs to a row of {row_3} that is not there.",
                row=row[1],
                row_2=row[0],
                row_3=row[2],
            ),
        )


def _schema(connection: sqlite3.Connection, name: str) -> Iterator[JournalFinding]:
    with closing(sqlite3.connect(":memory:")) as fresh:
        for migration in schema.MIGRATIONS:
            for statement in migration.statements:
                fresh.execute(statement)
        wanted, found = _tables(fresh), _tables(connection)
    for one in sorted(wanted.keys() | found.keys()):
        if wanted.get(one) != found.get(one):
            what = (
                Text("is missing")
                if one not in found
                else Text("is not ours")
                if one not in wanted
                else Text("was changed")
            )
            yield JournalFinding(name, Text("{kind} {name} {what}.", kind=one[0], name=one[1], what=what))
    versions = [row[0] for row in connection.execute("SELECT version FROM migration ORDER BY version")]
    if versions != [migration.version for migration in schema.MIGRATIONS]:
        yield JournalFinding(name, Text("its history of migrations is {versions}.", versions=versions))


def _tables(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    found = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
    return {(row[0], row[1]): row[2] for row in found}


def _submission(connection: sqlite3.Connection, row: sqlite3.Row) -> Iterator[JournalFinding]:
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


def _readable(row: sqlite3.Row, read: Callable[[sqlite3.Row], object] = rows.shipment_of) -> Iterator[str]:
    reads: tuple[Callable[[], object], ...] = (lambda: read(row), lambda: rows.envelope_of(row["envelope"]))
    for attempt in reads:
        try:
            attempt()
        except Unreadable as error:
            yield said(error)


def _is_pruned(connection: sqlite3.Connection, row: sqlite3.Row) -> bool:
    """Whether a person has had the bytes removed of what may not be sent any more."""
    found = connection.execute(sql.EVENTS_OF, (row["msg_id"],)).fetchall()
    return row["state"] not in ("sealed", "publishing") and any(event["what"] == PRUNED for event in found)


def _sealed(connection: sqlite3.Connection, row: sqlite3.Row, *, pruned: bool) -> Iterator[str]:
    digest = hashlib.sha256()
    try:
        with connection.blobopen("sealed", "bytes", row["sealed_id"], readonly=True) as blob:
            length = len(blob)
            while chunk := blob.read(_CHUNK_BYTES):
                digest.update(chunk)
    except sqlite3.OperationalError:
        yield Text("its sealed bytes are not there")
        return
    if pruned:
        if length:
            yield Text("its sealed bytes were removed by a person's decision, and are there")
        return
    if length != row["sealed_bytes"] or digest.hexdigest() != row["sealed_sha256"]:
        yield Text("its sealed bytes are not those that were written")


def _sealed_before(connection: sqlite3.Connection, name: str) -> Iterator[JournalFinding]:
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


def _history(connection: sqlite3.Connection, row: sqlite3.Row) -> Iterator[str]:
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


def _row_says(replayed: _Replayed, row: sqlite3.Row) -> Iterator[str]:
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


def _receipt_says(connection: sqlite3.Connection, row: sqlite3.Row, status: ReceiptStatus) -> Iterator[str]:
    found = connection.execute(sql.RECEIPTS_OF, (row["msg_id"],)).fetchall()
    if not any(receipt["verified"] and receipt["status"] == status for receipt in found):
        yield Text("it is {row}, and no verified receipt says so", row=row["state"])


def _receipt(connection: sqlite3.Connection, row: sqlite3.Row) -> Iterator[str]:
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


def _forgotten(connection: sqlite3.Connection) -> Iterator[JournalFinding]:
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
