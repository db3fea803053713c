"""``kpr-send wait``: take the receipts of what is published."""

from __future__ import annotations

import click

from kpr_sender.cli import session
from kpr_sender.cli.invocation import Invocation, max_wait_option, wait_option
from kpr_sender.cli.session import TimeLimit
from kpr_sender.client import Client
from kpr_sender.report import Report


@click.command("wait")
@click.argument("submission", metavar="[ID]", required=False)
@wait_option
@max_wait_option
@click.pass_obj
def command(invocation: Invocation, *, submission: str | None, wait_seconds: float, max_wait: float) -> int:
    """Wait for the receipts of what is published or in doubt; nothing is sent.

    ID is a submission's, or a MsgId; without it the newest that waits.
    """
    limit = TimeLimit(max_wait)

    def work(client: Client) -> Report:
        return client.wait(submission, timeout=min(wait_seconds, limit.left()))

    return session.run(invocation, work, limit=limit)
