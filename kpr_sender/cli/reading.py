"""Reading the journal without the engine: no lock, no bus, no keys, and a quick start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from kpr_sender.inbound.look_memory import last_look
from kpr_sender.journal.port import JournalView
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Submission
from kpr_sender.operator.resolve import look_up
from kpr_sender.report import Report, review_of
from kpr_sender.settings.values import Settings


def report_on(settings: Settings, submission: Submission, journal: JournalView | None = None) -> Report:
    """Return what is known of a submission now; with a journal also whether a person has reviewed it."""
    now, reviewed = datetime.now(UTC), review_of(journal, submission)
    return Report.of(settings, submission, at=now, reviewed=reviewed, last_look=last_look(settings, now))


@contextmanager
def found(settings: Settings, wanted: str | None) -> Iterator[tuple[JournalView, Submission] | None]:
    """Yield the journal and the submission that is asked for; None where nothing was submitted yet.

    Args:
        settings: Which journal.
        wanted: A submission's id or a MsgId; None for the newest submission.

    Raises:
        UsageError: The id is not in the journal.
        JournalUnwritable: The journal cannot be read.
    """
    journal = SqliteJournal.open_readonly(settings.journal.path, settings.environment)
    if journal is None:
        yield None
        return
    with journal:
        submission = look_up(journal, wanted)
        yield None if submission is None else (journal, submission)
