"""What an evaluation remembers of what it has seen, so that the same text or choice of children is evaluated once.

A large file has millions of rows, with few different values in them. The bounds keep memory flat whatever stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, TypeVar

MOST: Final = 10_000
"""Entries of one ``Memory``; a year's dates, a file's hours and the units of a municipality are some hundred each."""
MOST_MADE: Final = 64
"""Tables and patterns of one kind that are made from the catalogue and the circumstances, and depend on no file."""

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Memory(dict[_K, _V]):
    """Values by key, each made when it is first asked for; all are forgotten when there are too many.

    Args:
        make: Makes a key's value. Nothing is remembered of a key for which it raises.
    """

    def __init__(self, make: Callable[[_K], _V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: _K) -> _V:
        value = self._make(key)
        if len(self) >= MOST:
            self.clear()
        self[key] = value
        return value
