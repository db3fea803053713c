"""Self-checks and certificates as lines, tables and JSON: what ``doctor``, ``config check`` and ``certs`` show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from kpr_sender.cms.certificates import describe, owner
from kpr_sender.model import rfc3339
from kpr_sender.operator.certificates import CertificateInUse
from kpr_sender.operator.check_context import Status
from kpr_sender.operator.self_check import CHECKS, CheckResult
from kpr_sender.profiles.profile import Deadline
from kpr_sender.render.language import say
from kpr_sender.texts import Text

_HEAD: Final = (Text(""), Text("certificate"), Text("whose"), Text("valid until"), Text("days left"))
_LIGHTS: Final = {Status.GREEN: Text("green"), Status.YELLOW: Text("yellow"), Status.RED: Text("red")}
_AT_DEADLINE: Final = Text("at the deadline")


def check_line(result: CheckResult) -> str:
    """Return a check's result on one line, with what to do."""
    width = max(len(say(check.name)) for check in CHECKS)
    line = f"{say(_LIGHTS[result.status]):<6}  {say(result.name):<{width}}  {say(result.text)}"
    if not result.next_step:
        return line
    to_do = say(Text("What to do: {next_step}", next_step=result.next_step))
    return f"{line}{'' if line.endswith(('.', '!', '?')) else '.'} {to_do}"


def check_json(result: CheckResult) -> dict[str, Any]:
    """Return a check's result in plain values."""
    return {
        "name": result.name,
        "light": result.status.value,
        "seen": result.text,
        "next_step": result.next_step,
    }


def certificate_table(rows: Sequence[CertificateInUse], now: datetime, deadline: Deadline) -> list[str]:
    """Return the lines of a screen: the certificates, where each came from, and what a person should look at."""
    head = _HEAD if deadline.is_past(now) else (*_HEAD, _AT_DEADLINE)
    lines = [tuple(map(say, head)), *(_cells(row, now, deadline)[: len(head)] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    sources = [f"  {say(row.role)}: {say(row.source)}" for row in rows if row.source]
    return [
        *table,
        "",
        say(Text("The year's data {when}.", when=deadline.text(now))),
        "",
        say(Text("From:")),
        *sources,
        *certificate_concerns(rows, now, deadline),
    ]


def certificate_concerns(rows: Sequence[CertificateInUse], now: datetime, deadline: Deadline) -> list[str]:
    """Return what a person should look at, with its heading; nothing when all is well."""
    found = [f"  {say(row.role)}: {say(concern)}" for row in rows if (concern := row.concern(now, deadline))]
    return ["", say(Text("To be seen to:")), *found] if found else []


def certificate_json(row: CertificateInUse, now: datetime, deadline: Deadline) -> dict[str, Any]:
    """Return a certificate in plain values."""
    certificate = row.certificate
    return {
        "role": row.role,
        "source": row.source,
        "certificate": None if certificate is None else describe(certificate),
        "valid_from": None if certificate is None else rfc3339(certificate.not_valid_before_utc),
        "valid_until": None if certificate is None else rfc3339(certificate.not_valid_after_utc),
        "days_left": row.days_left(now),
        "days_left_at_deadline": None if deadline.is_past(now) else row.days_left_at(deadline),
        "known": not row.is_unknown,
        "light": row.status(now, deadline).value,
        "concern": row.concern(now, deadline),
    }


def _cells(row: CertificateInUse, now: datetime, deadline: Deadline) -> tuple[str, ...]:
    mark = "?" if row.is_unknown else "!" if row.concern(now, deadline) else ""
    if row.certificate is None:
        return (mark, say(row.role), "-", "-", "-", "-")
    ends = f"{row.certificate.not_valid_after_utc:%Y-%m-%d}"
    return (
        mark,
        say(row.role),
        say(owner(row.certificate)),
        ends,
        str(row.days_left(now)),
        str(row.days_left_at(deadline)),
    )
