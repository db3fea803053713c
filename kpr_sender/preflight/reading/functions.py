"""Says of a person's FUNKSJON, taken together, that they are right and break nothing; or that it is not certain.

Four fifths of a fagmelding are FUNKSJON: up to eighteen a person, the same few codes with the same two days. They are
cut at their quotes and before their days, and the pieces that hold no number of their own were nearly always seen
before: a person's are judged by two look-ups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

_FIELDS: Final = ("fnFunkType", "fnFunkVerdi", "fnFraDato", "fnTilDato")
_REMEMBERED: Final = 20_000  # first and last days
_LONGEST_KEY: Final = 10  # digits

_START: Final = "<FUNKSJON fnPeID="
_BETWEEN_KEYS: Final = {" fnFnID="}
_DAYS: Final = "<fnFraDato>"
_CODES_PIECE: Final = re.compile(
    "[ \t\r\n]*>[ \t\r\n]*<fnFunkType>([^<>]*)</fnFunkType>[ \t\r\n]*<fnFunkVerdi>([^<>]*)</fnFunkVerdi>[ \t\r\n]*"
)
_DAYS_PIECE: Final = re.compile(
    "([^<>]*)</fnFraDato>[ \t\r\n]*<fnTilDato>([^<>]*)</fnTilDato>[ \t\r\n]*</FUNKSJON>[ \t\r\n]*" + _START
)


class Functions:
    """Judges one person's after another's.

    Args:
        clean: Whether one FUNKSJON with these values keeps the schema and breaks nothing.
    """

    def __init__(self, clean: Callable[[Mapping[str, str]], bool]) -> None:
        self._clean = clean
        self._codes: set[str] = set()
        self._days: set[str] = set()

    def clean(self, pid: str, written: str) -> bool:
        """Say that all are right.

        Args:
            pid: The person's pePeID.
            written: From the first one's start tag to behind the last one.
        """
        first, *parts = f"{written}{_START}".split('"')  # each one's last part ends as the next one begins
        own = parts[2::4]
        if (
            first != _START
            or len(parts) % 4
            or set(parts[0::4]) != {pid}
            or set(parts[1::4]) != _BETWEEN_KEYS
            or not _are_different_numbers(own)
        ):
            return False
        codes, _, days = zip(*[each.partition(_DAYS) for each in parts[3::4]], strict=True)
        if self._codes.issuperset(codes) and self._days.issuperset(days):
            return True
        # No rule asks for the codes and the days of one together.
        return all(self._is_clean(each, days[0]) for each in set(codes) - self._codes) and all(
            self._is_clean(codes[0], each) for each in set(days) - self._days
        )

    def _is_clean(self, codes: str, days: str) -> bool:
        """Judge one, and remember what breaks nothing."""
        found = _CODES_PIECE.fullmatch(codes), _DAYS_PIECE.fullmatch(days)
        if found[0] is None or found[1] is None:
            return False
        if not self._clean(dict(zip(_FIELDS, found[0].groups() + found[1].groups(), strict=True))):
            return False
        for known, piece in ((self._codes, codes), (self._days, days)):
            if len(known) >= _REMEMBERED:
                known.clear()
            known.add(piece)
        return True


def _are_different_numbers(texts: Sequence[str]) -> bool:
    """Say whether each is a running number, and none like another."""
    digits = "".join(texts)
    return (
        len(set(texts)) == len(texts)
        and digits.isdigit()
        and digits.isascii()
        and "" not in texts
        and max(map(len, texts)) <= _LONGEST_KEY
    )
