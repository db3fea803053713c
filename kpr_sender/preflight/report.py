"""What a check found, and what it amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kpr_sender.errors import InputRefused
from kpr_sender.model import Environment
from kpr_sender.preflight.comparison import Comparison
from kpr_sender.preflight.finding import Effect, Finding
from kpr_sender.preflight.payload import Payload
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.preflight.statistics import YearStatistics


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    Attributes:
        year: The reporting year the files were checked for.
        environment: Where they would be sent.
        payloads: What is known of the two files, the fagmelding first; None for one that may not be sent.
        refusal: What is wrong with a file's header, as ``send`` says it; None where both are right.
        findings: The first of each rule (``findings.KEPT``): the fagmelding's, the identmelding's, what is about both.
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
        """How many findings FHI would drop a row for, or a tjenestetype: a person may accept exactly that number."""
        return self._count(Effect.DROP)

    @property
    def warnings(self) -> int:
        """How many findings are said, and do not hinder."""
        return self._count(Effect.WARN)

    @property
    def notes(self) -> int:
        """How many deviations FHI does nothing about."""
        return self._count(Effect.NOTE)

    def _count(self, effect: Effect) -> int:
        return sum(count for rule, count in self.counts.items() if RULES[rule].effect is effect)
