"""``kpr-send wait``: take the receipts of what is published."""

from __future__ import annotations

import click

from kpr_sender.cli import session
from kpr_sender.cli.invocation import Invocation
from kpr_sender.cli.parameters import wait_option


@click.command("wait")
@click.argument("submission", metavar="[ID]", required=False)
@wait_option
@click.pass_obj
def command(invocation: Invocation, *, submission: str | None, wait_seconds: float) -> int:
    """Wait for the receipts of what is published or in doubt; nothing is sent.

    ID is a submission's, or a MsgId; without it the newest that waits.
    """
    return session.run(invocation, lambda client: client.wait(submission, timeout=wait_seconds))
