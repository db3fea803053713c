"""The reader: records one by one, with names, lines and everything that stands in them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from xml.parsers import expat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.model import Element
from kpr_sender.preflight.reader import Characters, End, Reader, Record, Start
from tests.helpers.chunks import cut, cuts

NS = "urn:example:format"
DOCUMENT = b"""<!-- before -->
<f:Root xmlns:f="urn:example:format" xmlns:o='urn:example:other'
   a="1&#10;2"
   o:a="3">
 <f:Head>t<!-- <f:Head> -->e<![CDATA[x<]]>&amp;t<?a b?></f:Head>
 text
 <f:Group key="1">
  <o:Row xml:lang="no" o:b="1"><Inner xmlns=""/><f:Inner/>\r
  </o:Row>
  <f:Group/></f:Group>
</f:Root>
"""
EVENTS: list[Start | Element | End | Characters] = [
    Start("Root", {"a": "1\n2", "{urn:example:other}a": "3"}, 2),
    Element("Head", {}, 5, "tex<&t"),
    Characters(6),
    Start("Group", {"key": "1"}, 7),
    Element(
        "{urn:example:other}Row",
        {"{http://www.w3.org/XML/1998/namespace}lang": "no", "{urn:example:other}b": "1"},
        8,
        "\n  ",
        [Element("{}Inner", {}, 8), Element("Inner", {}, 8)],
    ),
    Start("Group", {}, 10),
    End(10),
    End(10),
    End(11),
]


def _read(pieces: Sequence[bytes], *, lines_before: int = 0) -> list[Start | Element | End | Characters]:
    reader = Reader(pieces, lines_before=lines_before)
    reader.root()
    events = reader.events(NS, frozenset({"Group"}))
    return [event.element if isinstance(event, Record) else event for event in events]


@given(places=cuts())
def test_a_document_is_told_record_by_record_wherever_it_is_cut(places: Sequence[int]) -> None:
    assert _read(cut(DOCUMENT, places)) == EVENTS


def test_lines_are_those_of_the_file() -> None:
    assert [event.line for event in _read([DOCUMENT], lines_before=3)] == [event.line + 3 for event in EVENTS]


@pytest.mark.parametrize(
    ("inner", "says"),
    [
        (b"<a></b>", "not well-formed XML: mismatched tag"),
        (b"<x:a/>", "not well-formed XML: unbound prefix"),
        (b"&kari;", "not well-formed XML: undefined entity"),
        (b"\xf8", "not well-formed XML: (bytes that are not UTF-8|a character)"),
        (b"<?xml version='1.0'?>", "not well-formed XML: an XML declaration not at start"),
        (b"<!DOCTYPE a>", "not well-formed XML"),
        (b"<a>" * 255 + b"</a>" * 255, None),
        (b"<a>" * 256, "nested more than 256 deep"),
        (b"<a>" + b"<b/>" * 99_999 + b"</a>", None),
        (b"<a>" + b"<b/>" * 100_000 + b"</a>", "a record of more than 100000 elements"),
        (b"<a>" + 16 * (b" " * 999_000 + b"<b/>") + b"</a>", None),
        (b"<a>" + 17 * (b" " * 999_000 + b"<b/>") + b"</a>", "a record of more than 16000000 bytes"),
        (b"<a>" + b" " * 9_900_000 + b"</a>", None),
        (b"<a>" + b" " * 10_100_000 + b"</a>", "a record of more than 10000000 bytes in one text"),
        (b"<!--" + b" " * 990_000 + b"-->", None),
        (b"<!--" + b" " * 1_100_000 + b"-->", "a tag or comment of more than 1000000 bytes"),
        (b"<a b='" + b">" * 1_100_000 + b"'/>", "a tag or comment of more than 1000000 bytes"),
    ],
)
def test_what_is_wrong_or_beyond_a_limit_is_refused_with_its_line(inner: bytes, says: str | None) -> None:
    document = [b"<r>\n", inner, b"</r>"]
    if says is None:
        _read(document)
        return
    with pytest.raises(Refusal, match=says) as refused:
        _read(document)
    assert refused.value.line == 2


@pytest.mark.parametrize(
    "before", [b"", b"\n", b"<!-- <!DOCTYPE r> -->", b"<?a <r>?>\n", b"<!--" + b"x" * 70_000 + b" -->"]
)
def test_a_document_type_declaration_is_refused(before: bytes) -> None:
    document = before + b'<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>'
    for places in ((), range(200)):
        with pytest.raises(Refusal, match="document type declaration"):
            _read(cut(document, places))


# -- lines ------------------------------------------------------------------------------------------------------------

KINDS = {
    "on one line": "<a>x</a>",
    "a start tag of several lines": '<a\n b="1"\n c="2\n2"\n>x</a>',
    "empty": "<a/>",
    "empty, of several lines": "<a\n\n/>",
    "nested": "<a>\n<b>\n<c/>\n</b>\n<b\n/>x\n</a>",
    "one name in itself": "<a>\n<a>\n</a>\n<a/><a></a></a>",
    "an end tag with a blank": "<a>\n</a\n >",
    "a name that begins alike": "<a>\n<ab></ab>\n</a>",
    "CDATA": "<a><![CDATA[<a>\n</a>]]>\n<b/></a>",
    "a comment": "<!-- <a>\n</a> --><a><!--\n<b/>\n--><b/></a>",
    "an instruction": "<?x <a>\n?><a><?y\n</a>?>\n<b/></a>",
    "tags in an attribute": "<a b='>\n/>'>\n<c d=\"'>\"/></a>",
    "CR LF": "<a\r\n>\r\n<b\r\n/>\r\n</a>\r\n",
    "CR": "<a\r>\r<b/>\r</a>\r",
    "a container": "<Group\n>\n<a/>\n<a>\n</a></Group\n>",
    "an empty container": "<Group\n/>\n",
    "text": "\n x\n <a/>",
    "references": "<a>&lt;a&gt;&#10;</a>",
}


def _lines_by_expat(data: bytes) -> list[int]:
    """The line in which each start tag begins, as another parser has it."""
    lines: list[int] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda *_: lines.append(parser.CurrentLineNumber)
    parser.Parse(data, True)
    return lines


def _lines(pieces: Sequence[bytes]) -> list[int]:
    found: list[int] = []

    def of(element: Element) -> None:
        found.append(element.line)
        for child in element.children:
            of(child)

    for event in _read(pieces):
        match event:
            case Start():
                found.append(event.line)
            case Element():
                of(event)
            case _:
                pass
    return found


@pytest.mark.parametrize("size", [1, 13, 1 << 20])
@pytest.mark.parametrize("kind", KINDS)
def test_each_element_has_the_line_its_tag_begins_in(kind: str, size: int) -> None:
    data = f'<r xmlns="{NS}"\n>{KINDS[kind]}\n{KINDS[kind]}</r>'.encode()
    assert _lines([data[at : at + size] for at in range(0, len(data), size)]) == _lines_by_expat(data)


def test_lines_are_right_beyond_those_that_libxml2_knows() -> None:
    """It counts to 65,535; here are twice as many, with elements of every kind all the way."""
    random = Random(7)
    parts = [random.choice([*KINDS.values(), "\n" * 40]) + "\n" * random.randrange(3) for _ in range(25_000)]
    data = f'<r xmlns="{NS}">{"".join(parts)}</r>'.encode()
    lines = _lines_by_expat(data)
    assert lines[-1] > 2 * 65_535
    assert _lines([data]) == lines


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=6), cuts())
def test_lines_are_right_in_any_order(kinds: Sequence[str], places: Sequence[int]) -> None:
    data = f'<r xmlns="{NS}">{"".join(KINDS[kind] for kind in kinds)}</r>'.encode()
    assert _lines(cut(data, places)) == _lines_by_expat(data)


def test_ends_and_texts_have_their_lines_there_too() -> None:
    data = f'<r xmlns="{NS}">{"<a/>" + 70_000 * chr(10)}<Group>\n<a/>\n</Group\n>\n<a/>\n\nx<a/>\n</r>'.encode()
    found = [event for event in _read([data]) if not isinstance(event, Element)]
    assert found[1:] == [Start("Group", {}, 70_001), End(70_003), Characters(70_007), End(70_008)]
