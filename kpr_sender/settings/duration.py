"""Durations as people write them: ``30s``, ``10m``, ``2h``."""

from __future__ import annotations

import re
from typing import Final

EXPECTED: Final = 'a duration such as "30s", "10m" or "2h", or a number of seconds'

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_WRITTEN: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", re.ASCII)


def parse(written: str) -> float:
    """Return the duration in seconds.

    Raises:
        ValueError: It is none.
    """
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise ValueError(EXPECTED)
    return float(match[1]) * _SECONDS[match[2]]


def spoken(seconds: float) -> str:
    """Write a duration in its largest whole unit, for example ``10m``."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{_plain(seconds / size)}{unit}"
    return f"{_plain(seconds)}s"


def _plain(number: float) -> str:
    """Write a number without an exponent and without zeros that say nothing."""
    return f"{number:.3f}".rstrip("0").rstrip(".")
