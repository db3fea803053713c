"""``kpr-send doctor``: would a send work?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import click

from kpr_sender.checking import run_checks
from kpr_sender.cli import console, output
from kpr_sender.cli.as_user import OPTION, run_as
from kpr_sender.cli.invocation import Invocation, Loudness, max_wait_option
from kpr_sender.cli.session import connected_sandbox
from kpr_sender.errors import KprError, NotReady
from kpr_sender.model import Environment
from kpr_sender.operator.self_check import CheckResult, Status
from kpr_sender.render import json
from kpr_sender.render.self_check import check_json, check_line
from kpr_sender.texts import Text


@click.command("doctor")
@max_wait_option
@click.option(
    OPTION,
    metavar="NAME",
    help="Check as this user, who runs kpr-send otherwise: what may be read, written and imported. For root alone.",
)
@click.pass_obj
def command(invocation: Invocation, *, max_wait: float, as_user: str | None) -> int:
    """Prove without sending anything that a send would work: keys, certificates, register, bus, journal, disk, clock.

    One line for each check. Exit code 0 when none is red, else 1.
    """
    if as_user is not None:
        return run_as(as_user, invocation)
    return examine(invocation, max_wait)


def examine(invocation: Invocation, max_wait: float = math.inf, **also: object) -> int:
    """Carry out all checks and show them.

    Args:
        invocation: Of which configuration, how to print.
        max_wait: Bound on all together, in seconds.
        also: What else the object of ``--json`` holds.

    Returns:
        The exit code.
    """
    configured = invocation.own_settings()
    with connected_sandbox(configured) as settings:
        results = shown(invocation, run_checks(settings, max_seconds=max_wait))
        red = any(result.status is Status.RED for result in results)
        error = NotReady(Text("{meaning}.", meaning=NotReady.meaning)) if red else None
        return ended(invocation, configured.environment, results, error, **also)


def shown(invocation: Invocation, results: Iterable[CheckResult]) -> list[CheckResult]:
    """Show each result as it comes, the red ones only with ``-q``, and return all of them."""
    quiet = invocation.loudness is Loudness.QUIET
    collected = []
    if not invocation.as_json and not quiet:
        console.say(invocation.called, output.title(invocation, Text("self-checks; nothing is sent.")))
    for result in results:
        collected.append(result)
        if not invocation.as_json and (not quiet or result.status is Status.RED):
            console.say(invocation.called, [check_line(result)], err=quiet, colour=result.status.value)
    return collected


def ended(
    invocation: Invocation,
    environment: Environment,
    results: Sequence[CheckResult],
    error: KprError | None,
    **also: object,
) -> int:
    """Show the JSON object where it is asked for, and return the exit code."""
    value = json.envelope(
        error, environment=environment.value, checks=[check_json(result) for result in results], **also
    )
    return output.answer(invocation, value, (), error=error, quiet=())
