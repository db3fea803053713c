"""The sample pair: valid, repeatable, synthetic, and within the published rules of IPLOS 3.7."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from kpr_sender.errors import UsageError
from kpr_sender.sandbox.sample import write_pair
from tests.helpers.shared import SHARED

SCHEMAS = SHARED / "schemas" / "kpr"
IPLOS = "{http://www.npr.no/xmlstds/iplos/2019}"
IDE = "{http://www.npr.no/xmlstds/53_1_3_ide}"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[etree._Element, etree._Element]:
    fagmelding, identmelding = write_pair(tmp_path_factory.mktemp("sample"), year=2024, persons=600, seed=7)
    return etree.parse(fagmelding).getroot(), etree.parse(identmelding).getroot()


@pytest.mark.parametrize("year", [2019, 2024, 2026])
@pytest.mark.parametrize("seed", [1, 2])
def test_both_files_are_valid_against_the_official_schemas(tmp_path: Path, year: int, seed: int) -> None:
    for path, schema in zip(
        write_pair(tmp_path, year=year, persons=200, seed=seed),
        (SCHEMAS / "iplos-3.x" / "iplos_2019.xsd", SCHEMAS / "xpr-53.1.3" / "XPR(ide).xsd"),
        strict=True,
    ):
        etree.XMLSchema(etree.parse(schema)).assertValid(etree.parse(path))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    def written(name: str, seed: int) -> tuple[bytes, ...]:
        return tuple(path.read_bytes() for path in write_pair(tmp_path / name, year=2024, persons=20, seed=seed))

    assert written("a", 1) == written("b", 1)
    assert written("a", 1) != written("c", 2)


def test_every_person_is_in_both_files_once(pair: tuple[etree._Element, etree._Element]) -> None:
    fagmelding, identmelding = pair
    in_fagmelding = [person.get("pePeID") for person in fagmelding.iter(f"{IPLOS}PERSON")]
    in_identmelding = [ident.get("pid") for ident in identmelding.iter(f"{IDE}PasientIdent")]
    assert in_fagmelding == in_identmelding
    assert len(set(in_fagmelding)) == 600


def test_national_ids_are_tenor_ids_with_valid_check_digits(pair: tuple[etree._Element, etree._Element]) -> None:
    ids = [ident.get("fid") or "" for ident in pair[1].iter(f"{IDE}PasientIdent")]
    assert len(set(ids)) == len(ids)
    for fid in ids:
        assert 81 <= int(fid[2:4]) <= 92
        digits = [int(digit) for digit in fid]
        for weights in ((3, 7, 6, 1, 8, 9, 4, 5, 2, 1), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)):
            assert sum(w * d for w, d in zip(weights, digits, strict=False)) % 11 == 0


def test_no_national_id_is_in_the_fagmelding(pair: tuple[etree._Element, etree._Element]) -> None:
    text = etree.tostring(pair[0], encoding="unicode")
    assert not re.search(r"(?<![0-9])[0-9]{11}(?![0-9])", text)
    assert not any((ident.get("fid") or "?") in text for ident in pair[1].iter(f"{IDE}PasientIdent"))


def _rules() -> Iterator[dict[str, str]]:
    with (SHARED / "domain" / "iplos37_rules.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def test_what_a_kind_of_service_requires_is_there(pair: tuple[etree._Element, etree._Element]) -> None:
    required = {  # the condition stands in either column
        rule["element"]: {
            int(code)
            for code in re.findall(r"@tjTjenType='(\d+)'", rule["constraints"] + rule["required_when(1=always)"])
        }
        for rule in _rules()
        if rule["class"] == "TJENESTE"
    }
    services = list(pair[0].iter(f"{IPLOS}TJENESTE"))
    missing = Counter(
        (element, service.findtext(f"{IPLOS}tjTjenType"))
        for service in services
        for element, codes in required.items()
        if int(service.findtext(f"{IPLOS}tjTjenType") or 0) in codes and service.find(f"{IPLOS}{element}") is None
    )
    assert not missing
    assert {"tjSoknadDato", "tjVedtDato", "tjVedtak", "tjTimerUke", "tjRullerende"} <= {
        e for e, c in required.items() if c
    }


def test_every_field_has_its_form_and_its_dates_their_range(pair: tuple[etree._Element, etree._Element]) -> None:
    rules = {rule["element"]: rule for rule in _rules()}
    checked = 0
    for element in pair[0].iter(f"{IPLOS}*"):
        name = etree.QName(element).localname
        if name not in rules or len(element) or name == "poHarKoordinator":  # its rule contradicts its own codes 11-14
            continue
        text, rule = element.text or "", rules[name]
        assert re.fullmatch(rule["regex"].replace(".*", "[^<]*"), text), name
        if rule["range_from"] == "2005-01-01" and len(text) == 8:
            assert "20050101" <= text <= "20241231", name
        checked += 1
    assert checked > 10_000


def test_services_touch_the_year_and_end_after_they_begin(pair: tuple[etree._Element, etree._Element]) -> None:
    codes = Counter[str]()
    for service in pair[0].iter(f"{IPLOS}TJENESTE"):
        codes[service.findtext(f"{IPLOS}tjTjenType") or ""] += 1
        first, last = service.findtext(f"{IPLOS}tjFraDato"), service.findtext(f"{IPLOS}tjTilDato")
        if first and last:
            assert first <= last
            assert first <= "20241231"
            assert last >= "20240101"
        dates = [service.findtext(f"{IPLOS}{name}") for name in ("tjSoknadDato", "tjVedtDato", "tjFraDato")]
        given = [date for date in dates if date]
        assert given == sorted(given)
    assert not {"12", "13", "16", "10"} & set(codes)
    assert len(codes) >= 20
    assert codes["15"] > codes["3"]


def test_mottar_is_given_only_where_there_is_a_need(pair: tuple[etree._Element, etree._Element]) -> None:
    for details in pair[0].iter(f"{IPLOS}PERSONOPPL"):
        for kind in ("ArbBist", "ArbTransp", "FriBist", "FriTransp"):
            needed = details.findtext(f"{IPLOS}po{kind}Behov") == "1"
            assert (details.find(f"{IPLOS}po{kind}Mottar") is not None) is needed


def test_contacts_are_nobody(pair: tuple[etree._Element, etree._Element]) -> None:
    mails = [e.text or "" for e in pair[0].iter(f"{IPLOS}Epost")]
    mails += [e.get("meldEpost1") or "" for e in pair[1].iter(f"{IDE}Kontaktperson")]
    assert len(mails) == 4
    assert all(mail.endswith("@example.invalid") for mail in mails)


@pytest.mark.parametrize(
    ("persons", "year", "kommunenummer"), [(0, 2024, "9999"), (1, 2018, "9999"), (1, 2024, "99"), (1, 2024, "301a")]
)
def test_what_cannot_be_made_up_is_said(tmp_path: Path, persons: int, year: int, kommunenummer: str) -> None:
    with pytest.raises(UsageError):
        write_pair(tmp_path, year=year, persons=persons, kommunenummer=kommunenummer)
    assert list(tmp_path.iterdir()) == []
