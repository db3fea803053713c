"""Code lists by their OID under 2.16.578.1.12.4.1.1, with the years each code is in force.

Where the sources name no year, none is known: the code counts as in force always.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kpr_sender.preflight.catalogue.tables import rows

TJENESTETYPE: Final = "9151"
"""The list that has a table of its own, ``tjenestetyper.csv``."""


@dataclass(frozen=True, slots=True)
class Code:
    """One code of a list.

    Attributes:
        code: As it stands in a file.
        english: What it means.
        norwegian: The same, as the lists have it.
        first_year: First reporting year it is in force; None where none is known.
        last_year: Last one; None where it is in force still.
        source: Where that is from.
    """

    code: str
    english: str
    norwegian: str
    first_year: int | None
    last_year: int | None
    source: str

    def in_force(self, year: int) -> bool:
        """Return whether it may be used for a reporting year."""
        return (self.first_year is None or self.first_year <= year) and (
            self.last_year is None or year <= self.last_year
        )


@functools.cache
def lists() -> Mapping[str, tuple[Code, ...]]:
    """Return every list that is known, by OID.

    Not among them: 9341 (contact types of the fagmelding), whose values are published nowhere, and the diagnosis codes.
    """
    found: dict[str, list[Code]] = {}
    for row in rows("kodeverk.csv"):
        found.setdefault(row["list"], []).append(code_of(row))
    found[TJENESTETYPE] = [code_of(row) for row in rows("tjenestetyper.csv")]
    return MappingProxyType({oid: tuple(codes) for oid, codes in found.items()})


@functools.cache
def codes(oid: str, year: int) -> frozenset[str]:
    """Return the codes of a list that are in force.

    Args:
        oid: The list, for example ``9171``.
        year: The reporting year.

    Raises:
        KeyError: No such list is known.
    """
    return frozenset(each.code for each in lists()[oid] if each.in_force(year))


def code_of(row: Mapping[str, str]) -> Code:
    """Return a table's row as a code."""
    return Code(
        code=row["code"],
        english=row["english"],
        norwegian=row["norwegian"],
        first_year=_year(row["first_year"]),
        last_year=_year(row["last_year"]),
        source=row["source"],
    )


def _year(text: str) -> int | None:
    return int(text) if text else None
