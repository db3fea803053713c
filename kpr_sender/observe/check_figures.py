"""The figures of a check's page: users of each tjenestetype and starts by month, as tables with bars.

Bars are boxes with a width in percent. Each stands beside the number it shows, so the tables say everything without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from kpr_sender.preflight.catalogue.tjenestetyper import all_service_types
from kpr_sender.preflight.comparison import MONTH_NAMES, Change, Comparison, compare
from kpr_sender.preflight.report import Report
from kpr_sender.preflight.statistics import NO_TYPE, YearStatistics


def figures(report: Report) -> Iterator[str]:
    """Yield the page's section of figures."""
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
        yield f'<tr><th scope="row" class="number">{escape(row.type)}</th><td lang="nb">{escape(_name(row.type))}</td>'
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


def _cells(change: Change, *, both: bool) -> str:
    values = (change.last, change.this) if both else (change.this,)
    return "".join(f'<td class="number">{value:,.0f}</td>' for value in values)


def _percent(change: Change) -> str:
    percent = change.percent
    return "new" if percent is None else f"{percent:+.0f}&nbsp;%" if percent else "="


def _name(code: str) -> str:
    if code == NO_TYPE:
        return "(no valid code)"
    known = all_service_types().get(code)
    return known.code.norwegian if known else "(no such code)"
