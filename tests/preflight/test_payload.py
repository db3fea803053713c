"""What FHI would refuse is found before anything is sent, with file, line and what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from kpr_sender.errors import InputRefused
from kpr_sender.messages.hodemelding import frame
from kpr_sender.messages.splice import splice
from kpr_sender.model import MessageType
from kpr_sender.preflight import Payload, inspect
from kpr_sender.sandbox.hodemelding import read
from tests.helpers.chunks import cut, cuts
from tests.helpers.schemas import assert_valid, kpr_schema, payload
from tests.messages.parties import HODEMELDING
from tests.preflight.files import FAGMELDING, GOOD, IDE, IDENTMELDING, IPL, NAME, PROFILE, look


@pytest.mark.parametrize(
    ("name", "expected", "version", "kommunenummer", "bydel"),
    [
        ("kpr_ipl", IPL, "3.7", "9999", "00"),
        ("kpr_ide_53_1_2", IDE, "53.1.2", None, None),
        ("kpr_ide_53_1_3", IDE, "53.1.3", None, None),
    ],
)
def test_what_is_known_of_a_good_file(
    name: str, expected: MessageType, version: str, kommunenummer: str | None, bydel: str | None
) -> None:
    content = b"".join(splice([payload(name)]))
    found = look(payload(name), expected)
    assert found.format in PROFILE.formats[expected]
    assert found == Payload(
        type=expected,
        format=found.format,
        year=2024,
        kommunenummer=kommunenummer,
        bydel=bydel,
        lopenr="1",
        sha256=hashlib.sha256(content).hexdigest(),
        length=len(content),
    )
    assert found.format.version == version
    head, tail = frame(HODEMELDING)
    assert_valid(kpr_schema(), head + content + tail)


@pytest.mark.parametrize("expected", MessageType)
@given(places=cuts())
def test_cut_anywhere_it_is_the_same_file(expected: MessageType, places: Sequence[int]) -> None:
    assert look(GOOD[expected], expected, places=places) == look(GOOD[expected], expected)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "iso-8859-1", "utf-16"])
def test_encodings_are_known_by_the_bytes_that_will_be_sent(encoding: str) -> None:
    named = encoding.removesuffix("-sig")
    data = FAGMELDING.decode().replace("utf-8", named).replace("Kari", "Bj\u00f8rg").encode(encoding)
    content = b"".join(splice([data]))
    assert "Bj\u00f8rg".encode() in content
    found = look(data)
    assert (found.sha256, found.length) == (hashlib.sha256(content).hexdigest(), len(content))


def ipl(old: str, new: str) -> bytes:
    assert old.encode() in FAGMELDING
    return FAGMELDING.replace(old.encode(), new.encode())


def ide(old: str, new: str) -> bytes:
    assert old.encode() in IDENTMELDING
    return IDENTMELDING.replace(old.encode(), new.encode())


NOT_UTF_8 = "bytes that are not UTF-8|a character that XML does not allow"  # the latter up to libxml2 2.12

# What is wrong -> type, file, line (0: none), what the sentence must say.
REFUSED: dict[str, tuple[MessageType, bytes, int, str]] = {
    "empty": (IPL, b"", 0, "empty"),
    "only a mark": (IPL, b"\xef\xbb\xbf", 0, "empty"),
    "not XML": (IPL, b"PK\x03\x04", 1, "not well-formed"),
    "text": (IDE, b"pid;fid\n1;2\n", 1, "not well-formed"),
    "blank before the declaration": (IPL, b"\n" + FAGMELDING, 2, "not at start"),
    "two declarations": (IPL, FAGMELDING.split(b"\n")[0] + FAGMELDING, 1, "declaration not at start"),
    "two marks": (IPL, b"\xef\xbb\xbf" * 2 + FAGMELDING, 1, "not well-formed"),
    "mark behind the declaration": (IPL, FAGMELDING.replace(b"?>\n", b"?>\xef\xbb\xbf\n"), 1, "not well-formed"),
    "cut off": (IPL, FAGMELDING[:-20], 12, "not well-formed"),
    "cut off in a tag": (IPL, FAGMELDING[:-3], 13, "not well-formed"),
    "more behind it": (IPL, FAGMELDING + b"<x/>", 14, "not well-formed"),
    "wrong end tag": (IPL, ipl("</INNHINFO>", "</INNHINF>"), 11, "mismatched tag"),
    "wrong bytes": (IPL, FAGMELDING.replace(b"Kari", b"Bj\xf8rg"), 7, NOT_UTF_8),
    "prefix nobody declared": (IPL, ipl("<PERSON", "<x:PERSON"), 12, "unbound prefix"),
    "control character": (IPL, ipl('"1001"', '"&#0;"'), 12, "a character that XML does not allow"),
    "DTD": (IPL, ipl("<IPLOS", "<!DOCTYPE IPLOS>\n<IPLOS"), 2, "DTD"),
    "entity": (
        IDE,
        ide("<Melding", '<!DOCTYPE Melding [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<Melding'),
        2,
        "DTD",
    ),
    "undeclared entity": (IPL, ipl("Kari", "&kari;"), 7, "undefined entity"),
    "unknown encoding": (IPL, ipl('"utf-8"', '"x-user"'), 1, "encoding is not one we know"),
    "declares another encoding": (IPL, ipl('"utf-8"', '"utf-16"'), 1, "another encoding"),
    "wrong root": (IPL, ipl("IPLOS", "IPLIS"), 2, "'IPLIS'"),
    "wrong namespace": (IPL, ipl("iplos/2019", "iplos/2018"), 2, "iplos/2018"),
    "no namespace": (IPL, ipl(' xmlns="http://www.npr.no/xmlstds/iplos/2019"', ""), 2, "without a namespace"),
    "older version": (IPL, ipl('"3.7"', '"3.5"'), 2, "version '3.5'; 3.7 is wanted"),
    "no version": (IPL, ipl(' versjon="3.7"', ""), 2, "says no version"),
    "prefixed version": (IPL, ipl(' versjon="3.7"', ' xmlns:x="urn:x" x:versjon="3.7"'), 2, "says no version"),
    "version and namespace disagree": (IDE, ide('versjon="53.1.3"', 'versjon="53.1.2"'), 2, "53.1.3 is wanted"),
    "newer ident": (IDE, ide("53_1_3_ide", "57_0_1_ide"), 2, "57_0_1_ide"),
    "identmelding as fagmelding": (IPL, IDENTMELDING, 2, "the identmelding .KPR_IDE., handed in as the fagmelding"),
    "fagmelding as identmelding": (IDE, FAGMELDING, 2, "the fagmelding .KPR_IPL., handed in as the identmelding"),
    "a complete Hodemelding": (IPL, frame(HODEMELDING)[0] + b"</Content>", 2, "complete Hodemelding"),
    "half a year": (IPL, ipl("20241231", "20240630"), 9, "'20240101' to '20240630': not the whole year"),
    "from July": (IPL, ipl("20240101", "20240701"), 8, "not the whole year"),
    "two years": (IPL, ipl("20240101", "20230101"), 9, "not the whole year"),
    "half a year, ident": (IDE, ide("2024-12-31", "2024-11-30"), 2, "not the whole year"),
    "another year": (IPL, FAGMELDING.replace(b">2024", b">2023"), 8, "for 2023, but the configuration says 2024"),
    "another year, ident": (IDE, IDENTMELDING.replace(b'"2024-', b'"2023-'), 2, "for 2023, but the configuration"),
    "date with dashes": (IPL, ipl("20240101", "2024-01-01"), 8, "iiFraDato is '2024-01-01'; yyyy0101 is wanted"),
    "date without dashes": (IDE, ide("2024-12-31", "20241231"), 2, "tilDatoPeriode is '20241231'; yyyy-12-31"),
    "date with blanks": (IPL, ipl("20240101", " 20240101"), 8, "iiFraDato is something of 9 characters"),
    "a zone and another day": (IDE, ide("2024-12-31", "2024-12-30+01:00"), 2, "to '2024-12-30': not the whole year"),
    "no such zone": (IDE, ide("2024-12-31", "2024-12-31+15:00"), 2, "tilDatoPeriode is something of 16 char"),
    "no period": (IPL, ipl("<iiFraDato>20240101</iiFraDato>", ""), 12, "iiFraDato is missing"),
    "no period, ident": (IDE, ide('fraDatoPeriode="2024-01-01"', ""), 6, "fraDatoPeriode is missing"),
    "kommunenummer of 3 digits": (IPL, ipl("3101", "301"), 5, "iiKomnr is '301'; 4 digits"),
    "kommunenummer of 5 digits": (IPL, ipl("3101", "03101"), 5, "iiKomnr is '03101'; 4 digits"),
    "kommunenummer in letters": (IPL, ipl("3101", "Halden"), 5, "iiKomnr is 'Halden'; 4 digits"),
    "kommunenummer in other digits": (IPL, ipl("3101", "\u0663\u0661\u0660\u0661"), 5, "4 digits are wanted"),
    "empty kommunenummer": (IPL, ipl("3101", ""), 5, "iiKomnr is empty; 4 digits"),
    "no kommunenummer": (IPL, ipl("<iiKomnr>3101</iiKomnr>", ""), 12, "iiKomnr is missing"),
    "two kommunenummer": (IPL, ipl("</iiKomnr>", "</iiKomnr><iiKomnr>3102</iiKomnr>"), 5, "iiKomnr stands there twice"),
    "kommunenummer elsewhere": (IPL, ipl("<iiKomnr>3101</iiKomnr>", "<x><iiKomnr>3101</iiKomnr></x>"), 12, "missing"),
    "bydel of 1 digit": (IPL, ipl(">00<", ">0<"), 6, "iiBydelsnr is '0'; 2 digits"),
    "no running number": (IPL, ipl("<iiLopenr>17</iiLopenr>", ""), 12, "iiLopenr is missing"),
    "empty running number": (IPL, ipl(">17<", "> <"), 10, "iiLopenr is empty"),
    "running number 0": (IPL, ipl(">17<", ">0<"), 10, "whole number above 0"),
    "running number -1": (IPL, ipl(">17<", ">-1<"), 10, "whole number above 0"),
    "running number with a fraction": (IPL, ipl(">17<", ">1.5<"), 10, "whole number above 0"),
    "running number too large": (IPL, ipl(">17<", ">2147483648<"), 10, "whole number above 0"),
    "no running number, ident": (IDE, ide(' lopenr="A-1"', ""), 6, "lopenr is missing"),
    "empty running number, ident": (IDE, ide('lopenr="A-1"', 'lopenr=" "'), 2, "lopenr is empty"),
    "no person": (IPL, ipl('<PERSON pePeID="1001"/>\n', ""), 13, "no PERSON in it"),
    "no person, ident": (IDE, IDENTMELDING.replace(b"PasientIdent", b"Pasient"), 9, "no PasientIdent in it"),
    "persons first": (IPL, ipl("<INNHINFO>", "<PERSON/><INNHINFO>"), 3, "is missing"),
}


@pytest.mark.parametrize(("expected", "data", "line", "says"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("places", [(), range(2000)], ids=["whole", "byte by byte"])
def test_refused(expected: MessageType, data: bytes, line: int, says: str, places: Sequence[int]) -> None:
    with pytest.raises(InputRefused, match=says) as refused:
        look(data, expected, places=places)
    assert refused.value.where == (f"{NAME[expected]} line {line}" if line else NAME[expected])
    assert refused.value.next_step
    assert refused.value.what.endswith(".")


def test_swapped_files_are_told_how_to_be_put_right() -> None:
    with pytest.raises(InputRefused) as refused:
        look(IDENTMELDING, IPL)
    assert "other way round" in refused.value.next_step


def test_the_year_is_the_configured_one() -> None:
    assert look(FAGMELDING.replace(b">2024", b">2025"), year=2025).year == 2025
    with pytest.raises(InputRefused, match="for 2024, but the configuration says 2025"):
        look(FAGMELDING, year=2025)


@pytest.mark.parametrize("running", ["1", " 17 ", "0017", "2147483647"])
def test_the_running_number_is_checked_and_never_changed(running: str) -> None:
    assert look(ipl(">17<", f">{running}<")).lopenr == running.strip()


def test_lines_are_the_file_s_own_also_behind_a_declaration_of_several_lines() -> None:
    data = ipl("<?xml version", "<?xml\n\nversion").replace(b"3101", b"31")
    with pytest.raises(InputRefused) as refused:
        look(data)
    assert refused.value.where == "fagmelding.xml line 7"


PREFIXED = (
    FAGMELDING.replace(b"xmlns=", b"xmlns:i=").replace(b"</", b"</i:").replace(b"<", b"<i:").replace(b"<i:/i:", b"</i:")
).replace(b"<i:?", b"<?")


def test_a_prefixed_file_is_as_good() -> None:
    assert look(PREFIXED).kommunenummer == "3101"


@pytest.mark.parametrize("where", [b"<i:INNHINFO>", b'<i:PERSON pePeID="1001"/>'], ids=["header", "after a person"])
def test_no_element_falls_into_the_namespace_of_msghead(where: bytes) -> None:
    """In no namespace here, it would stand in MsgHead's inside the frame: its meaning would change."""
    data = PREFIXED.replace(where, where + b"<peAlder>80</peAlder>")
    assert data != PREFIXED
    with pytest.raises(InputRefused, match="in no namespace"):
        look(data)


OWN_DEFAULT = PREFIXED.replace(b"xmlns:i=", b'xmlns="" xmlns:i=')
INNER = [
    b"<x/>",
    b'<x xmlns=""/>',
    b'<x xmlns="urn:x"><y/></x>',
    b'<x:y xmlns:x="urn:x"><x/></x:y>',
    b"<i:x/>",
    b"<!-- c -->",
]


@given(
    st.sampled_from([FAGMELDING, PREFIXED, OWN_DEFAULT]),
    st.lists(st.sampled_from(INNER), max_size=4).map(b"".join),
    st.sampled_from([b"INNHINFO>\n", b'"1001"/>\n']),
)
def test_what_passes_means_the_same_inside_the_frame(data: bytes, inner: bytes, behind: bytes) -> None:
    data = data.replace(behind, behind + inner)
    try:
        look(data)
    except InputRefused:
        return
    head, tail = frame(HODEMELDING)
    _, inside = read(head + b"".join(splice([data])) + tail)
    assert canonical(inside) == canonical(etree.fromstring(data))


def canonical(root: etree._Element) -> bytes:
    return etree.tostring(root, method="c14n", exclusive=True)


def test_a_default_namespace_of_its_own_keeps_msghead_s_away() -> None:
    assert look(OWN_DEFAULT.replace(b"</i:IPLOS>", b"<x/></i:IPLOS>")).kommunenummer == "3101"


PERSONAL = "01810112345 Olava Nordmann"


@pytest.mark.parametrize(
    "data",
    [
        ipl("3101", PERSONAL),
        ipl("3101", "01810112345"),
        ipl("20240101", "01810112345"),
        ipl(">00<", f">{PERSONAL}<"),
        ipl(">17<", f">{PERSONAL}<"),
        ipl('versjon="3.7"', f'versjon="{PERSONAL}"'),
        ipl("iplos/2019", "01810112345"),
        ipl("IPLOS", "Olava\u00d8Nordmann"),
        ipl("IPLOS", "N01810112345"),
        ipl("Kari", "&Olava;"),
        ipl("Kari", "<Olava></Nordmann>"),
        ipl('"utf-8"', '"Olava"'),
        ipl("<PERSON", "<Olava:PERSON"),
        ipl('"1001"', '"1001" Olava'),
        ipl("</IPLOS>", f"<PERSON>{PERSONAL}</Nordmann>"),
        ipl("</IPLOS>", f"<!-- {PERSONAL}"),
        ipl("</IPLOS>", "&Olava;"),
        ipl("</IPLOS>", "<Olava:PERSON/></IPLOS>"),
        ipl("</IPLOS>", '<PERSON xmlns="Olava"/></IPLOS>'),
    ],
)
def test_no_refusal_quotes_what_is_personal(data: bytes) -> None:
    """Promise G6."""
    with pytest.raises(InputRefused) as refused:
        look(data)
    said = f"{refused.value} {refused.value!r}"
    for word in ("Olava", "Nordmann", "01810112345"):
        assert word not in said
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None, "no parser's own error comes along"


@given(st.binary(max_size=200) | st.sampled_from([FAGMELDING, IDENTMELDING]), cuts(), st.sampled_from(MessageType))
def test_whatever_comes_it_is_described_or_refused(data: bytes, places: Sequence[int], expected: MessageType) -> None:
    pieces = cut(data, places)
    del pieces[len(pieces) // 2]
    try:
        inspect(pieces, expected, name="x", profile=PROFILE)
    except InputRefused as refused:
        where = refused.where
    else:
        where = "x"
    assert where.startswith("x")
