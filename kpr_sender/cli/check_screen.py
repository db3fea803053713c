"""A check's report on one screen: the verdict, then what to look at, worst first, then the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kpr_sender.preflight.catalogue.codes import all_service_types
from kpr_sender.preflight.comparison import Change, Comparison
from kpr_sender.preflight.findings import Effect, Finding
from kpr_sender.preflight.report import Group, Report, groups, verdict
from kpr_sender.preflight.statistics import NO_TYPE, YearStatistics

EFFECT_WORDS: Final = {
    Effect.STOP: "STOPS",
    Effect.DROP: "DROPPED",
    Effect.WARN: "look",
    Effect.NOTE: "note",
}
_DETAILED: Final = 4
"""Rules told in full; the rest take a line each, so that the verdict stays on the screen."""
_PLACES: Final = 3
_BAR: Final = 20
_NAME: Final = 34


@dataclass(frozen=True, slots=True)
class Screen:
    """What is shown.

    Attributes:
        everything: Whether notes, every rule in full, all kept places and all figures are wanted.
    """

    report: Report
    everything: bool

    def lines(self) -> Iterator[str]:
        """Yield the screen's lines after the verdict."""
        shown = [group for group in groups(self.report) if self.everything or group.rule.effect is not Effect.NOTE]
        detailed = len(shown) if self.everything else _DETAILED
        for group in shown[:detailed]:
            yield ""
            yield from self._group(group)
        if shown[detailed:]:
            yield ""
            yield from (_heading(group) for group in shown[detailed:])
            yield "           Shown in full with --all."
        yield from self._acceptance()
        yield ""
        yield from self._figures()

    def _group(self, group: Group) -> Iterator[str]:
        yield _heading(group)
        yield f"           Consequence {group.rule.receiver}"
        yield f"           What to do  {group.rule.advice}"
        places = group.places if self.everything else group.places[:_PLACES]
        yield from (f"           {_place(place)}" for place in places)
        if group.count > len(places):
            hint = ", shown with --all" if len(places) < len(group.places) else ""
            yield f"           ... and {group.count - len(places):,} more{hint}"

    def _acceptance(self) -> Iterator[str]:
        decided = verdict(self.report)
        if decided.to_accept and not decided.stops:
            yield ""
            yield "  Whoever has read them and wants them dropped sends all the same with"
            yield f"    kpr-send send --accept-findings {decided.to_accept}"

    def _figures(self) -> Iterator[str]:
        report, stats = self.report, self.report.statistics
        refused = f" and {stats.refused:,} refused" if stats.refused else ""
        yield f"  Persons      {report.persons:,}, of them {stats.without_service:,} without service"
        yield f"  Services     {stats.services:,}{refused}; {stats.hours:,.0f} hours a week"
        yield f"  PasientIdent {report.idents:,}"
        if report.comparison is not None:
            yield ""
            yield from comparison_table(report.comparison)
        elif self.everything:
            yield ""
            yield from figures_table(stats)


def comparison_table(comparison: Comparison) -> Iterator[str]:
    """Yield the users of each tjenestetype in both years, with bars."""
    last, this = comparison.last.year, comparison.this.year
    yield f"  {'Users of each tjenestetype':<{_NAME + 4}} {last:>6} {this:>6} {'change':>8}"
    most = max((max(row.users.last, row.users.this) for row in comparison.rows), default=0)
    for row in comparison.rows:
        users = f"{row.users.last:>6,.0f} {row.users.this:>6,.0f} {_percent(row.users):>8}"
        yield f"  {_named(row.type)} {users}  {_bar(row.users, most)}".rstrip()
    yield f"  Bars: = both years, + more in {this}, - fewer than in {last}."


def figures_table(stats: YearStatistics) -> Iterator[str]:
    """Yield users, services and hours a week of each tjenestetype."""
    yield f"  {'Tjenestetype':<{_NAME + 4}} {'users':>6} {'services':>9} {'hours a week':>13}"
    for code in stats.types:
        counted = stats.of(code)
        yield f"  {_named(code)} {counted.users:>6,} {counted.services:>9,} {counted.hours:>13,.1f}"


def _heading(group: Group) -> str:
    return f"  {EFFECT_WORDS[group.rule.effect]:<8} {group.heading}: {group.count:,}  [{group.rule.id}]"


def _place(finding: Finding) -> str:
    line = f" line {finding.line}" if finding.line else ""
    return ": ".join(filter(None, (f"{finding.file.norwegian}{line}", finding.path, finding.said)))


def _named(code: str) -> str:
    if code == NO_TYPE:
        return f"{'':>3} {'(no valid code)':<{_NAME}}"
    known = all_service_types().get(code)
    return f"{code:>3} {_short(known.code.norwegian if known else '(no such code)'):<{_NAME}}"


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 3]}..."


def _percent(change: Change) -> str:
    percent = change.percent
    return "new" if percent is None else f"{percent:+.0f} %" if percent else "="


def _bar(change: Change, most: float) -> str:
    last, this = (_width(value, most) for value in (change.last, change.this))
    return "=" * min(last, this) + "+" * (this - last) + "-" * (last - this)


def _width(value: float, most: float) -> int:
    # Whoever is there at all is seen.
    return max(round(value / most * _BAR), 1) if value else 0


def summary_lines(names: Sequence[str], rules: str) -> Iterator[str]:
    """Yield which files were checked, and by which rules.

    Args:
        names: The fagmelding's and the identmelding's.
        rules: Year and environment.
    """
    yield f"  fagmelding   {names[0]}"
    yield f"  identmelding {names[1]}"
    yield f"  Rules        {rules}"
