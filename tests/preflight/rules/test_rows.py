"""What FHI would drop or blank of one service, across its fields, and what of the other rows."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.model import Environment
from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.model import Circumstances, Element
from kpr_sender.preflight.rules.rows import RowEvaluator, RowRules, ServiceRules
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.sandbox.tenor import organisasjonsnummer

LOCAL = Circumstances(2024, Environment.LOKAL)
PRODUCTION = Circumstances(2024, Environment.PRODUKSJON)
TENOR_UNIT = organisasjonsnummer(Random(1))
WRONG_UNIT = TENOR_UNIT[:-1] + str((int(TENOR_UNIT[-1]) + 1) % 10)
ELSEWHERE_FIRST = "1" + TENOR_UNIT[1:]

SERVICE = {
    "tjTjenType": "15",
    "tjSoknadDato": "20240301",
    "tjVedtDato": "20240301",
    "tjVedtak": "2",
    "tjInstOrgnr": TENOR_UNIT,
    "tjFraDato": "20240315",
    "tjTilDato": "99991231",
}


def changed(values: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"tjTjenType": "12", "tjInstOrgnr": None}, ["tjeneste.ended-housing"]),
        ({"tjTjenType": "13", "tjInstOrgnr": None}, ["tjeneste.ended-housing"]),
        ({"tjTjenType": "29", "tjInstOrgnr": None}, []),
        ({"tjTjenType": "16", "tjInstOrgnr": None}, ["tjeneste.ended-habilitation"]),
        ({"tjTjenType": "77"}, []),  # no code at all: the field's own rule
        ({"tjFraDato": "20230101", "tjTilDato": "20231231"}, ["tjeneste.outside-year"]),
        ({"tjFraDato": "20230101", "tjTilDato": "20240101"}, []),
        ({"tjFraDato": "20250101"}, []),  # tjFraDato.range
        ({"tjTilDato": "20240314"}, []),  # tjTilDato.range
        ({"tjTilDato": None}, []),
        ({"tjTilDato": ""}, []),
        ({"tjFraDato": None}, ["tjeneste.no-start"]),
        ({"tjFraDato": None, "tjTilDato": None, "tjVedtak": "1"}, []),
        ({"tjTjenType": "6", "tjVedtak": None, "tjFraDato": None}, ["tjeneste.no-start"]),
        ({"tjVedtDato": "20240229"}, ["tjeneste.decided-before-applied"]),
        ({"tjSoknadDato": None}, []),
        ({"tjVedtDato": None}, []),
        ({"tjKlageMottatt": "20240229"}, ["tjeneste.complaint-before-decision"]),
        ({"tjKlageMottatt": "20240301"}, []),
        ({"tjKlageMottatt": "20240401", "tjKlageBesvart": "20240331"}, ["tjeneste.answer-before-complaint"]),
        ({"tjKlageMottatt": "20240401", "tjKlageBesvart": "20240401"}, []),
        ({"tjInstOrgnr": None}, ["orgnr.missing"]),
        ({"tjInstOrgnr": None, "tjVedtak": "1"}, []),
        ({"tjTjenType": "5", "tjInstOrgnr": None}, []),
        ({"tjTjenType": "27", "tjInstOrgnr": None}, []),
        ({"tjInstOrgnr": WRONG_UNIT}, ["orgnr.invalid"]),
        ({"tjInstOrgnr": ELSEWHERE_FIRST}, ["orgnr.invalid"]),
        ({"tjInstOrgnr": TENOR_UNIT + "0"}, []),
        ({"tjInstOrgnr": "12"}, []),  # tjInstOrgnr.format
        ({"tjTjenType": "29"}, ["orgnr.not-used"]),
        ({"tjTjenType": "26"}, ["orgnr.not-used"]),
        ({"tjFraDato": "in spring"}, []),  # its form is another rule's
        ({"tjVedtDato": "1"}, []),
    ],
)
def test_service(changes: Mapping[str, str | None], expected: list[str]) -> None:
    violations = ServiceRules(LOCAL).values(changed(SERVICE, changes))
    assert [violation.rule for violation in violations] == expected
    assert {*expected} <= RULES.keys()


def test_a_synthetic_unit_is_right_everywhere_but_in_production() -> None:
    assert ServiceRules(LOCAL).values(SERVICE) == ()
    (violation,) = ServiceRules(PRODUCTION).values(SERVICE)
    assert (violation.rule, violation.field) == ("orgnr.synthetic", "tjInstOrgnr")


def test_ended_types_were_right_in_their_time() -> None:
    service = changed(SERVICE, {"tjTjenType": "12", "tjInstOrgnr": None})
    assert ServiceRules(Circumstances(2018, Environment.LOKAL)).values(service) == ()


def test_what_is_said_names_codes_and_dates() -> None:
    (ended,) = ServiceRules(LOCAL).values(changed(SERVICE, {"tjTjenType": "16", "tjInstOrgnr": None}))
    assert ended.message.startswith("16 ended with 2018: ")
    assert "poHab" in ended.message
    (early,) = ServiceRules(LOCAL).values(changed(SERVICE, {"tjFraDato": "20230101", "tjTilDato": "20230501"}))
    assert early.message == "tjTilDato '20230501' is before 2024."


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("DOGNTILBUD", {"dgFraDato": "20240102", "dgTilDato": "20240101"}, ["rad.end-before-start"]),
        ("DOGNTILBUD", {"dgFraDato": "20240102", "dgTilDato": "20240102"}, []),
        ("DOGNTILBUD", {"dgFraDato": "20240102"}, []),
        ("PERSONOPPL", {"poFraDato": "20240102", "poTilDato": "20240101"}, ["rad.end-before-start"]),
        ("PERSONOPPL", {"poFraDato": "20240102", "poTilDato": "99991231"}, []),
        ("FUNKSJON", {"fnFraDato": "20240102", "fnTilDato": "20240101"}, ["rad.end-before-start"]),
        ("FUNKSJON", {"fnFraDato": "20240102", "fnTilDato": "20240103"}, []),
        ("DIAGNOSE", {"diFraDato": "20240102", "diTilDato": "20240101"}, ["rad.end-before-start"]),
        ("DIAGNOSE", {"diFraDato": "20240102", "diTilDato": "99991231"}, []),
        ("DOGNTILBUD", {"dgInstOrgnr": WRONG_UNIT}, ["orgnr.invalid"]),
        ("DOGNTILBUD", {"dgInstOrgnr": TENOR_UNIT}, []),
        ("TJENESTE", SERVICE, []),
    ],
)
def test_other_rows(kind: str, values: Mapping[str, str], expected: list[str]) -> None:
    across = RowRules(LOCAL).by_kind.get(kind)
    assert [violation.rule for violation in (across(values) if across else ())] == expected
    assert {*expected} <= RULES.keys()


def test_a_block_that_the_format_does_not_have_is_a_matter_of_structure() -> None:
    unknown = Element("UNKNOWN", {"pePeID": "x"}, children=[Element("tjTjenType", {}, text="6")])

    record = RowEvaluator(iplos(), LOCAL).record(Element("PERSON", {"pePeID": "1"}, children=[unknown]))

    assert (record.rows, record.values, record.violations) == ([], {}, ())


NOT_QUOTED = "31129912345678"


@given(st.dictionaries(st.sampled_from(sorted(SERVICE)), st.sampled_from(["", NOT_QUOTED, "-", *SERVICE.values()])))
def test_nothing_raises_and_nothing_long_is_quoted(values: dict[str, str]) -> None:
    for violation in ServiceRules(PRODUCTION).values(values):
        assert NOT_QUOTED not in violation.message
        assert TENOR_UNIT not in violation.message
