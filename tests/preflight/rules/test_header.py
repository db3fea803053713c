"""What the two files say before their first person, evaluated for the municipality and the year."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.model import Environment
from kpr_sender.preflight.catalogue import kommuner
from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.model import Circumstances, Effect, Element
from kpr_sender.preflight.rules.fields import field_rules
from kpr_sender.preflight.rules.header import check_innhinfo, check_institusjon, check_melding
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.sandbox.tenor import organisasjonsnummer

YEAR = Circumstances(2024, Environment.PRODUKSJON)
ROOT = {"versjon": "3.7"}
INNHINFO = {
    "iiInnhType": "P",
    "iiKomnr": "3101",
    "iiBydelsnr": "00",
    "iiFraDato": "20240101",
    "iiTilDato": "20241231",
    "iiLagetDato": "20250106",
    "iiSysID": "EKSEMPEL-EPJ",
    "iiSysVersjon": "1.0",
    "iiLopenr": "17",
}
CONTACT = {"Type": "1", "Navn": "Kari Eksempel", "Telefon": "00000000", "Epost": "kari@example.invalid"}
LINES = {name: line for line, name in enumerate(INNHINFO, start=4)}
CONTACT_LINE = 20


def innhinfo(changes: Mapping[str, str | None], contact: Mapping[str, str] = CONTACT) -> Element:
    """INNHINFO on line 3, its fields on the lines after it, one contact on line 20."""
    values = {name: value for name, value in {**INNHINFO, **changes}.items() if value is not None}
    fields = [Element(name, {}, LINES[name], value) for name, value in values.items()]
    details = [Element(name, {}, CONTACT_LINE + 1, value) for name, value in contact.items()]
    return Element("INNHINFO", {}, 3, "", [*fields, Element("iiKontakt", {}, CONTACT_LINE, "", details)])


def evaluated(element: Element | None, circumstances: Circumstances = YEAR) -> list[tuple[int, str]]:
    violations = list(check_innhinfo(ROOT, element, circumstances, field_rules(iplos(), circumstances)))
    assert {violation.rule for _, violation in violations} <= RULES.keys()
    return [(line, violation.rule) for line, violation in violations]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"iiKomnr": "3001"}, "header.municipality"),
        ({"iiKomnr": "9999"}, "header.municipality"),
        ({"iiKomnr": "9000"}, "header.municipality"),
        ({"iiKomnr": "31"}, "iiKomnr.format"),
        ({"iiBydelsnr": "01"}, "header.district"),
        ({"iiFraDato": "20240102"}, "iiFraDato.range"),
        ({"iiFraDato": "20230101"}, "iiFraDato.range"),
        ({"iiTilDato": "20240630"}, "iiTilDato.range"),
        ({"iiLagetDato": "20241230"}, "header.made-early"),
        ({"iiSysID": ""}, "iiSysID.missing"),
        ({"iiSysVersjon": ""}, "iiSysVersjon.missing"),
        ({"iiLopenr": "0"}, "header.running-number"),
        ({"iiInnhType": ""}, "iiInnhType.missing"),
    ],
)
def test_a_field(changes: Mapping[str, str], rule: str) -> None:
    (name,) = changes
    assert evaluated(innhinfo(changes)) == [(LINES[name], rule)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"iiKomnr": "0301", "iiBydelsnr": "01"},
        {"iiKomnr": "0301", "iiBydelsnr": "00"},
        {"iiLagetDato": "20241231"},
    ],
)
def test_what_is_right(changes: Mapping[str, str]) -> None:
    assert evaluated(innhinfo(changes)) == []


def test_what_is_missing_is_said_at_the_header() -> None:
    assert evaluated(innhinfo({"iiKomnr": None})) == [(3, "iiKomnr.missing")]
    assert evaluated(None) == []  # a matter of structure


def test_a_contact_is_judged_by_its_own_lines() -> None:
    wrong = [(CONTACT_LINE + 1, f"iiKontakt.Type.{aspect}") for aspect in ("format", "code")]

    assert evaluated(innhinfo({}, CONTACT | {"Type": "12"})) == wrong
    assert evaluated(innhinfo({}, CONTACT | {"Type": "4"})) == wrong[1:]
    assert [evaluated(innhinfo({}, CONTACT | {"Type": each})) for each in "123"] == [[], [], []]


@pytest.mark.parametrize(
    ("number", "year", "said"),
    [
        ("3001", 2024, "3001 is now 3101 Halden."),
        ("1507", 2025, "1507 is now 1508 Ålesund and 1580 Haram."),
        ("3001", 2023, ""),
        ("3101", 2023, "'3101' is not valid on 31 December 2023."),
        ("1580", 2024, ""),
        ("1234", 2024, "'1234' is not valid on 31 December 2024."),
    ],
)
def test_the_number_is_that_of_the_reporting_years_last_day(number: str, year: int, said: str) -> None:
    where = Circumstances(year, Environment.VALIDERING)
    violations = check_innhinfo(ROOT, innhinfo({"iiKomnr": number}), where, field_rules(iplos(), where))
    assert (
        "".join(violation.message for _, violation in violations if violation.rule.startswith("header.municipality"))
        == said
    )


def test_numbers_of_a_year_after_the_table_are_doubted_only() -> None:
    later = Circumstances(kommuner.LAST_KNOWN_YEAR + 1, Environment.PRODUKSJON)
    rules = {
        number: dict(evaluated(innhinfo({"iiKomnr": number}), later))[LINES["iiKomnr"]] for number in ("4242", "3001")
    }
    assert rules == {"4242": "header.municipality-unknown", "3001": "header.municipality"}
    assert RULES["header.municipality-unknown"].effect is Effect.WARN
    assert RULES["header.municipality"].effect is Effect.STOP


def test_the_sandboxs_municipality_is_right_on_this_machine_only() -> None:
    expected = {environment: [(LINES["iiKomnr"], "header.municipality")] for environment in Environment}
    expected[Environment.LOKAL] = []
    for environment in Environment:
        assert evaluated(innhinfo({"iiKomnr": "9999"}), Circumstances(2024, environment)) == expected[environment]


MELDING = {
    "versjon": "53.1.3",
    "meldingstype": "B",
    "fraDatoPeriode": "2024-01-01",
    "tilDatoPeriode": "2024-12-31",
    "uttakDato": "2025-01-06",
    "leverandor": "Eksempel",
    "navnEPJ": "EKSEMPEL-EPJ",
    "versjonEPJ": "1.0",
    "lopenr": "1",
}


def contacts(*types: str) -> list[Element]:
    return [Element("Kontaktperson", {"typeKontaktperson": each}, 2) for each in types]


@pytest.mark.parametrize(
    ("changes", "types", "expected"),
    [
        ({}, ("16", "17"), []),
        ({"versjon": "53.1.2"}, ("16",), []),
        ({"versjon": "53.1.2"}, ("1",), [(2, "melding.contacts")]),
        ({}, ("16",), [(2, "melding.contacts")]),
        ({}, (), [(0, "melding.contacts")]),
        ({"fraDatoPeriode": "2023-01-01"}, ("16", "17"), [(0, "melding.period")]),
        ({"tilDatoPeriode": "2024-12-30"}, ("16", "17"), [(0, "melding.period")]),
        ({"uttakDato": "2024-12-30"}, ("16", "17"), [(0, "header.made-early")]),
        ({"uttakDato": "2024-12-31"}, ("16", "17"), []),
        ({"fraDatoPeriode": "2024-01-01Z", "tilDatoPeriode": "2024-12-31-14:00"}, ("16", "17"), []),
        ({"fraDatoPeriode": "2024-01-02+01:00"}, ("16", "17"), [(0, "melding.period")]),
        ({"uttakDato": "2025-01-06+01:00"}, ("16", "17"), []),
        ({"uttakDato": "2024-12-30Z"}, ("16", "17"), [(0, "header.made-early")]),
        ({"meldingstype": "E"}, ("16", "17"), [(0, "melding.change-message")]),
        ({"navnEPJ": " "}, ("16", "17"), [(0, "melding.system")]),
        ({"versjonEPJ": ""}, ("16", "17"), [(0, "melding.system")]),
    ],
)
def test_melding(changes: Mapping[str, str], types: tuple[str, ...], expected: list[tuple[int, str]]) -> None:
    violations = list(check_melding({**MELDING, **changes}, contacts(*types), YEAR))
    assert [(line, violation.rule) for line, violation in violations] == expected
    assert {violation.rule for _, violation in violations} <= RULES.keys()


def test_the_reporting_unit() -> None:
    unit = organisasjonsnummer(Random(1))
    wrong = unit[:-1] + str((int(unit[-1]) + 1) % 10)
    local = Circumstances(2024, Environment.LOKAL)

    def rules(number: str, circumstances: Circumstances) -> list[str]:
        return [violation.rule for violation in check_institusjon({"institusjonID": number}, circumstances)]

    assert rules(unit, local) == []
    assert rules(unit, YEAR) == ["orgnr.synthetic"]
    assert rules(wrong, local) == ["orgnr.invalid"]
    assert rules("", local) == ["orgnr.invalid"]
    assert rules(f"{unit}0", local) == ["orgnr.invalid"]  # the further 0 is IPLOS 3.7's alone
    assert rules("777777777", local) == ["institusjon.no-agreement"]


NOT_QUOTED = "31129912345"
ANY = st.sampled_from([NOT_QUOTED, "Kari Eksempel", "", "-1", "9" * 30, "20240101", "x"])


@given(st.dictionaries(st.sampled_from(sorted(INNHINFO)), ANY), st.dictionaries(st.sampled_from(sorted(MELDING)), ANY))
def test_nothing_raises_and_no_name_or_id_is_quoted(fag: Mapping[str, str], ident: Mapping[str, str]) -> None:
    contact = {"Type": NOT_QUOTED, "Navn": NOT_QUOTED}
    for _, violation in (
        *check_innhinfo(ROOT, innhinfo(fag, contact), YEAR, field_rules(iplos(), YEAR)),
        *check_melding(ident, contacts(NOT_QUOTED), YEAR),
    ):
        assert NOT_QUOTED not in violation.message
        assert "Kari" not in violation.message
