"""Each person stands in both files, once, and both files are of the same extract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.model import Environment
from kpr_sender.preflight import check
from kpr_sender.preflight.fagmelding import whole_file
from kpr_sender.preflight.report import verdict
from kpr_sender.preflight.rules.pair import LEAST_COMPARED, Pair
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.sandbox.sample_errors_pair import Edit, PairChange, written
from tests.helpers.tenor import TENOR_ID, with_check_digits

KEY = b"a test's key"
ANN, BO, CATO = "synthetic-1", "synthetic-2", "synthetic-3"


def findings(persons: Sequence[str], idents: Sequence[tuple[str, str]]) -> list[tuple[str, int, str]]:
    """Persons and idents stand on one line each, from 11 and from 101 on."""
    pair = Pair(KEY, 2024)
    for line, pid in enumerate(persons, start=11):
        pair.person(pid, line)
    for line, (pid, fid) in enumerate(idents, start=101):
        pair.ident(pid, fid, line)
    found = list(pair.findings())
    assert {each.rule for each in found} <= RULES.keys()
    return [(each.rule, each.line, each.path) for each in found]


@pytest.mark.parametrize(
    ("persons", "idents", "expected"),
    [
        ([], [], []),
        (["1", "2"], [("2", BO), ("1", ANN)], []),
        (["1", "2"], [("1", ANN)], [("pair.no-ident", 12, "PERSON 2")]),
        (["1"], [("1", ANN), ("2", BO)], [("pair.no-person", 102, "PasientIdent 2")]),
        (["1", "1"], [("1", ANN)], [("person.duplicate", 12, "PERSON 1 / pePeID")]),
        (["1", "1"], [], [("pair.no-ident", 11, "PERSON 1"), ("person.duplicate", 12, "PERSON 1 / pePeID")]),
        (["1"], [("1", ANN), ("1", ANN)], [("pair.repeated-ident", 102, "PasientIdent 1 / pid")]),
        (["1"], [("1", ANN), ("1", BO)], [("pair.several-ids", 102, "PasientIdent 1 / pid")]),
        (["1", "2"], [("1", ANN), ("2", ANN)], [("pair.several-pids", 102, "PasientIdent 2 / fid")]),
        (["1", "2"], [("1", "010185"), ("2", "010185")], []),  # typeID 9: a date of birth
        (["1", "2"], [("1", ""), ("2", "")], []),
        (["1"], [("1", "010185"), ("1", "010185")], [("pair.repeated-ident", 102, "PasientIdent 1 / pid")]),
        (["0017"], [("17", ANN)], []),  # pePeID is a number
        (["17"], [(" 17 ", ANN)], []),
        (["17"], [("A-17", ANN)], [("pair.no-ident", 11, "PERSON 17"), ("pair.no-person", 101, "PasientIdent")]),
        (["A-17"], [("A-17", ANN)], []),
        (["9" * 40], [("9" * 40, ANN)], []),
    ],
)
def test_persons(
    persons: Sequence[str], idents: Sequence[tuple[str, str]], expected: list[tuple[str, int, str]]
) -> None:
    assert findings(persons, idents) == expected


def test_where_it_stood_first_is_said() -> None:
    pair = Pair(KEY, 2024)
    pair.person("1", 11)
    pair.person("2", 12)
    pair.ident("1", ANN, 5)
    pair.ident("2", ANN, 6)
    (found,) = pair.findings()
    assert found.message == "The same national id stands at line 5 under another pid."


def test_no_id_is_in_what_is_held_or_said() -> None:
    pair = Pair(KEY, 2024)
    for line, pid in enumerate((TENOR_ID, TENOR_ID.lstrip("0"), TENOR_ID, "2", "3")):
        pair.person(pid, line)
        pair.ident(pid, TENOR_ID, line)
    found = list(pair.findings())
    assert len(found) >= 4
    assert TENOR_ID.lstrip("0") not in repr([(each.path, each.message) for each in found])
    assert TENOR_ID not in repr(vars(pair))


PIDS = st.integers(0, 12).map(str)


@given(st.lists(PIDS), st.lists(st.tuples(PIDS, st.sampled_from([ANN, BO, CATO, "010185"]))))
def test_it_agrees_with_the_plain_way_to_say_it(persons: list[str], idents: list[tuple[str, str]]) -> None:
    pids = [pid for pid, _ in idents]
    found = [rule for rule, _, _ in findings(persons, idents)]
    assert found.count("pair.no-ident") == len(set(persons) - set(pids))
    assert found.count("pair.no-person") == len(set(pids) - set(persons))
    assert found.count("person.duplicate") == len(persons) - len(set(persons))
    again = found.count("pair.several-ids") + found.count("pair.repeated-ident")
    assert again == len(pids) - len(set(pids))
    shared = {fid for _, fid in idents if fid != "010185" and len({pid for pid, same in idents if same == fid}) > 1}
    assert ("pair.several-pids" in found) == bool(shared)


# -- other persons ----------------------------------------------------------------------------------------------------

Told = tuple[str, str, date | None, str]
"""peAlder and peKjonn of a PERSON, the date of birth in its number, and the number's ninth digit."""
RIGHT: Told = ("39", "K", date(1985, 12, 31), "4")


def compared(*told: Told, shuffled: bool = False) -> list[tuple[str, str]]:
    """Rule and text of what is found of persons who stand in both files."""
    pair, lines = Pair(KEY, 2024), list(enumerate(told, start=1))
    for line, (age, sex, _, _) in lines:
        pair.person(str(line), line, age=age, sex=sex)
    for line, (_, _, born, digit) in reversed(lines) if shuffled else lines:
        pair.ident(str(line), f"{line:08}{digit}00", line, born)
    found = list(pair.findings())
    assert {each.rule for each in found} <= RULES.keys()
    return [(each.rule, each.message) for each in found]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (RIGHT, []),
        (("39", "M", date(1985, 1, 1), "5"), []),
        (("40", "K", date(1985, 12, 31), "4"), ["pair.age"]),
        (("38", "K", date(1985, 1, 1), "4"), ["pair.age"]),
        (("39", "K", date(1985, 1, 1), "5"), ["pair.sex"]),
        (("12", "M", date(1985, 1, 1), "4"), ["pair.age", "pair.sex"]),
        (("0", "K", date(2024, 12, 31), "4"), []),
        (("0", "K", date(2025, 1, 1), "4"), ["pair.age"]),
        (("039", "K", date(1985, 1, 1), "4"), []),
        (("123456789012345", "K", date(1985, 1, 1), "4"), ["pair.age"]),
        (("", "", date(1985, 1, 1), "4"), []),  # nothing to compare
        (("+3", "x", date(1985, 1, 1), "4"), []),  # the fields' own rules
        (("12", "M", None, "4"), []),  # the number tells nothing
    ],
)
def test_age_and_sex_are_those_of_the_number(told: Told, expected: list[str]) -> None:
    assert [rule for rule, _ in compared(told)] == expected


@pytest.mark.parametrize(
    ("persons", "differing", "stops"),
    [(19, 19, False), (20, 1, False), (20, 2, True), (100, 5, False), (100, 6, True)],
)
@pytest.mark.parametrize("shuffled", [False, True])
def test_more_than_a_twentieth_of_twenty_is_a_file_of_others(
    persons: int, differing: int, *, stops: bool, shuffled: bool
) -> None:
    silent = [("1", "M", None, "4")] * 50
    found = compared(
        *[("12", "M", *RIGHT[2:])] * differing, *[RIGHT] * (persons - differing), *silent, shuffled=shuffled
    )

    rules = [rule for rule, _ in found]
    assert (rules.count("pair.age"), rules.count("pair.sex")) == (differing, differing)
    assert [text for rule, text in found if rule == "pair.other-persons"] == [
        f"Age or sex contradicts the number of {differing} of the {persons} persons that were compared."
    ] * stops


def test_a_year_is_said_and_no_number_is() -> None:
    others = [("40", *RIGHT[1:])] * 2 + [("38", *RIGHT[1:])] + [("12", *RIGHT[1:])] * 20
    texts = [text for _, text in compared(*others)]

    assert texts[:4] == [f"By the number the person is {how}." for how in
                         ("one year younger", "one year younger", "one year older", "of another age")]  # fmt: skip
    assert texts[-1].endswith("23 of the 23 persons that were compared; of 3 of them only the age, by one year.")
    assert not any(character.isdigit() for text in texts[:-1] for character in text)


@pytest.mark.parametrize(
    ("day", "month", "type_id", "told"),
    [
        (0, 0, "1", True),
        (40, 0, "2", True),
        (0, 40, "3", True),  # an H-number
        (40, 40, "1", True),
        (0, 65, "1", True),
        (40, 65, "2", True),
        (0, 80, "1", True),
        (40, 80, "2", True),
        (80, 0, "12", False),  # felles hjelpenummer
    ],
)
def test_every_kind_of_number_that_tells_is_compared(day: int, month: int, type_id: str, *, told: bool) -> None:
    """Of somebody born in 1890, who would be a man of 134; the PERSON is a woman of 80."""
    number = next(
        found for last in range(501, 600, 2) if (found := with_check_digits(f"{12 + day}{3 + month:02}90{last}"))
    )
    change = PairChange(ident=(Edit("fid=.*(?=/>)", f'fid="{number}" typeID="{type_id}"'),))
    fagmelding, identmelding = (text.encode() for text in written(2024, [change]))

    report = check([fagmelding], [identmelding], 2024, environment=Environment.LOKAL)

    assert {"pair.age", "pair.sex"} & report.counts.keys() == ({"pair.age", "pair.sex"} if told else set())
    assert number not in repr(report.findings)


@pytest.mark.parametrize("persons", [19, 40])
def test_an_identmelding_of_other_persons_goes_only_when_it_is_accepted(tmp_path: Path, persons: int) -> None:
    ours, theirs = (
        [path.read_bytes() for path in write_pair(tmp_path / str(seed), year=2024, persons=persons, seed=seed)]
        for seed in (1, 2)
    )
    right = check([ours[0]], [ours[1]], 2024, environment=Environment.LOKAL)
    assert not [rule for rule in right.counts if rule.startswith("pair.")]

    report = check([ours[0]], [theirs[1]], 2024, environment=Environment.LOKAL)

    assert report.counts["pair.age"] > persons / 2
    assert report.counts["pair.sex"] > persons / 4
    assert (report.stops, report.drops) == (0, int(persons >= LEAST_COMPARED))
    assert verdict(report).hinders is (persons >= LEAST_COMPARED)


def test_persons_who_stand_there_twice_are_not_compared() -> None:
    pair = Pair(KEY, 2024)
    for line, pid in enumerate(("1", "1", "2", "3")):
        pair.person(pid, line, age="12", sex="M")
    for line, pid in enumerate(("2", "3", "3", "1")):
        pair.ident(pid, f"{line:08}400", line, date(1985, 1, 1))

    assert [each.path for each in pair.findings() if each.rule == "pair.age"] == ["PERSON 2 / peAlder"]


INNHINFO = {"iiFraDato": "20240101", "iiTilDato": "20241231", "iiLagetDato": "20250106", "iiSysID": "EPJ",
            "iiSysVersjon": "1.0", "iiLopenr": "7"}  # fmt: skip
MELDING = {"fraDatoPeriode": "2024-01-01", "tilDatoPeriode": "2024-12-31", "uttakDato": "2025-01-06",
           "navnEPJ": "EPJ", "versjonEPJ": "1.0", "lopenr": "7"}  # fmt: skip


@pytest.mark.parametrize(
    ("innhinfo", "melding", "expected"),
    [
        ({}, {}, []),
        ({"iiFraDato": "20230101"}, {}, ["pair.period"]),
        ({}, {"tilDatoPeriode": "2023-12-31"}, ["pair.period"]),
        ({"iiLagetDato": "20250107"}, {}, ["pair.extracted"]),
        ({}, {"navnEPJ": "Another"}, ["pair.system"]),
        ({}, {"versjonEPJ": "1.1"}, ["pair.system"]),
        ({}, {"versjonEPJ": ""}, []),  # another rule's
        ({}, {"lopenr": "8"}, ["pair.running-number"]),
        ({}, {"lopenr": "07"}, []),
        ({}, {"lopenr": "A7"}, ["pair.running-number"]),
        ({}, {"lopenr": " "}, []),  # another rule's
        ({}, {"fraDatoPeriode": "2024-01-01Z", "tilDatoPeriode": "2024-12-31+14:00", "uttakDato": "2025-01-06Z"}, []),
        ({}, {"uttakDato": "2025-01-07+01:00"}, ["pair.extracted"]),
    ],
)
def test_headers(innhinfo: Mapping[str, str], melding: Mapping[str, str], expected: list[str]) -> None:
    pair = Pair(KEY, 2024)
    pair.headers({**INNHINFO, **innhinfo}, {**MELDING, **melding})
    assert [each.rule for each in pair.findings()] == expected
    assert {*expected} <= RULES.keys()


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({1, 6, 29}, []),
        ({26, 29}, []),
        ({27, 29}, []),
        ({28, 29}, []),
        ({1, 29}, ["file.no-welfare-technology"]),
        ({1, 6}, ["file.no-housing"]),
        (set(), ["file.no-welfare-technology", "file.no-housing"]),
    ],
)
def test_whole_file(types: set[int], expected: list[str]) -> None:
    assert [violation.rule for violation in whole_file(types)] == expected
    assert {*expected} <= RULES.keys()
