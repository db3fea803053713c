"""The plain reader by itself: what it takes, and that it leaves everything else to the general one."""

from __future__ import annotations

import pytest

from kpr_sender.model import Environment
from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.plain_rows import PlainRows
from kpr_sender.preflight.reading.functions import Functions
from kpr_sender.preflight.reading.plain import PERSON, ROWS, PlainPersons
from kpr_sender.preflight.record import Circumstances, PersonRecord
from kpr_sender.preflight.rules.rows import RowJudge

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


def rows() -> PlainRows:
    return PlainRows(iplos(), RowJudge(iplos(), Circumstances(2024, Environment.LOKAL)))


def read(block: str, *, after: str = WHOLE) -> PersonRecord | None:
    """Read it behind another one, so that what is remembered stands against it, too."""
    persons = PlainPersons(rows())
    assert persons.read(after) is not None
    first = persons.read(block)
    assert persons.read(block) == first
    assert PlainPersons(rows()).read(block) == first
    return first


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
    assert [bool(row.hits) for row in record.rows[:3]] == [True, False, False]


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
        # marks
        ("</tjTilDato>", "</tjFraDato>"),
        ("<tjTilDato>", "<tjFraDato>"),
        ("<tjTilDato>", "<tjKlageMottatt>"),
        ("</TJENESTE>", "</DIAGNOSE>"),
        ("</TJENESTE>", ""),
        ("</TJENESTE>", "</TJENESTE></TJENESTE>"),
        ("</TJENESTE>", "<tjKlageMottatt/></TJENESTE>"),
        ("<tjFraDato>", "<tjInstOrgnr</tjInstOrgnr><tjFraDato>"),
        ("<tjFraDato>", "</tjInstOrgnr><tjFraDato>"),
        ("<tjVedtak>2</tjVedtak>", "<tjVedtak>2</tjVedtak></>"),
        ("</fnTilDato></FUNKSJON>", "</fnTilDato>"),
        ("</FUNKSJON>", "</FUNKSJON >"),
        ("<fnFraDato>", '<fnFraDato x="1">'),
        ('"><fnFunkType>', '"><fnFraDato>'),
        ("<PERSON ", "<PERSON x"),
        ("<PERSON ", "<PERSON>"),
        ("\n<PERSON", "x<PERSON"),
        ("</PERSON>", "</PERSON >"),
        ("</PERSON>", "<FUNKSJON </PERSON>"),
        (FUNCTIONS, "<FUNKSJON "),
        ("</PERSON>", "<TJENESTE </PERSON>"),
        ("</PERSON>", "x</PERSON>"),
        # texts
        (">15<", ">15>1<"),
        (">15<", ">15]]><"),
        (">15<", "><"),
        (">15<", ">1\r5<"),
        (">20240101<", ">2024-01-01<"),
        ("</tjVedtak>", "</tjVedtak>x"),
        ('tjTjID="3">', 'tjTjID="3">x'),
        ('pePeID="17">', 'pePeID="17">x'),
        ("</FUNKSJON>", "</FUNKSJON>x"),
        ("</TJENESTE>", "</TJENESTE>x"),
        # keys
        ('tjTjID="3"', ""),
        ('tjTjID="3"', 'tjTjID="3" tjTjID="3"'),
        ('tjTjID="3"', 'tjTjID="3" x="1"'),
        ('tjTjID="3"', 'tjTjID="3"tjVeID="1"'),
        ('tjTjID="3"', "tjTjID='3'"),
        ('tjTjID="3"', 'tjTjID = "3"'),
        ('tjTjID="3"', 'tjTjID=""'),
        ('tjTjID="3"', 'tjTjID="x"'),
        ('tjTjID="3"', 'tjTjID="\u0663"'),
        ('tjTjID="3"', 'tjTjID="12345678901"'),
        ('fnFnID="1"', 'fnFnID="\u0663"'),
        ('fnFnID="1"', 'fnFnID=""'),
        ('fnFnID="1"', 'fnFnID="12345678901"'),
        ('tjTjID="3"', 'tjTjID="3" "5'),
        ('tjTjID="3"', 'tjTjID="3" ""'),
        ('tjTjID="3"', 'tjTjID="3'),
        ('pePeID="17">\n', 'pePeID="17" "5>\n'),
        # order
        (OWN, "<peKjonn>K</peKjonn><peAlder>80</peAlder>"),
        (OWN, OWN + "<peKjonn>K</peKjonn>"),
        (FUNCTIONS, FUNCTIONS + OWN),
        (FUNCTIONS, SERVICE + FUNCTIONS),
        (FUNCTIONS, FUNCTION.format(1, 1) + SERVICE + FUNCTION.format(2, 2)),
        (SERVICE, SERVICE + FUNCTIONS),
        (SERVICE, SERVICE + OWN),
        (SERVICE, SERVICE + "<UKJENT />"),
    ],
)
def test_what_is_not_certain_is_left(old: str, new: str) -> None:
    assert old in WHOLE
    for count in (1, -1):
        assert read(WHOLE.replace(old, new, count)) is None


@pytest.mark.parametrize("text", ["ICD-10", "æ", "a b", "\t", "'\"", "!?"])
def test_any_text_in_a_free_field(text: str) -> None:
    assert read(WHOLE.replace("</PERSON>", f"{DIAGNOSIS.replace('ICPC', text)}</PERSON>")) is not None


@pytest.mark.parametrize("text", ["a&b", "&amp;", "\0", "\x01", "\x0b", "\x1f", "\ufffe", "\uffff", "]]>", "\r"])
def test_what_a_parser_reads_otherwise_or_not_at_all_is_left(text: str) -> None:
    assert read(WHOLE.replace("</PERSON>", f"{DIAGNOSIS.replace('ICPC', text)}</PERSON>")) is None


def test_rows_come_last_and_in_any_number() -> None:
    """What the reader takes for granted of the schema."""
    children = iplos().blocks[PERSON].children
    kinds = [child for child in children if child.kind == "block"]
    assert tuple(child.name for child in kinds) == ROWS
    assert tuple(children[-len(kinds) :]) == tuple(kinds)
    assert all(child.least == 0 and child.most is None for child in kinds)


def test_functions_are_judged_once_each() -> None:
    asked = []

    def clean(values: object) -> bool:
        asked.append(values)
        return True

    functions = Functions(clean)
    assert functions.clean("17", FUNCTIONS)
    first = len(asked)
    assert 0 < first <= 4  # three codes, one pair of days
    assert functions.clean("17", FUNCTIONS)
    assert len(asked) == first
    assert functions.clean("17", FUNCTIONS.replace("20240101", "20240202", 1))
    assert len(asked) == first + 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('fnPeID="17"', 'fnPeID="18"'),
        ('fnFnID="2"', 'fnFnID="1"'),
        ('fnFnID="2"', 'fnFnID=""'),
        ('fnPeID="17" fnFnID="2"', 'fnFnID="2" fnPeID="17"'),
        ("<fnFraDato>", "<fnTilDato>"),
        ("<fnFraDato>", '"><fnFunkType>'),
        ("</FUNKSJON>", "</FUNKSJON><!-- -->"),
        ("<fnTilDato>99991231</fnTilDato>", ""),
        ("<FUNKSJON ", "<FUNKSJON <FUNKSJON "),
        ("</FUNKSJON>\n<FUNKSJON fnPeID=", "</FUNKSJON>\n"),
        ("</FUNKSJON>\n<FUNKSJON ", "</FUNKSJON>\n<FUNKSJON x"),
        (' fnFnID="2"', ' fnFnID="2"\n\n\n="'),
        ('fnFnID="3"', 'fnFnID="3" fnFnID="4"'),
    ],
)
def test_functions_that_need_a_closer_look(old: str, new: str) -> None:
    functions = Functions(lambda _: True)
    assert functions.clean("17", FUNCTIONS)
    assert old in FUNCTIONS
    assert not functions.clean("17", FUNCTIONS.replace(old, new, 1))


def test_functions_that_end_too_early() -> None:
    functions = Functions(lambda _: True)
    assert functions.clean("17", FUNCTIONS)
    assert not functions.clean("17", FUNCTIONS[: FUNCTIONS.rindex("<fnFraDato>")])


def test_functions_that_break_a_rule_are_not_clean() -> None:
    functions = Functions(lambda values: values["fnFunkVerdi"] != "4")
    assert functions.clean("17", FUNCTIONS)
    assert not functions.clean("17", FUNCTIONS.replace(">3<", ">4<", 1))
    assert functions.clean("17", FUNCTIONS)
