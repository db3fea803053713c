"""``kpr-send resolve``: what a program must not decide, decided by a person, with reason and name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

import click

from kpr_sender.cli import console, output, session
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.client import Client
from kpr_sender.errors import InternalError
from kpr_sender.journal.admission import require_clean
from kpr_sender.operator.fhi_letter import letter
from kpr_sender.operator.resolve import Case, Decision, require_decidable, require_once
from kpr_sender.render import json
from kpr_sender.render.history import words_of_history
from kpr_sender.render.text import case_screen, open_decisions, question, unverified_receipts
from kpr_sender.report import Report
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_NOT_DECIDED: Final = Text("Nothing was decided.")


@click.command("resolve")
@click.argument("msg_id", metavar="MSGID")
@click.option("--arrived", is_flag=True, help="FHI has it: it is published, and its receipt is waited for.")
@click.option("--not-arrived", is_flag=True, help="FHI does not have it: the next send sends the same bytes again.")
@click.option("--cancel", is_flag=True, help="Give it up: nothing of it is sent again by itself.")
@click.option("--settled", is_flag=True, help="Nobody need look at it any more: its state stays.")
@click.option("--again", is_flag=True, help="With --not-arrived: although it was released to be sent again before.")
@click.option("--reason", metavar="TEXT", default="", help="Why: what FHI answered, and when. Stored in the journal.")
@click.option("--by", metavar="NAME", default="", help="Who decides; the login name when not given.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.pass_obj
def command(
    invocation: Invocation, /, *, msg_id: str, reason: str, by: str, yes: bool, again: bool, **named: bool
) -> int:
    """Decide what a program must not: whether a shipment has arrived, or that nobody need look at it any more.

    Without a decision it shows what is known of MSGID and the text to send to kpr@fhi.no. With one of --arrived,
    --not-arrived, --cancel and --settled, and a reason, it asks once more and changes the journal; nothing is sent by
    it.
    """
    decision = _decision(named, reason=reason, by=by, yes=yes)
    settings = invocation.settings()
    case, known = look_at(settings, msg_id)
    require_decidable(case, decision)
    if decision is Decision.NOT_ARRIVED:
        require_once(case, again=again)
    if decision is None:
        return _show(invocation, case, known)
    show_before_asking(invocation, case, known)
    if not yes and not _agreed(invocation, case, decision):
        console.say(invocation.called, [_NOT_DECIDED], err=True)
        return output.report(invocation, settings, known)

    def decide(client: Client) -> Report:
        return client.resolve(msg_id, decision, reason=reason, by=by, again=again, seen=case)

    return session.run_offline(
        invocation, decide, remark=lambda _: Text("Decided: {decision}.", decision=words_of_history(decision.value))
    )


def _decision(named: Mapping[str, bool], *, reason: str, by: str, yes: bool) -> Decision | None:
    """Return the one decision that was named, complete; None when the case is only to be shown."""
    chosen = [decision for decision in Decision if named[decision.value.replace("-", "_")]]
    options = ", ".join(f"--{decision.value}" for decision in Decision)
    if len(chosen) > 1:
        raise click.UsageError(Text("Name one of {options}, not several.", options=options))
    if not chosen:
        if reason or by or yes:
            raise click.UsageError(
                Text("--reason, --by and --yes go with a decision: one of {options}.", options=options)
            )
        return None
    require_reason_and_consent(f"--{chosen[0].value}", reason=reason, by=by, yes=yes)
    return chosen[0]


def look_at(settings: Settings, msg_id: str) -> tuple[Case, Report]:
    """Return what is known of a shipment, and what its submission amounts to.

    Raises:
        UsageError: It is not in this journal.
    """
    with Client(settings) as client:
        case = client.case(msg_id)
        report = client.status(case.submission.submission_id)
    if report is None:
        raise InternalError(Text("The journal has a shipment without its submission."))
    return case, report


def _show(invocation: Invocation, case: Case, report: Report) -> int:
    """Print what is known, and what may be decided."""
    value = json.report_json(report)
    decisions = open_decisions(case, letter=letter(case))
    return output.answer(invocation, value, [*case_screen(case, report), *decisions], error=report.error)


def show_before_asking(invocation: Invocation, case: Case, report: Report) -> None:
    """Print what is known on standard error, before the person is asked."""
    if not invocation.as_json and invocation.loudness is not Loudness.QUIET:
        console.say(invocation.called, case_screen(case, report), err=True)


def require_reason_and_consent(what: str, *, reason: str, by: str, yes: bool) -> None:
    """Refuse a decision without a reason, or where nobody can be asked.

    Raises:
        click.UsageError: Says which.
        UsageError: The reason holds something like a national id.
    """
    require_clean(reason, by)
    if not reason.strip():
        raise click.UsageError(Text("{what} needs --reason TEXT: what FHI answered, and when.", what=what))
    if not yes and not sys.stdin.isatty():
        raise click.UsageError(Text("There is no terminal to ask on; --yes says that you are sure."))


def _agreed(invocation: Invocation, case: Case, decision: Decision) -> bool:
    console.say(invocation.called, unverified_receipts(case.shipment), err=True)
    return console.agreed(invocation.called, question(case.shipment, decision))
