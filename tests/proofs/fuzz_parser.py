"""One parser of foreign bytes, as the fuzz tests see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        samples: What is spoilt.
        read: Reads what came of it.
        documented: What it may raise.
    """

    samples: Sequence[bytes]
    read: Callable[[bytes], object]
    documented: tuple[type[Exception], ...] = ()
