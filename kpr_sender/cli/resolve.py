"""``kpr-send resolve``: what a program must not decide, decided by a person, with reason and name."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Final

import click

from kpr_sender.cli import output, reading, session
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.client import Client
from kpr_sender.errors import UsageError
from kpr_sender.operator.fhi_letter import letter
from kpr_sender.operator.resolve import Attempt, Case, Decision, demand_open
from kpr_sender.report import Report, rfc3339
from kpr_sender.settings.values import Settings

_CONSEQUENCES: Final[Mapping[Decision, str]] = {
    Decision.ARRIVED: "It counts as published, and its receipt is waited for.",
    Decision.NOT_ARRIVED: "The next kpr-send send sends the same bytes again, under the same MsgId.",
    Decision.CANCEL: "It is given up for good; a new extract may then replace the submission.",
}
_QUESTIONS: Final[Mapping[Decision, str]] = {
    Decision.ARRIVED: "Has FHI told you that the {name} HAS ARRIVED?",
    Decision.NOT_ARRIVED: "Has FHI told you that the {name} has NOT ARRIVED?",
    Decision.CANCEL: "Do you give the {name} up?",
}
_RULE: Final = "-" * 78
_NOT_DECIDED: Final = "Nothing was decided."


@click.command("resolve")
@click.argument("msg_id", metavar="MSGID")
@click.option("--arrived", is_flag=True, help="FHI has it: it is published, and its receipt is waited for.")
@click.option("--not-arrived", is_flag=True, help="FHI does not have it: the next send sends the same bytes again.")
@click.option("--cancel", is_flag=True, help="Give it up: nothing of it is sent again.")
@click.option("--reason", metavar="TEXT", default="", help="Why: what FHI answered, and when. Kept in the journal.")
@click.option("--by", metavar="NAME", default="", help="Who decides; the login name when not given.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.pass_obj
def command(invocation: Invocation, /, *, msg_id: str, reason: str, by: str, yes: bool, **named: bool) -> int:
    """Decide on a shipment that is in doubt or published without a receipt.

    Without a decision it shows what is known of MSGID and the text to send to kpr@fhi.no. With one of --arrived,
    --not-arrived and --cancel, and a reason, it asks once more and changes the journal; nothing is sent by it.
    """
    decision = _decision(named, reason=reason, by=by, yes=yes)
    settings = invocation.settings()
    with Client(settings) as client:
        case = client.case(msg_id)
    demand_open(case, decision)
    shown = _show(invocation, settings, case, decision)
    if decision is None:
        return shown
    if not yes and not _agreed(case, decision):
        click.echo(_NOT_DECIDED, err=True)
        return output.report(invocation, settings, reading.report_on(settings, case.submission))

    def decide(client: Client) -> Report:
        return client.resolve(msg_id, decision, reason=reason, by=by, seen=case)

    return session.run_offline(invocation, decide, remark=lambda _: f"Decided: {decision.value}.")


def _decision(named: Mapping[str, bool], *, reason: str, by: str, yes: bool) -> Decision | None:
    """Return the one decision that was named, complete; None when the case is only to be shown."""
    chosen = [decision for decision in Decision if named[decision.value.replace("-", "_")]]
    options = ", ".join(f"--{decision.value}" for decision in Decision)
    if len(chosen) > 1:
        raise click.UsageError(f"Name one of {options}, not several.")
    if not chosen:
        if reason or by or yes:
            raise click.UsageError(f"--reason, --by and --yes go with a decision: one of {options}.")
        return None
    if not reason.strip():
        raise click.UsageError(f"--{chosen[0].value} needs --reason TEXT: what FHI answered, and when.")
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on; --yes says that you are sure.")
    return chosen[0]


def _show(invocation: Invocation, settings: Settings, case: Case, decision: Decision | None) -> int:
    """Show what is known: the answer when nothing is to be decided, else on standard error before the question."""
    report = reading.report_on(settings, case.submission)
    loud = not invocation.as_json and invocation.loudness is not Loudness.QUIET
    if decision is None and not loud:
        return output.report(invocation, settings, report)
    if loud:
        lines = [*_screen(case, report), *([] if decision else _ways_on(invocation, case))]
        click.echo("\n".join(lines), err=decision is not None)
    return report.exit_code


def _agreed(case: Case, decision: Decision) -> bool:
    shipment = case.shipment
    for receipt in shipment.receipts:
        if not receipt.verified:
            click.echo(f"Mind: a receipt has come that is not believed: {receipt.problem}.", err=True)
    name = f"{shipment.type.norwegian} ({shipment.msg_id})"
    question = f"{_QUESTIONS[decision].format(name=name)} {_CONSEQUENCES[decision]}"
    return click.confirm(question, default=False, err=True)


def _screen(case: Case, report: Report) -> Iterator[str]:
    shipment, error = case.shipment, report.error
    yield report.text() if error is None else error.what
    yield ""
    yield from output.shipment_lines(shipment)
    for number, attempt in enumerate(case.attempts, start=1):
        yield from output.indented(f"attempt {number}", list(_attempt(attempt)))
    for event in case.decided:
        yield from output.indented("decided", [f"{rfc3339(event.at)} {event.what}, by {event.who}: {event.why}"])
    yield from output.indented("sealed", [f"sha256 {shipment.sealed_sha256}", f"message-id {shipment.message_id}"])


def _attempt(attempt: Attempt) -> Iterator[str]:
    begun, ended = attempt.begun, attempt.ended
    if ended is None:
        yield f"{rfc3339(begun.at)} begun by {begun.who}; it has not ended"
        return
    yield f"{rfc3339(begun.at)} to {rfc3339(ended.at)}, {ended.what}: {ended.why}"
    evidence = {name: value for name, value in ended.details.items() if name not in {"from", "to"} and value != ""}
    if evidence:
        yield ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in evidence.items())


def _ways_on(invocation: Invocation, case: Case) -> Iterator[str]:
    if invocation.environment is None:  # settings() has refused it
        raise UsageError("--env is missing.")
    yield ""
    yield "  Run kpr-send wait first: a receipt that lies on the queue decides better than any person."
    yield "  Else send this to kpr@fhi.no, and decide by the answer:"
    yield _RULE
    yield letter(case).rstrip()
    yield _RULE
    for decision in case.open_to:
        yield f"  kpr-send --env {invocation.environment.value} resolve {case.shipment.msg_id} \\"
        yield f"    --{decision.value} --reason TEXT"
        yield f"      {_CONSEQUENCES[decision]}"
