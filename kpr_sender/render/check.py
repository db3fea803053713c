"""A check's report: the lines of its screen, and the keys of ``kpr-send check --json`` as docs/check.md has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kpr_sender.errors import EXIT_OK, InputRefused
from kpr_sender.preflight.catalogue.codes import all_service_types
from kpr_sender.preflight.model import Effect, Finding
from kpr_sender.preflight.report import CheckReport, Group, groups, verdict
from kpr_sender.preflight.statistics import NO_TYPE, Comparison, Difference, YearStatistics

_EFFECT_WORDS: Final = {
    Effect.STOP: "STOPS",
    Effect.DROP: "DROPPED",
    Effect.WARN: "look",
    Effect.NOTE: "note",
}
_DETAILED: Final = 4
"""Rules shown in full; the rest take a line each, so that the verdict stays on the screen."""
_PLACES: Final = 3
_BAR: Final = 20
_NAME: Final = 34


def check_screen(
    report: CheckReport, *, names: tuple[str, str], rules: str, page: Path | None, everything: bool
) -> Iterator[str]:
    """Yield the verdict, what to look at, worst first, then the figures.

    Args:
        report: What a check found.
        names: The fagmelding's and the identmelding's.
        rules: Year and environment.
        page: Where the report was written as a page, too; None where it was not.
        everything: Whether notes, every rule in full, all stored places and all figures are wanted.
    """
    decided = verdict(report)
    yield decided.text
    yield ""
    yield f"  fagmelding   {names[0]}"
    yield f"  identmelding {names[1]}"
    yield f"  Rules        {rules}"
    yield from _finding_lines(report, everything=everything)
    if decided.to_accept and not decided.stops:
        yield ""
        yield "  Whoever has read them and wants to send all the same does so with"
        yield f"    kpr-send send --accept-findings {decided.to_accept}"
    yield ""
    yield from _figure_lines(report, everything=everything)
    yield ""
    if page is not None:
        yield f"  Page         {page}"
    yield f"  Exit code    {InputRefused.exit_code if decided.hinders else EXIT_OK}"


def service_type_name(code: str) -> str:
    """Return the Norwegian name of a tjenestetype, or that the code is none.

    Args:
        code: From code list 9151, or ``NO_TYPE``.
    """
    if code == NO_TYPE:
        return "(no valid code)"
    known = all_service_types().get(code)
    return known.code.norwegian if known else "(no such code)"


def percent_text(change: Difference) -> str:
    """Return how much a figure changed since last year: ``+5 %``, ``=`` or ``new``."""
    percent = change.percent
    return "new" if percent is None else f"{percent:+.0f} %" if percent else "="


def _finding_lines(report: CheckReport, *, everything: bool) -> Iterator[str]:
    shown = [group for group in groups(report) if everything or group.rule.effect is not Effect.NOTE]
    detailed = len(shown) if everything else _DETAILED
    for group in shown[:detailed]:
        yield ""
        yield from _group_lines(group, everything=everything)
    if shown[detailed:]:
        yield ""
        yield from (_heading(group) for group in shown[detailed:])
        yield "           Shown in full with --all."


def _group_lines(group: Group, *, everything: bool) -> Iterator[str]:
    yield _heading(group)
    yield f"           Consequence {group.rule.receiver}"
    yield f"           What to do  {group.rule.advice}"
    places = group.places if everything else group.places[:_PLACES]
    yield from (f"           {_place_line(place)}" for place in places)
    if group.count > len(places):
        hint = ", shown with --all" if len(places) < len(group.places) else ""
        yield f"           ... and {group.count - len(places):,} more{hint}"


def _heading(group: Group) -> str:
    word = "ACCEPT" if group.rule.is_doubt else _EFFECT_WORDS[group.rule.effect]
    return f"  {word:<8} {group.heading}: {group.count:,}  [{group.rule.id}]"


def _place_line(finding: Finding) -> str:
    line = f" line {finding.line}" if finding.line else ""
    return ": ".join(filter(None, (f"{finding.file.norwegian}{line}", finding.path, finding.message)))


def _figure_lines(report: CheckReport, *, everything: bool) -> Iterator[str]:
    stats = report.statistics
    refused = f" and {stats.refused:,} refused" if stats.refused else ""
    yield f"  Persons      {report.persons:,}, of them {stats.without_service:,} without service"
    yield f"  Services     {stats.services:,}{refused}; {stats.hours:,.0f} hours a week"
    yield f"  PasientIdent {report.idents:,}"
    if report.comparison is not None:
        yield ""
        yield from _comparison_table(report.comparison)
    elif everything:
        yield ""
        yield f"  {'Tjenestetype':<{_NAME + 4}} {'users':>6} {'services':>9} {'hours a week':>13}"
        for code in stats.types:
            counted = stats.of(code)
            yield f"  {_type_cell(code)} {counted.users:>6,} {counted.services:>9,} {counted.hours:>13,.1f}"


def _comparison_table(comparison: Comparison) -> Iterator[str]:
    """Yield the users of each tjenestetype in both years, with bars."""
    last, this = comparison.last.year, comparison.this.year
    yield f"  {'Users of each tjenestetype':<{_NAME + 4}} {last:>6} {this:>6} {'change':>8}"
    most = max((max(row.users.last, row.users.this) for row in comparison.rows), default=0)
    for row in comparison.rows:
        users = f"{row.users.last:>6,.0f} {row.users.this:>6,.0f} {percent_text(row.users):>8}"
        yield f"  {_type_cell(row.type)} {users}  {_bar(row.users, most)}".rstrip()
    yield f"  Bars: = both years, + more in {this}, - fewer than in {last}."


def _type_cell(code: str) -> str:
    name = service_type_name(code)
    shown = name if len(name) <= _NAME else f"{name[: _NAME - 3]}..."
    return f"{'' if code == NO_TYPE else code:>3} {shown:<{_NAME}}"


def _bar(change: Difference, most: float) -> str:
    last, this = (_width(value, most) for value in (change.last, change.this))
    return "=" * min(last, this) + "+" * (this - last) + "-" * (last - this)


def _width(value: float, most: float) -> int:
    # Anybody at all shows as one character.
    return max(round(value / most * _BAR), 1) if value else 0


def check_json(report: CheckReport) -> dict[str, Any]:
    """Return a report in plain values, without personal data.

    Args:
        report: What a check found.
    """
    decided = verdict(report)
    return {
        "environment": report.environment.value,
        "year": report.year,
        "verdict": decided.text,
        "counts": {
            "stop": report.stops,
            "drop": report.drops,
            "warn": report.warnings,
            "note": report.notes,
        },
        "findings": [_group(group) for group in groups(report)],
        "figures": _figures(report.statistics) | {"idents": report.idents},
        "comparison": None if report.comparison is None else _comparison(report.comparison),
    }


def _group(group: Group) -> dict[str, Any]:
    rule = group.rule
    return {
        "rule": rule.id,
        "effect": rule.effect.value,
        "consequence": rule.consequence.value,
        "title": rule.title,
        "receiver": rule.receiver,
        "advice": rule.advice,
        "source": rule.source,
        "count": group.count,
        "places": [_place(finding) for finding in group.places],
    }


def _place(finding: Finding) -> dict[str, Any]:
    return {"file": finding.file.value, "line": finding.line, "path": finding.path, "said": finding.message}


def _figures(stats: YearStatistics) -> dict[str, Any]:
    names = all_service_types()
    return {
        "year": stats.year,
        "persons": stats.persons,
        "persons_without_service": stats.without_service,
        "services": stats.services,
        "refused": stats.refused,
        "hours": round(stats.hours, 2),
        "starts": list(stats.starts),
        "types": [
            {
                "type": code,
                "name": names[code].code.norwegian if code in names else "",
                "users": counted.users,
                "services": counted.services,
                "hours": round(counted.hours, 2),
                "starts": list(counted.starts),
            }
            for code, counted in ((code, stats.of(code)) for code in stats.types)
        ],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "last_year": _figures(comparison.last),
        "persons": _change(comparison.persons),
        "persons_without_service": _change(comparison.without_service),
        "types": [
            {
                "type": row.type,
                "users": _change(row.users),
                "services": _change(row.services),
                "hours": _change(row.hours),
            }
            for row in comparison.rows
        ],
    }


def _change(change: Difference) -> dict[str, float | None]:
    percent = change.percent
    return {
        "last": round(change.last, 2),
        "this": round(change.this, 2),
        "percent": None if percent is None else round(percent, 1),
    }
