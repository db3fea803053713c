"""Where in the EPJ something is corrected: what a finding is about, by the kind of screen that shows it.

Every EPJ names its screens in its own way; what the rows of the two formats hold is the same in all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kpr_sender.model import Language
from kpr_sender.preflight.catalogue.fields import Field, iplos, xpr_ide
from kpr_sender.preflight.model import Finding
from kpr_sender.preflight.report import Group
from kpr_sender.texts import Text

_BETWEEN: Final = " / "
_FILE: Final = "file"
_EXTRACT: Final = "extract"


@dataclass(frozen=True, slots=True)
class EpjScreen:
    """A kind of screen: what it is called, and what is corrected there."""

    id: str
    name: Text
    about: Text


SCREENS: Final = (
    EpjScreen("person", Text("The person"), Text("Age, sex, residence, and whether the person is still alive.")),
    EpjScreen("service", Text("Services and decisions"), Text("Type, dates, hours and the unit that performs it.")),
    EpjScreen("stay", Text("Stays day and night"), Text("Dates and the unit.")),
    EpjScreen("needs", Text("IPLOS: the person's situation and needs"), Text("Housing, work, leisure, assessments.")),
    EpjScreen("function", Text("IPLOS: need of help"), Text("The score in each area, and its dates.")),
    EpjScreen("diagnosis", Text("Diagnoses"), Text("Code, list and dates.")),
    EpjScreen("identity", Text("The person's identity"), Text("Fødselsnummer, D-nummer or DUF-nummer, and its kind.")),
    EpjScreen(
        _FILE,
        Text("Mapping of services, and what is in the extract"),
        Text("This is about the file as a whole, and is usually set up once, by whoever administers the EPJ."),
    ),
    EpjScreen(
        _EXTRACT,
        Text("The extract and who sends it"),
        Text("Sender, period, contacts and the form of the file: a matter of the EPJ's supplier."),
    ),
)
"""In the order of the list."""

_OF_BLOCK: Final[Mapping[str, str]] = {
    "PERSON": "person",
    "TJENESTE": "service",
    "DOGNTILBUD": "stay",
    "PERSONOPPL": "needs",
    "FUNKSJON": "function",
    "DIAGNOSE": "diagnosis",
    "PasientIdent": "identity",
}
"""By the row that a finding's path names last; what is in none of these is set up, not registered."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One place to correct.

    Attributes:
        finding: What is wrong there.
        row: The row, by the EPJ's running numbers; empty for the whole file.
        field: The element or attribute; empty for the row itself.
        described: What that is; empty where the catalogue does not know it.
    """

    finding: Finding
    row: str
    field: str
    described: str


@dataclass(frozen=True, slots=True)
class ScreenFindings:
    """What a rule finds on one kind of screen."""

    group: Group
    corrections: tuple[Correction, ...]


def by_screen(found: tuple[Group, ...], language: Language) -> tuple[tuple[EpjScreen, tuple[ScreenFindings, ...]], ...]:
    """Return the screens with anything to correct, and the places on each, in the order of ``found``.

    Args:
        found: The findings by rule.
        language: In which fields are described.
    """
    placed: dict[str, list[ScreenFindings]] = {}
    for group in found:
        of_rule: dict[str, list[Correction]] = {}
        for place in group.places:
            of_rule.setdefault(_screen(place), []).append(_correction(place, language))
        for screen, corrections in of_rule.items():
            placed.setdefault(screen, []).append(ScreenFindings(group, tuple(corrections)))
    return tuple((screen, tuple(placed[screen.id])) for screen in SCREENS if screen.id in placed)


def screens_of(group: Group) -> tuple[EpjScreen, ...]:
    """Return where a rule's findings are corrected."""
    wanted = {_screen(place) for place in group.places}
    return tuple(screen for screen in SCREENS if screen.id in wanted)


def _screen(place: Finding) -> str:
    if not place.path:
        return _EXTRACT if place.line else _FILE
    kinds = [step.partition(" ")[0] for step in place.path.split(_BETWEEN)]
    return next((_OF_BLOCK[kind] for kind in reversed(kinds) if kind in _OF_BLOCK), _EXTRACT)


def _correction(place: Finding, language: Language) -> Correction:
    *row, last = place.path.split(_BETWEEN)
    field = _fields().get(last)
    if field is None:
        return Correction(place, place.path, "", "")
    return Correction(place, _BETWEEN.join(row), last, field.norwegian if language is Language.NB else field.english)


@functools.cache
def _fields() -> Mapping[str, Field]:
    return {field.name: field for form in (xpr_ide("53.1.3"), iplos()) for field in form.fields.values()}
