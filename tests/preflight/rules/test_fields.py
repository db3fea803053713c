"""What a block's own values and keys break: every field's published demands, broken and kept."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.model import Environment
from kpr_sender.preflight.catalogue.fields import Field, iplos, xpr_ide
from kpr_sender.preflight.model import Circumstances, Violation
from kpr_sender.preflight.rules.fields import field_rules
from kpr_sender.preflight.rules.table import CODE, FORMAT, MISSING, RANGE, RULES, requirements
from tests.helpers.figures import figure

Values = dict[str, str]

IN_2024 = field_rules(iplos(), Circumstances(2024, Environment.LOKAL))

CLEAN: Mapping[str, Values] = {
    "INNHINFO": {
        "iiInnhType": "P",
        "iiKomnr": "0301",
        "iiBydelsnr": "00",
        "iiFraDato": "20240101",
        "iiTilDato": "20241231",
        "iiLagetDato": "20250107",
        "iiSysID": "TEST-SYSTEM",
        "iiSysVersjon": "1.0",
        "iiLopenr": "1",
    },
    "iiKontakt": {"Type": "1", "Navn": "-", "Telefon": "-", "Epost": "-"},
    "PERSON": {
        "peAlder": "80",
        "peKjonn": "K",
        "peKomnr": "0301",
        "peBydelsnr": "01",
        "peFraDato": "20100101",
        "peDodDato": "20240704",
        "peEndrDato": "20240704",
    },
    "PERSONOPPL": {
        "poHusstand": "1",
        "poOmsorgBarn": "2",
        "poPrivHjelp": "6",
        "poBoligTilr": "1",
        "poVurdTann": "202402",
        "poVurdLege": "202412",
        "poIndPlan": "4",
        "poHarKoordinator": "14",
        "poArbBistBehov": "1",
        "poArbBistMottar": "3",
        "poArbTranspBehov": "1",
        "poArbTranspMottar": "1",
        "poFriBistBehov": "1",
        "poFriBistMottar": "2",
        "poFriTranspBehov": "1",
        "poFriTranspMottar": "3",
        "poLegeMiddGj": "1",
        "poLegeMiddGjDato": "20240301",
        "poErnKartlagt": "1",
        "poErnKartlagtDato": "20240302",
        "poErnRisiko": "2",
        "poErnRisikoDato": "20240303",
        "poErnPlan": "2",
        "poErnPlanDato": "20241231",
        "poFraDato": "20050101",
        "poTilDato": "99991231",
        "poVenteliste": "1",
        "poVentelisteDato": "20240501",
        "poHeldg": "1",
        "poHab": "1",
        "poHabDato": "20240601",
    },
    "FUNKSJON": {"fnFunkType": "13", "fnFunkVerdi": "9", "fnFraDato": "20240101", "fnTilDato": "99991231"},
    "TJENESTE": {
        "tjTjenType": "8",
        "tjSoknadDato": "20240102",
        "tjVedtDato": "20240202",
        "tjVedtak": "2",
        "tjTimerUke": "12.50",
        "tjResTimerUke": "1.0",
        "tjRullerende": "2",
        "tjInstOrgnr": "123456789",
        "tjFraDato": "20240301",
        "tjTilDato": "99991231",
        "tjKlageMottatt": "20240401",
        "tjKlageBesvart": "20240402",
    },
    "DIAGNOSE": {"diKodeVersjon": "ICD-10", "diDiagKode": "Z00", "diFraDato": "20240101", "diTilDato": "99991231"},
    "DOGNTILBUD": {"dgInstOrgnr": "123456789", "dgFraDato": "20240101", "dgTilDato": "20240201"},
}

BREAKS_FORMAT: Mapping[str, str] = {
    "dato": "18750101",
    r"^\d+$": "-1",
    r"^\d{1}$": "x",
    r"^\d{2}$": "x1",
    r"^\d{4}$": "12e4",
    r"^\d{1,2}$": "123",
    r"^\d{1,10}$": "-1",
    r"^\d{9}0?$": "1234567891",
    r"^\d{1,3}\.\d{1,2}$": "5",
    "^.{0,1}$": "99",
    "^.{0,6}$": "2024-01",
    "^.{0,10}$": "Z00Z00Z00Z0",
    "^.{0,15}$": "sixteen letters.",
}

FIELD_RULES = [
    (field, aspect)
    for field in iplos().fields.values()
    for aspect in requirements(field)
    if not (field.name == "versjon" and aspect == FORMAT)
]


def clean_keys(kind: str) -> Values:
    values = {"versjon": "3.7"}
    return {name: values.get(name, "7") for name in iplos().blocks[kind].attributes}


def broken_value(field: Field, aspect: str) -> str | None:
    """Return a value that breaks one demand of a field; None to leave it out."""
    if aspect == MISSING:
        return None
    if aspect == FORMAT:
        return BREAKS_FORMAT[field.format]
    if aspect == CODE:
        return {"9111": "19", "9151": "10"}.get(field.kodeverk[0], "7")
    assert aspect == RANGE
    if field.type == "decimal":
        return "168.01"
    return "202501" if field.name.startswith("poVurd") else "20041231"


def violations(field: Field, values: Values) -> tuple[Violation, ...]:
    rules = IN_2024[field.parent]
    return rules.keys(values) if field.kind == "attribute" else rules.values(values)


def kept(field: Field) -> Values:
    if field.kind == "attribute":
        return clean_keys(field.parent)
    values = dict(CLEAN[field.parent])
    if field.name == "tjTimerUke":
        values["tjTjenType"] = "15"
    if field.name.endswith("Behov"):
        values.pop(field.name.replace("Behov", "Mottar"))
    if field.name == "tjTjenType":
        values = {"tjTjenType": "25"}
    return values


@pytest.mark.parametrize(("field", "aspect"), FIELD_RULES, ids=[f"{each.id}.{aspect}" for each, aspect in FIELD_RULES])
def test_every_demand_on_a_field_is_kept_and_broken(field: Field, aspect: str) -> None:
    rule = f"{field.id}.{aspect}"
    values = kept(field)
    assert violations(field, values) == ()

    wrong = broken_value(field, aspect)
    values = {name: value for name, value in values.items() if name != field.name}
    if wrong is not None:
        values[field.name] = wrong

    found = violations(field, values)
    assert rule in {violation.rule for violation in found}
    assert {violation.field for violation in found} == {field.name}
    figure("field rules, each broken and kept", rules=1)


def test_every_rule_that_a_field_makes_has_an_example() -> None:
    fields = iplos().fields.values()
    made = {
        rule
        for rule in RULES
        if any(rule in {f"{each.id}.{aspect}" for aspect in requirements(each)} for each in fields)
    }

    assert made - {f"{each.id}.{aspect}" for each, aspect in FIELD_RULES} == set()


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        # the year's codes
        ("TJENESTE", {"tjTjenType": "10"}, {"tjTjenType.code"}),
        ("TJENESTE", {"tjTjenType": "06"}, {"tjTjenType.code"}),
        ("TJENESTE", {"tjTjenType": "6"}, set()),
        ("TJENESTE", {"tjTjenType": "16"}, set()),  # tjeneste.ended-habilitation
        ("PERSONOPPL", {"poHarKoordinator": "11"}, set()),  # two characters, though the pattern admits one
        ("PERSONOPPL", {"poHarKoordinator": "1"}, {"poHarKoordinator.code"}),
        ("PERSONOPPL", {"poLegeMiddGj": "9"}, {"poLegeMiddGj.code"}),
        ("PERSONOPPL", {"poArbBistBehov": "9"}, set()),
        ("PERSONOPPL", {"poHeldg": "2"}, {"poHeldg.code"}),
        ("PERSONOPPL", {"poHeldg": ""}, set()),
        ("PERSON", {"peKjonn": "1"}, {"peKjonn.code"}),
        ("FUNKSJON", CLEAN["FUNKSJON"] | {"fnFunkType": "19"}, {"fnFunkType.code"}),
        ("FUNKSJON", CLEAN["FUNKSJON"] | {"fnFunkType": "1", "fnFunkVerdi": "6"}, {"fnFunkVerdi.code"}),
        ("FUNKSJON", CLEAN["FUNKSJON"] | {"fnFunkType": "14", "fnFunkVerdi": "8"}, {"fnFunkVerdi.code"}),
        ("DIAGNOSE", CLEAN["DIAGNOSE"] | {"diDiagKode": "no code at"}, set()),
        ("DIAGNOSE", CLEAN["DIAGNOSE"] | {"diDiagKode": ""}, {"diDiagKode.missing"}),
        # ranges
        ("TJENESTE", {"tjTjenType": "25", "tjFraDato": "20050101"}, set()),
        ("TJENESTE", {"tjTjenType": "25", "tjFraDato": "20041231"}, {"tjFraDato.range"}),
        ("TJENESTE", {"tjTjenType": "25", "tjFraDato": "20241231"}, set()),
        ("TJENESTE", {"tjTjenType": "25", "tjFraDato": "20250101"}, {"tjFraDato.range"}),
        ("TJENESTE", {"tjTjenType": "25", "tjFraDato": "99991231"}, {"tjFraDato.range"}),
        ("TJENESTE", {"tjTjenType": "25", "tjTilDato": "20040101"}, set()),
        ("TJENESTE", {"tjTjenType": "25", "tjFraDato": "20240202", "tjTilDato": "20240201"}, {"tjTilDato.range"}),
        ("TJENESTE", {"tjTjenType": "25", "tjFraDato": "20240202", "tjTilDato": "20240202"}, set()),
        ("TJENESTE", {"tjTjenType": "25", "tjTimerUke": "0.01"}, set()),
        ("TJENESTE", {"tjTjenType": "25", "tjTimerUke": "0.00"}, {"tjTimerUke.range"}),
        ("TJENESTE", {"tjTjenType": "25", "tjTimerUke": "168.0"}, set()),
        ("TJENESTE", {"tjTjenType": "25", "tjTimerUke": "37"}, {"tjTimerUke.format"}),
        ("PERSONOPPL", {"poVurdLege": "200501"}, set()),
        ("PERSONOPPL", {"poVurdLege": "200412"}, {"poVurdLege.range"}),
        ("PERSONOPPL", {"poVurdLege": "202412"}, set()),
        ("PERSONOPPL", {"poVurdTann": "202413"}, {"dato.no-such-month"}),
        ("PERSONOPPL", {"poVurdTann": "mars"}, {"dato.no-such-month"}),
        ("INNHINFO", CLEAN["INNHINFO"] | {"iiFraDato": "20240102"}, {"iiFraDato.range"}),
        ("INNHINFO", CLEAN["INNHINFO"] | {"iiTilDato": "20231231"}, {"iiTilDato.range"}),
        # days
        ("PERSON", {"peDodDato": "20240229"}, set()),
        ("PERSON", {"peDodDato": "20230229"}, {"dato.no-such-day"}),
        ("PERSON", {"peDodDato": "20240431"}, {"dato.no-such-day"}),
        ("PERSON", {"peDodDato": "99991231"}, set()),
        ("PERSON", {"peDodDato": "99990101"}, {"peDodDato.format"}),
        # what a tjenestetype requires
        (
            "TJENESTE",
            {"tjTjenType": "8"},
            {f"{name}.missing" for name in ("tjSoknadDato", "tjVedtDato", "tjVedtak", "tjRullerende")},
        ),
        (
            "TJENESTE",
            {"tjTjenType": "15"},
            {f"{name}.missing" for name in ("tjSoknadDato", "tjVedtDato", "tjVedtak", "tjTimerUke")},
        ),
        ("TJENESTE", {"tjTjenType": "23"}, {"tjVedtDato.missing", "tjVedtak.missing"}),
        ("TJENESTE", {"tjTjenType": "24"}, {"tjVedtDato.missing"}),
        ("TJENESTE", {}, {"tjTjenType.missing"}),
        # one field without the other
        ("PERSONOPPL", {"poArbBistMottar": "1"}, {"poArbBistMottar.without-need"}),
        ("PERSONOPPL", {"poArbTranspMottar": "3", "poArbTranspBehov": "2"}, {"poArbTranspMottar.without-need"}),
        ("PERSONOPPL", {"poFriBistMottar": "2", "poArbBistBehov": "1"}, {"poFriBistMottar.without-need"}),
        ("PERSONOPPL", {"poFriTranspMottar": "1", "poFriTranspBehov": "9"}, {"poFriTranspMottar.without-need"}),
        ("PERSONOPPL", {"poFriTranspMottar": "1", "poFriTranspBehov": "1"}, set()),
        ("PERSONOPPL", {"poArbBistMottar": ""}, set()),
        # what the catalogue does not have is not its business
        ("TJENESTE", {"tjTjenType": "6", "unknown": "x"}, set()),
    ],
)
def test_what_a_row_breaks(kind: str, values: Values, expected: set[str]) -> None:
    assert {violation.rule for violation in IN_2024[kind].values(values)} == expected
    assert IN_2024[kind].values(values) == IN_2024[kind].values(values)


@pytest.mark.parametrize(
    ("year", "values", "expected"),
    [
        (2018, {"tjTjenType": "28"}, {"tjTjenType.code"}),
        (2019, {"tjTjenType": "28"}, set()),
        (2025, {"tjTjenType": "25", "tjFraDato": "20250101"}, set()),
    ],
)
def test_codes_and_ranges_are_the_years(year: int, values: Values, expected: set[str]) -> None:
    rules = field_rules(iplos(), Circumstances(year, Environment.LOKAL))

    assert {violation.rule for violation in rules["TJENESTE"].values(values)} == expected


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        ("PERSON", {"pePeID": "1"}, set()),
        ("PERSON", {"pePeID": "1234567890"}, set()),
        ("PERSON", {"pePeID": "1" * 11}, {"pePeID.format"}),
        ("PERSON", {"pePeID": " 1"}, {"pePeID.format"}),
        ("PERSON", {}, {"pePeID.missing"}),
        ("TJENESTE", {"tjPeID": "1", "tjTjID": "2", "tjVeID": "x"}, {"tjVeID.format"}),
        ("TJENESTE", {"tjPeID": "1"}, {"tjTjID.missing"}),
        ("IPLOS", {}, {"versjon.missing"}),
    ],
)
def test_what_keys_break(kind: str, keys: Values, expected: set[str]) -> None:
    assert {violation.rule for violation in IN_2024[kind].keys(keys)} == expected


@pytest.mark.parametrize("version", ["53.1.2", "53.1.3"])
def test_the_identmelding_has_no_demands_beyond_its_schema(version: str) -> None:
    rules = field_rules(xpr_ide(version), Circumstances(2024, Environment.LOKAL))

    for block in xpr_ide(version).blocks:
        assert rules[block].keys({}) == ()
        assert rules[block].values({}) == ()


NAMES = sorted({each.name for each in iplos().fields.values()} | {"", "unknown"})
VALUES = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(
        st.text(max_size=30),
        st.from_regex("[0-9]{0,12}", fullmatch=True),
        st.sampled_from(["NaN", "-Infinity", "1e400", "99991231", "\u0661", "1\n", " 6 ", ""]),
    ),
)
KINDS = st.sampled_from(list(iplos().blocks))


@given(KINDS, VALUES)
def test_whatever_stands_there_only_known_rules_are_broken(kind: str, values: Values) -> None:
    for violation in (*IN_2024[kind].values(values), *IN_2024[kind].keys(values)):
        assert violation.rule in RULES
        assert violation.field in NAMES


@given(KINDS, VALUES)
def test_a_hit_quotes_nothing_but_codes_dates_and_counts(kind: str, values: Values) -> None:
    for violation in (*IN_2024[kind].values(values), *IN_2024[kind].keys(values)):
        assert not re.search("[0-9]{9}", violation.message)
        for quoted in re.findall("'(.*?)'", violation.message):
            assert re.fullmatch("[0-9.,]{1,8}|[A-Z]", quoted)


@pytest.mark.parametrize("kind", ["PERSONOPPL", "TJENESTE"])
def test_a_long_value_is_told_by_its_length(kind: str) -> None:
    values = dict.fromkeys(CLEAN[kind], "x" * 1_000_000)

    found = IN_2024[kind].values(values)

    assert found
    assert all(len(violation.message) < 200 for violation in found)
