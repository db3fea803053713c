"""A year's figures, counted person by person."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.preflight.model import PersonRecord, Row
from kpr_sender.preflight.statistics import NO_TYPE, YearStatistics


def _service(tjenestetype: str | None = "15", **values: str) -> Row:
    return Row("TJENESTE", {}, ({} if tjenestetype is None else {"tjTjenType": tjenestetype}) | values)


def _person(*rows: Row) -> PersonRecord:
    return PersonRecord({}, {}, list(rows))


def _counted(*persons: PersonRecord, year: int = 2024) -> YearStatistics:
    stats = YearStatistics(year)
    for person in persons:
        stats.add(person)
    return stats


def test_a_person_with_several_services_of_one_type_is_one_user() -> None:
    stats = _counted(_person(_service("15"), _service("1"), _service("15")), _person(_service("15")))

    assert (stats.of("15").users, stats.of("15").services) == (2, 3)
    assert (stats.of("1").users, stats.of("1").services) == (1, 1)
    assert stats.services == 4


def test_a_refused_service_is_nobodys() -> None:
    stats = _counted(_person(_service(tjVedtak="1")), _person(_service(tjVedtak="2")), _person(_service()))

    assert (stats.services, stats.refused, stats.without_service, stats.persons) == (2, 1, 1, 3)


def test_rows_of_other_kinds_are_no_services() -> None:
    stats = _counted(_person(Row("FUNKSJON", {}, {"fnFunkType": "3"})), _person())

    assert (stats.services, stats.without_service, stats.types) == (0, 2, ())


@pytest.mark.parametrize(
    ("day", "month"),
    [("20240101", 0), ("20240630", 5), ("20241231", 11), ("20231231", None), ("20250101", None), ("", None)],
)
def test_a_start_counts_in_its_month_of_the_year(day: str, month: int | None) -> None:
    starts = _counted(_person(_service(tjFraDato=day))).starts

    assert starts == tuple(int(index == month) for index in range(12))


def test_last_years_file_is_counted_by_last_years_months() -> None:
    assert sum(_counted(_person(_service(tjFraDato="20230310")), year=2023).starts) == 1


@pytest.mark.parametrize(
    ("written", "hours"), [("12.50", 12.5), ("0.00", 0), ("168.01", 0), ("nan", 0), ("inf", 0), ("1e3", 0), ("x", 0)]
)
def test_hours_that_cannot_be_do_not_spoil_the_sum(written: str, hours: float) -> None:
    stats = _counted(_person(_service(tjTimerUke=written), _service(tjTimerUke="1.00")))

    assert stats.hours == stats.of("15").hours == hours + 1


@pytest.mark.parametrize("written", [None, "", "tre", "150", "-1", "1.5", "0", "Ola Nordmann"])
def test_g6_what_is_no_code_is_counted_and_never_kept(written: str | None) -> None:
    stats = _counted(_person(_service(written)), _person(_service("6")))

    assert stats.types == ("6", NO_TYPE)
    assert stats.of(NO_TYPE).users == 1


def test_one_code_written_in_two_ways_is_one_type() -> None:
    stats = _counted(_person(_service("01"), _service("1"), _service(" 1 ")))

    assert stats.types == ("1",)
    assert (stats.of("1").users, stats.of("1").services) == (1, 3)


def test_types_come_by_number() -> None:
    assert _counted(_person(*map(_service, ("21", "3", "15", "")))).types == ("3", "15", "21", NO_TYPE)


@given(st.lists(st.lists(st.tuples(st.sampled_from(("1", "15", "x")), st.booleans()))))
def test_the_parts_make_the_whole(persons: list[list[tuple[str, bool]]]) -> None:
    stats = _counted(
        *(_person(*(_service(code, tjVedtak="1" if refused else "2") for code, refused in rows)) for rows in persons)
    )

    assert stats.services + stats.refused == sum(map(len, persons))
    assert stats.persons - stats.without_service == sum(any(not refused for _, refused in rows) for rows in persons)
    assert all(stats.of(code).users <= stats.of(code).services for code in stats.types)


def test_memory_stays_flat() -> None:
    stats = YearStatistics(2024)
    stats.add(_person(_service("15", tjTimerUke="1.00")))
    tracemalloc.start()
    for number in range(20_000):
        stats.add(_person(_service(f"no code {number}"), _service("15", tjTimerUke=f"{number % 100}.50")))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 10_000
