"""Says of a person's FUNKSJON, taken together, that they are right and break nothing; or that it is not certain.

Four fifths of a fagmelding are FUNKSJON: up to eighteen a person, the same few codes with the same two days. They are
cut at three places each, and the pieces between were nearly always seen before: a person's are judged by two look-ups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

_FIELDS: Final = ("fnFunkType", "fnFunkVerdi", "fnFraDato", "fnTilDato")
_REMEMBERED: Final = 20_000  # first and last days
_LONGEST_KEY: Final = 10  # digits

_TYPE: Final = "<fnFunkType>"
_DAYS: Final = "<fnFraDato>"
_BEHIND_KEYS: Final = re.compile(f'"[ \t\r\n]*>[ \t\r\n]*{_TYPE}')
# Each piece begins with a mark of what stood before it.
_CODES_PIECE: Final = re.compile(
    "\2([^<>]*)</fnFunkType>[ \t\r\n]*<fnFunkVerdi>([^<>]*)</fnFunkVerdi>[ \t\r\n]*",
)
_DAYS_PIECE: Final = re.compile(
    "\3([^<>]*)</fnFraDato>[ \t\r\n]*<fnTilDato>([^<>]*)</fnTilDato>[ \t\r\n]*</FUNKSJON>[ \t\r\n]*",
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
        if "\0" in written:  # no XML document holds it
            return False
        keys = f'<FUNKSJON fnPeID="{pid}" fnFnID="'
        behind = written[written.find('"', len(keys)) : written.find(_TYPE) + len(_TYPE)]
        if _BEHIND_KEYS.fullmatch(behind) is None:
            return False
        for mark, cut in (("\0\1", keys), ("\0\2", behind), ("\0\3", _DAYS)):
            written = mark.join(written.split(cut))  # in half of replace()'s time
        pieces = written.split("\0")
        own, codes, days = pieces[1::3], pieces[2::3], pieces[3::3]
        if pieces[0] or len(own) != len(days) or not _are_different_numbers(own):
            return False
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


def _are_different_numbers(own: Sequence[str]) -> bool:
    """Say whether each piece is a mark and a number."""
    joined = "".join(own)
    numbers = joined.split("\1")  # the first one is empty, and may be the only one that is
    digits = "".join(numbers)
    return (
        len(numbers) == len(set(numbers)) == len(own) + 1
        and digits.isdigit()
        and digits.isascii()
        and max(map(len, numbers)) <= _LONGEST_KEY
    )
