"""A check's report as one page for whoever answers for the data, and for whoever corrects it: opens anywhere, prints.

What it says comes first, then pictures of the year beside the last one, then what is wrong and why, and at the end a
list by the EPJ's screens for whoever corrects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kpr_sender.preflight.model import Effect, Rule
from kpr_sender.preflight.report import CheckReport, CheckVerdict, Group, groups, verdict
from kpr_sender.preflight.statistics import (
    MONTH_NAMES,
    MONTHS,
    NO_TYPE,
    Comparison,
    TypeDifference,
    YearStatistics,
    compare,
)
from kpr_sender.render import charts
from kpr_sender.render.check import accept_command, heading, percent_text, service_type_name
from kpr_sender.render.epj_screens import EpjScreen, by_screen, screens_of
from kpr_sender.render.html import page
from kpr_sender.render.language import say, spoken
from kpr_sender.texts import Text

_SECTIONS: Final = (
    (Effect.STOP, Text("What stops it"), Text("Nothing is sent while one of these is there.")),
    (Effect.DROP, Text("What FHI would drop"), Text("The receipt would be positive all the same.")),
    (Effect.WARN, Text("What to look at"), Text("It can be sent as it is.")),
    (Effect.NOTE, Text("Notes"), Text("Deviations from the published format that FHI does nothing about.")),
)
_LEADS_TO: Final = {
    Effect.STOP: Text("nothing is sent"),
    Effect.DROP: Text("dropped by FHI"),
    Effect.WARN: Text("to look at"),
    Effect.NOTE: Text("nothing"),
}
_MUST_ACCEPT: Final = Text("must be accepted")
_NO_START: Final = "year.month-without-start"
_SHORT_MONTHS: Final = (
    Text("Jan"), Text("Feb"), Text("Mar"), Text("Apr"), Text("May"), Text("Jun"),
    Text("Jul"), Text("Aug"), Text("Sep"), Text("Oct"), Text("Nov"), Text("Dec"),
)  # fmt: skip


_WORDS: Final = {
    "contents": Text("Contents"),
    "in_short": Text("In short"),
    "figures": Text("The year in figures"),
    "wrong": Text("What is wrong, and what to do"),
    "by_screen": Text("For whoever corrects: by the EPJ's screens"),
    "screens_differ": Text(
        "Every EPJ names its screens in its own way. A place is named by the EPJ's own running numbers: "
        "look the person up by pePeID."
    ),
    "overview": Text("Findings by rule, worst first"),
    "findings": Text("Findings"),
    "what": Text("What is wrong"),
    "leads_to": Text("What it leads to"),
    "consequence": Text("Consequence"),
    "to_do": Text("What to do"),
    "where": Text("Where"),
    "accept": Text("Whoever has read them and wants to send all the same does so with"),
    "types_table": Text("Users, services and hours a week of each tjenestetype"),
    "months_table": Text("Services that began in each month"),
    "type": Text("Tjenestetype"),
    "users": Text("Users"),
    "services": Text("Services"),
    "hours": Text("Hours a week"),
    "change": Text("Change"),
    "month": Text("Month"),
    "place": Text("Place"),
    "field": Text("Field"),
    "case": Text("What is wrong there"),
    "file": Text("File"),
    "line": Text("Line"),
    "whole_file": Text("the whole file"),
    "nobody": Text(
        "Persons are named by pePeID, the EPJ's own running number, and by their line in the file. No national id and "
        "no name is on this page; the small numbers in the tables may still point at somebody in a small municipality. "
        "Keep it inside the house."
    ),
    "cannot_know": Text(
        "A check knows the published rules and these two files. It cannot know whether what is registered is true."
    ),
}


@dataclass(frozen=True, slots=True)
class PageFinding:
    """A rule's findings as the page shows them."""

    group: Group
    leads_to: Text
    screens: tuple[EpjScreen, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart with its words.

    Attributes:
        description: What it shows, for whoever cannot see it; the table beside it has every number.
        note: What is not in it; empty where nothing is left out.
    """

    title: Text
    description: Text
    chart: charts.Chart
    note: str = ""


def check_page(report: CheckReport, *, made_at: datetime, names: tuple[str, str], accept: str = "") -> str:
    """Return the page, in the language that is spoken.

    Args:
        report: What a check found.
        made_at: When; aware, shown in its own time zone.
        names: What the page calls the fagmelding and the identmelding, for example their file names.
        accept: The command that sends all the same, with the options of the run that made the page.
    """
    decided, found, stats = verdict(report), groups(report), report.statistics
    last = None if report.comparison is None else report.comparison.last
    shown = [_finding(group) for group in found]
    return page(
        "check.html",
        w=_WORDS,
        title=Text("KPR data for {year}: what FHI would make of it", year=report.year),
        verdict=decided.text,
        tone=_tone(decided),
        facts=_facts(report, made_at, names),
        consequences=_consequences(decided, report.notes) if found else None,
        findings=shown,
        sections=[
            (effect.value, heading, remark, [each for each in shown if each.group.rule.effect is effect])
            for effect, heading, remark in _SECTIONS
        ],
        accept="" if decided.stops or not decided.to_accept else accept or accept_command(report),
        sums=[_sum(each) for each in (stats, last) if each is not None],
        years=[stats.year] if last is None else [last.year, stats.year],
        refused=_refused(stats.refused),
        no_last_year=Text(
            "There are no figures of {year} to compare with: check again with --compare and the fagmelding of {year}.",
            year=stats.year - 1,
        ),
        rows=[
            (row, service_type_name(row.type), percent_text(row.users), percent_text(row.hours))
            for row in _rows(stats, report.comparison)
        ],
        pictures=_pictures(stats, report.comparison),
        starts=_starts_picture(stats, last),
        months=[
            (name, [each.starts[month] for each in (last, stats) if each is not None])
            for month, name in enumerate(MONTH_NAMES)
        ],
        gap=next((place.message for group in found if group.rule.id == _NO_START for place in group.places), ""),
        compared=last is not None,
        screens=by_screen(found, spoken()),
        rule_title=heading,
        more=_more,
        rule_words=_rule_words,
    )


def _tone(decided: CheckVerdict) -> str:
    if decided.hinders:
        return "bad"
    return "mind" if decided.blanked or decided.remarks else "good"


def _facts(report: CheckReport, made_at: datetime, names: tuple[str, str]) -> list[tuple[Text, Text]]:
    fagmelding, identmelding = names
    return [
        (
            Text("fagmelding"),
            Text(
                "{file}: {persons:,} persons, {services:,} services",
                file=fagmelding,
                persons=report.persons,
                services=report.services,
            ),
        ),
        (Text("identmelding"), Text("{file}: {idents:,} PasientIdent", file=identmelding, idents=report.idents)),
        (
            Text("Rules"),
            Text("{year}, {environment}", year=report.year, environment=report.environment.value),
        ),
        (Text("Checked"), Text("{when:%Y-%m-%d} at {when:%H:%M}", when=made_at)),
    ]


def _finding(group: Group) -> PageFinding:
    leads_to = _MUST_ACCEPT if group.rule.is_doubt else _LEADS_TO[group.rule.effect]
    return PageFinding(group, leads_to, screens_of(group))


def _more(shown: int, count: int) -> Text:
    if shown == count:
        return Text("{count} place", plural="{count:,} places", count=count)
    return Text("The first {shown} of {count:,}", shown=shown, count=count)


def _rule_words(rule: Rule) -> Text:
    return Text("Rule {rule}: {source}.", rule=rule.id, source=rule.source)


def _refused(count: int) -> str:
    return (
        Text(
            "{count} more was applied for, and refused by the municipality.",
            plural="{count:,} more were applied for, and refused by the municipality.",
            count=count,
        )
        if count
        else ""
    )


def _sum(stats: YearStatistics) -> tuple[int, Text]:
    return stats.year, Text(
        "{persons:,} persons, of them {without:,} without service; {services:,} services, {hours:,} hours a week.",
        persons=stats.persons,
        without=stats.without_service,
        services=stats.services,
        hours=round(stats.hours),
    )


def _rows(stats: YearStatistics, comparison: Comparison | None) -> Sequence[TypeDifference]:
    # Beside itself a year has the same rows; only the columns of last year are left out.
    return (comparison or compare(stats, stats)).rows


def _consequences(decided: CheckVerdict, notes: int) -> Picture:
    """Return the findings by what they lead to, worst first; what there is none of is left out."""
    counted = (
        ("stop", Text("Findings that stop the sending"), decided.stops),
        ("drop", Text("Rows that FHI would drop"), decided.dropped),
        ("drop", Text("Services left without a type, counted nowhere"), decided.types),
        ("drop", Text("Doubts that a person must accept"), decided.doubts),
        ("warn", Text("Values that FHI would blank"), decided.blanked - decided.types),
        ("warn", Text("Remarks: to look at"), decided.remarks),
        ("note", Text("Deviations without consequence"), notes),
    )
    rows = [(say(label), [(kind, count)]) for kind, label, count in counted if count]
    return Picture(
        Text("Findings by consequence"),
        Text(
            "Lying bars, from what stops the sending to what has no consequence: {lines}.",
            lines="; ".join(f"{label} {values[0][1]}" for label, values in rows),
        ),
        charts.bars(rows),
    )


def _pictures(stats: YearStatistics, comparison: Comparison | None) -> list[Picture]:
    kinds = ("this",) if comparison is None else ("last", "this")
    users, hours = [], []
    for row in _rows(stats, comparison):
        label = _type_label(row.type)
        users.append((label, [(kind, getattr(row.users, kind)) for kind in kinds]))
        if row.hours.last or row.hours.this:
            hours.append((label, [(kind, getattr(row.hours, kind)) for kind in kinds]))
    described = Text("Lying bars, one group for each tjenestetype. The table below has the same numbers.")
    made = [Picture(Text("Users of each tjenestetype"), described, charts.bars(users))] if users else []
    if hours:
        without = len(users) - len(hours)
        note = Text(
            "{count:,} tjenestetype without hours is left out.",
            plural="{count:,} tjenestetyper without hours are left out.",
            count=without,
        )
        title = Text("Hours a week of each tjenestetype")
        made.append(Picture(title, described, charts.bars(hours), note if without else ""))
    return made


def _type_label(code: str) -> str:
    name = say(service_type_name(code))
    return name if code == NO_TYPE else f"{code} {name}"


def _starts_picture(stats: YearStatistics, last: YearStatistics | None) -> Picture | None:
    if not stats.types:
        return None
    years = (("last", last), ("this", stats))
    counted = [
        (say(_SHORT_MONTHS[month]), [(kind, each.starts[month]) for kind, each in years if each is not None])
        for month in range(MONTHS)
    ]
    empty = [say(name) for name, count in zip(MONTH_NAMES, stats.starts, strict=True) if not count]
    return Picture(
        Text("Services that began in each month"),
        Text(
            "Standing bars, January to December. Months of {year} without a start: {months}.",
            year=stats.year,
            months=", ".join(empty),
        )
        if empty
        else Text("Standing bars, January to December. In every month of {year} some service begins.", year=stats.year),
        charts.columns(counted),
    )
