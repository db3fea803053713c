"""Bytes cut at given places."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut ``data`` at ``places`` (any integers; taken modulo its length)."""
    inside = sorted({place % (len(data) + 1) for place in places})
    return [data[begin:end] for begin, end in itertools.pairwise([0, *inside, len(data)])]


def cuts() -> st.SearchStrategy[Sequence[int]]:
    """Places to cut at: many near the beginning, where declarations and marks are."""
    near = st.integers(min_value=0, max_value=80)
    return st.lists(near | st.integers(min_value=0, max_value=100_000), max_size=20)
