"""Finding a submission by what a person typed."""

from __future__ import annotations

from kpr_sender.errors import UsageError
from kpr_sender.journal.port import JournalView
from kpr_sender.model import Submission
from kpr_sender.states import AWAITING_RECEIPT


def look_up(journal: JournalView, submission_id: str | None) -> Submission | None:
    """Return the submission of that id, or the newest one when no id is given; None when the journal is empty.

    Args:
        journal: Where to look.
        submission_id: A submission's id, or the MsgId of one of its shipments.

    Raises:
        UsageError: The id is not in this journal.
    """
    if submission_id is None:
        return next(iter(journal.submissions()), None)
    found = journal.submission(submission_id)
    if found is None and (shipment := journal.shipment(submission_id.strip().lower())) is not None:
        found = journal.submission(shipment.submission_id)
    if found is None:
        raise UsageError(
            f"{submission_id} is not in this journal.",
            next_step="kpr-send status lists what is; check --env and --journal.",
        )
    return found


def newest_awaiting(journal: JournalView) -> Submission | None:
    """Return the newest submission that still waits for a receipt, else the newest of all."""
    submissions = journal.submissions()
    awaiting = (one for one in submissions if any(s.state in AWAITING_RECEIPT for s in one.shipments))
    return next(awaiting, next(iter(submissions), None))
