"""What may be removed from the journal because it is over: the rule, and the removal to its end.

Over is a submission that asks nobody for anything any more (delivered, or settled by a person, or replaced by one that
is), and that a person has looked at in FHI's feedback view where that shows anything of it. FHI's letter 24/04733-1 has
a year corrected during its reception period: what nobody has looked at may still have to be explained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal.port import Journal, JournalView
from kpr_sender.journal.values import Pruned
from kpr_sender.model import Submission
from kpr_sender.operator.port import Copies
from kpr_sender.report import Report, may_be_reviewed
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_COPIES_OF_JOURNAL: Final = ".before-*"
"""How the names of the copies go on that an earlier version's journal was copied to before it was migrated."""


@dataclass(frozen=True, slots=True)
class Stays:
    """A submission that is not pruned, and why."""

    submission: Submission
    why: Text


@dataclass(frozen=True, slots=True)
class Selection:
    """The submissions of earlier years than one: which are over, and which are not. The newest first."""

    over: tuple[Submission, ...]
    stays: tuple[Stays, ...]


def select(journal: JournalView, settings: Settings, *, before: int, at: datetime) -> Selection:
    """Return what may be pruned of the reporting years before one.

    Args:
        journal: Where to look.
        settings: By which limits a submission is over.
        before: The first reporting year of which nothing is pruned.
        at: The time now; aware.
    """
    over, stays = [], []
    for submission in journal.submissions():
        if submission.year >= before:
            continue
        why = _why_it_stays(Report.of(settings, journal, submission, at=at))
        if why is None:
            over.append(submission)
        else:
            stays.append(Stays(submission, why))
    return Selection(tuple(over), tuple(stays))


def _why_it_stays(report: Report) -> Text | None:
    own = report.submission
    if report.error is not None:
        return Text(
            "{submission} ({year}) stays: it is not over. See kpr-send status {submission}.",
            submission=own.submission_id,
            year=own.year,
        )
    latest = report
    while latest.replacement is not None:
        latest = latest.replacement
    if may_be_reviewed(latest.submission) and latest.reviewed is None:
        return Text(
            "{submission} ({year}) stays: nobody has noted that FHI's feedback view was looked at. Look, then kpr-send "
            "reviewed {latest} --by NAME.",
            submission=own.submission_id,
            year=own.year,
            latest=latest.submission.submission_id,
        )
    return None


def prune(journal: Journal, copies: Copies, submissions: Sequence[Submission], *, reason: str, by: str) -> Pruned:
    """Remove the sealed bytes and the receipts' content of submissions from the journal, and the receipts' copies.

    Where an earlier run was killed in the middle, this finishes what it began.

    Args:
        journal: Which has all of them.
        copies: The receipts' copies.
        submissions: Which ones; ``select`` says that they are over.
        reason: Why, in the person's words.
        by: Who decided it.

    Raises:
        UsageError: There is no reason or no name.
        JournalUnwritable: It is not finished; what is missing the next run does.
    """
    pruned = journal.prune([one.submission_id for one in submissions], reason=reason, by=by)
    try:
        finish(journal, copies)
    except OSError as error:
        raise JournalUnwritable(
            Text("The copy of a receipt cannot be removed: {reason}.", reason=error.strerror),
            where=str(error.filename or ""),
            next_step=Text("Let this user remove it, then run the same command again."),
        ) from error
    return pruned


def finish(journal: Journal, copies: Copies) -> None:
    """Finish a pruning that was begun, by this run or a killed one; nothing where there is none.

    Raises:
        JournalUnwritable: The journal cannot finish it now.
        OSError: A copy cannot be removed.
    """
    receipts = journal.unfinished_pruning()
    if receipts is not None:
        copies.remove(receipts)
        journal.finish_pruning()


def copies_of_journal(journal: Path) -> tuple[Path, ...]:
    """Return the copies of a journal that its migrations have left beside it: what is pruned is still in them."""
    return tuple(sorted(journal.parent.glob(f"{journal.name}{_COPIES_OF_JOURNAL}")))
