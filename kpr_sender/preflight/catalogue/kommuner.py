"""Municipality numbers since 2020 with their names, what became of them on 1 January 2024, and districts.

Kilde: SSB Klass 131 / Kartverket. No number changed on 1 January 2025 or 2026; boundaries of districts before 2025 were
not traced.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from kpr_sender.preflight.catalogue.codes import rows

LAST_KNOWN_YEAR: Final = 2026
"""The last year whose numbers were compared with SSB's; for a later one an unknown number proves nothing."""

_DISTRICT_DIGITS: Final = 2
"""IPLOS 3.7 names a district by the last two digits of its number."""


@dataclass(frozen=True, slots=True)
class _Kommune:
    name: str
    since: date
    until: date


@functools.cache
def _kommuner() -> Mapping[str, _Kommune]:
    return {
        row["number"]: _Kommune(
            row["name"],
            date.fromisoformat(row["valid_from"]),
            date.fromisoformat(row["valid_to"]) if row["valid_to"] else date.max,
        )
        for row in rows("kommuner.csv")
    }


def valid(number: str, on: date) -> bool:
    """Return whether a municipality has a number on a day. Nothing is known of days before 2020.

    Args:
        number: Four digits; anything else is no number of anyone's.
        on: The day; 31 December of the reporting year for whoever reports.
    """
    kommune = _kommuner().get(number)
    return kommune is not None and kommune.since <= on <= kommune.until


def name(number: str) -> str:
    """Return the name of whoever has or had a number since 2020; empty for an unknown one."""
    kommune = _kommuner().get(number)
    return kommune.name if kommune else ""


@functools.cache
def _successors() -> Mapping[str, tuple[tuple[str, str], ...]]:
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for row in rows("kommuner_2023_til_2024.csv"):
        found[row["number_2023"]] = (*found.get(row["number_2023"], ()), (row["number_2024"], row["name_2024"]))
    return found


def successors(number: str) -> tuple[tuple[str, str], ...]:
    """Return number and name of what a number became on 1 January 2024: mostly one, none where nothing changed.

    ``3001`` is now ``3101`` Halden; 1507 Ålesund is the only one that was split.
    """
    return _successors().get(number, ())


@functools.cache
def bydeler(kommune: str) -> Mapping[str, str]:
    """Return a municipality's districts, name by the two digits of IPLOS; none for all but the four largest cities."""
    return MappingProxyType(
        {row["number"][-_DISTRICT_DIGITS:]: row["name"] for row in rows("bydeler.csv") if row["kommune"] == kommune}
    )
