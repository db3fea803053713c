"""Organisation numbers: which can be, and which are Tenor's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender import model

WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


def check_digit(eight: str) -> int:
    """The rule as Brønnøysundregistrene words it: eleven less the remainder; 11 is 0, and 10 is no digit."""
    remainder = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, eight, strict=True)) % 11
    return 0 if remainder == 0 else 11 - remainder


@st.composite
def tenor(draw: st.DrawFn) -> str:
    eight = draw(st.integers(20_000_000, 39_999_999).map(str).filter(lambda eight: check_digit(eight) != 10))
    return f"{eight}{check_digit(eight)}"


@given(tenor(), st.sampled_from(["", "0"]))
def test_a_synthetic_number_is_valid_and_synthetic_with_or_without_its_0(number: str, after: str) -> None:
    assert model.organisation_number(number + after) == number
    assert model.is_organisation_number(number + after)
    assert model.is_synthetic_organisation(number + after)


@given(st.integers(0, 9_999_999), st.integers(0, 9))
@pytest.mark.parametrize("first", "0123456789")
def test_nine_digits_are_valid_by_their_check_digit_and_their_first(first: str, rest: int, last: int) -> None:
    eight = f"{first}{rest:07}"
    right = check_digit(eight)

    assert model.is_organisation_number(f"{eight}{right}") is (right != 10 and first in "2389")
    assert model.is_organisation_number(f"{eight}{last}") is (right == last and first in "2389")
    assert model.is_synthetic_organisation(f"{eight}{last}") is (first in "23")


@given(tenor(), st.data())
def test_one_wrong_digit_is_found(number: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 8))
    wrong = data.draw(st.sampled_from("0123456789").filter(lambda digit: digit != number[place]))

    assert not model.is_organisation_number(number[:place] + wrong + number[place + 1 :])


@given(tenor(), st.integers(0, 7))
def test_two_digits_in_the_wrong_order_are_found(number: str, place: int) -> None:
    turned = number[:place] + number[place + 1] + number[place] + number[place + 2 :]

    assert model.is_organisation_number(turned) is (turned == number)


@pytest.mark.parametrize("wrong", ["", "0", "31000000", "3100000001", "31000000000", "NO310000000", "310 000 000"])
def test_another_form_is_no_number(wrong: str) -> None:
    assert re.fullmatch(r"[0-9]{9}0?", wrong) is None
    assert model.organisation_number(wrong) is None
    assert not model.is_organisation_number(wrong)


@given(tenor())
def test_digits_of_another_script_or_a_line_end_are_not_taken(number: str) -> None:
    assert model.organisation_number(number + "\n") is None
    assert model.organisation_number("\u0663" + number[1:]) is None
