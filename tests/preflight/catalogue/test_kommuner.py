"""Municipality numbers: how many, which, and what became of them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.preflight.catalogue.codes import rows
from kpr_sender.preflight.catalogue.kommuner import LAST_KNOWN_YEAR, bydeler, name, successors, valid
from tests.helpers.figures import figure

COUNTS = {2023: 356, 2024: 357, 2025: 357, 2026: 357}


def valid_numbers(on: date) -> set[str]:
    return {number for number in (f"{one:04d}" for one in range(10_000)) if valid(number, on)}


def year_end(year: int) -> date:
    return date(year, 12, 31)


@pytest.mark.parametrize(("year", "count"), COUNTS.items())
def test_there_are_as_many_municipalities_as_the_register_says(year: int, count: int) -> None:
    assert len(valid_numbers(year_end(year))) == count


def test_nothing_is_claimed_of_years_that_were_not_compared() -> None:
    assert max(COUNTS) == LAST_KNOWN_YEAR


def test_what_ended_in_2023_and_what_began_in_2024_is_what_the_map_joins() -> None:
    before, after = valid_numbers(year_end(2023)), valid_numbers(date(2024, 1, 1))
    mapped = [(row["number_2023"], row["number_2024"]) for row in rows("kommuner_2023_til_2024.csv")]

    assert before - after == {old for old, _ in mapped}
    assert after - before == {new for _, new in mapped}
    assert len(before & after) == 242
    for row in rows("kommuner_2023_til_2024.csv"):
        assert name(row["number_2023"]) == row["name"]
        assert name(row["number_2024"]) == row["name_2024"]
    figure("municipality numbers of 2023 and 2024, joined", numbers=len(before | after))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("3001", (("3101", "Halden"),)),
        ("1507", (("1508", "Ålesund"), ("1580", "Haram"))),
        ("3101", ()),
        ("0301", ()),
        ("9999", ()),
        ("", ()),
    ],
)
def test_a_number_that_ended_has_successors(number: str, expected: tuple[tuple[str, str], ...]) -> None:
    assert successors(number) == expected


@pytest.mark.parametrize(
    ("number", "on", "expected"),
    [
        ("3001", date(2023, 12, 31), True),
        ("3001", date(2024, 1, 1), False),
        ("3101", date(2023, 12, 31), False),
        ("3101", date(2024, 1, 1), True),
        ("1580", date(2024, 12, 31), True),
        ("0301", date(2026, 12, 31), True),
        ("9999", date(2024, 12, 31), False),  # the sandbox's; whether it is right is a question of the environment
        ("301", date(2024, 12, 31), False),
        (" 0301", date(2024, 12, 31), False),
    ],
)
def test_a_number_is_valid_for_its_time(number: str, on: date, expected: bool) -> None:  # noqa: FBT001 - a table's cell
    assert valid(number, on) is expected


@pytest.mark.parametrize(
    ("kommune", "count", "first"),
    [("0301", 18, "Gamle Oslo"), ("1103", 10, ""), ("4601", 9, ""), ("5001", 5, ""), ("3101", 0, ""), ("", 0, "")],
)
def test_the_four_largest_cities_have_districts(kommune: str, count: int, first: str) -> None:
    districts = bydeler(kommune)

    assert len(districts) == count
    assert not count or "99" in districts
    assert not first or districts["01"] == first


@given(st.text(max_size=8))
def test_no_text_breaks_a_look_up(number: str) -> None:
    assert valid(number, date(2024, 12, 31)) <= bool(name(number))
    assert all(name(each) == called for each, called in successors(number))
