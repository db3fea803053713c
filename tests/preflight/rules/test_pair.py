"""Each person stands in both files, once, and both files are of the same extract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.preflight.fagmelding import whole_file
from kpr_sender.preflight.rules.pair import Pair
from kpr_sender.preflight.rules.table import RULES
from tests.helpers.tenor import TENOR_ID

KEY = b"a test's key"
ANN, BO, CATO = "synthetic-1", "synthetic-2", "synthetic-3"


def findings(persons: Sequence[str], idents: Sequence[tuple[str, str]]) -> list[tuple[str, int, str]]:
    """Persons and idents stand on one line each, from 11 and from 101 on."""
    pair = Pair(KEY)
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
    pair = Pair(KEY)
    pair.person("1", 11)
    pair.person("2", 12)
    pair.ident("1", ANN, 5)
    pair.ident("2", ANN, 6)
    (found,) = pair.findings()
    assert found.said == "The same national id stands at line 5 under another pid."


def test_no_id_is_in_what_is_held_or_said() -> None:
    pair = Pair(KEY)
    for line, pid in enumerate((TENOR_ID, TENOR_ID.lstrip("0"), TENOR_ID, "2", "3")):
        pair.person(pid, line)
        pair.ident(pid, TENOR_ID, line)
    found = list(pair.findings())
    assert len(found) >= 4
    assert TENOR_ID.lstrip("0") not in repr([(each.path, each.said) for each in found])
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


INNHINFO = {"iiFraDato": "20240101", "iiTilDato": "20241231", "iiLagetDato": "20250106", "iiSysID": "EPJ",
            "iiSysVersjon": "1.0"}  # fmt: skip
MELDING = {"fraDatoPeriode": "2024-01-01", "tilDatoPeriode": "2024-12-31", "uttakDato": "2025-01-06",
           "navnEPJ": "EPJ", "versjonEPJ": "1.0"}  # fmt: skip


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
    ],
)
def test_headers(innhinfo: Mapping[str, str], melding: Mapping[str, str], expected: list[str]) -> None:
    pair = Pair(KEY)
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
    assert [hit.rule for hit in whole_file(types)] == expected
    assert {*expected} <= RULES.keys()
