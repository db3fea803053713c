"""Two years side by side: what changed, and what a person should look at."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.preflight.model import Effect, PersonRecord, Row
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.preflight.statistics import Comparison, Difference, YearStatistics, compare, months_without_start

EVERY_MONTH = range(1, 13)


def _year(users: Mapping[str, int], *, year: int = 2024, without: int = 0) -> YearStatistics:
    stats = YearStatistics(year)
    for code, count in users.items():
        for _ in range(count):
            stats.add(PersonRecord({}, {}, [Row("TJENESTE", {}, {"tjTjenType": code, "tjTimerUke": "2.00"})]))
    for _ in range(without):
        stats.add(PersonRecord({}, {}, []))
    return stats


def _compared(last: Mapping[str, int], this: Mapping[str, int]) -> Comparison:
    return compare(_year(this), _year(last, year=2023))


def _starting(starts: Mapping[int, int]) -> YearStatistics:
    stats = YearStatistics(2024)
    for month, count in starts.items():
        row = Row("TJENESTE", {}, {"tjTjenType": "15", "tjFraDato": f"2024{month:02}15"})
        for _ in range(count):
            stats.add(PersonRecord({}, {}, [row]))
    return stats


@pytest.mark.parametrize(
    ("last", "this", "rules"),
    [
        pytest.param(56, 9, ["year.users-changed"], id="far fewer"),
        pytest.param(9, 56, ["year.users-changed"], id="far more"),
        pytest.param(0, 10, ["year.users-changed"], id="new, and many"),
        pytest.param(0, 9, [], id="new, and few"),
        pytest.param(100, 130, ["year.users-changed"], id="just 30 percent"),
        pytest.param(100, 129, [], id="less than 30 percent"),
        pytest.param(20, 29, [], id="fewer than ten users"),
        pytest.param(20, 30, ["year.users-changed"], id="ten users"),
        pytest.param(1, 0, ["year.type-vanished"], id="gone"),
        pytest.param(100, 0, ["year.type-vanished"], id="gone, said once"),
        pytest.param(100, 100, [], id="the same"),
    ],
)
def test_users_of_a_type(last: int, this: int, rules: list[str]) -> None:
    assert [remark.rule for remark in _compared({"3": last}, {"3": this}).remarks] == rules


def test_a_remark_names_the_type_both_years_and_the_change() -> None:
    said = [remark.message for remark in _compared({"3": 56, "11": 4}, {"3": 9, "6": 12}).remarks]

    assert said == [
        "Tjenestetype 3: 56 users last year, 9 this year (-84 %).",
        "Tjenestetype 6: no users last year, 12 this year.",
        "Tjenestetype 11: 4 users last year, none this year.",
    ]


def test_services_without_a_code_are_in_the_table_and_not_remarked_on() -> None:
    comparison = _compared({"": 50}, {"15": 1})

    assert [row.type for row in comparison.rows] == ["15", ""]
    assert comparison.remarks == ()


def test_a_type_that_has_ended_may_vanish() -> None:
    assert _compared({"16": 50, "12": 3}, {"15": 1}).remarks == ()


def test_the_rows_hold_users_services_and_hours_of_both_years() -> None:
    (row,) = _compared({"15": 4}, {"15": 3}).rows

    assert (row.users, row.services, row.hours) == (Difference(4, 3), Difference(4, 3), Difference(8.0, 6.0))
    assert row.users.percent == -25.0


@pytest.mark.parametrize(
    ("change", "percent"), [(Difference(0, 0), 0.0), (Difference(0, 5), None), (Difference(5, 0), -100.0)]
)
def test_a_change_from_nothing_has_no_percentage(change: Difference, percent: float | None) -> None:
    assert change.percent == percent


@pytest.mark.parametrize(
    ("last", "this", "remarked"), [(0, 10, True), (0, 9, False), (10, 21, False), (10, 22, True), (25, 10, False)]
)
def test_more_persons_without_service(last: int, this: int, *, remarked: bool) -> None:
    before, now = _year({"15": 80}, without=last), _year({"15": 80}, without=this)

    assert ["year.without-service-rose"] * remarked == [remark.rule for remark in compare(now, before).remarks]


@pytest.mark.parametrize(
    ("starts", "named"),
    [
        pytest.param(dict.fromkeys(range(7, 13), 50), "January to June", id="only the new EPJ's half"),
        pytest.param(dict.fromkeys(range(1, 7), 50), "July to December", id="only the old EPJ's half"),
        pytest.param({month: 12 for month in EVERY_MONTH if month != 12}, "December", id="extracted too early"),
        pytest.param({month: 20 for month in EVERY_MONTH if month not in (2, 7, 8)}, "February, July and August"),
        pytest.param({1: 500}, "February to December", id="all in one month"),
        pytest.param({month: 7 for month in EVERY_MONTH if month < 7}, "July to December", id="just enough starts"),
    ],
)
def test_months_without_any_start_are_named(starts: dict[int, int], named: str) -> None:
    (remark,) = months_without_start(_starting(starts))

    assert remark.rule == "year.month-without-start"
    assert f"begins in {named}; {sum(starts.values())} begin in the rest of 2024" in remark.message


@pytest.mark.parametrize(
    "starts",
    [
        pytest.param({}, id="none at all"),
        pytest.param(dict.fromkeys(EVERY_MONTH, 50), id="a whole year"),
        pytest.param(dict.fromkeys(EVERY_MONTH, 50) | {7: 1}, id="a quiet July"),
        pytest.param(dict.fromkeys(range(1, 7), 6), id="too few starts to tell"),
        pytest.param({month: 9 for month in EVERY_MONTH if month != 7}, id="one empty month of a small municipality"),
    ],
)
def test_an_ordinary_year_is_not_remarked_on(starts: dict[int, int]) -> None:
    assert months_without_start(_starting(starts)) == ()


@given(st.dictionaries(st.sampled_from(("1", "15", "x")), st.integers(0, 30)), st.integers(0, 30))
def test_a_year_compared_with_itself_is_unremarkable(users: dict[str, int], without: int) -> None:
    stats = _year(users, without=without)

    assert compare(stats, stats).remarks == ()


def test_every_remark_is_a_rule_that_warns() -> None:
    remarks = [
        *_compared({"3": 56, "11": 4}, {"3": 9}).remarks,
        *compare(_year({}, without=20), _year({"15": 20})).remarks,
        *months_without_start(_starting({1: 500})),
    ]

    assert {RULES[remark.rule].effect for remark in remarks} == {Effect.WARN}
    assert {remark.rule for remark in remarks} == {rule for rule in RULES if rule.startswith("year.")}
