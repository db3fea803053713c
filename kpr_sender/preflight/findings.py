"""Collects findings: all of them counted, the first places of each rule kept. Memory stays flat."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.model import MessageType

# What a check has found: the rule, where, and what FHI would do about it.


class Consequence(enum.StrEnum):
    """What the receiver does (kravspesifikasjon IPLOS 3.7 knows these four)."""

    MESSAGE = "message"
    """The whole message is discarded ("Slettemerk melding")."""
    ROW = "row"
    """The row is dropped with everything under it ("Slettemerk rad med underelementer")."""
    VALUE = "value"
    """The value is blanked ("Sett verdi til NULL")."""
    NONE = "none"
    """Nothing ("Ingen handling")."""


class Effect(enum.StrEnum):
    """What ``kpr-send send`` makes of it."""

    STOP = "stop"
    """Nothing is sent."""
    DROP = "drop"
    """Nothing is sent, unless a person has read the findings and names their exact number."""
    WARN = "warn"
    """It is sent, and reported."""
    NOTE = "note"
    """It is sent; shown to whoever asks for everything."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        id: Stable, for example ``tjTjenType.code`` or ``tjeneste.outside-year``.
        consequence: What the receiver does.
        effect: What ``send`` makes of it.
        title: What is wrong, in half a sentence.
        receiver: What FHI would do, in a sentence.
        advice: What to do, in a sentence.
        source: Where the rule is published, and whether that is confirmed or inferred.
    """

    id: str
    consequence: Consequence
    effect: Effect
    title: str
    receiver: str
    advice: str
    source: str

    @property
    def is_doubt(self) -> bool:
        """Whether FHI would drop nothing, and a person must accept it all the same."""
        return self.effect is Effect.DROP and self.consequence is Consequence.NONE


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that something breaks, before it is known where that stands.

    Attributes:
        rule: The rule's id.
        field: Element or attribute it is about; empty for the row or the file itself.
        message: One sentence on this very case. Nothing personal in it: codes, dates and counts, never an id or a name.
    """

    rule: str
    field: str = ""
    message: str = ""


Values = Mapping[str, str]
"""The texts of a block's simple children, or of its attributes, by name."""
CrossCheck = Callable[[Values], tuple[Violation, ...]]
"""Returns what values break beside each other."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation at its place.

    Attributes:
        rule: The rule's id.
        file: Which of the two files.
        line: Line of the file, counted from 1; 0 where it is about the whole file.
        path: For example ``PERSON 17 / TJENESTE 3 / tjFraDato``: pePeID and the row's own key, never a national id.
        message: One sentence on this very case.
    """

    rule: str
    file: MessageType
    line: int
    path: str
    message: str


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
