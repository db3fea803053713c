"""``kpr-send reviewed``: a person has looked at the data in FHI's feedback view."""

from __future__ import annotations

import click

from kpr_sender.cli import session
from kpr_sender.cli.invocation import Invocation
from kpr_sender.client import Client
from kpr_sender.report import Report
from kpr_sender.texts import Text


@click.command("reviewed")
@click.argument("submission", metavar="[ID]", required=False)
@click.option("--by", metavar="NAME", required=True, help="Who looked.")
@click.option("--note", metavar="TEXT", default="", help="What was seen there; without national ids.")
@click.pass_obj
def command(invocation: Invocation, *, submission: str | None, by: str, note: str) -> int:
    """Note that a person has looked at the delivered data in FHI's feedback view.

    FHI's letter requires it during the reception period. ID is a submission's, or a MsgId; without it the newest.
    Nothing is sent.
    """

    def note_it(client: Client) -> Report:
        return client.reviewed(submission, by=by, note=note)

    return session.run_offline(invocation, note_it, remark=lambda _: Text("Noted."))
