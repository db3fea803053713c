"""What the readers make of a file: elements, and for a person the rows under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.preflight.findings import Violation
from kpr_sender.privacy import is_running_number

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
        environment: Where it would be sent: synthetic persons are right everywhere but in ``produksjon``.
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
