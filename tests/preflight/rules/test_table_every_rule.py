"""Every rule has an example that breaks it and one that keeps it, asked through ``check`` of whole files."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterable
from random import Random
from typing import Final

import pytest

from kpr_sender.model import Environment, MessageType
from kpr_sender.preflight import CheckReport, check, with_sizes
from kpr_sender.preflight.catalogue import kommuner
from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.model import Circumstances, Element, Finding
from kpr_sender.preflight.rules.fields import field_rules
from kpr_sender.preflight.rules.header import check_innhinfo
from kpr_sender.preflight.rules.table import CODE, FORMAT, MISSING, RANGE, RULES
from kpr_sender.preflight.structure import Structure
from kpr_sender.profiles import known_years
from kpr_sender.sandbox.sample_errors import FAGMELDING, IDENTMELDING, SamplePair, cases, pair_of, pairs
from kpr_sender.sandbox.sample_errors_cases import ErrorCase
from kpr_sender.sandbox.sample_errors_pair import PairChange, before, put, written
from tests.helpers.figures import figure
from tests.helpers.shared import SHARED

YEAR: Final = 2024
IPL: Final = MessageType.KPR_IPL
PID: Final = 10002  # of the person that a case changes; 10001 is right
LIVING: Final = PairChange()
DIED: Final = PairChange(person=(before("peEndrDato", "<peDodDato>{year}1230</peDodDato>"),))

UNREACHABLE: Final = {
    "structure.root": "a file whose root is another is no such file at all: InputRefused, before anything is evaluated",
    "header.municipality-unknown": "our table of numbers ends with the last year that there is a profile for",
}
"""Rules that no whole file breaks, with the reason; each is broken and kept below where it is made."""

UNNAMED: Final = frozenset({"pePeID.format", "pePeID.missing", "person.national-id"})
"""Whose finding names no person: there is no number of hers that may be shown."""

LETTER: Final = {
    "no test persons": {
        "ident.synthetic",
        "ident.dolly-or-h",
        "ident.test-person",
        "ident.invalid",
        "ident.repeated-digit",
        "orgnr.synthetic",
    },
    "the kommunenummer that was valid in the year": {
        "header.municipality",
        "header.municipality-unknown",
        "person.residence",
    },
    "the whole year, also where the EPJ was changed": {
        "iiFraDato.range",
        "iiTilDato.range",
        "melding.period",
        "pair.period",
        "header.made-early",
        "melding.change-message",
        "year.month-without-start",
    },
    "the right organisation number": {"orgnr.invalid", "orgnr.missing", "orgnr.not-used"},
    "velferdsteknologi is registered": {"file.no-welfare-technology"},
    "code 16 has ended: poHab": {"tjeneste.ended-habilitation", "poHab.code"},
    "housing is 29, 12 and 13 have ended": {"tjeneste.ended-housing", "file.no-housing"},
    "local service types are mapped to the right ones": {
        "tjTjenType.code",
        "year.type-vanished",
        "year.users-changed",
        "year.without-service-rose",
    },
}
"""What FHI's letter 24/04733-1 asks every municipality to look at, and the rules that do."""

NO_DEMAND: Final = {
    "versjon.format": "the pattern is any text; a wrong version is structure.value",
    "iiKontakt.Navn.format": "the pattern is any text",
    "iiKontakt.Telefon.format": "the pattern is any text",
    "iiKontakt.Epost.format": "the pattern is any text",
    "diDiagKode.code": "the diagnosis codes themselves are not held here",
}
"""What the published table names and nobody can break, or check, with the reason."""


def evaluated(pair: SamplePair, *, year: int = YEAR) -> CheckReport:
    expected, files = pair.expected, {name: text.encode() for name, text in pair.files.items()}
    listed = set(pair.files.get(expected.testpersons, "").split())
    report = check(
        [files[FAGMELDING]],
        [files[IDENTMELDING]],
        year,
        environment=Environment(expected.environment),
        organisation_number=expected.organisation_number,
        is_test_person=listed.__contains__,
        last_year=[files[expected.compare]] if expected.compare else None,
    )
    return with_sizes(report, expected.refuse_bytes) if expected.refuse_bytes else report


def last_step(finding: Finding) -> str:
    """The element or attribute that a path ends with, without its number."""
    return finding.path.split(" / ")[-1].split(" ")[0]


def stands_there(finding: Finding, pair: SamplePair) -> bool:
    """Whether the line is that of what the path ends with or, where that is missing, of what it is missing in."""
    if not finding.line:
        return finding.path == "" or finding.path.startswith("Melding / ")
    text = pair.files[FAGMELDING if finding.file is IPL else IDENTMELDING].splitlines()[finding.line - 1]
    names = {step.split(" ")[0] for step in finding.path.split(" / ")[-2:]} | {"peUkjent"}  # which no path names
    return bool(re.search(rf"<(?:{'|'.join(names)})\b|\b{last_step(finding)}=", text))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.rule)
def test_a_rule_that_is_broken_is_found_and_nothing_else_is(case: ErrorCase) -> None:
    pair = pair_of(YEAR, case.rule, [case])

    report = evaluated(pair)

    found = [finding for finding in report.findings if finding.rule == case.rule]
    right = [finding for finding in found if last_step(finding) == case.about and stands_there(finding, pair)]
    figure("every rule broken and kept", rules=1, found=int(bool(right)), missed=int(not right))
    assert report.counts.keys() == case.rules
    assert right, found
    if case.change.person and case.rule not in UNNAMED and not case.crowd and right[0].path:
        assert f"PERSON {PID}" in right[0].path


@functools.cache
def kept_in_every_way() -> tuple[CheckReport, ...]:
    """Pairs that keep every rule: made up where that is right, by other circumstances, and in production."""
    persons = [LIVING, DIED]
    fagmelding, identmelding = ([text.encode()] for text in written(YEAR, persons))
    last_year = [written(YEAR - 1, persons)[0].encode()]
    made_up = check(fagmelding, identmelding, YEAR, environment=Environment.LOKAL, last_year=last_year)
    real, real_ident = ([text.encode()] for text in as_in_production(persons))
    return made_up, check(real, real_ident, YEAR, last_year=last_year, is_test_person=lambda _: False)


def as_in_production(persons: list[PairChange]) -> tuple[str, str]:
    """A pair with nothing synthetic to be seen: DUF-nummer of a year in which there were none, and a filler's unit."""
    texts = written(YEAR, persons, [PairChange(head=(put("iiKomnr", "3101"),))])
    fagmelding, identmelding = (re.sub(r"\b3[0-9]{8}\b", "999999999", text) for text in texts)
    random = Random(1)
    identmelding = re.sub(r'fid="[0-9]+" typeID="1"', lambda _: f'fid="{duf(random)}" typeID="10"', identmelding)
    return fagmelding, identmelding


def duf(random: Random) -> str:
    year, running = "1901", f"{random.randrange(10**6):06}"
    weights = (4, 6, 3, 2, 7, 5, 4, 6, 3, 2)
    total = sum(weight * int(digit) for weight, digit in zip(weights, running + year, strict=True))
    return f"{year}{running}{total % 11:02}"


def test_the_pair_that_keeps_every_rule_has_no_finding_anywhere() -> None:
    for report in kept_in_every_way():
        assert report.findings == ()
        assert report.counts == {}
        assert report.refusal is None
        assert None not in report.payloads
        assert (report.persons, report.idents) == (2, 2)
    figure("every rule broken and kept", kept=len(RULES) - len(UNREACHABLE))


def test_every_field_that_a_rule_is_about_stands_in_the_pair_that_keeps_it() -> None:
    text = "".join(written(YEAR, [LIVING, DIED]))

    absent = [name for name in iplos().fields if not re.search(rf'[< ]{name.split(".")[-1]}[>="]', text)]

    assert absent == []


def test_every_rule_has_an_example() -> None:
    made = [case.rule for case in cases()]

    assert sorted(made) == sorted(set(made))
    assert set(made) | UNREACHABLE.keys() == set(RULES)
    assert not set(made) & UNREACHABLE.keys()


def test_a_pair_of_several_errors_has_all_of_them_and_no_other() -> None:
    rules: set[str] = set()
    for pair in pairs(YEAR):
        if not pair.expected.refused:
            assert evaluated(pair).counts.keys() == set(pair.expected.rules), pair.expected.folder
            rules |= set(pair.expected.rules)

    assert rules == RULES.keys() - UNREACHABLE.keys()


# -- what no whole file reaches -------------------------------------------------------------------------------------


def test_another_root_breaks_the_structure() -> None:
    def rules(root: str) -> list[str]:
        return [fault.rule for fault in Structure(iplos(), "urn:x").start(root, {"versjon": "3.7"}, 1)]

    assert rules("{urn:y}IPLOS") == ["structure.root"]
    assert rules("IPLOS") == []


@pytest.mark.parametrize(("number", "expected"), [("4444", ["header.municipality-unknown"]), ("3101", [])])
def test_a_number_of_a_later_year_than_we_know_is_unknown(number: str, expected: list[str]) -> None:
    values = dict(re.findall(r"<(ii\w+)>([^<]+)</", written(YEAR, [LIVING])[0])) | {"iiKomnr": number}
    children = [Element(name, {}, 1, text) for name, text in values.items()]
    later = Circumstances(kommuner.LAST_KNOWN_YEAR + 1, Environment.PRODUKSJON)
    found = check_innhinfo(
        {"versjon": "3.7"}, Element("INNHINFO", {}, 1, "", children), later, field_rules(iplos(), later)
    )

    assert [violation.rule for _, violation in found if violation.rule.startswith("header.municipality")] == expected


def test_no_profile_makes_the_unknown_number_reachable() -> None:
    assert max(known_years()) <= kommuner.LAST_KNOWN_YEAR


# -- what is demanded by others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", LETTER)
def test_each_point_of_the_letter_is_looked_at(point: str) -> None:
    assert LETTER[point] <= RULES.keys()
    assert any("24/04733-1" in RULES[rule].source for rule in LETTER[point]) or point.startswith("local service")


def test_every_rule_that_is_the_letter_s_is_under_one_of_its_points() -> None:
    from_it = {rule.id for rule in RULES.values() if "24/04733-1" in rule.source}

    assert from_it <= set[str]().union(*LETTER.values())


def demanded(row: dict[str, str]) -> Iterable[str]:
    """The rules that a row of the published table makes."""
    name = f"iiKontakt.{row['name_of']}" if row["class"] == "iiKontakt" else row["name_of"]
    columns = {
        FORMAT: row["regex"],
        MISSING: row["required_when(1=always)"],
        CODE: row["kodeverk"],
        RANGE: row["range_from"] or row["range_to"],
    }
    return [f"{name}.{aspect}" for aspect, column in columns.items() if column]


def test_each_of_the_88_published_rules_is_one_of_ours_at_least() -> None:
    with (SHARED / "domain" / "iplos37_rules.csv").open(encoding="utf-8", newline="") as file:
        rows = [row | {"name_of": row["element"]} for row in csv.DictReader(file)]
    examples = {case.rule for case in cases()}

    mapped = {row["name_of"]: [rule for rule in demanded(row) if rule not in NO_DEMAND] for row in rows}

    assert len(rows) == 88
    assert [name for name, rules in mapped.items() if not rules] == []
    assert {rule for rules in mapped.values() for rule in rules} - examples == set()
    assert NO_DEMAND.keys() & RULES.keys() == set()
    figure("published rules with an example", rows=len(rows), demands=sum(map(len, mapped.values())), missed=0)
