"""Reports of a content check made by hand: one of each kind of finding, and a year's figures beside last year's."""

from __future__ import annotations

from collections.abc import Mapping

from kpr_sender.model import Environment, MessageType
from kpr_sender.preflight.model import Finding, Findings, PersonRecord, Row
from kpr_sender.preflight.report import CheckReport
from kpr_sender.preflight.statistics import YearStatistics, compare

STOP, DROP, BLANK_TYPE, BLANK, REMARK, NOTE = (
    "melding.period",
    "tjeneste.outside-year",
    "tjTjenType.code",
    "tjVedtak.code",
    "person.no-service",
    "orgnr.not-used",
)
"""A rule of each kind: stops, drops, blanks a tjenestetype, blanks something else, remarks, notes."""
DOUBT = "pair.other-persons"
"""A rule that drops nothing, and must be accepted."""


def finding(rule: str, *, line: int = 17, path: str = "PERSON 17 / TJENESTE 3", message: str = "") -> Finding:
    """Return a finding in the fagmelding."""
    return Finding(rule, MessageType.KPR_IPL, line, path, message)


def year(users: Mapping[str, int], *, of: int = 2024, without: int = 0) -> YearStatistics:
    """Return a year's figures: so many users of each tjenestetype, their services begun month after month."""
    stats = YearStatistics(of)
    for code, count in users.items():
        for number in range(count):
            values = {"tjTjenType": code, "tjTimerUke": "3.50", "tjFraDato": f"{of}{number % 12 + 1:02}01"}
            stats.add(PersonRecord({}, {}, [Row("TJENESTE", {}, values)]))
    for _ in range(without):
        stats.add(PersonRecord({}, {}, []))
    return stats


def report(
    counts: Mapping[str, int] | None = None,
    *,
    this: YearStatistics | None = None,
    last: YearStatistics | None = None,
    findings: tuple[Finding, ...] = (),
) -> CheckReport:
    """Return a report.

    Args:
        counts: How many findings of each rule; their places are made up.
        this: The year's figures.
        last: Last year's; None where they were not given.
        findings: Findings besides.
    """
    stats = this or year({"15": 40, "6": 12, "29": 3}, without=2)
    collected = Findings()
    for rule, count in (counts or {}).items():
        collected.take(finding(rule, line=100 + number, message=f"Case {number}.") for number in range(count))
    collected.take(findings)
    return CheckReport(
        year=stats.year,
        environment=Environment.PRODUKSJON,
        payloads=(None, None),
        refusal=None,
        findings=tuple(collected.stored),
        counts=collected.counts,
        persons=stats.persons,
        services=stats.services + stats.refused,
        idents=stats.persons,
        statistics=stats,
        comparison=None if last is None else compare(stats, last),
    )
