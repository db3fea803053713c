"""Values of texts that are words themselves: one thing or another, one thing and another."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from kpr_sender.texts import Text


def any_of(things: Iterable[str]) -> str:
    """Return things of which one is meant: ``a or b``."""
    return reduce(lambda first, last: Text("{first} or {last}", first=first, last=last), things)


def all_of(things: Iterable[str]) -> str:
    """Return things that are all meant: ``a and b``."""
    return reduce(lambda first, last: Text("{first} and {last}", first=first, last=last), things)
