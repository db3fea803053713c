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
   file; a missing, damaged or copied mark says nothing. In each case opening for writing MUST be refused. Only a
   journal that has seen no change may begin without a mark, or take over one that knows of no transfer.
6. The mark names every shipment whose transfer has begun, as ids, numbers and digests: no payload, no persons.
7. Journal and mark may be restored together, into the same files. So the mark is written once more elsewhere
   (``witness``), after rule 3 and before the transfer, and a journal that is behind that one is refused, too. So is a
   new one at a path where a journal was sent from that is gone, mark and all. Where it cannot be written or read,
   nothing is refused for it.

It cannot see a machine or disk image that was restored as a whole: journal, mark, witness and inode are old together.

A person may accept such a journal (``accept``). Nothing in it is sent by itself then: what is sealed is in doubt, what
the mark names and the journal lacks is stored as forgotten and blocks a new submission for its municipality, district
and year until it is released, and the journal gets a new id: where it was copied, only the other one still
fits its own mark. Who, why and what was found is stored.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from kpr_sender.errors import InternalError, JournalUnwritable, UsageError
from kpr_sender.journal import rows, sql, witness
from kpr_sender.journal.admission import require_reason
from kpr_sender.journal.connection import SqliteStore, open_to_read, open_to_write
from kpr_sender.journal.database import Database
from kpr_sender.journal.file_errors import of_os
from kpr_sender.journal.location import stable_inode
from kpr_sender.journal.lock import held_by_this_process
from kpr_sender.journal.marker import HighWaterMark, MarkDamaged, Present, mark_file, mark_of, present_of, read, write
from kpr_sender.journal.transaction import Transaction
from kpr_sender.journal.values import Accepted, Begun, JournalFinding
from kpr_sender.journal.witness import Witness
from kpr_sender.model import Environment
from kpr_sender.states import Cause, ShipmentState
from kpr_sender.texts import Text, paragraph

_WAY_ON: Final = Text(
    "Send nothing by other means. If the right journal is still somewhere, put it in its place. If not, ask "
    "kpr@fhi.no what has arrived, then run kpr-send journal verify to see what this one knows, and kpr-send "
    "journal verify --accept-restored --reason TEXT --by NAME: what is sealed is then in doubt and is not sent "
    "by itself."
)


class JournalGone(JournalUnwritable):
    """There is no journal where one was sent from."""


def objection(found: HighWaterMark | None, present: Present, witnessed: Witness | None) -> str:
    """Return why a journal may not be written to, in one or two sentences; nothing where it may.

    Args:
        found: The mark beside it; None where there is none.
        present: What the journal itself says.
        witnessed: What was written elsewhere of the journal that the mark names, or without a mark of the one that was
            last sent from in this place; None where there is nothing.
    """
    if present.backup_at is not None:
        return Text(
            "This is a backup of the journal, made {backup_at}: it does not know what was sent since.",
            backup_at=present.backup_at,
        )
    if found is None:
        # A new journal, or one of an earlier version, has no step yet and gets its first mark now.
        return _MISSING if present.step else _GONE if witnessed is not None else ""
    if present.step or present.attempts or found.begun:
        for text, holds in _DIFFERENCES:
            if holds(found, present):
                return text
    if witnessed is not None and witnessed.mark.journal_id == present.journal_id and is_behind(witnessed.mark, present):
        return _BEHIND_WITNESS
    return ""


def is_behind(found: HighWaterMark, present: Present) -> bool:
    """Tell whether a journal lacks something that a mark of it knows."""
    known = present.attempts
    return found.step > present.step or any(known.get(one.msg_id, 0) < one.attempts for one in found.begun)


_MISSING: Final = Text("The journal's .mark file is missing: the journal may be an old copy.")
_GONE: Final = Text(
    "The journal that was sent from here is gone, with its .mark file: its folder was emptied, or its disk is "
    "not mounted."
)
_MOVED: Final = Text(
    "Where you moved it on purpose, kpr-send --journal NEWPATH wait --wait 0 notes where it is now, and this "
    "place is free. Else:"
)
_BEHIND_WITNESS: Final = Text(
    "The journal and its .mark file are older than what was written of them outside their folder: both were "
    "restored, and what was sent since is not in them."
)
_DIFFERENCES: Final[tuple[tuple[str, Callable[[HighWaterMark, Present], bool]], ...]] = (
    (
        Text("This is not the journal that was last used here: it does not know what that one has sent."),
        lambda found, present: found.journal_id != present.journal_id,
    ),
    (Text("The journal is older than its .mark file: something that was written to it is not in it."), is_behind),
    (
        Text("The journal is not the same file as before: it was restored or copied, and another may be in use."),
        lambda found, present: None not in {found.inode, present.inode} and found.inode != present.inode,
    ),
    (
        Text(
            "The .mark file is not the one that was written here: it was restored or copied, and the journal "
            "perhaps, too."
        ),
        lambda found, _: found.copied,
    ),
)


def require_not_lost(journal: Path) -> None:
    """Refuse to make a new journal where the mark shows that one was sent from.

    Raises:
        JournalGone: There is none.
        JournalUnwritable: Its place or its mark cannot be read.
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
        raise _gone(
            journal,
            Text(
                "The journal is gone. Its .mark file is here, and says that {count} shipment was begun: a new journal "
                "would not know of it.",
                plural="The journal is gone. Its .mark file is here, and says that {count} shipments were begun: a new "
                "journal would not know of them.",
                count=len(found.begun),
            ),
        )
    if found is None and (gone := witness.last_at(journal)) is not None:
        text = Text(
            "A new one would not know of the {count} shipment that was begun.",
            plural="A new one would not know of the {count} shipments that were begun.",
            count=len(gone.mark.begun),
        )
        raise _gone(journal, paragraph(_GONE, text), _MOVED)


def open_there(path: Path, environment: Environment) -> SqliteStore | None:
    """Open a journal for reading only, as ``connection.open_to_read``; None where there never was one.

    Raises:
        JournalUnwritable: Also where it is gone.
    """
    store = open_to_read(path, environment)
    if store is None:
        require_not_lost(path)
    return store


def damaged_mark(journal: Path) -> JournalUnwritable:
    """Return the error for a mark that is not as it was written."""
    return refused(journal, Text("The journal's .mark file ({name}) is damaged.", name=mark_file(journal).name))


def refused(journal: Path | str, what: str, first: str = "") -> JournalUnwritable:
    """Return the error that explains what happened, and what to do; ``first`` is what may be enough."""
    return JournalUnwritable(
        Text("{what} Nothing was sent.", what=what), where=str(journal), next_step=paragraph(first, _WAY_ON)
    )


def _gone(journal: Path, what: str, first: str = "") -> JournalGone:
    error = refused(journal, what, first)
    return JournalGone(error.what, where=error.where, next_step=error.next_step)


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
        raise InternalError(Text("A restored journal is accepted under its lock only."))
    require_reason(why, who)
    store = open_to_write(path, environment, now=now)
    with closing(store):
        inode = stable_inode(path)
        at = now()
        with store.writing() as connection:
            found, witnessed, present, what = objection_to(connection, path, inode)
            witnesses = {one for one in (witnessed, witness.read(present.journal_id)) if one is not None}
            known = [*filter(None, [found]), *(one.mark for one in witnesses)]
            done = store_acceptance(Transaction(connection, at, who), what, why, known)
            reached = max([present.step, *(one.step for one in known)]) + 1
            connection.execute(sql.NEW_IDENTITY, {"step": reached, "journal_id": secrets.token_hex(16)})
        with store.reading() as connection:
            accepted = mark_of(connection, inode)
        write(path, accepted)
        for one in witnesses:
            if one.is_of(path):
                # What had an earlier id in this place is out of use; elsewhere its original may still be in use.
                witness.write(path, replace(one.mark, step=reached))
        witness.write(path, accepted)  # the last one is the one that is in use here
    return done


def store_acceptance(transaction: Transaction, what: str, why: str, known: Collection[HighWaterMark]) -> Accepted:
    """Store that a person goes on with a journal: what is sealed is in doubt, what only marks know is forgotten.

    Args:
        transaction: The person's.
        what: What speaks against the journal, in a sentence.
        why: What was found out, in the person's own words.
        known: The marks that there are of it.

    Raises:
        UsageError: Nothing speaks against it.
    """
    if not what:
        raise UsageError(
            Text("Nothing speaks against this journal: there is nothing to accept."),
            where="--accept-restored",
            next_step=Text("Run kpr-send journal verify without it."),
        )
    in_doubt = rows.msg_ids_in_state(transaction.connection, ShipmentState.SEALED)
    for msg_id in in_doubt:
        transaction.apply(msg_id, Cause.RESTORED)
    forgotten = _keep_what_is_forgotten(transaction, known)
    at, who = rows.time_text(transaction.at), transaction.who
    sql.insert(transaction.connection, "acceptance", {"at": at, "found": what, "why": why, "who": who})
    return Accepted(what, in_doubt, forgotten)


def objection_to(
    connection: Database, path: Path, inode: int | None
) -> tuple[HighWaterMark | None, Witness | None, Present, str]:
    """Return the mark beside the journal, its witness, what the journal itself says, and why it may not be written to.

    Mark and witness are read first: whoever reads beside a run that writes must not find them ahead of its snapshot.
    So nothing may have been read over this connection in the same transaction.
    """
    damage = ""
    try:
        found = read(path)
    except MarkDamaged:
        found, damage = None, damaged_mark(path).what
    witnessed = witness.last_at(path) if found is None else witness.read(found.journal_id, found)
    present = present_of(connection, inode)
    if damage:
        return None, None, present, damage
    return found, witnessed, present, objection(found, present, witnessed)


def _keep_what_is_forgotten(transaction: Transaction, known: Iterable[HighWaterMark]) -> tuple[Begun, ...]:
    """Store, and return, what marks say was begun and the journal lacks."""
    forgotten = _lacking(transaction.connection, known)
    for begun in forgotten:
        noted = {**begun._asdict(), "noted_at": rows.time_text(transaction.at)}
        transaction.connection.execute(sql.ADD_FORGOTTEN, noted)
    return forgotten


def _lacking(connection: Database | None, known: Iterable[HighWaterMark]) -> tuple[Begun, ...]:
    """Return what marks say was begun and a journal lacks; all of it where there is no journal."""
    begun = {one.msg_id: one for mark in known for one in mark.begun}.values()
    if connection is None:
        return tuple(begun)
    return tuple(one for one in begun if connection.execute(sql.SHIPMENT, (one.msg_id,)).fetchone() is None)


def begun_here(connection: Database | None, journal: Path) -> Iterator[JournalFinding]:
    """Yield what was begun from here and a journal that is refused lacks: FHI is asked for these before it is accepted.

    Args:
        connection: With a transaction open; None where there is no journal.
        journal: Beside which file the mark is.
    """
    try:
        found = read(journal)
    except (MarkDamaged, JournalUnwritable):
        found = None
    witnessed = witness.last_at(journal) if found is None else witness.read(found.journal_id, found)
    known = [*filter(None, [found]), *([] if witnessed is None else [witnessed.mark])]
    for one in _lacking(connection, known):
        yield JournalFinding(
            one.msg_id,
            Text(
                "a {type} for {year} was begun from here, and is not in this journal: ask kpr@fhi.no whether it has "
                "arrived.",
                type=one.type,
                year=one.year,
            ),
        )
