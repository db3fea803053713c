"""What a person's rows break together: keys, dates, hours, and what the person's own number and residence are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kpr_sender.model import Environment
from kpr_sender.preflight.model import Circumstances, PersonRecord, Row
from kpr_sender.preflight.rules.person import PERSON, PersonRules
from kpr_sender.preflight.rules.table import RULES
from tests.helpers.tenor import TENOR_ID

YEAR = Circumstances(2024, Environment.LOKAL)
SERVICE = {"tjTjenType": "15", "tjVedtak": "2", "tjFraDato": "20240101", "tjTilDato": "99991231"}


def service(number: str = "1", pid: str = "17", **values: str) -> Row:
    return Row("TJENESTE", {"tjPeID": pid, "tjTjID": number}, {**SERVICE, **values})


def details(**values: str) -> Row:
    return Row("PERSONOPPL", {"poPeID": "17", "poPoID": "1"}, values)


def evaluated(rows: Sequence[Row], values: Mapping[str, str] | None = None, pid: str = "17") -> list[tuple[int, str]]:
    record = PersonRecord({"pePeID": pid}, values or {}, list(rows))
    violations = list(PersonRules(YEAR).person(record))
    assert {violation.rule for _, violation in violations} <= RULES.keys()
    assert not any(TENOR_ID in violation.message for _, violation in violations)
    return [(index, violation.rule) for index, violation in violations]


def test_a_clean_person() -> None:
    rows = [
        details(),
        Row("FUNKSJON", {"fnPeID": "17", "fnFnID": "1"}, {}),
        service("1"),
        service("2"),
        Row("DIAGNOSE", {"diPeID": "17", "diDiID": "1"}, {}),
        Row("DOGNTILBUD", {"dgPeID": "17", "dgDgID": "1"}, {}),
    ]
    assert evaluated(rows, {"peKomnr": "3101", "peDodDato": "20240601"}) == []


@pytest.mark.parametrize("kind", ["PERSONOPPL", "FUNKSJON", "TJENESTE", "DIAGNOSE", "DOGNTILBUD"])
def test_keys_of_every_kind(kind: str) -> None:
    short = {"PERSONOPPL": "po", "FUNKSJON": "fn", "TJENESTE": "tj", "DIAGNOSE": "di", "DOGNTILBUD": "dg"}[kind]
    own = f"{short}{short.title()}ID"

    def row(pid: str, number: str) -> Row:
        return Row(kind, {f"{short}PeID": pid, own: number}, {})

    others = [service("9")]
    assert evaluated([*others, row("17", "1"), row("17", "2")]) == []
    assert evaluated([*others, row("17", "1"), row("18", "2")]) == [(2, "person.reference")]
    assert evaluated([*others, row("017", "1")]) == []  # the same number
    assert evaluated([*others, row("17", "1"), row("17", "1"), row("17", "1")]) == [
        (2, "person.duplicate-key"),
        (3, "person.duplicate-key"),
    ]
    assert evaluated([*others, Row(kind, {}, {}), Row(kind, {}, {})]) == []  # what is missing is a matter of structure


@pytest.mark.parametrize(
    ("died", "begins", "expected"),
    [
        ("20231231", "20200101", [(PERSON, "person.dead-before-year")]),
        ("20240101", "20200101", []),
        ("20240601", "20240601", []),
        ("20240601", "20240602", [(0, "person.service-after-death")]),
        ("20231231", "20240602", [(PERSON, "person.dead-before-year")]),  # said once
        ("unknown", "20240602", []),
        ("", "20240602", []),
    ],
)
def test_death(died: str, begins: str, expected: list[tuple[int, str]]) -> None:
    assert evaluated([service(tjFraDato=begins)], {"peDodDato": died}) == expected


def test_what_was_refused_does_not_begin_after_death() -> None:
    assert evaluated([service(tjFraDato="20240602", tjVedtak="1")], {"peDodDato": "20240601"}) == []


@pytest.mark.parametrize(
    ("services", "too_many"),
    [
        ([{"tjTimerUke": "168"}], False),
        ([{"tjTimerUke": "100"}, {"tjTimerUke": "68.01"}], True),
        ([{"tjTimerUke": "100"}, {"tjTimerUke": "68.00"}], False),
        ([{"tjTimerUke": "100", "tjTilDato": "20240630"}, {"tjTimerUke": "100", "tjFraDato": "20240630"}], False),
        ([{"tjTimerUke": "100", "tjTilDato": "20240630"}, {"tjTimerUke": "100", "tjFraDato": "20240629"}], True),
        ([{"tjTimerUke": "100", "tjTilDato": "20231231"}, {"tjTimerUke": "100"}], False),
        ([{"tjTimerUke": "100", "tjVedtak": "1"}, {"tjTimerUke": "100"}], False),
        ([{"tjTimerUke": "100"}, {"tjTimerUke": "1e9"}], False),  # tjTimerUke.range
        ([{"tjTimerUke": "100"}, {"tjTimerUke": "many"}], False),
        ([{"tjTimerUke": "100"}, {"tjTimerUke": "NaN"}], False),
    ],
)
def test_hours_of_services_at_the_same_time(services: Sequence[Mapping[str, str]], *, too_many: bool) -> None:
    rows = [service(str(number), **values) for number, values in enumerate(services)]
    assert evaluated(rows) == ([(PERSON, "person.hours")] if too_many else [])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], [(PERSON, "person.no-service")]),
        ([details()], [(PERSON, "person.no-service")]),
        ([details(poHab="1")], []),
        ([details(poVenteliste="1")], []),
        ([service()], []),
    ],
)
def test_without_service(rows: Sequence[Row], expected: list[tuple[int, str]]) -> None:
    assert evaluated(rows) == expected


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("0301", ""),
        ("9000", ""),
        ("9900", ""),
        ("9999", ""),
        ("3001", "3001 is now 3101 Halden."),
        ("1507", "1507 is now 1508 Ålesund and 1580 Haram."),
        ("1234", "'1234' is not valid on 31 December 2024."),
        ("31", ""),  # peKomnr.format
    ],
)
def test_residence(number: str, said: str) -> None:
    record = PersonRecord({"pePeID": "17"}, {"peKomnr": number}, [service()])
    rules = PersonRules(YEAR)
    for _ in range(2):  # the second time it is remembered
        violations = list(rules.person(record))
        assert [violation.message for _, violation in violations] == ([said] if said else [])
        assert all((index, violation.rule) == (PERSON, "person.residence") for index, violation in violations)


def test_a_residence_is_judged_by_its_year() -> None:
    record = PersonRecord({"pePeID": "17"}, {"peKomnr": "3001"}, [service()])
    assert list(PersonRules(Circumstances(2023, Environment.LOKAL)).person(record)) == []


def with_pid(pid: str) -> PersonRecord:
    return PersonRecord({"pePeID": pid}, {}, [service(pid=pid)])


def test_a_national_id_in_place_of_the_running_number() -> None:
    assert evaluated([service(pid=TENOR_ID)], pid=TENOR_ID) == [(PERSON, "person.national-id")]
    without_zero = TENOR_ID.lstrip("0")
    assert len(without_zero) == 10
    assert evaluated([service(pid=without_zero)], pid=without_zero) == [(PERSON, "person.national-id")]
    wrong = TENOR_ID[:-1] + str((int(TENOR_ID[-1]) + 1) % 10)
    assert evaluated([service(pid=wrong)], pid=wrong) == []


def test_one_of_many_running_numbers_of_ten_digits_may_hold_a_date_by_chance() -> None:
    rules = PersonRules(YEAR)
    assert not [violation for number in range(5) for violation in rules.person(with_pid(f"700000000{number}"))]
    assert list(rules.person(with_pid(TENOR_ID.lstrip("0")))) == []
    assert [violation.rule for _, violation in rules.person(with_pid(TENOR_ID))] == ["person.national-id"]
