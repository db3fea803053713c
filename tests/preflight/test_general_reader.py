"""The reader of any file: records one by one, with names, lines and everything that stands in them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given

from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.reading.general import End, Event, Start, Text, read_document, read_record
from kpr_sender.preflight.record import Element
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
EVENTS: list[Event] = [
    Start("Root", {"a": "1\n2", "{urn:example:other}a": "3"}, 2),
    Element("Head", {}, 5, "tex<&t"),
    Text(6),
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


def _read(pieces: Sequence[bytes], *, lines_before: int = 0) -> list[Event]:
    return list(read_document(pieces, namespace=NS, containers=frozenset({"Group"}), lines_before=lines_before))


@given(places=cuts())
def test_a_document_is_told_record_by_record_wherever_it_is_cut(places: Sequence[int]) -> None:
    assert _read(cut(DOCUMENT, places)) == EVENTS


def test_lines_are_those_of_the_file() -> None:
    assert [event.line for event in _read([DOCUMENT], lines_before=3)] == [event.line + 3 for event in EVENTS]


def test_the_rest_of_a_document_is_read_behind_its_open_start_tags() -> None:
    at = DOCUMENT.index(b"<o:Row")
    tags = DOCUMENT[DOCUMENT.index(b"<f:Root") : DOCUMENT.index(b">\n <f:Head") + 1] + b'<f:Group key="1">'
    rest = read_document(
        [DOCUMENT[at:]], namespace=NS, containers=frozenset({"Group"}), prefix_declarations=tags, lines_before=7
    )
    assert list(rest) == EVENTS[4:]


def test_one_record_is_read_alone() -> None:
    begin, end = DOCUMENT.index(b"<o:Row"), DOCUMENT.index(b"</o:Row>") + len(b"</o:Row>")
    tags = DOCUMENT[DOCUMENT.index(b"<f:Root") : DOCUMENT.index(b">\n <f:Head") + 1] + b'\n\n<f:Group\nkey="1">'
    data = b"  " + DOCUMENT[begin:end] + b"\n"
    assert read_record(data, namespace=NS, prefix_declarations=tags, first_line=8) == EVENTS[4]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"<a/><a/>",
        b"<a/>x",
        b"x<a/>",
        b"</r><r><a/>",
        b"<a/></r><r>",
        b"<a>",
        b"</a>",
        b"<a/><!--",
        b"<a/><",
        b"<a b='",
        b"<a/></r><!-- --><x/>",
    ],
)
def test_what_is_not_one_whole_record_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal):
        read_record(data, namespace=NS, prefix_declarations=b"<r>", first_line=7)


@pytest.mark.parametrize(
    ("inner", "says"),
    [
        (b"<a></b>", "not well-formed XML: mismatched tag"),
        (b"<x:a/>", "not well-formed XML: unbound prefix"),
        (b"&kari;", "not well-formed XML: undefined entity"),
        (b"\xf8", "not well-formed XML: not well-formed"),
        (b"<?xml version='1.0'?>", "not well-formed XML: XML or text declaration not at start of entity"),
        (b"<!DOCTYPE a>", "not well-formed XML"),
        (b"<a>" * 255 + b"</a>" * 255, None),
        (b"<a>" * 256, "nested more than 256 deep"),
        (b"<a>" + b"<b/>" * 99_999 + b"</a>", None),
        (b"<a>" + b"<b/>" * 100_000 + b"</a>", "a record of more than 100000 elements"),
        (b"<a>" + 16 * (b" " * 999_000) + b"</a>", None),
        (b"<a>" + 17 * (b" " * 999_000) + b"</a>", "a record of more than 16000000 bytes"),
        (b"<!--" + b" " * 990_000 + b"-->", None),
        (b"<!--" + b" " * 1_100_000 + b"-->", "a tag or comment of more than 1000000 bytes"),
    ],
)
def test_what_is_wrong_or_beyond_a_limit_is_refused_with_its_line(inner: bytes, says: str | None) -> None:
    document = [b"<r>\n", inner, b"</r>"]
    if says is None:
        _read(document)
        return
    with pytest.raises(Refusal) as refused:
        _read(document)
    assert says in refused.value.what
    assert refused.value.line == 2


def test_a_document_type_declaration_is_refused() -> None:
    with pytest.raises(Refusal, match="document type declaration"):
        _read([b'<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>'])
