"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.settings import kinds


@pytest.mark.parametrize(
    ("written", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1.5h", 5400), (" 5 m ", 300), ("0", 0)]
)
def test_what_is_understood(written: str, seconds: float) -> None:
    assert kinds.parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "m", "-1s", "10 minutes", "1h30m", "inf", "nan", "1e9s"])
def test_what_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="10m"):
        kinds.parse_duration(written)


@given(st.integers(0, 10**6))
def test_what_is_spoken_is_understood(seconds: int) -> None:
    assert kinds.parse_duration(kinds.write_duration(seconds)) == seconds
