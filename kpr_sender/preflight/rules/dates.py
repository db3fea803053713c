"""Dates as IPLOS writes them, yyyymmdd: they compare as texts, once it is certain that they are dates."""

from __future__ import annotations

_DIGITS = 8


def is_day(text: str) -> bool:
    """Tell whether a text has a day's form; what has not is a field rule's."""
    return len(text) == _DIGITS and text.isascii() and text.isdigit()


def before(earlier: str, later: str) -> bool:
    """Tell whether one day lies before another; false where either is none."""
    return earlier < later and is_day(earlier) and is_day(later)
