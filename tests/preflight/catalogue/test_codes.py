"""Code lists and service types by year."""

from __future__ import annotations

import re

import pytest

from kpr_sender.preflight.catalogue.codes import (
    TJENESTETYPE,
    OrganisationNumber,
    all_service_types,
    codes,
    lists,
    service_types,
)
from kpr_sender.preflight.catalogue.fields import iplos, xpr_ide

UNPUBLISHED = {"diKodeVersjon"}


@pytest.mark.parametrize(
    ("oid", "year", "expected"),
    [
        ("9171", 2024, "1 2"),
        ("1101", 2024, "1 2"),
        ("1110", 2024, "1 2 9"),
        ("3100", 2024, "M K"),
        ("9111", 2024, " ".join(map(str, range(1, 19)))),
        ("9165", 2024, "1 2 3 4 5 9"),
        ("9166", 2024, "1 2 3 4 5 9"),
        ("9167", 2024, "1 2 3 4 5 9"),
        ("9168", 2024, "1 2 3 4 5 6"),
        ("9188", 2024, "11 12 13 14"),
        ("9335", 2024, "1 2 3"),
        ("9336", 2024, "1 2 3 4"),
        ("9338", 2024, "1 2 3"),
        ("9340", 2024, "1 2 3"),
        ("9341", 2024, "1 2 3"),
        ("7371", 2024, "E B"),
        ("8471", 2024, " ".join(map(str, range(1, 18)))),
        ("9032", 2024, "1 2 3 4 5 6 7 8 9 10 12"),
        (TJENESTETYPE, 2018, "1 2 3 4 5 6 7 8 9 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26"),
        (TJENESTETYPE, 2019, "1 2 3 4 5 6 7 8 9 11 14 15 17 18 19 20 21 22 23 24 25 26 27 28 29"),
        (TJENESTETYPE, 2026, "1 2 3 4 5 6 7 8 9 11 14 15 17 18 19 20 21 22 23 24 25 26 27 28 29"),
    ],
)
def test_a_list_holds_its_codes_of_the_year(oid: str, year: int, expected: str) -> None:
    assert codes(oid, year) == frozenset(expected.split())


def test_every_list_that_a_field_names_is_known_or_known_to_be_unpublished() -> None:
    named = {
        oid
        for catalogue in (iplos(), xpr_ide("53.1.2"), xpr_ide("53.1.3"))
        for field in catalogue.fields.values()
        for oid in field.kodeverk
    }

    assert named - lists().keys() == UNPUBLISHED
    assert lists().keys() - named == set()


def test_every_code_says_what_it_means_and_where_it_is_from() -> None:
    for oid, held in lists().items():
        assert len({each.code for each in held}) == len(held), oid
        for each in held:
            assert re.fullmatch("[0-9]{1,2}|[A-Z]", each.code)
            assert each.english
            assert each.norwegian
            assert each.source


def test_the_schema_of_the_identmelding_lists_the_same_codes() -> None:
    newest = xpr_ide("53.1.3").fields

    for name, oid in (("meldingstype", "7371"), ("typeKontaktperson", "8471"), ("typeID", "9032")):
        assert set(newest[name].facets["enumeration"].split()) == codes(oid, 2024)


def test_a_type_that_ended_says_what_took_its_place() -> None:
    ended = all_service_types().keys() - service_types(2024).keys()

    assert ended == {"12", "13", "16"}
    assert {code for code, each in all_service_types().items() if each.replaced_by} == ended
    assert "29" in all_service_types()["12"].replaced_by
    assert "poHab" in all_service_types()["16"].replaced_by


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (OrganisationNumber.REQUIRED, "1 2 3 4 8 15 17 18 19 20 21 22 25"),
        (OrganisationNumber.OPTIONAL, "5 6 7 9 11"),
        (OrganisationNumber.NOT_USED, "26 29"),
        (OrganisationNumber.UNKNOWN, "14 23 24 27 28"),
    ],
)
def test_organisation_numbers_belong_to_services_that_units_perform(wanted: OrganisationNumber, expected: str) -> None:
    assert {code for code, each in service_types(2024).items() if each.orgnr is wanted} == set(expected.split())


def test_velferdsteknologi_is_four_types() -> None:
    assert {code for code, each in service_types(2024).items() if each.group == "velferdsteknologi"} == {
        "6",
        "26",
        "27",
        "28",
    }
