"""Numbers that name persons: which kind a number is, whether it can exist at all, and the date of birth in it.

Every kind of eleven digits has the same two check digits; what it is stands in the day and the month. Sources:
Skatteetaten (fødselsnummer, D-nummer, Tenor, the rule from 2032), ehelse.no (H-nummer), nhn.no (felles hjelpenummer),
UDI's DUF-nummer; the extended D series as in NoCommons. Public validators err on these (they refuse valid D-numbers,
know neither Tenor nor DUF, and give wrong centuries), hence an own one.

Nothing here keeps, logs or returns a number.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final


class Kind(enum.StrEnum):
    """What a number is."""

    FNR = "fødselsnummer"
    D = "D-nummer"
    DOLLY_OR_H = "H-nummer or NAV Dolly"
    """Both add 40 to the month and cannot be distinguished: a provider's own emergency number, or a test person."""
    FH = "felles hjelpenummer"
    DUF = "DUF-nummer"
    TENOR = "Tenor"
    """Skatteetaten's synthetic population, D-numbers among them."""
    NHN = "NHN synthetic"
    """Norsk helsenett's synthetic persons, D-numbers among them."""


ORDINARY_YEAR: Final = 2024
"""A reporting year in which the rules of before 2032 hold alone."""

_NEW_RULE: Final = 2032
"""From 1 January of this year on the first check digit may leave remainders 0 to 3, and the individual number no longer
tells the century. Numbers of both rules are valid beside each other then (Skatteetaten)."""
_REMAINDERS, _NEW_REMAINDERS = frozenset({0}), frozenset({0, 1, 2, 3})

_SYNTHETIC: Final = frozenset({Kind.TENOR, Kind.NHN})

_LENGTH: Final = 11
_DUF_LENGTH: Final = 12
_MOD: Final = 11

_FIRST_CHECK: Final = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0)
_SECOND_CHECK: Final = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_DUF_CHECK: Final = (4, 6, 3, 2, 7, 5, 4, 6, 3, 2)
_DUF_CENTURIES: Final = ("19", "20")

_D_DAY: Final = 40
_MONTHS: Final[Mapping[int, Kind]] = {0: Kind.FNR, 40: Kind.DOLLY_OR_H, 65: Kind.NHN, 80: Kind.TENOR}
"""What is added to the month, and the kind it makes; a D-number adds to the day as well, and counts when nothing else
does."""

_SERIES: Final = (
    ("00", "99", "00", "49", 1900),
    ("00", "39", "50", "99", 2000),
    ("40", "99", "90", "99", 1900),
    ("54", "99", "50", "74", 1800),
)
"""First and last year in two digits, the first two digits of the lowest and highest individual number, the century."""

_D_SERIES: Final = (
    ("40", "99", "50", "59", 1800),
    ("40", "99", "00", "49", 1900),
    ("40", "99", "60", "99", 1900),
    ("00", "39", "00", "19", 1900),
    ("00", "39", "20", "99", 2000),
)
"""The same for D-numbers, whose series was extended."""

_LAST_DAY: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY, _LEAP_DAY = 2, 29
_UNTOLD: Final = 2000
"""In place of a century that a number does not tell: the one with every leap day the others have."""


def identify(number: str, year: int = ORDINARY_YEAR) -> tuple[Kind | None, date | None]:
    """Return which kind a number is and the date of birth in it; None where there can be no such number, or no date.

    There is no such number: a wrong length, something else than digits, wrong check digits, an impossible date or
    series. That felles hjelpenummer have a fødselsnummer's check digits is inferred, not published. They and
    DUF-nummer hold no date, and from 2032 on no number tells its century. A D-number's may be the date it was
    registered at (UDI).

    Args:
        number: As it stands; nothing is taken away from it.
        year: The reporting year; from 2032 on numbers of the new rule are accepted beside those of the old.
    """
    if len(number) != _LENGTH:
        return (Kind.DUF if _is_duf(number) else None), None
    try:
        sums = _SUMS_0[number[:3]] + _SUMS_3[number[3:6]] + _SUMS_6[number[6:9]] + _SUMS_9[number[9:]]
    except KeyError:
        return None, None
    first, second = divmod(sums, _SHIFT)
    if second % _MOD or first % _MOD not in (_REMAINDERS if year < _NEW_RULE else _NEW_REMAINDERS):
        return None, None
    found = _DATES.get(number[:4])
    if found is None:
        # The days 80 to 99 are nobody's: felles hjelpenummer begin there, and are random after it.
        return (Kind.FH if number[0] in "89" else None), None
    kind, centuries, day, month = found
    century = centuries[number[4:6]].get(number[6:8]) if year < _NEW_RULE else _UNTOLD
    born_in = int(number[4:6]) + (century or 0)
    if century is None or (day == _LEAP_DAY and month == _FEBRUARY and not _is_leap(born_in)):
        return None, None
    return kind, date(born_in, month, day) if year < _NEW_RULE else None


def kind_of(number: str, year: int = ORDINARY_YEAR) -> Kind | None:
    """Return which kind a number is, as ``identify``."""
    return identify(number, year)[0]


def birth_date(number: str, year: int = ORDINARY_YEAR) -> date | None:
    """Return the date of birth in a number, as ``identify``."""
    return identify(number, year)[1]


def is_woman(number: str) -> bool:
    """Return whether a number with a date of birth is a woman's: its ninth digit is even (Skatteetaten)."""
    return number[8] in "02468"


def is_synthetic(kind: Kind) -> bool:
    """Tell whether numbers of this kind are certainly no living person's. An H-number may be one's."""
    return kind in _SYNTHETIC


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _is_duf(number: str) -> bool:
    """Year, running number, control: checked over the running number first, then the year."""
    if len(number) != _DUF_LENGTH or not (number.isascii() and number.isdigit()):
        return False
    turned = number[4:10] + number[:4]
    total = sum(weight * int(digit) for weight, digit in zip(_DUF_CHECK, turned, strict=True))
    return number.startswith(_DUF_CENTURIES) and total % _MOD == int(number[10:])


_SHIFT: Final = 4096
"""Both weighted sums are in one whole number: the first above this, the second, which stays below, under it."""


def _sums(place: int, digits: int) -> dict[str, int]:
    """Return what each group of digits at a place adds to the two sums; looking up also refuses what is no digit."""
    sums = {"": 0}
    for first, second in zip(_FIRST_CHECK[place : place + digits], _SECOND_CHECK[place : place + digits], strict=True):
        weight = first * _SHIFT + second
        sums = {f"{before}{digit}": total + weight * digit for before, total in sums.items() for digit in range(10)}
    return sums


# Tables by group, not a loop over digits: called for each of a municipality's persons.
_SUMS_0, _SUMS_3, _SUMS_6 = (_sums(place, 3) for place in (0, 3, 6))
_SUMS_9: Final = _sums(9, 2)

_Centuries = Mapping[str, Mapping[str, int]]


def _centuries(series: Sequence[tuple[str, str, str, str, int]]) -> _Centuries:
    """Return the century by the year's two digits and the individual number's first two; years of one series share."""
    by_lines: dict[tuple[int, ...], Mapping[str, int]] = {}
    by_year = {}
    for year in _TWO_DIGITS:
        lines = tuple(at for at, (first, last, *_) in enumerate(series) if first <= year <= last)
        if lines not in by_lines:
            by_lines[lines] = {
                individual: series[at][4]
                for at in lines
                for individual in _TWO_DIGITS
                if series[at][2] <= individual <= series[at][3]
            }
        by_year[year] = by_lines[lines]
    return by_year


_TWO_DIGITS: Final = [f"{value:02}" for value in range(100)]
_OF_FNR, _OF_D = _centuries(_SERIES), _centuries(_D_SERIES)

_DATES: Final[Mapping[str, tuple[Kind, _Centuries, int, int]]] = {
    f"{day + added_day:02}{month + added_month:02}": (
        Kind.D if added_day and kind is Kind.FNR else kind,
        _OF_D if added_day else _OF_FNR,
        day,
        month,
    )
    for added_month, kind in _MONTHS.items()
    for added_day in (0, _D_DAY)
    for month in range(1, 13)
    for day in range(1, _LAST_DAY[month] + 1)
}
"""The first four digits of every number with a date: its kind, where its century stands, day and month."""
