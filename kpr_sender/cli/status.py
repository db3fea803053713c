"""``kpr-send status``: what the journal says. No lock, no bus, no keys, and a quick start."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime

import click

from kpr_sender.app import journal_storage
from kpr_sender.cli import console, output
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.inbound.look_memory import report_now
from kpr_sender.journal.port import JournalView
from kpr_sender.operator.resolve import look_up, nothing_submitted
from kpr_sender.render.text import earlier_submissions
from kpr_sender.report import Report
from kpr_sender.settings.values import Settings


@click.command("status")
@click.argument("submission", metavar="[ID]", required=False)
@click.pass_obj
def command(invocation: Invocation, *, submission: str | None) -> int:
    """Show what is known of a submission, from the journal alone; the exit code is the one send would end with.

    ID is a submission's, or a MsgId; without it the newest of the reporting year, or of an earlier one that is not
    over, and the others in a line each. 89 where nothing is submitted for the year.
    """
    settings = invocation.settings()
    with journal_of(settings) as journal:
        report = report_on(settings, journal, submission)
        if report is None:
            exit_code = nothing_known(invocation, settings, journal)
        else:
            exit_code = output.report(invocation, settings, report)
        if submission is None and not invocation.as_json and invocation.loudness is not Loudness.QUIET:
            shown = report and report.submission.submission_id
            others = [] if journal is None else [one for one in journal.submissions() if one.submission_id != shown]
            console.say(invocation.called, earlier_submissions(others))
        return exit_code


def journal_of(settings: Settings) -> AbstractContextManager[JournalView | None]:
    """Let the journal be read; None where there is none yet.

    Raises:
        JournalUnwritable: It cannot be read, or is gone.
    """
    return journal_storage(settings).reading()


def report_on(settings: Settings, journal: JournalView | None, wanted: str | None) -> Report | None:
    """Return what is known of a submission now; None where nothing counts.

    Args:
        settings: Which year, by which limits.
        journal: Where to look.
        wanted: A submission's id or a MsgId; None for the one that counts.

    Raises:
        UsageError: The id is not in the journal.
    """
    found = None if journal is None else look_up(journal, wanted, settings)
    if journal is None or found is None:
        return None
    looks = journal_storage(settings).document("looks", within=journal)
    return report_now(settings, journal, found, looks, datetime.now(UTC))


def nothing_known(invocation: Invocation, settings: Settings, journal: JournalView | None) -> int:
    """Print that nothing is submitted for the year (89), or why send refuses the journal; return the exit code."""
    refused = None if journal is None else journal.refused()
    error = refused or nothing_submitted(settings.report.year, settings.journal.place)
    return output.nothing(invocation, settings, error=error)
