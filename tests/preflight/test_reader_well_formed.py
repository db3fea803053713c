"""A file is read to its last byte before anything of it is sent, in little memory, whatever is in it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from xml.parsers import expat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from kpr_sender.errors import InputRefused
from kpr_sender.preflight import inspect
from tests.helpers.chunks import cuts
from tests.helpers.peak_memory import grown_mb
from tests.preflight.files import FAGMELDING, IPL, PROFILE, look

HEAD, TAIL = FAGMELDING.split(b'<PERSON pePeID="1001"/>\n')
PERSON = b'<PERSON pePeID="1001"/>\n'  # line 12

NOT_UTF_8 = "bytes that are not UTF-8|a character that XML does not allow"  # the latter up to libxml2 2.12

# What stands on line 13, behind the first person -> what the sentence must say.
REFUSED: dict[str, tuple[bytes, str]] = {
    "wrong end tag": (b"<a></b>", "mismatched tag"),
    "end tag too many": (b"</IPLOS></IPLOS>", "behind its root element"),
    "prefix nobody declared": (b"<x:a/>", "unbound prefix"),
    "attribute's prefix nobody declared": (b'<a x:b="1"/>', "unbound prefix"),
    "attribute twice": (b'<a b="1" b="2"/>', "twice"),
    "attribute twice by namespace": (b'<a xmlns:p="urn:u" xmlns:q="urn:u" p:b="1" q:b="2"/>', "twice"),
    "attribute without quotes": (b"<a b=1/>", "ERR_ATTRIBUTE_NOT_STARTED"),
    "attributes without a blank": (b'<a b="1"c="2"/>', "ERR_SPACE_REQUIRED"),
    "tag in an attribute": (b'<a b="<"/>', "ERR_LT_IN_ATTRIBUTE"),
    "two colons": (b"<a:b:c/>", "NS_ERR_"),
    "undeclared entity": (b"&kari;", "undefined entity"),
    "undeclared entity in an attribute": (b'<a b="&kari;"/>', "undefined entity"),
    "ampersand": (b"A & B", "not well-formed"),
    "DTD": (b"<!DOCTYPE IPLOS>", "not well-formed"),
    "declaration": (b'<?xml version="1.0"?>', "not well-formed"),
    "NUL": (b"<a>\0</a>", "a character that XML does not allow"),
    "NUL between elements": (b"\0", "not well-formed"),
    "control character": (b"<a>\x01</a>", "a character that XML does not allow"),
    "number of a control character": (b"<a>&#1;</a>", "a character that XML does not allow"),
    "no character": (b"<a>\xef\xbf\xbf</a>", "a character that XML does not allow"),
    "Latin-1": (b"<a>Bj\xf8rg</a>", NOT_UTF_8),
    "Latin-1 in an attribute": (b'<a b="Bj\xf8rg"/>', NOT_UTF_8),
    "Latin-1 in a comment": (b"<!-- Bj\xf8rg -->", NOT_UTF_8),
    "surrogate": (b"<a>\xed\xa0\x80</a>", NOT_UTF_8),
    "overlong": (b"<a>\xc0\x80</a>", NOT_UTF_8),
    "end of CDATA": (b"]]>", "not well-formed"),
    "two hyphens in a comment": (b"<!-- -- -->", "not well-formed"),
    "relative namespace": (b'<a xmlns="a"/>', "namespace"),
    "text behind the root": (b"</IPLOS>text", "behind its root element"),
    "NUL behind the root": (b"</IPLOS>\0", "not well-formed"),
}
DEEP = b"<a>" * 300 + b"</a>" * 300
CUT_OFF = [b"<", b"<a", b"<a b", b'<a b="', b"</IPLOS", b"<!-- a", b"<![CDATA[ a", b"<?a", b"&am", b"a", b"\xc3", b""]


@pytest.mark.parametrize(("inner", "says"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("places", [(), range(4000)], ids=["whole", "byte by byte"])
def test_what_is_wrong_behind_the_header_is_found_with_its_line(inner: bytes, says: str, places: Sequence[int]) -> None:
    with pytest.raises(InputRefused, match=says) as refused:
        look(HEAD + PERSON + inner + TAIL, places=places)
    assert refused.value.where == "fagmelding.xml line 13"
    assert refused.value.what.startswith("It is not well-formed XML: ")


@pytest.mark.parametrize("places", [(), range(4000)], ids=["whole", "byte by byte"])
def test_what_is_nested_too_deep_is_found_with_its_line(places: Sequence[int]) -> None:
    with pytest.raises(InputRefused, match="nested more than 256 deep") as refused:
        look(HEAD + PERSON + DEEP + TAIL, places=places)
    assert refused.value.where == "fagmelding.xml line 13"


@pytest.mark.parametrize("inner", CUT_OFF)
@pytest.mark.parametrize("places", [(), range(4000)], ids=["whole", "byte by byte"])
def test_a_file_that_is_cut_off_is_refused_at_its_end(inner: bytes, places: Sequence[int]) -> None:
    with pytest.raises(InputRefused, match="not well-formed") as refused:
        look(HEAD + PERSON + inner, places=places)
    assert refused.value.where == "fagmelding.xml line 13"


def test_lines_behind_the_header_are_the_file_s_own_also_behind_a_declaration_of_several_lines() -> None:
    data = (HEAD + PERSON + b"<a></b>" + TAIL).replace(b"<?xml ", b"<?xml\n\n").replace(b"\n", b"\r\n")
    with pytest.raises(InputRefused) as refused:
        look(data)
    assert refused.value.where == "fagmelding.xml line 15"


def accepted_by_expat(data: bytes) -> bool:
    parser = expat.ParserCreate("utf-8", " ")
    parser.namespace_prefixes = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        return False
    return True


# Names keep to letters: the fifth edition of XML 1.0 (libxml2) allows more of them than the fourth (expat).
TOKENS = re.findall(
    r"\S+",
    "< > / = \" ' & ; : a b: c d='1' b:d='2' <a> </a> <a/> xmlns:b='urn:b' xmlns='urn:c' xmlns='' <!-- --> <![CDATA[ "
    "]]> <? ?> &lt; &#38; &#0; \0 \x7f \u00f8 </IPLOS> <PERSON> </PERSON>",
)
PIECES = st.sampled_from([token.encode() for token in [*TOKENS, " ", "\n", "\r\n"]] + [b"\xf8", b"\xed\xa0\x80"])


@given(st.lists(PIECES, max_size=12).map(b"".join), st.sampled_from([TAIL, b""]), cuts())
def test_two_parsers_agree_on_what_is_well_formed(inner: bytes, tail: bytes, places: Sequence[int]) -> None:
    """Nothing passes that another parser, FHI's say, could not read; nothing is refused that it could read."""
    data = HEAD + PERSON + inner + tail
    try:
        look(data, places=places)
    except InputRefused:
        assert not accepted_by_expat(data)
    else:
        assert accepted_by_expat(data)


ROW = (
    b'<PERSON pePeID="1001"><peAlder>80</peAlder><peKjonn>K</peKjonn><TJENESTE tjPeID="1001" tjTjID="1">'
    b"<tjTjenType>15</tjTjenType><tjSoknadDato>20240110</tjSoknadDato></TJENESTE></PERSON>\n"
)


def large(block: bytes, megabytes: int) -> Iterator[bytes]:
    yield HEAD + ROW
    for _ in range(megabytes * 1_000_000 // len(block)):
        yield block
    yield TAIL


def test_memory_is_flat() -> None:
    assert grown_mb(lambda: inspect(large(ROW * 500, 25), IPL, name="x", profile=PROFILE)) < 6


@pytest.mark.parametrize(
    ("begin", "block"),
    [
        (b'<PERSON pePeID="', b"1" * 65_536),
        (b"<!--", b"x>" * 32_768),
        (b"<![CDATA[", b"x>" * 32_768),
        (b"<?x ", b"x>" * 32_768),
        (b"<", b"P" * 65_536),
        (b"&", b"P" * 65_536),
        (b"", b"<PERSON>" * 8_192),
        (b"", b'<PERSON xmlns="a"/>' * 3_000),
    ],
    ids=["attribute", "comment", "CDATA", "instruction", "name", "entity", "depth", "complaints"],
)
def test_what_the_parser_would_have_to_hold_is_refused_early(begin: bytes, block: bytes) -> None:
    given_out = 0

    def chunks() -> Iterator[bytes]:
        nonlocal given_out
        yield HEAD + ROW + begin
        for _ in range(600):
            given_out += len(block)
            yield block

    def refused() -> None:
        with pytest.raises(InputRefused, match=r"not well-formed|more than"):
            inspect(chunks(), IPL, name="x", profile=PROFILE)

    assert grown_mb(refused) < 40
    assert given_out < 11_000_000


@pytest.mark.parametrize(
    "begin", [b"<IPLOS x='", b"<!-- ", b"<?x ", HEAD + b"<i"], ids=["root", "comment", "PI", "header"]
)
def test_a_header_that_never_ends_is_refused_early(begin: bytes) -> None:
    given_out = 0

    def chunks() -> Iterator[bytes]:
        nonlocal given_out
        yield begin
        for _ in range(100):
            given_out += 65_536
            yield b"x" * 65_536

    with pytest.raises(InputRefused, match="tag or comment of more than"):
        inspect(chunks(), IPL, name="x", profile=PROFILE)
    assert given_out < 1_200_000


def test_a_huge_text_between_persons_and_many_comments_are_no_danger() -> None:
    text = [b"x" * 1_000_000] * 30
    comments = b"<!-- a --><?b?><![CDATA[</c>]]>" * 150_000
    inspect([HEAD, ROW, *text, comments, TAIL], IPL, name="x", profile=PROFILE)


def test_a_huge_text_in_a_person_is_refused() -> None:
    """As by a whole check: a person is held as a tree."""
    text = b"<PERSON>" + b"x" * 30_000_000 + b"</PERSON>"
    with pytest.raises(InputRefused, match="a record of more than"):
        inspect([HEAD, ROW, text, TAIL], IPL, name="x", profile=PROFILE)


def test_ten_megabytes_take_little_time() -> None:
    """Measured: some five times what lxml alone takes. Beside it, not beside a clock: a busy machine slows both."""
    data = list(large(ROW * 300, 10))
    begun = time.process_time()
    etree.fromstring(b"".join(data))
    half = time.process_time()
    inspect(data, IPL, name="x", profile=PROFILE)
    assert time.process_time() - half < 25 * (half - begun)
