"""What the structure check says, and where: rule, line, path and sentence."""

from __future__ import annotations

from random import Random

import pytest

from kpr_sender.preflight.catalogue.codes import rows
from kpr_sender.preflight.catalogue.fields import iplos, xpr_ide
from kpr_sender.preflight.model import place
from kpr_sender.preflight.structure import HashedTexts, Structure
from tests.helpers.structure_judge import breaches
from tests.helpers.structure_samples import IDE, IPLOS

# What is replaced, by what -> rule, line, path and sentence of each breach.
Said = tuple[str, int, str, str]
FAGMELDING: dict[str, tuple[bytes, bytes, list[Said]]] = {
    "a value of another type": (
        b"<tjFraDato>20240101",
        b"<tjFraDato>2024-01-01",
        [
            (
                "structure.value",
                12,
                "PERSON 17 / TJENESTE 3 / tjFraDato",
                "tjFraDato is '2024-01-01'; a day as yyyymmdd is wanted.",
            )
        ],
    ),
    "a value that may be a name": (
        b"<peAlder>80",
        b"<peAlder>Kari",
        [
            (
                "structure.value",
                8,
                "PERSON 17 / peAlder",
                "peAlder is something of 4 characters; a whole number of 16 bits is wanted.",
            )
        ],
    ),
    "a value that may be an id": (
        b"<peAlder>80",
        b"<peAlder>010203-456",
        [
            (
                "structure.value",
                8,
                "PERSON 17 / peAlder",
                "peAlder is something of 10 characters; a whole number of 16 bits is wanted.",
            )
        ],
    ),
    "an empty value": (
        b"<peAlder>80",
        b"<peAlder>",
        [("structure.value", 8, "PERSON 17 / peAlder", "peAlder is empty; a whole number of 16 bits is wanted.")],
    ),
    "an element in a value": (
        b"<peAlder>80",
        b"<peAlder>80<b/>",
        [
            (
                "structure.element",
                8,
                "PERSON 17 / peAlder",
                "peAlder has an element in it; only a value may be there.",
            )
        ],
    ),
    "an element nobody knows": (
        b"<peKjonn>",
        b"<peFnr>x</peFnr><peKjonn>",
        [("structure.element", 9, "PERSON 17", "'peFnr' does not belong in PERSON.")],
    ),
    "an element of another namespace": (
        b"<peKjonn>K",
        b'<peKjonn xmlns="urn:x">K',
        [("structure.element", 9, "PERSON 17", "'peKjonn' of another namespace does not belong in PERSON.")],
    ),
    "a wrong order": (
        b"<peAlder>80</peAlder>\n<peKjonn>K</peKjonn>",
        b"<peKjonn>K</peKjonn>\n<peAlder>80</peAlder>",
        [("structure.element", 9, "PERSON 17 / peAlder", "peAlder stands behind peKjonn, but belongs before it.")],
    ),
    "a repetition": (
        b"<peKjonn>K</peKjonn>",
        b"<peKjonn>K</peKjonn>\n<peKjonn>K</peKjonn>",
        [("structure.element", 10, "PERSON 17 / peKjonn", "peKjonn may stand there once only.")],
    ),
    "something missing": (
        b"<tjTjenType>15</tjTjenType>",
        b"",
        [("structure.missing", 10, "PERSON 17 / TJENESTE 3 / tjTjenType", "tjTjenType is missing.")],
    ),
    "too few": (
        b"<iiKontakt><Type>2</Type><Navn>B</Navn><Telefon>2</Telefon><Epost>b</Epost></iiKontakt>",
        b"",
        [
            (
                "structure.missing",
                2,
                "INNHINFO / iiKontakt",
                "iiKontakt stands there once, and must at least 2 times.",
            )
        ],
    ),
    "no person": (
        IPLOS[IPLOS.index(b"<PERSON") : IPLOS.index(b"</IPLOS")],
        b"",
        [("structure.missing", 7, "PERSON", "PERSON is missing.")],
    ),
    "an attribute missing": (
        b' tjPeID="17"',
        b"",
        [("structure.missing", 10, "PERSON 17 / TJENESTE 3 / tjPeID", "The attribute tjPeID is missing.")],
    ),
    "the person's number missing": (
        b' pePeID="17"',
        b"",
        [("structure.missing", 7, "PERSON / pePeID", "The attribute pePeID is missing.")],
    ),
    "the version missing": (
        b' versjon="3.7"',
        b"",
        [("structure.missing", 1, "IPLOS / versjon", "The attribute versjon is missing.")],
    ),
    "an attribute nobody knows": (
        b'tjTjID="3"',
        b'tjTjID="3" x="y"',
        [("structure.attribute", 10, "PERSON 17 / TJENESTE 3", "The attribute 'x' does not belong in TJENESTE.")],
    ),
    "xsi:nil": (
        b"<peAlder>",
        b'<peAlder xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="false">',
        [("structure.attribute", 8, "PERSON 17 / peAlder", "xsi:nil is not allowed in peAlder.")],
    ),
    "text in a row": (
        b"</TJENESTE>",
        b"x</TJENESTE>",
        [
            (
                "structure.text",
                10,
                "PERSON 17 / TJENESTE 3",
                "TJENESTE has text in it; only elements, or nothing, may be there.",
            )
        ],
    ),
    "text between persons": (
        b"</PERSON>",
        b"</PERSON>\n\nx\n",
        [("structure.text", 16, "IPLOS", "IPLOS has text in it; only elements, or nothing, may be there.")],
    ),
    "another root": (
        b"iplos/2019",
        b"iplos/2018",
        [
            (
                "structure.root",
                1,
                "",
                (
                    "The root element is 'IPLOS' of another namespace; "
                    "IPLOS in http://www.npr.no/xmlstds/iplos/2019 is wanted."
                ),
            )
        ],
    ),
    "persons before the header": (
        IPLOS[IPLOS.index(b"<INNHINFO") : IPLOS.index(b"</IPLOS")],
        IPLOS[IPLOS.index(b"<PERSON") : IPLOS.index(b"</IPLOS")]
        + IPLOS[IPLOS.index(b"<INNHINFO") : IPLOS.index(b"<PERSON")],
        [("structure.element", 10, "INNHINFO", "INNHINFO stands behind PERSON, but belongs before it.")],
    ),
    "a person in a person": (
        b"<peAlder>80</peAlder>",
        b"<PERSON/>",
        [("structure.element", 8, "PERSON 17", "'PERSON' does not belong in PERSON.")],
    ),
}
IDENTMELDING: dict[str, tuple[bytes, bytes, list[Said]]] = {
    "a pid twice": (
        b'pid="18"',
        b'pid="17"',
        [
            (
                "structure.unique",
                6,
                "PasientIdent 17",
                "Another PasientIdent before it has the same pid.",
            )
        ],
    ),
    "an institusjonID twice": (
        b"</Melding>",
        b'<Institusjon institusjonID="1"><PasientIdent pid="17" fid="0" typeID="1"/></Institusjon></Melding>',
        [("structure.unique", 8, "Institusjon", "Another Institusjon before it has the same institusjonID.")],
    ),
    "no patient": (
        IDE[IDE.index(b"<PasientIdent") : IDE.index(b"</Institusjon")],
        b"",
        [("structure.missing", 5, "PasientIdent", "PasientIdent is missing.")],
    ),
    "an institution in an institution": (
        b"</Institusjon>",
        b'<Institusjon institusjonID="2"><PasientIdent x="y"/></Institusjon></Institusjon>',
        [("structure.element", 7, "Institusjon", "'Institusjon' does not belong in Institusjon.")],
    ),
    "white space in a patient": (
        b'typeID="1"/>\n</Institusjon>',
        b'typeID="1"> </PasientIdent>\n</Institusjon>',
        [
            (
                "structure.text",
                6,
                "PasientIdent 18",
                "PasientIdent has text in it; only elements, or nothing, may be there.",
            )
        ],
    ),
    "a code that is none": (
        b'typeID="1"/>\n</Institusjon>',
        b'typeID="11"/>\n</Institusjon>',
        [
            (
                "structure.value",
                6,
                "PasientIdent 18 / typeID",
                "typeID is '11'; a whole number from 0, one of 1 2 3 4 5 6 7 8 9 10 12 is wanted.",
            )
        ],
    ),
}


def _said(data: bytes, form: str) -> list[Said]:
    catalogue = iplos() if form == "iplos" else xpr_ide("53.1.3")
    namespace = "http://www.npr.no/xmlstds/iplos/2019" if form == "iplos" else "http://www.npr.no/xmlstds/53_1_3_ide"
    return [
        (breach.rule, breach.line, breach.path, breach.message) for breach in breaches([data], catalogue, namespace)
    ]


@pytest.mark.parametrize(("replaced", "by", "says"), FAGMELDING.values(), ids=FAGMELDING)
def test_a_fault_of_a_fagmelding_is_said_with_its_place(replaced: bytes, by: bytes, says: list[Said]) -> None:
    assert replaced in IPLOS
    assert _said(IPLOS.replace(replaced, by, 1), "iplos") == says


@pytest.mark.parametrize(("replaced", "by", "says"), IDENTMELDING.values(), ids=IDENTMELDING)
def test_a_fault_of_an_identmelding_is_said_with_its_place(replaced: bytes, by: bytes, says: list[Said]) -> None:
    assert replaced in IDE
    assert _said(IDE.replace(replaced, by, 1), "ide") == says


def test_right_files_have_no_fault() -> None:
    assert _said(IPLOS, "iplos") == _said(IDE, "ide") == []


def test_the_same_pid_in_two_institutions_is_right() -> None:
    again = b'<Institusjon institusjonID="2"><PasientIdent pid="17" fid="0" typeID="1"/></Institusjon></Melding>'
    assert _said(IDE.replace(b"</Melding>", again), "ide") == []


def test_every_rule_is_in_the_table_of_rules_and_every_rule_of_the_table_is_used() -> None:
    listed = {row["id"] for row in rows("rules.csv") if row["id"].startswith("structure.")}
    said = [each for table in (FAGMELDING, IDENTMELDING) for _, _, each in table.values()]
    assert {rule for each in said for rule, *_ in each} == listed


def test_records_that_a_faster_reader_took_count_all_the_same() -> None:
    structure = Structure(xpr_ide("53.1.3"), "urn:x")
    list(structure.start("Melding", {}, 1))
    assert [breach.rule for breach in structure.passed("Kontaktperson", {}, 2)] == []
    list(structure.start("Institusjon", {"institusjonID": "1"}, 3))
    assert [breach.rule for breach in structure.passed("PasientIdent", {"pid": "1"}, 4)] == []
    assert [breach.rule for breach in structure.passed("PasientIdent", {"pid": "1"}, 5)] == ["structure.unique"]
    assert list(structure.end(6)) == []
    assert [breach.rule for breach in structure.passed("Kontaktperson", {}, 7)] == ["structure.element"]
    assert list(structure.end(8)) == []


@pytest.mark.parametrize(
    ("kind", "keys", "says"),
    [
        ("PERSON", {"pePeID": "123456789"}, "PERSON 123456789"),
        ("PERSON", {"pePeID": "1" * 10}, "PERSON"),
        ("PERSON", {"pePeID": "Kari"}, "PERSON"),
        ("PERSON", {}, "PERSON"),
        ("FUNKSJON", {"fnPeID": "1", "fnFnID": "2"}, "FUNKSJON 2"),
        ("INNHINFO", {"": "1"}, "INNHINFO"),
    ],
)
def test_a_place_shows_running_numbers_and_nothing_else(kind: str, keys: dict[str, str], says: str) -> None:
    assert place(kind, keys) == says


def test_a_text_is_new_once() -> None:
    random = Random(1)
    seen, known = HashedTexts(), set[str]()
    for _ in range(20_000):
        text = f"{random.randrange(15_000)}"
        assert seen.add(text) is (text not in known)
        known.add(text)


# -- what a schema says, made ready-------------------------------------------------------------------------------------

ROW = [
    ("tjTjenType", "15"),
    ("tjSoknadDato", "20240110"),
    ("tjVedtDato", "20240120"),
    ("tjVedtak", "2"),
    ("tjTimerUke", "3.50"),
    ("tjResTimerUke", "1.00"),
    ("tjRullerende", "1"),
    ("tjInstOrgnr", ""),
    ("tjFraDato", "20240201"),
    ("tjTilDato", "99991231"),
]


def test_a_model_accepts_what_is_valid_and_nothing_else() -> None:
    model = Structure(iplos(), "urn:x").models["TJENESTE"]
    assert all(model.values[name](text) for name, text in ROW)
    assert model.has_valid_attributes({"tjPeID": "1", "tjTjID": "2"})
    assert not model.values["tjTjenType"]("x")
    assert "peAlder" not in model.values
    assert not model.has_valid_attributes({"tjPeID": "1"})
    assert not model.has_valid_attributes({"tjPeID": "1", "tjTjID": "x"})
    assert not model.has_valid_attributes({"tjPeID": "1", "tjTjID": "9" * 19})
    assert not model.has_valid_attributes({"tjPeID": "1", "tjTjID": "2", "xmlns": "x"})
