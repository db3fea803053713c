"""Says of a person's FUNKSJON, taken by columns, that they are right and break nothing; or that it is not certain.

Four fifths of a fagmelding are FUNKSJON: up to eighteen a person, the same few codes with the same two days. What was
found right once is remembered, so that a person's are judged by a dozen set operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

_FIELDS: Final = ("fnFunkType", "fnFunkVerdi", "fnFraDato", "fnTilDato")
_KEYS: Final = ("fnPeID", "fnFnID")
_REMEMBERED: Final = 20_000  # first and last days
_LONGEST_KEY: Final = 10  # digits

Column = Sequence[str]


class Functions:
    """Judges one person's after another's.

    Args:
        clean: Whether one FUNKSJON with these values keeps the schema and breaks nothing.
    """

    def __init__(self, clean: Callable[[Mapping[str, str]], bool]) -> None:
        self._clean = clean
        self._codes: set[tuple[str, str]] = set()
        self._days: set[tuple[str, str]] = set()

    def clean(
        self,
        pid: str,
        keys: tuple[str, ...],
        references: Sequence[Column],
        names: tuple[str, ...],
        columns: Sequence[Column],
    ) -> bool:
        """Say that all are right.

        Args:
            pid: The person's pePeID.
            keys: Names of their attributes.
            references: The attributes' values, by column.
            names: Names of their children.
            columns: The children's texts, by column.
        """
        if keys != _KEYS or names != _FIELDS:
            return False
        persons, own = references
        count = len(persons)
        if persons.count(pid) != count or len(set(own)) != count or not _are_numbers(own):
            return False
        types, codes, begins, ends = columns
        pairs = set(zip(types, codes, strict=True)) - self._codes
        days = set(zip(begins, ends, strict=True)) - self._days
        return all(self._learn(pair, (begins[0], ends[0])) for pair in pairs) and all(
            self._learn((types[0], codes[0]), each) for each in days
        )

    def _learn(self, codes: tuple[str, str], days: tuple[str, str]) -> bool:
        """Remember what breaks nothing. No rule asks for the codes and the days of a FUNKSJON together."""
        if not self._clean(dict(zip(_FIELDS, (*codes, *days), strict=True))):
            return False
        if len(self._days) >= _REMEMBERED:
            self._days.clear()
        self._days.add(days)
        self._codes.add(codes)
        return True


def _are_numbers(own: Column) -> bool:
    return "".join(own).isdigit() and "".join(own).isascii() and all(own) and max(map(len, own)) <= _LONGEST_KEY
