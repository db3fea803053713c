"""``kpr-send resend``: the same content once more, decided by a person, with reason and name."""

from __future__ import annotations

from pathlib import Path

import click

from kpr_sender.cli import console, output, session
from kpr_sender.cli.invocation import PATH, Invocation
from kpr_sender.cli.resolve import look_at, require_reason_and_consent, show_before_asking
from kpr_sender.client import Client
from kpr_sender.model import Transport
from kpr_sender.operator.other_way import require_other_way
from kpr_sender.operator.resolve import require_once, require_resendable
from kpr_sender.render.text import resend_question
from kpr_sender.report import Report
from kpr_sender.texts import Text


@click.command("resend")
@click.argument("msg_id", metavar="MSGID")
@click.argument("file", type=PATH, required=False)
@click.option(
    "--reason", metavar="TEXT", default="", help="Why: what was wrong, and what FHI said. Stored in the journal."
)
@click.option("--by", metavar="NAME", default="", help="Who decides; the login name when not given.")
@click.option("--again", is_flag=True, help="Although it was released to be sent again before.")
@click.option(
    "--transport",
    type=click.Choice([one.value for one in Transport]),
    help="Send the pair this way: both halves are sealed anew, but for one that is delivered.",
)
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    *,
    msg_id: str,
    file: Path | None,
    reason: str,
    by: str,
    again: bool,
    transport: str | None,
    yes: bool,
) -> int:
    """Send one half of a pair again, after a fault or a rejection that had its cause outside the file.

    FILE is the very file that was sent as MSGID; without it the configuration's is taken. It is sealed anew, as
    configured and registered now; the next kpr-send send sends it. What was changed goes with send --replaces instead.
    """
    require_reason_and_consent("resend", reason=reason, by=by, yes=yes)
    settings = invocation.settings()
    case, known = look_at(settings, msg_id)
    way = None if transport is None else Transport(transport)
    if way is None:
        require_resendable(case)
    else:
        require_other_way(case, way)
    require_once(case, again=again)
    show_before_asking(invocation, case, known)
    if not yes and not console.agreed(invocation.called, resend_question(case.shipment)):
        console.say(invocation.called, [Text("Nothing was decided.")], err=True)
        return output.report(invocation, settings, known)

    def resend(client: Client) -> Report:
        return client.resend(msg_id, file, reason=reason, by=by, again=again, transport=way, seen=case)

    return session.run(invocation, resend, remark=lambda _: Text("Sealed anew; the next kpr-send send sends it."))
