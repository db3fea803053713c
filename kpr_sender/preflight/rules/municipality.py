"""Says why a kommunenummer is not valid at the end of the reporting year, the day FHI's letter names."""

from __future__ import annotations

from datetime import date
from typing import Final

from kpr_sender.preflight.catalogue import kommuner
from kpr_sender.preflight.header import shown

ELSEWHERE: Final = frozenset({"9000", "9900", "9999"})
"""Special cases of residence (XPR): no municipality of their own, so right for a person and wrong for a sender."""


def is_number(text: str) -> bool:
    """Tell whether a text has a kommunenummer's form; what has not is a field rule's."""
    return len(text) == 4 and text.isascii() and text.isdigit()  # noqa: PLR2004 - kommunenummer have four digits


def not_valid(number: str, year: int) -> str:
    """Return a sentence on a kommunenummer that is not valid on 31 December, or nothing where it is.

    Args:
        number: Four digits.
        year: The reporting year.
    """
    if kommuner.valid(number, date(year, 12, 31)):
        return ""
    heirs = " and ".join(f"{heir} {name}" for heir, name in kommuner.successors(number))
    if heirs:
        return f"{number} is now {heirs}."
    if year > kommuner.LAST_KNOWN_YEAR:
        return f"{shown(number)} is not a number of {kommuner.LAST_KNOWN_YEAR}, the last year we know the numbers of."
    return f"{shown(number)} is not valid on 31 December {year}."
