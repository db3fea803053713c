"""The values of a check: what is read of a file, by what it is evaluated, and what is found."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.model import Environment, MessageType
from kpr_sender.privacy import is_running_number
from kpr_sender.texts import Text


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
    title: Text
    receiver: Text
    advice: Text
    source: Text

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


STORED: Final = 20
"""How many places of one rule are stored: one mistake in an EPJ stands at a hundred thousand places."""


@dataclass(slots=True)
class Findings:
    """What was found so far.

    Attributes:
        counts: How many, by rule.
        stored: Those whose places are stored.
    """

    counts: dict[str, int] = field(default_factory=dict)
    stored: list[Finding] = field(default_factory=list)

    def has_room(self, rule: str) -> bool:
        """Say whether the place of one more breach would be stored: to find it costs time."""
        return self.counts.get(rule, 0) < STORED

    def count(self, rule: str) -> None:
        """Count one more breach of a rule."""
        self.counts[rule] = self.counts.get(rule, 0) + 1

    def take(self, findings: Iterable[Finding]) -> None:
        """Count findings, and store those that are among the first of their rule."""
        for finding in findings:
            if self.has_room(finding.rule):
                self.stored.append(finding)
            self.count(finding.rule)


# How a finding names its place: ``PERSON 17 / TJENESTE 3 / tjFraDato``, by the EPJ's running numbers.

_KEYS: Final = {
    "PERSON": "pePeID",
    "PERSONOPPL": "poPoID",
    "FUNKSJON": "fnFnID",
    "TJENESTE": "tjTjID",
    "DIAGNOSE": "diDiID",
    "DOGNTILBUD": "dgDgID",
    "PasientIdent": "pid",
}


def place(kind: str, keys: Mapping[str, str]) -> str:
    """Return a block's name and running number; the name alone where it has none that may be shown."""
    key = keys.get(_KEYS[kind], "") if kind in _KEYS else ""
    return f"{kind} {key}" if is_running_number(key) else kind


@dataclass(slots=True)
class Element:
    """One element with everything in it.

    Attributes:
        name: Local name where it is in the format's namespace, else ``{namespace}local``.
        attributes: By local name where it has no namespace, else by ``{namespace}local``.
        line: Line of its start tag.
        text: Its own character data, all of it, children's not included.
        children: In order.
    """

    name: str
    attributes: Mapping[str, str]
    line: int = 0
    text: str = ""
    children: list[Element] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """One row under a person: TJENESTE, FUNKSJON and so on.

    Attributes:
        kind: The element's name.
        keys: Its attributes.
        values: Its children's text, by name.
        violations: What its children alone break.
    """

    kind: str
    keys: Mapping[str, str]
    values: Mapping[str, str]
    violations: tuple[Violation, ...] = ()


@dataclass(slots=True)
class PersonRecord:
    """One PERSON.

    Attributes:
        keys: Its attributes.
        values: Its own simple children's text, by name.
        rows: In order.
        violations: What its simple children alone break.
    """

    keys: Mapping[str, str]
    values: Mapping[str, str]
    rows: list[Row]
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a rule needs to know beside the file.

    Attributes:
        year: The reporting year.
        environment: Where it would be sent: synthetic persons are valid everywhere but in ``produksjon``.
        organisation_number: The municipality's own, nine digits; empty where it is not known.
    """

    year: int
    environment: Environment
    organisation_number: str = ""

    @property
    def production(self) -> bool:
        """Whether real persons are wanted, and only those."""
        return self.environment is Environment.PRODUKSJON

    @property
    def first_day(self) -> str:
        """The period's first day, yyyymmdd."""
        return f"{self.year}0101"

    @property
    def last_day(self) -> str:
        """The period's last day, yyyymmdd."""
        return f"{self.year}1231"
