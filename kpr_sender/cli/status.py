"""``kpr-send status``: what the journal says."""

from __future__ import annotations

import click

from kpr_sender.cli import output, reading
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.render.text import earlier_submissions


@click.command("status")
@click.argument("submission", metavar="[ID]", required=False)
@click.pass_obj
def command(invocation: Invocation, *, submission: str | None) -> int:
    """Show what is known of a submission, from the journal alone; the exit code is the one send would end with.

    ID is a submission's, or a MsgId; without it the newest, and the others in a line each.
    """
    settings = invocation.settings()
    with reading.found(settings, submission) as found:
        if found is None:
            text = f"Nothing is submitted yet: there is nothing in {settings.journal.path}."
            return output.nothing(invocation, settings, text)
        journal, shown = found
        exit_code = output.report(invocation, settings, reading.report_on(settings, shown, journal))
        if submission is None and not invocation.as_json and invocation.loudness is not Loudness.QUIET:
            others = [one for one in journal.submissions() if one.submission_id != shown.submission_id]
            for line in earlier_submissions(others):
                click.echo(line)
        return exit_code
