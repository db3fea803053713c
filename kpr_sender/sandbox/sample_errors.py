"""Synthetic pairs with one of each kind of error that a check can find, and a list of what it must find in each.

All errors that can stand together do so in one pair. What hides another, or is wrong in other circumstances only, has
a folder of its own. The same arguments always give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from kpr_sender.errors import UsageError
from kpr_sender.model import Environment
from kpr_sender.profiles import known_years
from kpr_sender.sandbox.sample_errors_cases import OTHER_CASES, ErrorCase, field_cases
from kpr_sender.sandbox.sample_errors_pair import FIRST_PID, PairChange, fid_of, written
from kpr_sender.sandbox.tenor import organisasjonsnummer
from kpr_sender.texts import Text

EXPECTED: Final = "expected.json"
FAGMELDING: Final = "fagmelding.xml"
IDENTMELDING: Final = "identmelding.xml"
LAST_YEAR: Final = "last-year.xml"
TEST_PERSONS: Final = "testpersons.txt"

_ANOTHER_UNIT: Final = organisasjonsnummer(Random(2))  # noqa: S311 - repeatable, guards nothing
_TOGETHER: Final = "."
_ONLY_IF_NOTHING_ELSE_STOPS: Final = "header.refused"
_UNCHANGED: Final = PairChange()

Texts = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a check must find in one pair.

    Attributes:
        folder: Below the folder that was written.
        environment: By whose rules; production's hold where no configuration is named.
        rules: Every rule that is broken, by name.
        refused: The pair cannot be evaluated at all: ``check`` ends with an error.
        compare: Last year's fagmelding that is needed, by its name in the folder; empty where none is.
        testpersons: Numbers that must be on the list of test persons, likewise.
        organisation_number: What ``sender.organisation_number`` must be; empty where it does not matter.
        refuse_bytes: What ``limits.refuse_bytes`` must be, likewise.
    """

    folder: str
    environment: str = Environment.LOKAL.value
    rules: tuple[str, ...] = ()
    refused: bool = False
    compare: str = ""
    testpersons: str = ""
    organisation_number: str = ""
    refuse_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SamplePair:
    """One pair, and what a check must find in it.

    Attributes:
        expected: What is expected.
        files: Content by name.
    """

    expected: Expected
    files: dict[str, str] = field(default_factory=dict)


_REFUSED: Final[tuple[tuple[str, Callable[[Texts], Texts]], ...]] = (
    ("swapped", lambda pair: (pair[1], pair[0])),
    ("cut-off", lambda pair: (pair[0][: len(pair[0]) // 2], pair[1])),
    ("document-type", lambda pair: (pair[0].replace("<IPLOS", "<!DOCTYPE IPLOS>\n<IPLOS", 1), pair[1])),
    ("other-format", lambda pair: (pair[0].replace("iplos/2019", "iplos/2009", 1), pair[1])),
)
"""What is no such pair at all, and how a valid one becomes it."""


def cases() -> tuple[ErrorCase, ...]:
    """Return every kind of error, one for each rule."""
    return (*field_cases(), *OTHER_CASES)


def pairs(year: int) -> Iterator[SamplePair]:
    """Yield every pair, the one with all errors that can stand together first.

    Args:
        year: The reporting year.
    """
    together, production, alone = _arranged()
    yield pair_of(year, _TOGETHER, together)
    named = [("production", production), *((_slug(case.rule), [case]) for case in alone)]
    for number, (slug, group) in enumerate(named, start=1):
        yield pair_of(year, f"{number:02}-{slug}", group)
    for number, (slug, damaged) in enumerate(_REFUSED, start=len(named) + 1):
        fagmelding, identmelding = damaged(written(year, [_UNCHANGED]))
        expected = Expected(f"{number:02}-{slug}", refused=True)
        yield SamplePair(expected, {FAGMELDING: fagmelding, IDENTMELDING: identmelding})


def write_pairs_with_errors(directory: Path, *, year: int) -> tuple[Expected, ...]:
    """Write every pair and the list of what a check must find, replacing earlier ones.

    Args:
        directory: Made where missing.
        year: The reporting year.

    Returns:
        What is expected of each pair.

    Raises:
        UsageError: Nobody knows the rules of that year.
        OSError: A folder cannot be written.
    """
    if year not in known_years():
        known = ", ".join(map(str, known_years()))
        raise UsageError(
            Text("No errors are known for {year}.", year=year),
            where="--year",
            next_step=Text("Use one of {known}.", known=known),
        )
    expected = []
    for pair in pairs(year):
        folder = directory / pair.expected.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in pair.files.items():
            (folder / name).write_text(content, encoding="utf-8", newline="\n")
        expected.append(pair.expected)
    listed = {"year": year, "pairs": [asdict(each) for each in expected]}
    (directory / EXPECTED).write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8", newline="\n")
    return tuple(expected)


def _arranged() -> tuple[list[ErrorCase], list[ErrorCase], list[ErrorCase]]:
    """Return what can stand together, what is wrong together in production, and what must stand alone."""
    together: list[ErrorCase] = []
    production: list[ErrorCase] = []
    alone: list[ErrorCase] = []
    taken: set[tuple[Environment, str]] = set()
    for case in cases():
        # Two errors of the same place in a header exclude each other; each person has a place of its own.
        places = {(case.environment, edit.about) for edit in (*case.change.head, *case.change.melding)}
        if case.alone or _ONLY_IF_NOTHING_ELSE_STOPS in case.rules or places & taken:
            alone.append(case)
            continue
        taken |= places
        (production if case.environment is Environment.PRODUKSJON else together).append(case)
    return together, production, alone


def pair_of(year: int, folder: str, group: Sequence[ErrorCase]) -> SamplePair:
    """Return the pair with these errors and no others, to be written into a folder."""
    first = group[0]
    persons = [_UNCHANGED] * first.companion
    for case in group:
        persons += [case.change] * (1 + case.crowd)
    fagmelding, identmelding = written(year, persons, [case.change for case in group])
    files = {FAGMELDING: fagmelding, IDENTMELDING: identmelding}
    if first.compared:
        files[LAST_YEAR] = written(year - 1, [_UNCHANGED])[0]
    if first.listed:
        files[TEST_PERSONS] = fid_of(FIRST_PID + first.companion, year) + "\n"
    expected = Expected(
        folder,
        first.environment.value,
        tuple(sorted(frozenset[str]().union(*(case.rules for case in group)))),
        compare=LAST_YEAR if first.compared else "",
        testpersons=TEST_PERSONS if first.listed else "",
        organisation_number=_ANOTHER_UNIT if first.owned else "",
        refuse_bytes=first.refuse_bytes,
    )
    return SamplePair(expected, files)


def _slug(rule: str) -> str:
    return rule.replace(".", "-").lower()
