"""``kpr-send certs``: every certificate in use, and how long it lasts."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from kpr_sender.checking import certificates_in_use
from kpr_sender.cli import output
from kpr_sender.cli.invocation import Invocation
from kpr_sender.cli.session import connected_sandbox
from kpr_sender.errors import CertificateEnding
from kpr_sender.events import Event
from kpr_sender.render import json
from kpr_sender.render.self_check import certificate_concerns, certificate_json, certificate_table
from kpr_sender.report import deadline_of
from kpr_sender.texts import Text


@click.command("certs")
@click.option("--check", "check", is_flag=True, help="End with 85 when one of them needs attention; for cron.")
@click.pass_obj
def command(invocation: Invocation, *, check: bool) -> int:
    """Show all certificates in use: ours, FHI's and the bus's, with the days they have left.

    Warned of at 60, 30, 14 and 7 days, and when one ends before the year's last day to report. Sends nothing.
    """
    configured = invocation.own_settings()
    now = datetime.now(UTC)
    events: list[Event] = []
    with connected_sandbox(configured) as settings:
        rows = certificates_in_use(settings, now=lambda: now, observe=events.append)
    deadline = deadline_of(configured, configured.report.year)
    attention = any(row.concern(now, deadline) and not row.is_unknown for row in rows)
    error = CertificateEnding(Text("{meaning}.", meaning=CertificateEnding.meaning)) if check and attention else None
    value = json.envelope(
        error,
        environment=configured.environment.value,
        deadline=deadline.day.isoformat(),
        days_to_deadline=deadline.days_left(now),
        certificates=[certificate_json(row, now, deadline) for row in rows],
    )
    screen = [
        *output.title(invocation, Text("certificates in use")),
        *certificate_table(rows, now, deadline),
        *(event.text for event in events),
    ]
    quiet = certificate_concerns(rows, now, deadline) if error else []
    return output.answer(invocation, value, screen, error=error, quiet=quiet)
