"""Going on with a journal that ``marker`` refuses: what a named person decides, and what it costs.

A restored journal cannot know what was sent after it was saved. So nothing in it may be sent by itself (promise G1):

1. Every sealed shipment is taken as begun and becomes ``in_doubt``: a receipt, or a person (``resolve``), moves it on.
2. Shipments that the marker names and the journal lacks are kept as forgotten. While one is not released, nothing new
   is taken for its sender, municipality, district and year.
3. The journal gets a new id: where it was copied, only the other one still fits its own marker.
4. Who, why and what was found is kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from kpr_sender.errors import InDoubt, InternalError, UsageError
from kpr_sender.journal import marker, statements
from kpr_sender.journal.location import stable_inode
from kpr_sender.journal.lock import held_by_this_process
from kpr_sender.journal.marker import Begun
from kpr_sender.journal.rows import time_text
from kpr_sender.journal.step import NOTHING, Step
from kpr_sender.journal.store import open_to_write
from kpr_sender.journal.view import shipment_row
from kpr_sender.model import Environment, LastError
from kpr_sender.states import Cause, ShipmentState

_TAKEN_AS_BEGUN: Final = "Taken as begun: the journal was put back, and may not know of it."
_IN_DOUBT: Final = LastError(InDoubt.code, "The journal was put back; it may have been sent in the meantime.")


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of it.

    Attributes:
        found: What was found, in words.
        in_doubt: MsgIds that were sealed and are in doubt now.
        forgotten: Shipments that were begun and that the journal does not hold.
    """

    found: str
    in_doubt: tuple[str, ...]
    forgotten: tuple[Begun, ...]


def accept(path: Path, environment: Environment, *, now: Callable[[], datetime], why: str, who: str) -> Accepted:
    """Take a journal as it is, though its marker speaks against it. The caller holds the journal's lock.

    Args:
        path: The journal; made anew where it is gone.
        environment: Its environment.
        now: The clock.
        why: What was found out, in the person's own words.
        who: The person.

    Raises:
        UsageError: Nothing speaks against the journal.
        JournalUnwritable: It cannot be read or written.
    """
    if not held_by_this_process(path):
        raise InternalError("A restored journal is accepted under its lock only.")
    store = open_to_write(path, environment, now=now)
    with closing(store):
        inode = stable_inode(path)
        at = time_text(now())
        with store.writing() as connection:
            found, present, what = objection_to(connection, path, inode)
            if not what:
                raise UsageError(
                    "Nothing speaks against this journal: there is nothing to accept.",
                    where="--accept-restored",
                    next_step="Run kpr-send journal verify without it.",
                )
            step = Step(connection, at, who)
            in_doubt = _doubt_what_is_sealed(step)
            forgotten = () if found is None else _keep_what_is_forgotten(step, found)
            connection.execute(statements.ADD_ACCEPTANCE, {"at": at, "found": what, "why": why, "who": who})
            reached = max(present.step, 0 if found is None else found.step) + 1
            connection.execute(statements.NEW_IDENTITY, {"step": reached})
        with store.reading() as connection:
            accepted = marker.of_journal(connection, inode)
        marker.write(path, accepted)
    return Accepted(what, in_doubt, forgotten)


def objection_to(
    connection: sqlite3.Connection, path: Path, inode: int | None
) -> tuple[marker.Mark | None, marker.Mark, str]:
    """Return what the marker says, what the journal says, and in words why it may not be written to, if so.

    Args:
        connection: With a transaction open on the journal.
        path: The journal.
        inode: Its file's.
    """
    present = marker.of_journal(connection, inode)
    backup_at = connection.execute(statements.IDENTITY).fetchone()["backup_at"]
    try:
        found = marker.read(path)
    except marker.MarkDamaged:
        return None, present, marker.damaged_marker(path).what
    return found, present, marker.objection(found, present, backup_at=backup_at)


def _doubt_what_is_sealed(step: Step) -> tuple[str, ...]:
    sealed = step.connection.execute(statements.SHIPMENTS_IN_STATE, (ShipmentState.SEALED.value,)).fetchall()
    for row in sealed:
        step.move(row, Cause.PUBLISH_BEGINS, changes={"attempts": row["attempts"] + 1}, why=_TAKEN_AS_BEGUN)
        publishing = shipment_row(step.connection, row["msg_id"])
        step.end_publish(publishing, Cause.NO_OUTCOME, evidence=NOTHING, error=_IN_DOUBT, why=_IN_DOUBT.text)
    return tuple(row["msg_id"] for row in sealed)


def _keep_what_is_forgotten(step: Step, found: marker.Mark) -> tuple[Begun, ...]:
    forgotten = []
    for begun in found.begun:
        if step.connection.execute(statements.SHIPMENT, (begun.msg_id,)).fetchone() is None:
            step.connection.execute(statements.ADD_FORGOTTEN, asdict(begun) | {"noted_at": step.at})
            forgotten.append(begun)
    return tuple(forgotten)
