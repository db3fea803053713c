"""Knowing a database that was restored from a backup or failed over to a copy, and going on with it.

Its journal may not know what was sent last, and would send it again (promise G1). Two things tell it:

1. Each machine keeps a mark as beside a file (``marker``): the highest step that it saw, and what it had begun. A
   journal that is behind has lost something. One that is ahead was written by other machines.
2. The journal names the timelines that it was written on: the cluster's number and PostgreSQL's timeline, which grows
   with each promotion and recovery. On one that it does not name it is refused, on whichever machine.

A person accepts it (``accept``): what is sealed is in doubt, what this machine's mark names and the journal lacks is
forgotten (``recovery``), and its timeline is known from then on. Who was sending at the time may still be: a wait
begins for the whole journal, before which nothing in it is let go again (``postgres``). What only other machines' marks
name, they refuse for themselves. It keeps its id, so that they need not accept what they have not lost.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kpr_sender.journal import marker, recovery, rows
from kpr_sender.journal.admission import require_reason
from kpr_sender.journal.database import Database
from kpr_sender.journal.marker import HighWaterMark, MarkDamaged, mark_of, present_of
from kpr_sender.journal.postgres_connection import PostgresStore
from kpr_sender.journal.postgres_server import PRESENT
from kpr_sender.journal.transaction import Transaction
from kpr_sender.journal.values import Accepted
from kpr_sender.texts import Text

_PRESENT: Final = f"SELECT {PRESENT}"
_KNOWN: Final = "SELECT system, timeline FROM timeline"
_ADD: Final = """
    INSERT INTO timeline (system, timeline, known_at) VALUES (:system, :timeline, :known_at) ON CONFLICT DO NOTHING
"""
_SET_STEP: Final = "UPDATE journal SET step = :step, backup_at = NULL"
_BEHIND: Final = Text(
    "The journal's database is older than what this machine has seen of it: something that was written to it is not "
    "in it."
)
_OTHER: Final = Text("This is not the journal that was last used here: it does not know what that one has sent.")
_UNKNOWN: Final = Text(
    "The journal's database was restored, or another server has taken over: what was written last may not be in it."
)
_DAMAGED: Final = Text("This machine's mark of the journal is damaged.")


def objection_to(database: Database, marks: Path) -> str:
    """Return why a journal may not be written to, in a sentence; empty where it may.

    Args:
        database: With a transaction open, in which nothing was read before.
        marks: Beside which file this machine's mark is.
    """
    try:
        found = marker.read(marks)
    except MarkDamaged:
        return _DAMAGED
    present = present_of(database, None)
    if found is not None:
        if found.journal_id != present.journal_id and found.begun:
            return _OTHER
        if found.journal_id == present.journal_id and recovery.is_behind(found, present):
            return _BEHIND
    known = {(row["system"], row["timeline"]) for row in database.execute(_KNOWN)}
    row: Any = database.execute(_PRESENT).fetchone()
    if (row["system"], row["timeline"]) not in known and (known or present.step):
        return _UNKNOWN
    return ""


def know_timeline(database: Database, at: str) -> None:
    """Let the journal know the timeline that it is on."""
    row: Any = database.execute(_PRESENT).fetchone()
    database.execute(_ADD, {"system": row["system"], "timeline": row["timeline"], "known_at": at})


def accept(store: PostgresStore, *, now: Callable[[], datetime], why: str, who: str) -> Accepted:
    """Go on with a journal that something speaks against. The caller has its lease.

    Args:
        store: The journal.
        now: The clock.
        why: What was found out, in the person's own words.
        who: The person.

    Raises:
        UsageError: Nothing speaks against the journal.
        JournalUnwritable: It cannot be read or written.
    """
    require_reason(why, who)
    at = now()
    with store.writing() as database:
        what = objection_to(database, store.marks)
        found = _mark(store.marks)
        known = [found] if found else []
        done = recovery.store_acceptance(Transaction(database, at, who), what, why, known)
        step = max([present_of(database, None).step, *(one.step for one in known)]) + 1
        database.execute(_SET_STEP, {"step": step})
        know_timeline(database, rows.time_text(at))
    with store.reading() as database:
        marker.write(store.marks, mark_of(database, None))
    return done


def _mark(marks: Path) -> HighWaterMark | None:
    try:
        return marker.read(marks)
    except MarkDamaged:
        return None
