"""A check's report as one HTML page: opens without network, prints on A4, reads on a telephone.

No script, no image, no address: everything is in the one file, so that it can be sent to whoever corrects the EPJ.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib import resources
from typing import Final

from kpr_sender.preflight.model import Effect, Finding
from kpr_sender.preflight.report import CheckReport, CheckVerdict, Group, groups, verdict
from kpr_sender.preflight.statistics import MONTH_NAMES, Comparison, Difference, YearStatistics, compare
from kpr_sender.privacy import shown_text
from kpr_sender.render.check import percent_text, service_type_name

_SECTIONS: Final = {
    Effect.STOP: ("What stops it", "Nothing is sent while one of these is there."),
    Effect.DROP: ("What FHI would drop", "The receipt would be positive all the same."),
    Effect.WARN: ("What to look at", "It can be sent as it is."),
    Effect.NOTE: ("Notes", "Deviations from the published format that FHI does nothing about."),
}
_LEADS_TO: Final = {
    Effect.STOP: "nothing is sent",
    Effect.DROP: "dropped by FHI",
    Effect.WARN: "to look at",
    Effect.NOTE: "nothing",
}


def check_page(report: CheckReport, *, made_at: datetime, names: tuple[str, str]) -> str:
    """Return the page.

    Args:
        report: What a check found.
        made_at: When; aware, shown in its own time zone.
        names: What the page calls the fagmelding and the identmelding, for example their file names.
    """
    return "".join(_page(report, made_at, names))


def _page(report: CheckReport, made_at: datetime, names: tuple[str, str]) -> Iterator[str]:
    decided = verdict(report)
    title = f"KPR data for {report.year}: what FHI would make of it"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
    yield f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n"
    yield f"<header>\n<h1>{escape(title)}</h1>\n"
    yield f'<p class="verdict {_tone(decided)}">{escape(decided.text)}</p>\n'
    yield from _facts(report, made_at, names)
    yield "</header>\n<main>\n"
    found = groups(report)
    yield from _overview(found)
    for effect, (heading, remark) in _SECTIONS.items():
        yield from _section(heading, remark, [group for group in found if group.rule.effect is effect])
        if effect is Effect.DROP:
            yield from _acceptance(decided)
    yield from _figures(report)
    yield "</main>\n<footer>\n"
    yield "<p>Persons are named by pePeID, the EPJ's own running number, and by their line in the file. No national id "
    yield "and no name is on this page; the small numbers in the tables may still point at somebody in a small "
    yield "municipality. Keep it inside the house.</p>\n"
    yield "<p>A check knows the published rules and these two files. It cannot know whether what is registered is true."
    yield "</p>\n</footer>\n</body>\n</html>\n"


def _tone(decided: CheckVerdict) -> str:
    if decided.hinders:
        return "bad"
    return "mind" if decided.blanked or decided.remarks else "good"


def _facts(report: CheckReport, made_at: datetime, names: tuple[str, str]) -> Iterator[str]:
    fagmelding, identmelding = names
    facts = (
        ("fagmelding", f"{fagmelding}: {report.persons:,} persons, {report.services:,} services"),
        ("identmelding", f"{identmelding}: {report.idents:,} PasientIdent"),
        ("Rules", f"{report.year}, {report.environment.value}"),
        ("Checked", made_at.isoformat(sep=" ", timespec="minutes")),
    )
    yield "<dl>\n"
    for term, fact in facts:
        yield f"<div><dt>{escape(term)}</dt><dd>{escape(fact)}</dd></div>\n"
    yield "</dl>\n"


def _overview(found: tuple[Group, ...]) -> Iterator[str]:
    if not found:
        return
    yield '<table class="overview">\n<caption>In short</caption>\n<thead><tr>'
    yield '<th scope="col" class="number">Findings</th>'
    yield '<th scope="col">What is wrong</th><th scope="col">What it leads to</th></tr></thead>\n<tbody>\n'
    for group in found:
        link = f'<a href="#{escape(group.rule.id)}">{escape(group.heading)}</a>'
        leads_to = "must be accepted" if group.rule.is_doubt else _LEADS_TO[group.rule.effect]
        yield f'<tr><td class="number">{group.count:,}</td><td>{link}</td><td>{leads_to}</td></tr>\n'
    yield "</tbody>\n</table>\n"


def _section(heading: str, remark: str, found: list[Group]) -> Iterator[str]:
    if not found:
        return
    yield f'<section>\n<h2>{escape(heading)}</h2>\n<p class="quiet">{escape(remark)}</p>\n'
    for group in found:
        yield from _group(group)
    yield "</section>\n"


def _group(group: Group) -> Iterator[str]:
    rule = group.rule
    yield f'<article class="{rule.effect.value}" id="{escape(rule.id)}">\n'
    yield f'<h3><span class="count">{group.count:,}</span> {escape(group.heading)}</h3>\n'
    yield f"<p><b>Consequence</b> {escape(rule.receiver)}</p>\n<p><b>What to do</b> {escape(rule.advice)}</p>\n"
    yield from _places(group)
    yield f'<p class="quiet">Rule <code>{escape(rule.id)}</code>: {escape(rule.source)}.</p>\n</article>\n'


def _places(group: Group) -> Iterator[str]:
    if not any(place.line or place.path for place in group.places):
        said = "".join(f"<li>{escape(place.message)}</li>\n" for place in group.places if place.message)
        yield f"<ul>\n{said}</ul>\n" if said else ""
        return
    more = group.count - len(group.places)
    first = f"The first {len(group.places)} of {group.count:,}" if more else "Where"
    yield f'<table class="places">\n<caption>{first}</caption>\n<thead><tr><th scope="col">File</th>'
    yield '<th scope="col" class="number">Line</th><th scope="col">Place</th><th scope="col">What</th></tr></thead>\n'
    yield "<tbody>\n"
    yield from map(_place, group.places)
    yield "</tbody>\n</table>\n"


def _place(place: Finding) -> str:
    line = f"{place.line}" if place.line else ""
    return (
        f'<tr><th scope="row">{place.file.norwegian}</th><td class="number">{line}</td>'
        f"<td>{escape(place.path)}</td><td>{escape(place.message)}</td></tr>\n"
    )


def _acceptance(decided: CheckVerdict) -> Iterator[str]:
    if decided.to_accept and not decided.stops:
        yield '<p class="accept">Whoever has read them and wants to send all the same does so with '
        yield f"<code>kpr-send send --accept-findings {decided.to_accept}</code></p>\n"


def _figures(report: CheckReport) -> Iterator[str]:
    # Bars are boxes with a width in percent; each stands beside its number, so the tables say everything without them.
    comparison, stats = report.comparison, report.statistics
    yield "<section>\n<h2>The figures</h2>\n"
    yield from _persons(stats, comparison)
    if stats.types:
        yield from _types(stats, comparison)
        yield from _months(stats, None if comparison is None else comparison.last)
    yield "</section>\n"


def _persons(stats: YearStatistics, comparison: Comparison | None) -> Iterator[str]:
    refused = f" {stats.refused:,} more were applied for and refused." if stats.refused else ""
    yield f"<p>{_sum(stats)}{refused}</p>\n"
    if comparison is not None:
        yield f"<p>In {comparison.last.year}: {_sum(comparison.last)}</p>\n"


def _sum(stats: YearStatistics) -> str:
    persons = f"{stats.persons:,} persons, of them {stats.without_service:,} without service"
    return f"{persons}; {stats.services:,} services, {stats.hours:,.0f} hours a week."


def _types(stats: YearStatistics, comparison: Comparison | None) -> Iterator[str]:
    # Beside itself a year has the same rows; only the columns of last year are left out.
    rows = (comparison or compare(stats, stats)).rows
    last = None if comparison is None else comparison.last.year
    years = (stats.year,) if last is None else (last, stats.year)
    most = max(max(row.users.last, row.users.this) for row in rows)
    yield '<table class="figures">\n<caption>Users, services and hours a week of each tjenestetype</caption>\n<thead>\n'
    yield '<tr><th scope="col" colspan="2" rowspan="2">Tjenestetype</th>'
    for heading, change in (("Users", True), ("Services", False), ("Hours a week", False)):
        yield f'<th scope="colgroup" colspan="{len(years) + (change and last is not None) + change}">{heading}</th>'
    yield "</tr>\n<tr>"
    years_head = "".join(f'<th scope="col" class="number">{year}</th>' for year in years)
    yield years_head
    yield "" if last is None else '<th scope="col" class="number">Change</th>'
    yield f'<td class="bars"></td>{years_head}{years_head}</tr>\n</thead>\n<tbody>\n'
    for row in rows:
        yield f'<tr><th scope="row" class="number">{escape(row.type)}</th>'
        yield f'<td lang="nb">{escape(service_type_name(row.type))}</td>'
        yield _cells(row.users, both=last is not None)
        yield "" if last is None else f'<td class="number">{_percent(row.users)}</td>'
        bars = (row.users.this,) if last is None else (row.users.last, row.users.this)
        yield f'<td class="bars">{_bars(bars, most)}</td>'
        yield _cells(row.services, both=last is not None)
        yield _cells(row.hours, both=last is not None)
        yield "</tr>\n"
    yield "</tbody>\n</table>\n"
    yield _legend(years)


def _months(stats: YearStatistics, last: YearStatistics | None) -> Iterator[str]:
    years = [stats] if last is None else [last, stats]
    most = max(max(each.starts) for each in years)
    yield '<table class="figures months">\n<caption>Services that began in each month</caption>\n<thead><tr>'
    yield '<th scope="col">Month</th>'
    yield "".join(f'<th scope="col" class="number">{each.year}</th>' for each in years)
    yield '<td class="bars"></td></tr></thead>\n<tbody>\n'
    for month, name in enumerate(MONTH_NAMES):
        counts = [each.starts[month] for each in years]
        numbers = "".join(f'<td class="number">{count:,}</td>' for count in counts)
        yield f'<tr><th scope="row">{name}</th>{numbers}<td class="bars">{_bars(counts, most)}</td></tr>\n'
    yield "</tbody>\n</table>\n"
    yield _legend([each.year for each in years])


def _bars(values: Sequence[float], most: float) -> str:
    """Return one bar under the other, this year's last; without words, for the numbers stand beside them."""
    kinds = ("this",) if len(values) == 1 else ("last", "this")
    return "".join(
        f'<div class="bar {kind}" style="width:{value / most * 100 if most else 0:.1f}%"></div>'
        for kind, value in zip(kinds, values, strict=True)
    )


def _legend(years: Sequence[int]) -> str:
    if len(years) == 1:
        return ""
    last, this = years
    return f'<p class="quiet legend"><span class="bar last"></span> {last} <span class="bar this"></span> {this}</p>\n'


def _cells(change: Difference, *, both: bool) -> str:
    values = (change.last, change.this) if both else (change.this,)
    return "".join(f'<td class="number">{value:,.0f}</td>' for value in values)


def _percent(change: Difference) -> str:
    return percent_text(change).replace(" ", "&nbsp;")


def _style() -> str:
    return resources.files(__package__).joinpath("check.css").read_text("utf-8")


def escape(text: str) -> str:
    """Return text as it may stand in the page."""
    return html.escape(shown_text(text))
