"""National ids that nobody has: Skatteetaten's Tenor range, month + 80, with valid check digits."""

from __future__ import annotations

from hypothesis import strategies as st

TENOR_ID = "01818040071"
"""One of them, where any will do."""

_FIRST = (3, 7, 6, 1, 8, 9, 4, 5, 2)
_SECOND = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def _check_digit(digits: str, weights: tuple[int, ...]) -> int:
    return (11 - sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11) % 11


def with_check_digits(nine: str) -> str | None:
    """Return the whole id, or None where no check digit exists."""
    first = _check_digit(nine, _FIRST)
    if first == 10:
        return None
    second = _check_digit(f"{nine}{first}", _SECOND)
    return None if second == 10 else f"{nine}{first}{second}"


@st.composite
def tenor_ids(draw: st.DrawFn) -> str:
    """Draw one synthetic national id."""
    day, month, year = draw(st.integers(1, 28)), draw(st.integers(81, 92)), draw(st.integers(0, 99))
    for individual in range(draw(st.integers(0, 400)), 500):  # 1900 to 1999: above, not every year has every number
        found = with_check_digits(f"{day:02}{month:02}{year:02}{individual:03}")
        if found is not None:
            return found
    raise AssertionError("some number in a hundred has check digits")
