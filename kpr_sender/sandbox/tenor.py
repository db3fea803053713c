"""Synthetic national ids and organisation numbers: Skatteetaten's Tenor range, which no living person has.

A Tenor fødselsnummer has 80 added to its month and is otherwise formed as a real one; a Tenor organisasjonsnummer
begins with 2 or 3 (Skatteetaten's documentation of its test population).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from random import Random
from typing import Final

_FIRST_CHECK: Final = (3, 7, 6, 1, 8, 9, 4, 5, 2)
_SECOND_CHECK: Final = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
_ORGANISATION_CHECK: Final = (3, 2, 7, 6, 5, 4, 3, 2)
_NO_DIGIT: Final = 10
_TENOR_MONTH: Final = 80
_INDIVIDUALS: Final = ((2000, 500, 999), (1900, 0, 499))
"""Which individual numbers a century has: first year, lowest, highest."""


def fodselsnummer(born: date, *, woman: bool, random: Random) -> str:
    """Return eleven digits with valid check digits, in the Tenor range.

    Args:
        born: From 1900 to 2039.
        woman: The ninth digit is even for a woman.
        random: Where the individual number comes from.
    """
    low, high = next((low, high) for first, low, high in _INDIVIDUALS if born.year >= first)
    day_month_year = f"{born.day:02}{born.month + _TENOR_MONTH:02}{born.year % 100:02}"
    while True:
        individual = random.randint(low, high)
        if (individual % 2 == 0) is not woman:
            continue
        complete = with_check_digits(f"{day_month_year}{individual:03}")
        if complete is not None:
            return complete


def with_check_digits(nine: str) -> str | None:
    """Return a number of eleven digits; None where the nine have no check digits."""
    first = _check_digit(nine, _FIRST_CHECK)
    second = _check_digit(f"{nine}{first}", _SECOND_CHECK)
    return None if _NO_DIGIT in {first, second} else f"{nine}{first}{second}"


def organisasjonsnummer(random: Random) -> str:
    """Return nine digits with a valid check digit, beginning with 3."""
    while True:
        first_eight = f"3{random.randint(0, 9_999_999):07}"
        check = _check_digit(first_eight, _ORGANISATION_CHECK)
        if check != _NO_DIGIT:
            return f"{first_eight}{check}"


def _check_digit(digits: str, weights: Sequence[int]) -> int:
    total = sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False))
    return (11 - total % 11) % 11
