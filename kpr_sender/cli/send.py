"""``kpr-send send``: the main job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import click

from kpr_sender.app import journal_storage
from kpr_sender.cli import output, session
from kpr_sender.cli.invocation import PATH, Invocation, max_wait_option, wait_option
from kpr_sender.cli.session import TimeLimit
from kpr_sender.cli.status import journal_of
from kpr_sender.client import Client
from kpr_sender.errors import InputMissing, JournalLocked
from kpr_sender.operator.resolve import look_up
from kpr_sender.outbound.drop import DropFolder
from kpr_sender.outbound.payload_file import named_files
from kpr_sender.outbound.publish import next_sealed
from kpr_sender.report import Report, deadline_of
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_DAYS_TO_WAIT: Final = 7
"""Before the deadline: from then on files that are not there are somebody's move."""


@click.command("send")
@click.argument("fagmelding", type=PATH, required=False)
@click.argument("identmelding", type=PATH, required=False)
@wait_option
@max_wait_option
@click.option("--replaces", metavar="ID", help="The submission this one replaces, after contact with FHI.")
@click.option("--reason", metavar="TEXT", default="", help="Why it replaces: what was agreed with FHI.")
@click.option(
    "--accept-findings",
    metavar="N",
    type=click.IntRange(min=1),
    help="Send though FHI would drop something: the exact number of findings that you have read in kpr-send check.",
)
@click.option(
    "--wait-for-files",
    is_flag=True,
    help='While a file is not there yet: 0 and "waiting" until 7 days before the deadline, then 66. For a schedule.',
)
@click.option("--by", metavar="NAME", default="", help="Who accepts or replaces; the login name when not given.")
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    *,
    fagmelding: Path | None,
    identmelding: Path | None,
    wait_seconds: float,
    max_wait: float,
    wait_for_files: bool,
    **submitting: Any,
) -> int:
    """Check the pair, send it and wait for FHI's receipts.

    FAGMELDING and IDENTMELDING are the two files; without them the configuration's are sent. Run it again with the
    same files and it goes on: what is sealed is published, what is published is waited for, what may have been
    published is never published again by itself.

    With --wait-for-files a schedule may begin long before the files are exported: while one of them is not there
    nothing is wrong until 7 days before the deadline. What was sent before is gone on with all the same. A drop folder
    (files.drop) is waited for in any case.
    """
    _require_both(fagmelding, identmelding)
    limit = TimeLimit(max_wait)

    def answered(client: Client, report: Report) -> Report:
        submission = report.submission
        if not client.may_have_copies and not submission.awaits_answer:
            return report
        waited = client.wait(submission.submission_id, timeout=min(wait_seconds, limit.left()))
        return replace(waited, sent=report.sent, begun=report.begun)

    def work(client: Client) -> Report:
        return answered(client, client.submit(fagmelding, identmelding, **submitting))

    def go_on(client: Client) -> Report:
        submit = partial(client.submit, fagmelding, identmelding, **submitting)
        return _with_its_files(answered(client, client.status() or submit()), submit)

    # Once: to read a whole fleet file takes longer than a run that has nothing to do.
    settings_read = cache(partial(session.own_settings, invocation, scheduled=True))
    if fagmelding is None and (
        (dropped := _dropped(invocation, settings_read(), limit, answered, submitting)) is not None
    ):
        return dropped
    if wait_for_files:
        if submitting["replaces"]:
            raise click.UsageError(Text("--wait-for-files does not go with --replaces: a person sends a replacement."))
        settings = settings_read()
        missing = [path for path in named_files(settings, fagmelding, identmelding).values() if not _is_there(path)]
        if missing and _is_begun(settings):
            return session.run(invocation, go_on, limit=limit, scheduled=True, settings=settings)
        if missing and _days_left(settings) > _DAYS_TO_WAIT:
            _note_run(settings)
            return output.nothing(invocation, settings, _waiting(missing[0]), state="waiting")
    return session.run(invocation, work, remark=_remark, limit=limit, scheduled=True, settings=settings_read())


def _with_its_files(report: Report, submit: Callable[[], Report]) -> Report:
    """Return a report; where something of it is to be sent, which needs its files, what submitting it without says."""
    return report if next_sealed(report.submission) is None else submit()


def _require_both(fagmelding: Path | None, identmelding: Path | None) -> None:
    if fagmelding is not None and identmelding is None:
        raise click.UsageError(Text("Name both files, FAGMELDING and IDENTMELDING, or none."))


def _dropped(
    invocation: Invocation,
    settings: Settings,
    limit: TimeLimit,
    answered: Callable[[Client, Report], Report],
    submitting: Mapping[str, Any],
) -> int | None:
    """Send from the drop folder; None where the configuration names none."""
    folder = DropFolder.of(settings)
    if folder is None:
        return None
    from kpr_sender.fleet.dropped import DropDecision, DropRun, second_look  # noqa: PLC0415 - where there is a folder

    look, decision = second_look(folder), DropDecision(**submitting)
    if look.unready is not None and not decision.is_made and not folder.is_busy and not _is_begun(settings):
        _note_run(settings)
        if _days_left(settings) > _DAYS_TO_WAIT:
            return output.nothing(invocation, settings, _waiting_for(look.unready), state="waiting")
        raise InputMissing(
            Text("Nothing is submitted, and {why_not}.", why_not=look.unready),
            where=str(folder.path),
            next_step=Text("Let the EPJ lay both files there."),
        )

    def work(client: Client) -> Report:
        return DropRun(client, folder, look, lambda report: answered(client, report)).carry_out(decision)

    return session.run(invocation, work, limit=limit, scheduled=True, settings=settings)


def _waiting_for(why_not: Text) -> Text:
    return Text(
        "Waiting for the files of this year: {why_not}. From {days} days before the deadline on that is an error (66).",
        why_not=why_not,
        days=_DAYS_TO_WAIT,
    )


def _is_there(path: Path) -> bool:
    """Return whether there is something; what cannot be looked at is there, and reading it says what is wrong."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def _is_begun(settings: Settings) -> bool:
    """Return whether a submission is there to go on with; also where the journal is refused, which the run says."""
    with journal_of(settings) as journal:
        return journal is not None and (journal.refused() is not None or look_up(journal, None, settings) is not None)


def _note_run(settings: Settings) -> None:
    """Note that a run was here: ``fleet serve`` tells a schedule that has stopped from files that are not there yet."""
    with suppress(JournalLocked):  # then another run is here
        journal_storage(settings).note_run()


def _days_left(settings: Settings) -> int:
    return deadline_of(settings, settings.report.year).days_left(datetime.now(UTC))


def _waiting(path: Path) -> Text:
    return Text(
        "Waiting for the files of this year: {path} is not there yet. From {days} days before the deadline on that is "
        "an error (66).",
        path=path,
        days=_DAYS_TO_WAIT,
    )


def _remark(report: Report) -> str:
    if report.begun:
        return ""
    return Text(
        "Nothing was sent by this run: these two files are submission {submission_id} already.",
        submission_id=report.submission.submission_id,
    )
