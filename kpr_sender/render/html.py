"""A check's report as one HTML page: opens without network, prints on A4, reads on a telephone.

No script, no image, no address: everything is in the one file, so that it can be sent to whoever corrects the EPJ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Final

from kpr_sender.preflight.comparison import MONTH_NAMES, Change, Comparison, compare
from kpr_sender.preflight.findings import Effect, Finding
from kpr_sender.preflight.report import Group, Report, Verdict, groups, verdict
from kpr_sender.preflight.statistics import YearStatistics
from kpr_sender.render.check import percent_text, service_type_name

# The look of a check's page: light and dark, narrow and wide, and on A4.

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f3f5f7; --line: #d5dae0; --quiet: #57606a;
  --bad: #b3261e; --bad-paper: #fdecea; --mind: #7a5200; --mind-paper: #fff6dd; --good: #1a6b35; --good-paper: #e7f6ec;
  --this: #1f5fa8; --last: #a9bfd8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #14181d; --soft: #1e242b; --line: #38414b; --quiet: #a3adb8;
    --bad: #ff9d94; --bad-paper: #3a1a18; --mind: #f2cc72; --mind-paper: #332a12; --good: #86dba2;
    --good-paper: #15301f; --this: #6fa8e8; --last: #4a5d73; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .2rem; }
h3 { font-size: 1rem; margin: 0 0 .4rem; }
p { margin: .3rem 0; }
b { display: inline-block; min-width: 8.5rem; padding-right: .5rem; font-weight: 600; }
ul { margin: .4rem 0; padding-left: 1.2rem; }
a { color: inherit; text-underline-offset: .15em; }
code { font: .92em ui-monospace, "Liberation Mono", Consolas, monospace; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); font-size: .88rem; }
.verdict { font-size: 1.15rem; font-weight: 600; padding: .8rem 1rem; border-left: .4rem solid; border-radius: .2rem; }
.verdict.bad { color: var(--bad); background: var(--bad-paper); }
.verdict.mind { color: var(--mind); background: var(--mind-paper); }
.verdict.good { color: var(--good); background: var(--good-paper); }
dl { margin: 1rem 0 0; }
dl div { display: flex; gap: .8rem; }
dt { flex: 0 0 7rem; color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
article { margin: 1rem 0; padding: .8rem 1rem; background: var(--soft); border-left: .25rem solid var(--line);
  border-radius: .2rem; }
article.stop, article.drop { border-left-color: var(--bad); }
article.warn { border-left-color: var(--mind); }
.count { display: inline-block; min-width: 1.6rem; padding: 0 .4rem; margin-right: .3rem; border-radius: .8rem;
  text-align: center; color: var(--paper); background: var(--quiet); }
.stop .count, .drop .count { background: var(--bad); }
.warn .count { background: var(--mind); }
.accept { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .2rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .6rem 0; }
caption { text-align: left; color: var(--quiet); padding-bottom: .2rem; }
th, td { padding: .25rem .5rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
thead th, thead td { border-top: 0; font-weight: 600; }
tbody th { font-weight: 400; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.places td { overflow-wrap: anywhere; }
.places th:first-child { width: 7rem; }
.places .number { width: 5rem; }
.places th:nth-child(3) { width: 36%; }
.overview caption { font-size: 1rem; font-weight: 600; color: var(--ink); padding-top: 1rem; }
.overview .number { width: 5rem; }
.figures caption { font-size: 1rem; font-weight: 600; color: var(--ink); padding-top: 1rem; }
.figures td.bars { width: 22%; min-width: 5rem; vertical-align: middle; }
.figures.months td.bars { width: 60%; }
.bar { height: .5rem; background: var(--this); border-radius: 0 .15rem .15rem 0; }
.bar.last { background: var(--last); }
.legend .bar { display: inline-block; width: 1.4rem; margin-left: .6rem; }
footer { margin-top: 2.5rem; padding-top: .6rem; border-top: 1px solid var(--line); color: var(--quiet);
  font-size: .88rem; }
@media (max-width: 40rem) {
  .figures { display: block; overflow-x: auto; }
  .places, .places tbody, .places tr { display: block; }
  .places thead { display: none; }
  .places tr { border-top: 1px solid var(--line); padding: .3rem 0; }
  .places caption { display: block; }
  .places td.number::before { content: "line "; }
  .places td.number:empty { display: none; }
  .places th, .places td { display: inline; border: 0; padding: 0 .3rem 0 0; }
  .places td:last-child { display: block; }
  b { display: block; }
}
@media print {
  :root { --ink: #000; --paper: #fff; --soft: #fff; --line: #aaa; --quiet: #444; --bad: #8c1d18; --bad-paper: #fff;
    --mind: #5f4000; --mind-paper: #fff; --good: #14532d; --good-paper: #fff; --this: #1f5fa8; --last: #a9bfd8; }
  @page { size: A4; margin: 16mm 14mm; }
  html { font-size: 9pt; }
  body { max-width: none; padding: 0; }
  tr, p { break-inside: avoid; }
  article p:last-child { break-before: avoid; }
  h2, h2 + p, h3, h3 + p, caption, thead { break-after: avoid; }
  .bar, .count, .verdict { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


# The figures of a check's page: users of each tjenestetype and starts by month, as tables with bars.
#
# Bars are boxes with a width in percent. Each stands beside the number it shows, so the tables say everything without.


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
        yield f'<tr><th scope="row" class="number">{escape(row.type)}</th>'
        yield f'<td lang="nb">{escape(service_type_name(row.type))}</td>'
        yield _cells(row.users, both=last is not None)
        yield "" if last is None else f'<td class="number">{percent_text(row.users).replace(" ", "&nbsp;")}</td>'
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
    return percent_text(change).replace(" ", "&nbsp;")


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


def check_page(report: Report, *, made_at: datetime, names: tuple[str, str]) -> str:
    """Return the page.

    Args:
        report: What a check found.
        made_at: When; aware, shown in its own time zone.
        names: What the page calls the fagmelding and the identmelding, for example their file names.
    """
    return "".join(_page(report, made_at, names))


def _page(report: Report, made_at: datetime, names: tuple[str, str]) -> Iterator[str]:
    decided = verdict(report)
    title = f"KPR data for {report.year}: what FHI would make of it"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
    yield f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
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
    yield from figures(report)
    yield "</main>\n<footer>\n"
    yield "<p>Persons are named by pePeID, the EPJ's own running number, and by their line in the file. No national id "
    yield "and no name is on this page; the small numbers in the tables may still point at somebody in a small "
    yield "municipality. Keep it inside the house.</p>\n"
    yield "<p>A check knows the published rules and these two files. It cannot know whether what is registered is true."
    yield "</p>\n</footer>\n</body>\n</html>\n"


def _tone(decided: Verdict) -> str:
    if decided.hinders:
        return "bad"
    return "mind" if decided.blanked or decided.remarks else "good"


def _facts(report: Report, made_at: datetime, names: tuple[str, str]) -> Iterator[str]:
    fagmelding, identmelding = names
    facts = (
        ("fagmelding", f"{fagmelding}: {report.persons:,} persons, {report.services:,} services"),
        ("identmelding", f"{identmelding}: {report.idents:,} PasientIdent"),
        ("Rules", f"{report.year}, {report.environment.value}"),
        ("Checked", made_at.isoformat(sep=" ", timespec="minutes")),
    )
    yield "<dl>\n"
    for term, told in facts:
        yield f"<div><dt>{escape(term)}</dt><dd>{escape(told)}</dd></div>\n"
    yield "</dl>\n"


def _overview(found: tuple[Group, ...]) -> Iterator[str]:
    if not found:
        return
    yield '<table class="overview">\n<caption>In short</caption>\n<thead><tr>'
    yield '<th scope="col" class="number">Findings</th>'
    yield '<th scope="col">What is wrong</th><th scope="col">What it leads to</th></tr></thead>\n<tbody>\n'
    for group in found:
        link = f'<a href="#{escape(group.rule.id)}">{escape(group.heading)}</a>'
        leads_to = _LEADS_TO[group.rule.effect]
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
        said = "".join(f"<li>{escape(place.said)}</li>\n" for place in group.places if place.said)
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
        f"<td>{escape(place.path)}</td><td>{escape(place.said)}</td></tr>\n"
    )


def _acceptance(decided: Verdict) -> Iterator[str]:
    if decided.to_accept and not decided.stops:
        yield '<p class="accept">Whoever has read them and wants them dropped sends all the same with '
        yield f"<code>kpr-send send --accept-findings {decided.to_accept}</code></p>\n"
