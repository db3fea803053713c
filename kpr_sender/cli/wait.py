"""``kpr-send wait``: take the receipts of what is published."""

from __future__ import annotations

from typing import Any

import click

from kpr_sender.cli import session
from kpr_sender.cli.invocation import Invocation, max_wait_option, wait_option
from kpr_sender.cli.session import TimeLimit
from kpr_sender.client import Client
from kpr_sender.outbound.drop import DropFolder
from kpr_sender.report import Report


@click.command("wait")
@click.argument("submission", metavar="[ID]", required=False)
@wait_option
@max_wait_option
@click.option("--look-anyway", is_flag=True, help="Look once at a shared queue that is not looked at now (88).")
@click.option("--emptied", is_flag=True, help="With --look-anyway: the other messages' owner says that it was read.")
@click.option("--reason", metavar="TEXT", default="", help="Why it is to be looked at.")
@click.option("--by", metavar="NAME", default="", help="Who asks for the look.")
@click.pass_obj
def command(
    invocation: Invocation, /, *, submission: str | None, wait_seconds: float, max_wait: float, **asking: Any
) -> int:
    """Wait for the receipts of what is published or in doubt; nothing is sent.

    ID is a submission's, or a MsgId; without it the newest that waits. Where messages of others lie on our queue it is
    looked at ever more rarely, and at last not at all: docs/shared-queue.md says why, and what to do.
    """
    limit = TimeLimit(max_wait)

    def work(client: Client) -> Report:
        report = client.wait(submission, timeout=min(wait_seconds, limit.left()), **asking)
        if (folder := DropFolder.of(client.settings)) is not None:
            from kpr_sender.fleet.dropped import settle_taken  # noqa: PLC0415 - where there is a drop folder

            settle_taken(client, folder)
        return report

    return session.run(invocation, work, limit=limit, scheduled=True)
