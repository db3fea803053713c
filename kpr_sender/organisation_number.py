"""Numbers that name organisations: nine digits with a check digit (Brønnøysundregistrene)."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"([0-9]{9})0?")
"""IPLOS 3.7's own form of it: a 0 may follow the nine digits."""

_WEIGHTS: Final = (3, 2, 7, 6, 5, 4, 3, 2, 1)
_MOD: Final = 11
_ORDINARY: Final = ("8", "9")
_TENOR: Final = ("2", "3")
"""Skatteetaten's synthetic organisations begin so, and no others."""


def normal(number: str) -> str | None:
    """Return the nine digits of an organisation number, or None where it does not have IPLOS 3.7's form."""
    found = _FORM.fullmatch(number)
    return found[1] if found else None


def is_valid(number: str) -> bool:
    """Tell whether there can be an organisation of this number, as it stands or with a 0 after it."""
    nine = normal(number)
    return nine is not None and nine.startswith(_ORDINARY + _TENOR) and has_check_digit(nine)


def has_check_digit(nine: str) -> bool:
    """Tell whether nine digits end in the check digit that Brønnøysundregistrene would give them (modulus 11)."""
    return sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, nine, strict=True)) % _MOD == 0


def is_synthetic(number: str) -> bool:
    """Tell whether a number, if it is valid, is that of a synthetic organisation."""
    return number.startswith(_TENOR)
