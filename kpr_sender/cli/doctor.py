"""``kpr-send doctor``: would a send work?"""

from __future__ import annotations

from collections.abc import Sequence

import click

from kpr_sender.cli import output
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.cli.parameters import max_wait_option
from kpr_sender.cli.session import connected_sandbox
from kpr_sender.errors import EXIT_OK, NotReady
from kpr_sender.model import Environment
from kpr_sender.operator.self_check import CHECKS, Light, Line, examine
from kpr_sender.render import json

_WIDTH = max(len(check.name) for check in CHECKS)


@click.command("doctor")
@max_wait_option
@click.pass_obj
def command(invocation: Invocation, *, max_wait: float) -> int:
    """Prove without sending anything that a send would work: keys, certificates, register, bus, journal, disk, clock.

    One line for each check. Exit code 0 when none is red, else 1.
    """
    configured = invocation.settings()
    lines: list[Line] = []
    with connected_sandbox(configured) as settings:
        for line in examine(settings, max_seconds=max_wait):
            lines.append(line)
            _show(invocation, line)
    error = NotReady(f"{NotReady.meaning}.") if any(line.light is Light.RED for line in lines) else None
    if invocation.as_json:
        output.json_object(_as_json(configured.environment, lines, error))
    return EXIT_OK if error is None else error.exit_code


def _show(invocation: Invocation, line: Line) -> None:
    quiet = invocation.loudness is Loudness.QUIET
    if invocation.as_json or (quiet and line.light is not Light.RED):
        return
    advice = f" What to do: {line.next_step}" if line.next_step else ""
    click.echo(f"{line.light:<6}  {line.name:<{_WIDTH}}  {line.seen}{advice}", err=quiet)


def _as_json(environment: Environment, lines: Sequence[Line], error: NotReady | None) -> dict[str, object]:
    checks = [
        {"name": line.name, "light": line.light.value, "seen": line.seen, "next_step": line.next_step} for line in lines
    ]
    return json.envelope(error, environment=environment.value, checks=checks)
