"""``kpr-send config check``: everything that can be known without the bus."""

from __future__ import annotations

import click

from kpr_sender.checking import run_checks
from kpr_sender.cli.doctor import ended, shown
from kpr_sender.cli.invocation import Invocation
from kpr_sender.cli.session import connected_sandbox
from kpr_sender.operator.self_check import WITHOUT_BUS


@click.group("config")
def command() -> None:
    """Check the configuration without sending anything."""


@command.command("check")
@click.pass_obj
def check(invocation: Invocation) -> int:
    """Load everything, send nothing: secrets, keys, certificates, the register, the journal, the two files.

    These are the lines of ``doctor`` that need no bus. Exit code 0 when all is right, also with warnings; else the
    code of the first thing that is wrong.
    """
    configured = invocation.own_settings()
    with connected_sandbox(configured) as prepared:
        results = shown(invocation, run_checks(prepared, checks=WITHOUT_BUS))
        wrong = next((each.error for each in results if each.error), None)
        return ended(invocation, configured.environment, results, wrong)
