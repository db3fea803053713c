"""A check's report: the lines of its screen, and the keys of ``kpr-send check --json`` as docs/check.md has them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from kpr_sender.errors import EXIT_OK, InputRefused
from kpr_sender.preflight.catalogue.codes import all_service_types
from kpr_sender.preflight.model import Effect, Finding
from kpr_sender.preflight.report import CheckReport, Group, as_heading, groups, verdict
from kpr_sender.preflight.statistics import NO_TYPE, Comparison, Difference, YearStatistics
from kpr_sender.render.language import say
from kpr_sender.texts import Text

_EFFECT_WORDS: Final = {
    Effect.STOP: Text("STOPS"),
    Effect.DROP: Text("DROPPED"),
    Effect.WARN: Text("look"),
    Effect.NOTE: Text("note"),
}
_ACCEPT: Final = Text("ACCEPT")
_EXIT_CODE: Final = Text("Exit code")
"""The longest of the labels in Norwegian, as ``_LABEL`` characters are in English."""
_LABEL: Final = 12
_DETAILED: Final = 4
"""Rules shown in full; the rest take a line each, so that the verdict stays on the screen."""
_PLACES: Final = 3
_BAR: Final = 20
_NAME: Final = 34


def accept_command(report: CheckReport, files: Sequence[str] = ()) -> str:
    """Return the command that sends all the same; ``files`` are the two, where they were named."""
    return f"kpr-send send --accept-findings {verdict(report).to_accept} {shlex.join(files)}".rstrip()


def check_screen(
    report: CheckReport,
    *,
    names: tuple[str, str],
    rules: str,
    page: Path | None,
    everything: bool,
    files: Sequence[str] = (),
) -> Iterator[str]:
    """Yield the verdict, what to look at, worst first, then the figures.

    Args:
        report: What a check found.
        names: The fagmelding's and the identmelding's.
        rules: Year and environment.
        page: Where the report was written as a page, too; None where it was not.
        everything: Whether notes, every rule in full, all stored places and all figures are wanted.
        files: The two files as they were named; empty where the configuration names them.
    """
    decided = verdict(report)
    yield say(decided.text)
    yield ""
    yield _labelled(Text("fagmelding"), names[0])
    yield _labelled(Text("identmelding"), names[1])
    yield _labelled(Text("Rules"), say(rules))
    yield from _finding_lines(report, everything=everything)
    if decided.to_accept and not decided.stops:
        yield ""
        yield f"  {say(Text('Whoever has read them and wants to send all the same does so with'))}"
        yield f"    {accept_command(report, files)}"
    yield ""
    yield from _figure_lines(report, everything=everything)
    yield ""
    if page is not None:
        yield _labelled(Text("Page"), str(page))
    yield _labelled(_EXIT_CODE, str(InputRefused.exit_code if decided.hinders else EXIT_OK))


def service_type_name(code: str) -> str:
    """Return the Norwegian name of a tjenestetype, or that the code is none.

    Args:
        code: From code list 9151, or ``NO_TYPE``.
    """
    if code == NO_TYPE:
        return Text("(no valid code)")
    known = all_service_types().get(code)
    return known.code.norwegian if known else Text("(no such code)")


def percent_text(change: Difference) -> str:
    """Return how much a figure changed since last year: ``+5 %``, ``=`` or ``new``."""
    percent = change.percent
    return Text("new") if percent is None else f"{percent:+.0f} %" if percent else "="


def heading(group: Group) -> str:
    """Return what a rule's findings are called, in the language that is spoken."""
    return as_heading(say(group.rule.title))


def _labelled(label: Text, value: str) -> str:
    width = max(_LABEL, len(say(_EXIT_CODE)))
    return f"  {say(label):<{width}} {value}"


def _finding_lines(report: CheckReport, *, everything: bool) -> Iterator[str]:
    shown = [group for group in groups(report) if everything or group.rule.effect is not Effect.NOTE]
    detailed = len(shown) if everything else _DETAILED
    for group in shown[:detailed]:
        yield ""
        yield from _group_lines(group, everything=everything)
    if shown[detailed:]:
        yield ""
        yield from map(_heading_line, shown[detailed:])
        yield f"{_indent()}{say(Text('Shown in full with --all.'))}"


def _group_lines(group: Group, *, everything: bool) -> Iterator[str]:
    indent = _indent()
    consequence, to_do = say(Text("Consequence")), say(Text("What to do"))
    width = max(len(consequence), len(to_do))
    yield _heading_line(group)
    yield f"{indent}{consequence:<{width}} {say(group.rule.receiver)}"
    yield f"{indent}{to_do:<{width}} {say(group.rule.advice)}"
    places = group.places if everything else group.places[:_PLACES]
    yield from (f"{indent}{_place_line(place)}" for place in places)
    more = group.count - len(places)
    if more and len(places) < len(group.places):
        yield f"{indent}{say(Text('... and {more:,} more, shown with --all', more=more))}"
    elif more:
        yield f"{indent}{say(Text('... and {more:,} more', more=more))}"


def _heading_line(group: Group) -> str:
    word = _ACCEPT if group.rule.is_doubt else _EFFECT_WORDS[group.rule.effect]
    count = say(Text("{count:,}", count=group.count))
    return f"  {say(word):<{_word_width()}} {heading(group)}: {count}  [{group.rule.id}]"


def _word_width() -> int:
    """Return how wide the words are that say what a finding leads to."""
    return max(8, *(len(say(word)) for word in (*_EFFECT_WORDS.values(), _ACCEPT)))


def _indent() -> str:
    return " " * (_word_width() + 3)


def _place_line(finding: Finding) -> str:
    place: str = finding.file.norwegian
    if finding.line:
        place = say(Text("{file} line {line}", file=place, line=finding.line))
    return ": ".join(filter(None, (place, finding.path, say(finding.message))))


def _figure_lines(report: CheckReport, *, everything: bool) -> Iterator[str]:
    stats = report.statistics
    persons = Text(
        "{count:,}, of them {without:,} without service", count=report.persons, without=stats.without_service
    )
    yield _labelled(Text("Persons"), say(persons))
    yield _labelled(Text("Services"), say(_services(stats)))
    yield _labelled(Text("PasientIdent"), say(Text("{count:,}", count=report.idents)))
    if report.comparison is not None:
        yield ""
        yield from _comparison_table(report.comparison)
    elif everything:
        yield ""
        columns = [say(Text("users")), say(Text("services")), say(Text("hours a week"))]
        yield f"  {say(Text('Tjenestetype')):<{_NAME + 4}} {columns[0]:>6} {columns[1]:>9} {columns[2]:>13}"
        for code in stats.types:
            counted = stats.of(code)
            yield f"  {_type_cell(code)} {counted.users:>6,} {counted.services:>9,} {counted.hours:>13,.1f}"


def _services(stats: YearStatistics) -> Text:
    services, hours = stats.services, round(stats.hours)
    if not stats.refused:
        return Text("{services:,}; {hours:,} hours a week", services=services, hours=hours)
    return Text(
        "{services:,}, and {refused:,} that the municipality itself has refused (tjVedtak 1); {hours:,} hours a week",
        services=services,
        refused=stats.refused,
        hours=hours,
    )


def _comparison_table(comparison: Comparison) -> Iterator[str]:
    """Yield the users of each tjenestetype in both years, with bars."""
    last, this = comparison.last.year, comparison.this.year
    users, change = say(Text("Users of each tjenestetype")), say(Text("change"))
    yield f"  {users:<{_NAME + 4}} {last:>6} {this:>6} {change:>8}"
    most = max((max(row.users.last, row.users.this) for row in comparison.rows), default=0)
    for row in comparison.rows:
        counts = f"{row.users.last:>6,.0f} {row.users.this:>6,.0f} {say(percent_text(row.users)):>8}"
        yield f"  {_type_cell(row.type)} {counts}  {_bar(row.users, most)}".rstrip()
    yield f"  {say(Text('Bars: = both years, + more in {this}, - fewer than in {last}.', this=this, last=last))}"


def _type_cell(code: str) -> str:
    name = say(service_type_name(code))
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
