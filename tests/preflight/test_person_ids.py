"""Person numbers against a slow and plain writing-down of the published rules.

Numbers that look like a living person's are made for births from 1854 to 1899 only, when the test runs; every other
number with a date is synthetic (Tenor, NHN).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kpr_sender.preflight.person_ids import Kind, birth_date, is_synthetic, kind_of
from kpr_sender.sandbox.tenor import fodselsnummer
from tests.helpers.tenor import tenor_ids, with_check_digits

OLD, NEW = 2031, 2032
FIRST, SECOND = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
NOBODYS = st.tuples(st.integers(54, 99), st.integers(500, 599))
"""Year and individual number of births from 1854 to 1899, as fødselsnummer and as D-nummer."""


def of(day: int, month: int, two_digit_year: int, individual: int) -> str:
    """Return the number with its check digits; an example without them is not looked at."""
    number = with_check_digits(f"{day:02}{month:02}{two_digit_year:02}{individual:03}")
    assume(number is not None)
    assert number is not None
    return number


def of_new_rule(day: int, month: int, two_digit_year: int, individual: int, remainder: int) -> str:
    """Return a number whose first weighted sum leaves that remainder."""
    nine = f"{day:02}{month:02}{two_digit_year:02}{individual:03}"
    first = (remainder - weighed(nine, FIRST)) % 11
    second = -weighed(f"{nine}{first}", SECOND) % 11
    assume(first < 10 and second < 10)
    return f"{nine}{first}{second}"


def weighed(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def year_of_birth(number: str) -> int | None:
    """The century as Skatteetaten's table has it, and the D-numbers' extended series."""
    year, individual = int(number[4:6]), int(number[6:9])
    if number[0] in "4567":
        if year >= 40:
            return (1800 if 500 <= individual <= 599 else 1900) + year
        return (1900 if individual <= 199 else 2000) + year
    if individual <= 499:
        return 1900 + year
    if year <= 39:
        return 2000 + year
    if individual >= 900:
        return 1900 + year
    return 1800 + year if individual <= 749 and year >= 54 else None


def expected(number: str) -> tuple[Kind | None, date | None]:
    """Kind and birth of eleven digits with the right check digits, before 2032."""
    day, month = int(number[:2]), int(number[2:4])
    if day >= 80:
        return Kind.FH, None
    kind = Kind.D if day > 40 else Kind.FNR
    for added, other in ((80, Kind.TENOR), (65, Kind.NHN), (40, Kind.DOLLY_OR_H)):
        if month > added:
            kind, month = other, month - added
            break
    year = year_of_birth(number)
    try:
        born = None if year is None else date(year, month, day % 40)
    except ValueError:
        born = None
    return (None, None) if born is None else (kind, born)


@st.composite
def beginnings(draw: st.DrawFn) -> str:
    """Any day and month with any series, where that is nobody's; else the births of before 1900."""
    day, month = draw(st.integers(0, 99)), draw(st.integers(0, 99))
    anything = st.tuples(st.integers(0, 99), st.integers(0, 999))
    year, individual = draw(anything if month > 52 and day < 80 else NOBODYS)
    return of(day, month, year, individual)


@given(beginnings())
def test_kind_and_birth_are_what_the_published_rules_say(number: str) -> None:
    kind, born = expected(number)

    assert kind_of(number) is kind
    assert birth_date(number) == born


@given(day=st.integers(1, 28), month=st.integers(1, 12), series=NOBODYS)
@pytest.mark.parametrize(
    ("added_day", "added_month", "kind"),
    [
        (0, 0, Kind.FNR),
        (40, 0, Kind.D),
        (0, 40, Kind.DOLLY_OR_H),
        (40, 40, Kind.DOLLY_OR_H),
        (0, 65, Kind.NHN),
        (40, 65, Kind.NHN),
        (0, 80, Kind.TENOR),
        (40, 80, Kind.TENOR),
    ],
)
def test_what_is_added_to_day_and_month_makes_the_kind(
    day: int, month: int, series: tuple[int, int], added_day: int, added_month: int, kind: Kind
) -> None:
    number = of(day + added_day, month + added_month, *series)

    assert kind_of(number) is kind
    assert is_synthetic(kind) is (kind in {Kind.TENOR, Kind.NHN})
    assert birth_date(number) == date(1800 + series[0], month, day)
    assert kind_of(number, NEW) is kind


@pytest.mark.parametrize(
    ("added_day", "two_digits", "individuals", "century"),
    [
        (0, 0, (0, 499), 1900),
        (0, 99, (0, 499), 1900),
        (0, 0, (500, 999), 2000),
        (0, 39, (500, 999), 2000),
        (0, 40, (900, 999), 1900),
        (0, 54, (500, 749), 1800),
        (0, 99, (900, 999), 1900),
        (0, 53, (500, 899), None),
        (0, 54, (750, 899), None),
        (0, 99, (750, 899), None),
        (40, 40, (500, 599), 1800),
        (40, 40, (0, 499), 1900),
        (40, 53, (600, 999), 1900),
        (40, 99, (600, 999), 1900),
        (40, 39, (0, 199), 1900),
        (40, 0, (200, 999), 2000),
    ],
)
def test_the_series_tells_the_century(
    added_day: int, two_digits: int, individuals: tuple[int, int], century: int | None
) -> None:
    checked = 0
    for individual in (*range(individuals[0], individuals[0] + 20), *range(individuals[1] - 19, individuals[1] + 1)):
        number = with_check_digits(f"{15 + added_day}86{two_digits:02}{individual:03}")
        if number is not None:
            assert birth_date(number) == (None if century is None else date(century + two_digits, 6, 15))
            assert kind_of(number) is (None if century is None else Kind.TENOR)
            checked += 1
    assert checked > 20


@given(st.integers(0, 99), st.integers(0, 999), st.sampled_from([0, 40]))
def test_a_leap_day_needs_a_leap_year(two_digits: int, individual: int, added_day: int) -> None:
    number = of(29 + added_day, 82, two_digits, individual)
    year = year_of_birth(number)
    leap = year is not None and (year % 400 == 0 or (year % 4 == 0 and year % 100 != 0))

    assert (kind_of(number) is Kind.TENOR) is leap
    assert (kind_of(number, NEW) is Kind.TENOR) is (two_digits % 4 == 0)


@given(st.integers(1, 28), st.integers(81, 92), st.integers(0, 99), st.integers(0, 999), st.integers(1, 10))
def test_the_rule_of_2032_counts_from_2032_on(
    day: int, month: int, two_digits: int, individual: int, remainder: int
) -> None:
    number = of_new_rule(day, month, two_digits, individual, remainder)

    assert kind_of(number) is None
    assert kind_of(number, OLD) is None
    assert kind_of(number, NEW) is (Kind.TENOR if remainder <= 3 else None)
    assert birth_date(number, NEW) is None


@given(tenor_ids())
def test_from_2032_on_the_old_numbers_are_valid_and_no_number_tells_the_century(number: str) -> None:
    assert kind_of(number, NEW) is kind_of(number, 2099) is Kind.TENOR
    assert birth_date(number, NEW) is None


def duf(year: int, running: int) -> str:
    """UDI's rule: the control is the weighted sum over running number and year, modulo 11, in two digits."""
    weights = (4, 6, 3, 2, 7, 5, 4, 6, 3, 2)
    return f"{year}{running:06}{weighed(f'{running:06}{year}', weights) % 11:02}"


dufs = st.builds(duf, st.integers(1900, 2099), st.integers(0, 999_999))


@given(dufs)
def test_a_duf_number_is_one_and_tells_no_birth(number: str) -> None:
    assert kind_of(number) is Kind.DUF
    assert birth_date(number) is None
    assert not is_synthetic(Kind.DUF)


@given(st.integers(0, 1899) | st.integers(2100, 9999), st.integers(0, 999_999))
def test_a_duf_number_begins_with_a_year(year: int, running: int) -> None:
    number = duf(year, running)

    assert kind_of(number.zfill(12)) is None


@given(st.integers(80, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 999))
def test_a_felles_hjelpenummer_begins_with_8_or_9_and_is_random_after_it(
    first: int, second: int, third: int, rest: int
) -> None:
    number = of(first, second, third, rest)

    assert kind_of(number) is Kind.FH
    assert birth_date(number) is None


before_1900: st.SearchStrategy[str] = st.builds(
    lambda day, month, series: of(day, month, *series), st.integers(1, 28), st.integers(1, 12), NOBODYS
)
hjelpenummer: st.SearchStrategy[str] = st.builds(of, st.just(84), st.just(7), st.integers(0, 99), st.integers(0, 999))


@given(number=st.one_of(tenor_ids(), before_1900, hjelpenummer, dufs), data=st.data())
@pytest.mark.parametrize("year", [OLD, NEW])
def test_one_wrong_digit_is_always_found(number: str, data: st.DataObject, year: int) -> None:
    # No weight of the second check is 0 modulo 11, which is prime; the rule of 2032 leaves it as it is.
    place = data.draw(st.integers(0, len(number) - 1))
    wrong = data.draw(st.sampled_from("0123456789").filter(lambda digit: digit != number[place]))

    assert kind_of(number, year) is not None
    assert kind_of(number[:place] + wrong + number[place + 1 :], year) is None


@given(number=st.one_of(tenor_ids(), before_1900, hjelpenummer), place=st.integers(0, 9))
@pytest.mark.parametrize("year", [OLD, NEW])
def test_two_neighbours_in_the_wrong_order_are_always_found(number: str, place: int, year: int) -> None:
    # No two neighbouring weights of the second check are equal modulo 11.
    turned = number[:place] + number[place + 1] + number[place] + number[place + 2 :]

    assert turned == number or kind_of(turned, year) is None


@pytest.mark.parametrize(
    "changed",
    [
        lambda number: number[:-1],
        lambda number: number + "00",  # twelve digits may be a DUF-nummer
        lambda number: f" {number}",
        lambda number: f"{number}\n",
        lambda number: f"{number[:6]} {number[6:]}",
        lambda number: "x" + number[1:],
        lambda number: "+" + number[1:],
        lambda number: "\u0660" + number[1:],
        lambda number: number[:6] + "_" + number[7:],
    ],
)
@given(tenor_ids())
def test_what_is_not_eleven_digits_is_no_number(changed: Callable[[str], str], number: str) -> None:
    assert kind_of(changed(number)) is None
    assert birth_date(changed(number)) is None


@pytest.mark.parametrize("digit", "0123456789")
def test_eleven_times_the_same_digit_is_nobody(digit: str) -> None:
    assert kind_of(digit * 11) is None
    assert kind_of(digit * 12) is None


@given(st.dates(date(1900, 1, 1), date(2039, 12, 31)), st.integers())
def test_the_sandbox_makes_tenor_numbers_and_their_birth_is_read_back(born: date, seed: int) -> None:
    number = fodselsnummer(born, woman=seed % 2 == 0, random=Random(seed))

    assert (kind_of(number), birth_date(number)) == (Kind.TENOR, born)
