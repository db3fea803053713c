"""What is evaluated from memory, and that everything that may break the schema is left to structure."""

from __future__ import annotations

import time

import pytest

from kpr_sender.model import Environment
from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.model import Circumstances, PersonRecord
from kpr_sender.preflight.persons import PERSON, Persons
from kpr_sender.preflight.reader import Record
from kpr_sender.preflight.rules.rows import RowEvaluator
from kpr_sender.preflight.structure import Structure
from tests.helpers.structure_judge import events

NAMESPACE = "http://www.npr.no/xmlstds/iplos/2019"
OWN = "<peAlder>80</peAlder><peKjonn>K</peKjonn>"
FUNCTION = (
    '<FUNKSJON fnPeID="17" fnFnID="{}"><fnFunkType>{}</fnFunkType><fnFunkVerdi>3</fnFunkVerdi>'
    "<fnFraDato>20240101</fnFraDato><fnTilDato>99991231</fnTilDato></FUNKSJON>\n"
)
FUNCTIONS = "".join(FUNCTION.format(number, number) for number in range(1, 4))
SERVICE = (
    '<TJENESTE tjPeID="17" tjTjID="3"><tjTjenType>15</tjTjenType><tjVedtak>2</tjVedtak>'
    "<tjFraDato>20240101</tjFraDato><tjTilDato>99991231</tjTilDato></TJENESTE>\n"
)
DIAGNOSIS = (
    '<DIAGNOSE diPeID="17" diDiID="1"><diKodeVersjon>ICPC</diKodeVersjon><diDiagKode>P70</diDiagKode>'
    "<diFraDato>20240101</diFraDato><diTilDato>99991231</diTilDato></DIAGNOSE>\n"
)
WHOLE = f'\n<PERSON pePeID="17">\n{OWN}\n{FUNCTIONS}{SERVICE}</PERSON>'


def persons() -> tuple[Persons, Structure]:
    structure = Structure(iplos(), NAMESPACE)
    circumstances = Circumstances(2024, Environment.LOKAL)
    return Persons(structure.models, RowEvaluator(iplos(), circumstances), circumstances), structure


def read(block: str, *, after: str = WHOLE) -> PersonRecord | None:
    """Read it behind another one, so that what is remembered stands against it, too.

    None where it is left to structure; no breach may be in what is not left.
    """
    known, structure = persons()
    list(structure.start("IPLOS", {}, 1))
    fresh, _ = persons()
    document = f'<IPLOS xmlns="{NAMESPACE}">{after}{block}{block}</IPLOS>'.encode()
    found = []
    for event in events([document], NAMESPACE):
        if isinstance(event, Record):
            found.append(known.read(event))
            assert found[-1] == known.read(event) == fresh.read(event)
            assert found[-1] is None or not list(structure.record(event.element))
    assert found[0] is not None
    assert found[1] == found[2]
    return found[1]


def test_a_plain_person() -> None:
    record = read(WHOLE)
    assert record is not None
    assert record.keys == {"pePeID": "17"}
    assert record.values == {"peAlder": "80", "peKjonn": "K"}
    assert [(row.kind, row.keys) for row in record.rows] == [("TJENESTE", {"tjPeID": "17", "tjTjID": "3"})]
    assert record.rows[0].values["tjFraDato"] == "20240101"


def test_functions_with_a_finding_are_kept_as_rows() -> None:
    record = read(WHOLE.replace("99991231", "20230101", 1))
    assert record is not None
    assert [row.kind for row in record.rows] == ["FUNKSJON"] * 3 + ["TJENESTE"]
    assert [bool(row.violations) for row in record.rows[:3]] == [True, False, False]


@pytest.mark.parametrize(
    "block",
    [
        WHOLE.replace("\n", "\r\n"),
        WHOLE.replace("><", ">\n  <"),
        WHOLE.replace("><", ">\r\n\t<"),
        WHOLE.replace("\n", ""),
        WHOLE.replace('="3">', '="3"\n >'),
        WHOLE.replace(FUNCTIONS, ""),
        WHOLE.replace(SERVICE, ""),
        WHOLE.replace(OWN, ""),
    ],
)
def test_other_ways_to_write_it_plainly(block: str) -> None:
    assert read(block) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # names and places
        ("<tjVedtak>2</tjVedtak>", "<tjVedtak>2</tjVedtak><tjVedtak>2</tjVedtak>"),
        ("<tjVedtak>2</tjVedtak>", "<tjKlageMottatt>20240101</tjKlageMottatt><tjVedtak>2</tjVedtak>"),
        ("<tjVedtak>2</tjVedtak>", '<tjVedtak xmlns="urn:x">2</tjVedtak>'),
        ("<tjVedtak>2</tjVedtak>", "<tjVedtak>2<x/></tjVedtak>"),
        ("</TJENESTE>", "<tjKlageMottatt/></TJENESTE>"),
        ("</TJENESTE>", "<TJENESTE/></TJENESTE>"),
        ("<fnFraDato>", '<fnFraDato x="1">'),
        ("<fnFraDato>", "<fnFraDato>20240101</fnFraDato><fnFraDato>"),
        ("</PERSON>", "<UKJENT/></PERSON>"),
        ("</PERSON>", "<PERSON/></PERSON>"),
        (OWN, "<peKjonn>K</peKjonn><peAlder>80</peAlder>"),
        (OWN, OWN + "<peKjonn>K</peKjonn>"),
        (FUNCTIONS, FUNCTIONS + OWN),
        (FUNCTIONS, SERVICE + FUNCTIONS),
        (FUNCTIONS, FUNCTION.format(1, 1) + SERVICE + FUNCTION.format(2, 2)),
        (SERVICE, SERVICE + FUNCTIONS),
        (SERVICE, SERVICE + OWN),
        (SERVICE, SERVICE + "<UKJENT />"),
        ("<peKjonn>K</peKjonn>", "<peKjonn>K<PERSON></PERSON></peKjonn>"),
        ("<tjTilDato>99991231</tjTilDato>", "<tjTilDato>99991231<FUNKSJON></FUNKSJON></tjTilDato>"),
        # texts
        (">15<", "><"),
        (">20240101<", ">2024-01-01<"),
        (">20240101<", "> 20240101<"),
        ("</tjVedtak>", "</tjVedtak>x"),
        ("</tjVedtak>", "</tjVedtak><![CDATA[x]]>"),
        ("</tjVedtak>", "</tjVedtak>&#120;"),
        ('tjTjID="3">', 'tjTjID="3">x'),
        ('pePeID="17">', 'pePeID="17">x'),
        ('fnFnID="1">', 'fnFnID="1">x'),
        ("</fnFraDato>", "</fnFraDato>x"),
        ("</FUNKSJON>", "</FUNKSJON>x"),
        ("</TJENESTE>", "</TJENESTE>x"),
        # keys
        ('tjTjID="3"', ""),
        ('tjTjID="3"', 'tjTjID="3" x="1"'),
        ('tjTjID="3"', 'tjTjID="3" xmlns:x="1"'),
        ('tjTjID="3"', 'tjTjID=""'),
        ('tjTjID="3"', 'tjTjID="x"'),
        ('tjTjID="3"', 'tjTjID="\u0663"'),
        ('tjTjID="3"', 'tjTjID="12345678901"'),
        ('fnFnID="1"', 'fnFnID="\u0663"'),
        ('fnFnID="1"', 'fnFnID=""'),
        ('fnFnID="1"', 'fnFnID="12345678901"'),
        ('fnFnID="1"', 'fnFnID="1" x="1"'),
        ("<tjVedtak>", '<tjVedtak x="1">'),
        ("<peAlder>", '<peAlder x="1">'),
        ("<peAlder>", '<peAlder xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="1">'),
        # written in a way that no EPJ writes
        ("<tjFraDato>", "<!-- <x> --><tjFraDato>"),
        ("<fnFraDato>", "<?x <y>?><fnFraDato>"),
        (">15<", "><![CDATA[15]]><"),
        (">15<", "><!-- -->15<"),
        (">15<", ">1<!--\n-->5<"),
        (">15<", ">&#49;5<"),
        (">20240101<", ">&#50;0240101<"),
        (">15<", ">15\r<"),
        ('tjTjID="3"', "tjTjID = '3'"),
        ('fnFnID="2"', "fnFnID='2'"),
        ("</FUNKSJON>", "</FUNKSJON >"),
    ],
)
def test_what_may_break_the_schema_or_is_not_plainly_written_is_left(old: str, new: str) -> None:
    assert old in WHOLE
    assert read(WHOLE.replace(old, new, 1)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('fnPeID="17" fnFnID="2"', 'fnFnID="2" fnPeID="17"'),
        ("</PERSON>", "</PERSON\n>"),
        ("</PERSON>", '<DOGNTILBUD dgPeID="17" dgDgID="1"></DOGNTILBUD></PERSON>'),
        ("<tjFraDato>", "<tjInstOrgnr></tjInstOrgnr><tjFraDato>"),
        ('fnPeID="17"', 'fnPeID="18"'),
        ('fnFnID="2"', 'fnFnID="1"'),
        (">3<", ">4<"),
        (">15<", ">98<"),
        (">15<", "> 15<"),
        (">20240101<", ">20240229<"),
        (">99991231<", ">20240630<"),
        (">99991231<", ">20230630<"),
    ],
)
def test_what_keeps_the_schema_is_taken(old: str, new: str) -> None:
    assert old in WHOLE
    assert read(WHOLE.replace(old, new, 1)) is not None


@pytest.mark.parametrize("text", ["ICD-10", "æ", "a b", "\t", "'\"", "!?"])
def test_any_text_in_a_free_field(text: str) -> None:
    record = read(WHOLE.replace("</PERSON>", f"{DIAGNOSIS.replace('ICPC', text)}</PERSON>"))
    assert record is not None
    assert record.rows[-1].values["diKodeVersjon"] == text


@pytest.mark.parametrize("text", ["a&amp;b", "]]&gt;", "&#13;", "a>b"])
def test_what_a_parser_reads_otherwise_is_left(text: str) -> None:
    assert read(WHOLE.replace("</PERSON>", f"{DIAGNOSIS.replace('ICPC', text)}</PERSON>")) is None


def test_rows_come_last_and_in_any_number() -> None:
    """What is taken for granted of the schema."""
    children = iplos().blocks[PERSON].children
    kinds = [child for child in children if child.kind == "block"]
    assert tuple(children[-len(kinds) :]) == tuple(kinds)
    assert all(child.least == 0 and child.most is None for child in kinds)


def test_functions_that_break_nothing_are_passed_over() -> None:
    numbered = "".join(FUNCTION.format(number, number % 18 + 1) for number in range(1, 40))
    for functions in (numbered, numbered.replace("99991231", "20240630", 1), numbered.replace("\n", "\n  ")):
        record = read(WHOLE.replace(FUNCTIONS, functions))
        assert record is not None
        assert [row.kind for row in record.rows] == ["TJENESTE"]


def test_a_fault_at_the_end_takes_no_longer_than_one_at_the_beginning() -> None:
    """A pattern that looks at each field in two ways again would double the time with each field."""
    fields = [child.name for child in iplos().blocks["PERSONOPPL"].children]
    row = "".join(f"<{name}>1</{name}>" for name in fields)
    functions = FUNCTIONS * 200
    right, wrong = WHOLE.replace(FUNCTIONS, functions), WHOLE.replace(FUNCTIONS, f"{functions}<x/>")
    read(right)  # what is made once
    begun = time.process_time()
    assert read(right) is not None
    half = time.process_time()
    for block in (
        WHOLE.replace(FUNCTIONS, f'<PERSONOPPL poPeID="17" poPoID="1">{row}<x/></PERSONOPPL>'),
        wrong,
        WHOLE.replace(' pePeID="17"', ' pePeID="17"' + "".join(f' a{number}="1"' for number in range(500)) + ' b="x"'),
    ):
        assert read(block) is None
    # Beside what is right, not beside a clock: a busy machine makes both slow.
    assert time.process_time() - half < 20 * (half - begun)
