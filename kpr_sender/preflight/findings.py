"""Collects findings: all of them counted, the first places of each rule kept. Memory stays flat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.preflight.finding import Finding

KEPT: Final = 20
"""How many places of one rule are kept: a mistake in an EPJ stands at a hundred thousand places, and is one mistake."""


@dataclass(slots=True)
class Findings:
    """What was found so far.

    Attributes:
        counts: How many, by rule.
        kept: Those whose places are kept.
    """

    counts: dict[str, int] = field(default_factory=dict)
    kept: list[Finding] = field(default_factory=list)

    def has_room(self, rule: str) -> bool:
        """Say whether the place of one more breach would be kept: to find it costs time."""
        return self.counts.get(rule, 0) < KEPT

    def count(self, rule: str) -> None:
        """Count one more breach of a rule."""
        self.counts[rule] = self.counts.get(rule, 0) + 1

    def take(self, findings: Iterable[Finding]) -> None:
        """Count findings, and keep those that are among the first of their rule."""
        for finding in findings:
            if self.has_room(finding.rule):
                self.kept.append(finding)
            self.count(finding.rule)
