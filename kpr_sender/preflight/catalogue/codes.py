"""Service types, code list 9151, as the yearly fagmelding uses them.

Whether a type needs an organisation number is from Helsedirektoratet's questions and answers on IPLOS, which are from
2018 at the latest and name no consequence.
"""

from __future__ import annotations

import csv
import enum
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Final

from kpr_sender.texts import Text, of_table

# Reads the tables that lie beside this module.

_PACKAGE: Final = "kpr_sender.preflight.catalogue"


def rows(name: str) -> Iterator[dict[str, str]]:
    """Yield a table's rows by column name; a field that is not there is empty.

    Args:
        name: The file's, for example ``iplos_3_7.csv``.
    """
    text = resources.files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())


# Code lists by their OID under 2.16.578.1.12.4.1.1, with the years each code is in force.
#
# Where the sources name no year, none is known: the code counts as in force always.

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
    """Return every list that is known, by OID; the diagnosis codes are not among them."""
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


class OrganisationNumber(enum.StrEnum):
    """Whether a service of a type names the unit that performs it."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NOT_USED = "not_used"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ServiceType:
    """One tjenestetype.

    Attributes:
        code: Its code, names, years and source.
        group: ``home``, ``institution``, ``housing``, ``coercion`` or ``velferdsteknologi``.
        orgnr: Whether the performing unit's organisation number belongs to it.
        replaced_by: What is to be recorded in its place, where it has ended; empty otherwise.
    """

    code: Code
    group: str
    orgnr: OrganisationNumber
    replaced_by: Text


@functools.cache
def all_service_types() -> Mapping[str, ServiceType]:
    """Return every tjenestetype there has been, by code."""
    return MappingProxyType(
        {
            row["code"]: ServiceType(
                code=code_of(row),
                group=row["group"],
                orgnr=OrganisationNumber(row["orgnr"]),
                replaced_by=of_table(row["replaced_by"]),
            )
            for row in rows("tjenestetyper.csv")
        }
    )


@functools.cache
def service_types(year: int) -> Mapping[str, ServiceType]:
    """Return the tjenestetyper in force in a reporting year, by code."""
    return MappingProxyType({code: each for code, each in all_service_types().items() if each.code.in_force(year)})
