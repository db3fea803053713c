"""``kpr-send send``: the main job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kpr_sender.cli import session
from kpr_sender.cli.invocation import PATH, Invocation, max_wait_option, wait_option
from kpr_sender.cli.session import TimeLimit
from kpr_sender.client import Client
from kpr_sender.report import Report


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
    **submitting: Any,
) -> int:
    """Check the pair, send it and wait for FHI's receipts.

    FAGMELDING and IDENTMELDING are the two files; without them the configuration's are sent. Run it again with the
    same files and it goes on: what is sealed is published, what is published is waited for, what may have been
    published is never published again by itself.
    """
    if fagmelding is not None and identmelding is None:
        raise click.UsageError("Name both files, FAGMELDING and IDENTMELDING, or none.")

    limit = TimeLimit(max_wait)

    def work(client: Client) -> Report:
        report = client.submit(fagmelding, identmelding, **submitting)
        submission = report.submission
        if not client.may_have_copies and not submission.awaits_answer:
            return report
        waited = client.wait(submission.submission_id, timeout=min(wait_seconds, limit.left()))
        return replace(waited, sent=report.sent, begun=report.begun)

    return session.run(invocation, work, remark=_remark, limit=limit)


def _remark(report: Report) -> str:
    if report.begun:
        return ""
    return f"Nothing was sent by this run: these two files are submission {report.submission.submission_id} already."
