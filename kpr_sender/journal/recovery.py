"""Knowing a journal that was restored from backup, copied or lost, and going on with it after a person's decision.

A restored journal does not know what was sent after it was saved, and would send it again (promise G1). So a file
beside it, ``<journal>.mark``, has its high-water mark: how far the journal has come. The rules:

1. Every change of the journal MUST raise its ``step`` by one, in the same transaction.
2. The mark MUST be brought to the journal's step when a transfer is about to begin, and when the journal is opened and
   closed for writing: written to a new file, fsynced, moved to the old one's place, the folder fsynced.
3. The new file is written before the commit of the change that begins a transfer, so that a full disk stops it there.
   It MUST take the old one's place after the commit, and no transfer MUST begin before that. Where that fails, the
   attempt is taken back as not sent: it is certain, since nothing was handed to the bus yet. A run that dies in between
   leaves it in doubt, as ever.
4. So a crash leaves the journal at the mark's step or ahead of it, never behind. Ahead is harmless: the journal knows
   more, and the next opening brings the mark up.
5. A journal that is behind its mark has lost something (it was restored from backup, a ``-wal`` was deleted, a disk did
   not keep its word); one with another id is another journal; one in another inode than the mark says is a copy of the
   file; a missing or damaged mark says nothing. In each case opening for writing MUST be refused. Only a journal that
   has seen no change may begin without a mark, or take over one that knows of no transfer.
6. The mark names every shipment whose transfer has begun, as ids, numbers and digests: no payload, no persons.

It cannot see a machine or disk image that was restored as a whole: journal, mark and inode are old together.

A person may accept such a journal (``accept``). Nothing in it is sent by itself then: what is sealed is in doubt, what
the mark names and the journal lacks is stored as forgotten and blocks a new submission for its sender, municipality,
district and year until it is released, and the journal gets a new id: where it was copied, only the other one still
fits its own mark. Who, why and what was found is stored.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kpr_sender.durable import sync_folder, write_through
from kpr_sender.errors import InternalError, JournalUnwritable, UsageError
from kpr_sender.journal import rows, sql
from kpr_sender.journal.admission import require_reason
from kpr_sender.journal.connection import of_os, open_to_write
from kpr_sender.journal.location import stable_inode
from kpr_sender.journal.lock import held_by_this_process
from kpr_sender.journal.transaction import Transaction
from kpr_sender.model import Environment
from kpr_sender.states import Cause, ShipmentState

_MOST_BYTES: Final = 4_000_000
_WAY_ON: Final = (
    "Send nothing by other means. If the right journal is still somewhere, put it in its place. If not, ask "
    "kpr@fhi.no what has arrived, then run kpr-send journal verify to see what this one knows, and kpr-send journal "
    "verify --accept-restored --reason TEXT --by NAME: what is sealed is then in doubt and is not sent by itself."
)
_one_at_a_time: Final = threading.Lock()  # of this process; others are kept out by the journal's lock


@dataclass(frozen=True, slots=True)
class Begun:
    """A shipment whose transfer has begun, ``attempts`` times."""

    msg_id: str
    type: str
    sender_her_id: int
    kommunenummer: str
    bydel: str
    year: int
    payload_sha256: str
    attempts: int


@dataclass(frozen=True, slots=True)
class HighWaterMark:
    """How far a journal has come, as the file beside it says or as the journal itself does.

    Attributes:
        journal_id: The journal's own, random.
        step: How many changes it has seen.
        inode: The file's, where its file system keeps it; None else. A copy has another.
    """

    journal_id: str
    step: int
    inode: int | None
    begun: tuple[Begun, ...]


class MarkDamaged(ValueError):
    """The file with the mark is not as it was written."""


def mark_file(journal: Path) -> Path:
    """Return where a journal's mark is."""
    resolved = journal.resolve()
    return resolved.with_name(resolved.name + ".mark")


def mark_of(connection: sqlite3.Connection, inode: int | None) -> HighWaterMark:
    """Return the mark that belongs to the journal as it is now; ``inode`` is its file's (``stable_inode``)."""
    identity = connection.execute(sql.IDENTITY).fetchone()
    begun = tuple(Begun(*row) for row in connection.execute(sql.BEGUN))
    return HighWaterMark(identity["journal_id"], identity["step"], inode, begun)


def read(journal: Path) -> HighWaterMark | None:
    """Return the mark beside a journal; None where there is none.

    Raises:
        MarkDamaged: It is not as it was written.
        JournalUnwritable: It cannot be read.
    """
    file = mark_file(journal)
    try:
        with file.open("rb") as stream:
            content = stream.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise of_os(file, error) from error
    try:
        return _read_mark(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise MarkDamaged from None


def write(journal: Path, mark: HighWaterMark) -> None:
    """Write a mark, durable before return; where that fails (``JournalUnwritable``) the old one stands."""
    with _one_at_a_time:
        prepare(journal, mark)
        put(journal)


def prepare(journal: Path, mark: HighWaterMark) -> None:
    """Write a mark to a new file, durable before return; the old one stands until ``put``."""
    file = _new_file(journal)
    content = json.dumps({"kpr-sender journal marker": 1, **asdict(mark)}).encode() + b"\n"
    try:
        write_through(file, content)
    except OSError as error:
        raise of_os(file, error) from error


def put(journal: Path) -> None:
    """Move the mark that is prepared to the old one's place, durable before return."""
    file = mark_file(journal)
    try:
        _new_file(journal).replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise of_os(file, error) from error


def objection(found: HighWaterMark | None, present: HighWaterMark, *, backup_at: str | None) -> str:
    """Return why a journal may not be written to, in one or two sentences; nothing where it may.

    Args:
        found: The mark beside it; None where there is none.
        present: What the journal itself says.
        backup_at: When it was made as a backup; None for a journal.
    """
    if backup_at is not None:
        return f"This is a backup of the journal, made {backup_at}: it does not know what was sent since."
    if found is None:
        # A new journal, or one of an earlier version, has no step yet and gets its first mark now.
        return _MISSING if present.step else ""
    if not (present.step or present.begun or found.begun):
        return ""
    return next((text for text, holds in _DIFFERENCES if holds(found, present)), "")


def _behind(found: HighWaterMark, present: HighWaterMark) -> bool:
    known = {one.msg_id: one.attempts for one in present.begun}
    return found.step > present.step or any(known.get(one.msg_id, 0) < one.attempts for one in found.begun)


_MISSING: Final = "The journal's .mark file is missing: the journal may be an old copy."
_DIFFERENCES: Final[tuple[tuple[str, Callable[[HighWaterMark, HighWaterMark], bool]], ...]] = (
    (
        "This is not the journal that was last used here: it does not know what that one has sent.",
        lambda found, present: found.journal_id != present.journal_id,
    ),
    ("The journal is older than its .mark file: something that was written to it is not in it.", _behind),
    (
        "The journal is not the same file as before: it was restored or copied, and another may be in use.",
        lambda found, present: None not in {found.inode, present.inode} and found.inode != present.inode,
    ),
)


def require_not_lost(journal: Path) -> None:
    """Refuse to make a new journal where the mark shows that one was sent from.

    Raises:
        JournalUnwritable: The journal is gone.
    """
    try:
        if journal.stat().st_size > 0:
            return
    except FileNotFoundError:
        pass
    except OSError as error:
        raise of_os(journal, error) from error
    try:
        found = read(journal)
    except MarkDamaged:
        raise damaged_mark(journal) from None
    if found is not None and found.begun:
        raise refused(
            journal,
            f"The journal is gone. Its .mark file is here, and says that {len(found.begun)} shipments were begun: a "
            "new journal would not know of them.",
        )


def damaged_mark(journal: Path) -> JournalUnwritable:
    """Return the error for a mark that is not as it was written."""
    return refused(journal, f"The journal's .mark file ({mark_file(journal).name}) is damaged.")


def refused(journal: Path, what: str) -> JournalUnwritable:
    """Return the error that explains what happened, and what to do."""
    return JournalUnwritable(f"{what} Nothing was sent.", where=str(journal), next_step=_WAY_ON)


def _new_file(journal: Path) -> Path:
    file = mark_file(journal)
    return file.with_name(file.name + ".new")


def _read_mark(value: Mapping[str, Any]) -> HighWaterMark:
    journal_id, step, inode = value["journal_id"], value["step"], value["inode"]
    if not isinstance(journal_id, str) or not isinstance(step, int) or not isinstance(inode, int | None):
        raise TypeError
    return HighWaterMark(journal_id, step, inode, tuple(Begun(**one) for one in value["begun"]))


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a journal that a person accepts.

    Attributes:
        found: What spoke against it, in words.
        in_doubt: MsgIds that were sealed and are in doubt now.
        forgotten: Shipments that were begun and that the journal does not hold.
    """

    found: str
    in_doubt: tuple[str, ...]
    forgotten: tuple[Begun, ...]


def accept(path: Path, environment: Environment, *, now: Callable[[], datetime], why: str, who: str) -> Accepted:
    """Go on with a journal that its mark speaks against. The caller has the journal's lock.

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
    require_reason(why, who)
    store = open_to_write(path, environment, now=now)
    with closing(store):
        inode = stable_inode(path)
        at = now()
        with store.writing() as connection:
            found, present, what = objection_to(connection, path, inode)
            if not what:
                raise UsageError(
                    "Nothing speaks against this journal: there is nothing to accept.",
                    where="--accept-restored",
                    next_step="Run kpr-send journal verify without it.",
                )
            transaction = Transaction(connection, at, who)
            in_doubt = rows.msg_ids_in_state(connection, ShipmentState.SEALED)
            for msg_id in in_doubt:
                transaction.apply(msg_id, Cause.RESTORED)
            forgotten = () if found is None else _keep_what_is_forgotten(transaction, found)
            sql.insert(connection, "acceptance", {"at": rows.time_text(at), "found": what, "why": why, "who": who})
            reached = max(present.step, 0 if found is None else found.step) + 1
            connection.execute(sql.NEW_IDENTITY, {"step": reached})
        with store.reading() as connection:
            accepted = mark_of(connection, inode)
        write(path, accepted)
    return Accepted(what, in_doubt, forgotten)


def objection_to(
    connection: sqlite3.Connection, path: Path, inode: int | None
) -> tuple[HighWaterMark | None, HighWaterMark, str]:
    """Return the mark beside the journal, the journal's own, and in words why it may not be written to, if so.

    The mark is read first: whoever reads beside a run that writes must not find it ahead of its snapshot.
    """
    damage = ""
    try:
        found = read(path)
    except MarkDamaged:
        found, damage = None, damaged_mark(path).what
    present = mark_of(connection, inode)
    backup_at = connection.execute(sql.IDENTITY).fetchone()["backup_at"]
    if damage:
        return None, present, damage
    return found, present, objection(found, present, backup_at=backup_at)


def _keep_what_is_forgotten(transaction: Transaction, found: HighWaterMark) -> tuple[Begun, ...]:
    forgotten = []
    for begun in found.begun:
        if transaction.connection.execute(sql.SHIPMENT, (begun.msg_id,)).fetchone() is None:
            noted = {**asdict(begun), "noted_at": rows.time_text(transaction.at)}
            transaction.connection.execute(sql.ADD_FORGOTTEN, noted)
            forgotten.append(begun)
    return tuple(forgotten)
