"""``kpr-send certs``: every certificate in play, and how long it will do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

import click

from kpr_sender import profiles
from kpr_sender.cli import output
from kpr_sender.cli.invocation import Invocation
from kpr_sender.cli.session import connected_sandbox
from kpr_sender.cms.certificates import describe, owner
from kpr_sender.errors import CertificateEnding
from kpr_sender.events import Event
from kpr_sender.model import Environment
from kpr_sender.operator.certificates import InPlay, in_play
from kpr_sender.render import json
from kpr_sender.report import rfc3339

_HEAD: Final = ("", "certificate", "whose", "valid until", "days left", "at the deadline")


@click.command("certs")
@click.option("--check", "check", is_flag=True, help="End with 85 when one of them needs attention; for cron.")
@click.pass_obj
def command(invocation: Invocation, *, check: bool) -> int:
    """Show all certificates in play: ours, FHI's and the bus's, with the days they have left.

    Warned of at 60, 30, 14 and 7 days, and when one ends before the year's last day to report. Sends nothing.
    """
    configured = invocation.settings()
    now = datetime.now(UTC)
    told: list[Event] = []
    with connected_sandbox(configured) as settings:
        rows = in_play(settings, now=now, observe=told.append)
    deadline = profiles.load(configured.report.year).deadline
    attention = sum(bool(row.concern(now, deadline)) and not row.is_untold for row in rows)
    error = CertificateEnding(f"{CertificateEnding.meaning}.") if check and attention else None
    screen = [*_table(rows, now, deadline), *(event.text for event in told)]
    quiet = _concerns(rows, now, deadline) if error else []
    value = _as_json(configured.environment, rows, now, deadline, error)
    return output.answer(invocation, value, screen, error=error, quiet=quiet)


def _table(rows: Sequence[InPlay], now: datetime, deadline: date) -> list[str]:
    lines = [_HEAD, *(_line(row, now, deadline) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    sources = [f"  {row.role}: {row.source}" for row in rows if row.source]
    return [
        *table,
        "",
        f"The last day to report is {deadline}.",
        "",
        "From:",
        *sources,
        *_concerns(rows, now, deadline),
    ]


def _line(row: InPlay, now: datetime, deadline: date) -> tuple[str, ...]:
    mark = "?" if row.is_untold else "!" if row.concern(now, deadline) else ""
    if row.certificate is None:
        return (mark, row.role, "-", "-", "-", "-")
    ends = f"{row.certificate.not_valid_after_utc:%Y-%m-%d}"
    return (mark, row.role, owner(row.certificate), ends, str(row.days_left(now)), str(row.days_left_at(deadline)))


def _concerns(rows: Sequence[InPlay], now: datetime, deadline: date) -> list[str]:
    found = [f"  {row.role}: {concern}" for row in rows if (concern := row.concern(now, deadline))]
    return ["", "To be seen to:", *found] if found else []


def _as_json(
    environment: Environment, rows: Sequence[InPlay], now: datetime, deadline: date, error: CertificateEnding | None
) -> dict[str, object]:
    return json.envelope(
        error,
        environment=environment.value,
        deadline=deadline.isoformat(),
        certificates=[_row_as_json(row, now, deadline) for row in rows],
    )


def _row_as_json(row: InPlay, now: datetime, deadline: date) -> dict[str, object]:
    certificate = row.certificate
    return {
        "role": row.role,
        "source": row.source,
        "certificate": None if certificate is None else describe(certificate),
        "valid_from": None if certificate is None else rfc3339(certificate.not_valid_before_utc),
        "valid_until": None if certificate is None else rfc3339(certificate.not_valid_after_utc),
        "days_left": row.days_left(now),
        "days_left_at_deadline": row.days_left_at(deadline),
        "known": not row.is_untold,
        "concern": row.concern(now, deadline),
    }
