"""Whose number a PasientIdent holds, and whether it can be anybody's.

Numbers that look ordinary are made while the test runs, of persons born before 1900.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from itertools import product
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpr_sender.model import Environment
from kpr_sender.preflight.header import shown
from kpr_sender.preflight.identmelding import PatientRules
from kpr_sender.preflight.model import Circumstances
from kpr_sender.preflight.person_ids import Kind, kind_of
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.sandbox.tenor import fodselsnummer
from tests.helpers.tenor import with_check_digits

_LONG_AGO = 1995  # a reporting year in which somebody born in 1880 is not too old


def numbers(*, day: int = 0, month: int = 0, year: str = "85", individuals: range = range(500, 600)) -> Iterator[str]:
    """Numbers of the 1880s with so much added to day and month."""
    for number, individual in product(range(1, 13), individuals):
        found = with_check_digits(f"{10 + day:02}{number + month:02}{year}{individual:03}")
        if found is not None:
            yield found


def help_number() -> str:
    return next(found for rest in range(1000) if (found := with_check_digits(f"899999{rest:03}")))


def duf() -> str:
    """A DUF-number of 1999."""
    year, running = "1999", "000001"
    weights = (4, 6, 3, 2, 7, 5, 4, 6, 3, 2)
    total = sum(weight * int(digit) for weight, digit in zip(weights, running + year, strict=True))
    return f"{year}{running}{total % 11:02}"


FNR, D = next(numbers()), next(numbers(day=40))
TENOR, NHN, DOLLY = next(numbers(month=80)), next(numbers(month=65)), next(numbers(month=40))
BROKEN = FNR[:-1] + str((int(FNR[-1]) + 1) % 10)
NO_DAY = with_check_digits("320185500") or with_check_digits("320185501") or ""
FH, DUF = help_number(), duf()


KINDS = f"(?:{'|'.join(map(re.escape, Kind))})"
MESSAGES = (
    r"typeID is 10, but this is no DUF-nummer\.",
    rf"typeID is [12], but (?:length, check digits or date are wrong|the number is a {KINDS})\.",
    rf"The number is formed as {KINDS}\.",
    r"It is on the municipality's list of test persons\.",
    r"The same character [0-9]{1,2} times\.",
    r"Born after [12][0-9]{3}\.",
    r"More than 115 years old at the end of [12][0-9]{3}\.",
)
"""Everything that is ever said of a number, with nothing of the number in it."""


def nobody(_: str) -> bool:
    return False


def evaluated(
    fid: str,
    type_id: str,
    environment: Environment,
    *,
    year: int = _LONG_AGO,
    listed: Callable[[str], bool] = nobody,
) -> list[str]:
    _, violations = PatientRules(Circumstances(year, environment), listed).patient(
        {"pid": "1", "fid": fid, "typeID": type_id}
    )
    assert {violation.rule for violation in violations} <= RULES.keys()
    allowed = [
        *MESSAGES,
        f"typeID is {re.escape(shown(type_id))}.",
        f"The month has 40 added; typeID is {shown(type_id)}.",
    ]
    assert [each.message for each in violations if not any(re.fullmatch(one, each.message) for one in allowed)] == []
    return [violation.rule for violation in violations]


def test_the_numbers_are_what_they_are_called() -> None:
    made = [kind_of(number) for number in (FNR, D, TENOR, NHN, DOLLY, FH, DUF, BROKEN, NO_DAY)]
    assert made == [Kind.FNR, Kind.D, Kind.TENOR, Kind.NHN, Kind.DOLLY_OR_H, Kind.FH, Kind.DUF, None, None]


@pytest.mark.parametrize(
    ("name", "fid", "type_id", "in_production", "elsewhere"),
    [
        ("fnr", FNR, "1", [], []),
        ("D", D, "2", [], []),
        ("DUF", DUF, "10", [], []),
        ("fnr as D", FNR, "2", ["ident.kind"], ["ident.kind"]),
        ("D as fnr", D, "1", ["ident.kind"], ["ident.kind"]),
        ("Tenor", TENOR, "1", ["ident.synthetic"], []),
        ("NHN", NHN, "1", ["ident.synthetic"], []),
        ("Tenor as D", TENOR, "2", ["ident.synthetic"], []),
        ("Tenor as other", TENOR, "9", ["ident.type", "ident.synthetic"], ["ident.type"]),
        ("Dolly", DOLLY, "1", ["ident.dolly-or-h"], []),
        ("H", DOLLY, "3", ["ident.type"], ["ident.type"]),
        ("H as other", DOLLY, "4", ["ident.type", "ident.dolly-or-h"], ["ident.type"]),
        ("check digit", BROKEN, "1", ["ident.invalid"], ["ident.invalid"]),
        ("check digit of a D", BROKEN, "2", ["ident.invalid"], ["ident.invalid"]),
        ("no such day", NO_DAY, "1", ["ident.invalid"], ["ident.invalid"]),
        ("zeros", "00000000000", "1", ["ident.invalid"], ["ident.invalid"]),
        ("ones", "11111111111", "1", ["ident.invalid"], ["ident.invalid"]),
        ("too short", FNR[:-1], "1", ["ident.invalid"], ["ident.invalid"]),
        ("nothing", "", "1", ["ident.invalid"], ["ident.invalid"]),
        ("FH as fnr", FH, "1", ["ident.invalid"], ["ident.invalid"]),
        ("DUF as fnr", DUF, "1", ["ident.invalid"], ["ident.invalid"]),
        ("FH", FH, "12", ["ident.type"], ["ident.type"]),
        ("fnr as DUF", FNR, "10", ["ident.duf"], ["ident.duf"]),
        ("DUF as other", DUF, "9", ["ident.type"], ["ident.type"]),
        ("DUF of ones", "111111111111", "10", ["ident.duf", "ident.repeated-digit"],
         ["ident.duf", "ident.repeated-digit"]),
        ("date of birth", "010185", "9", ["ident.type"], ["ident.type"]),
        ("the eleventh of the eleventh", "111111", "9", ["ident.type"], ["ident.type"]),
        ("other of nines", "99999", "9", ["ident.type", "ident.repeated-digit"],
         ["ident.type", "ident.repeated-digit"]),
        ("passport", "N1234", "4", ["ident.type"], ["ident.type"]),
    ],
    ids=range(29),  # no number in a test's name
)  # fmt: skip
def test_kinds(name: str, fid: str, type_id: str, in_production: list[str], elsewhere: list[str]) -> None:
    assert evaluated(fid, type_id, Environment.PRODUKSJON) == in_production, name
    for environment in (Environment.LOKAL, Environment.VALIDERING, Environment.AR_TEST):
        assert evaluated(fid, type_id, environment) == elsewhere, name


@pytest.mark.parametrize("environment", [Environment.PRODUKSJON, Environment.LOKAL])
@pytest.mark.parametrize(
    ("fid", "type_id", "year", "expected"),
    [
        (FNR, "1", 1885, []),
        (FNR, "1", 1884, ["ident.born-after-year"]),
        (FNR, "1", 2000, []),  # 115
        (FNR, "1", 2001, ["ident.age"]),
        (D, "2", 1884, []),  # its date may be that of registration
        (D, "2", 2001, []),
        (FNR, "1", 2032, []),  # from then on a number does not tell its century
    ],
    ids=range(7),  # no number in a test's name
)
def test_age(fid: str, type_id: str, year: int, expected: list[str], environment: Environment) -> None:
    assert evaluated(fid, type_id, environment, year=year) == expected


def test_synthetic_persons_have_an_age_outside_production() -> None:
    assert evaluated(TENOR, "1", Environment.LOKAL, year=2024) == ["ident.age"]
    assert evaluated(TENOR, "1", Environment.PRODUKSJON, year=2024) == ["ident.synthetic"]


def test_the_municipality_knows_its_test_persons() -> None:
    def listed(fid: str) -> bool:
        return fid == FNR

    assert evaluated(FNR, "1", Environment.PRODUKSJON, listed=listed) == ["ident.test-person"]
    assert evaluated(FNR, "4", Environment.PRODUKSJON, listed=listed) == ["ident.type", "ident.test-person"]
    assert evaluated(D, "2", Environment.PRODUKSJON, listed=listed) == []
    assert evaluated(FNR, "1", Environment.VALIDERING, listed=listed) == []


@given(born=st.dates(date(1910, 1, 1), date(2024, 12, 31)), seed=st.integers(0, 999))
def test_every_tenor_number_is_found_where_real_persons_are_wanted(born: date, seed: int) -> None:
    fid = fodselsnummer(born, woman=seed % 2 == 0, random=Random(seed))
    assert evaluated(fid, "1", Environment.PRODUKSJON, year=2024) == ["ident.synthetic"]
    assert evaluated(fid, "1", Environment.LOKAL, year=2024) == []


@example(fid=" 1", type_id="1")
@given(fid=st.text(max_size=13), type_id=st.sampled_from(["1", "2", "3", "9", "10", "12", "", "x"]))
def test_no_text_is_quoted(fid: str, type_id: str) -> None:
    evaluated(fid, type_id, Environment.PRODUKSJON)
