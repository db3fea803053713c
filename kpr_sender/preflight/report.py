"""What a check found, and what it amounts to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kpr_sender.errors import InputRefused
from kpr_sender.model import Environment
from kpr_sender.preflight.model import Consequence, Effect, Finding, Rule
from kpr_sender.preflight.payload import Payload
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.preflight.statistics import Comparison, YearStatistics
from kpr_sender.texts import Text, listed


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        year: The reporting year the files were checked for.
        environment: Where they would be sent.
        payloads: What is known of the two files, the fagmelding first; None for one that may not be sent.
        refusal: What is wrong with a file's header, as ``send`` says it; None where both are valid.
        findings: The first of each rule (``model.STORED``): the fagmelding's, the identmelding's, what is about both.
        counts: How many there are in all, by rule.
        persons: How many PERSON.
        services: How many TJENESTE.
        idents: How many PasientIdent.
        statistics: The fagmelding's figures.
        comparison: With last year's; None where that file was not given.
    """

    year: int
    environment: Environment
    payloads: tuple[Payload | None, Payload | None]
    refusal: InputRefused | None
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    persons: int
    services: int
    idents: int
    statistics: YearStatistics
    comparison: Comparison | None

    @property
    def stops(self) -> int:
        """How many findings forbid sending."""
        return self._count(Effect.STOP)

    @property
    def drops(self) -> int:
        """How many findings a person must accept, and may, by exactly that number: FHI would drop what they are about.

        Or, as ``pair.other-persons``, it would take all of it for somebody else's.
        """
        return self._count(Effect.DROP)

    @property
    def warnings(self) -> int:
        """How many findings only warn: they do not hinder."""
        return self._count(Effect.WARN)

    @property
    def notes(self) -> int:
        """How many deviations FHI does nothing about."""
        return self._count(Effect.NOTE)

    def _count(self, effect: Effect) -> int:
        return sum(count for rule, count in self.counts.items() if RULES[rule].effect is effect)


# What a report amounts to: one sentence, and the findings by rule, worst first. Screen, JSON and page tell this.

NOTHING: Final = Text("Nothing here would be refused, dropped or blanked")

_BY_EFFECT: Final = {effect: rank for rank, effect in enumerate(Effect)}
_BY_CONSEQUENCE: Final = {consequence: rank for rank, consequence in enumerate(Consequence)}


def as_heading(title: str) -> str:
    """Return a rule's title as a heading; an element's name stays as it is written."""
    return title[:1].upper() + title[1:] if title.partition(" ")[0].islower() else title


@dataclass(frozen=True, slots=True)
class Group:
    """All findings of one rule.

    Attributes:
        count: How many there are.
        places: The first of them.
    """

    rule: Rule
    count: int
    places: tuple[Finding, ...]

    @property
    def heading(self) -> str:
        """The rule's title as a heading."""
        return as_heading(self.rule.title)


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """What FHI would do, in numbers of findings; a row that breaks two rules counts twice.

    Attributes:
        stops: What forbids sending.
        dropped: Rows that would be dropped.
        blanked: Values that would be blanked, ``types`` among them.
        types: Blanked tjenestetyper; such a service counts nowhere, so they are accepted like dropped rows.
        doubts: What drops nothing, and must be accepted all the same: files that are unlikely to be the ones to send.
        remarks: What else is reported: findings that a person should look at.
    """

    stops: int
    dropped: int
    blanked: int
    types: int
    doubts: int
    remarks: int

    @property
    def to_accept(self) -> int:
        """The number that a person who has read them names to ``--accept-findings``."""
        return self.dropped + self.types + self.doubts

    @property
    def hinders(self) -> bool:
        """Whether ``send`` would not send these files as they are."""
        return bool(self.stops or self.to_accept)

    @property
    def text(self) -> Text:
        """The verdict in a sentence."""
        harm = listed(*self._harm())
        if self.stops and harm:
            return Text(
                "Not to be sent: {count:,} finding stops it; {harm}.",
                plural="Not to be sent: {count:,} findings stop it; {harm}.",
                count=self.stops,
                harm=harm,
            )
        if self.stops:
            return Text(
                "Not to be sent: {count:,} finding stops it.",
                plural="Not to be sent: {count:,} findings stop it.",
                count=self.stops,
            )
        what = harm or NOTHING
        if self.remarks:
            return Text("{what}; {count:,} remark.", plural="{what}; {count:,} remarks.", what=what, count=self.remarks)
        return Text("{what}.", what=what)

    def _harm(self) -> Iterator[Text]:
        if self.dropped:
            yield Text("{count:,} row would be dropped", plural="{count:,} rows would be dropped", count=self.dropped)
        if self.blanked:
            yield self._blanked()
        if self.doubts:
            yield Text(
                "{count:,} finding must be accepted", plural="{count:,} findings must be accepted", count=self.doubts
            )

    def _blanked(self) -> Text:
        count, types = self.blanked, self.types
        if self.dropped and types:
            return Text(
                "{count:,} value blanked ({types:,} of them tjenestetype, which count as dropped)",
                plural="{count:,} values blanked ({types:,} of them tjenestetype, which count as dropped)",
                count=count,
                types=types,
            )
        if self.dropped:
            return Text("{count:,} value blanked", plural="{count:,} values blanked", count=count)
        if types:
            return Text(
                "{count:,} value would be blanked ({types:,} of them tjenestetype, which count as dropped)",
                plural="{count:,} values would be blanked ({types:,} of them tjenestetype, which count as dropped)",
                count=count,
                types=types,
            )
        return Text("{count:,} value would be blanked", plural="{count:,} values would be blanked", count=count)


def verdict(report: CheckReport) -> CheckVerdict:
    """Return what a report amounts to."""
    counts: Counter[tuple[Effect, Consequence]] = Counter()
    for rule, count in report.counts.items():
        counts[RULES[rule].effect, RULES[rule].consequence] += count
    types, doubts = counts[Effect.DROP, Consequence.VALUE], counts[Effect.DROP, Consequence.NONE]
    blanked = counts[Effect.WARN, Consequence.VALUE]
    return CheckVerdict(
        stops=report.stops,
        dropped=report.drops - types - doubts,
        blanked=types + blanked,
        types=types,
        doubts=doubts,
        remarks=report.warnings - blanked,
    )


def groups(report: CheckReport) -> tuple[Group, ...]:
    """Return the findings by rule: what stops first, then by what FHI would do, then the most frequent."""
    places: dict[str, list[Finding]] = {rule: [] for rule in report.counts}
    for finding in report.findings:
        places[finding.rule].append(finding)
    found = (Group(RULES[rule], count, tuple(places[rule])) for rule, count in report.counts.items() if count)
    return tuple(sorted(found, key=_worst_first))


def _worst_first(group: Group) -> tuple[int, int, int, str]:
    rule = group.rule
    return _BY_EFFECT[rule.effect], _BY_CONSEQUENCE[rule.consequence], -group.count, rule.id
