"""A payload's bytes go into the Hodemelding unchanged but for what cannot stand there."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from unicodedata import category

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from kpr_sender.messages.hodemelding import frame
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.splice import open_payload, splice
from kpr_sender.sandbox.hodemelding import read
from tests.helpers.chunks import cut, cuts
from tests.messages.parties import HODEMELDING

NAMESPACE = "http://www.npr.no/xmlstds/iplos/2019"
TEXT = f'<IPLOS xmlns="{NAMESPACE}" versjon="3.7"><Navn>Æsop Ødegård</Navn>\r\n<x a=\'1\'  b="2" /></IPLOS>\n'


def spliced(data: bytes, places: Sequence[int] = ()) -> bytes:
    return b"".join(splice(cut(data, places)))


def declared(encoding: str, text: str = TEXT, *, codec: str | None = None) -> bytes:
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{text}'.encode(codec or encoding)


ENCODED = {
    "UTF-8, nothing said": TEXT.encode(),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "UTF-8 with a mark and a declaration": b"\xef\xbb\xbf" + declared("utf-8"),
    "UTF-8": declared("UTF-8"),
    "ISO-8859-1": declared("ISO-8859-1"),
    "ISO-8859-15": declared("iso-8859-15"),
    "windows-1252": declared("Windows-1252"),
    "UTF-16 with its mark": declared("UTF-16"),
    "UTF-16, little end first": b"\xff\xfe" + declared("UTF-16", codec="utf-16-le"),
    "UTF-16, big end first": b"\xfe\xff" + declared("utf-16", codec="utf-16-be"),
    "UTF-16 with a mark, nothing said": b"\xff\xfe" + TEXT.encode("utf-16-le"),
    "UTF-16LE without a mark": declared("UTF-16LE", codec="utf-16-le"),
    "UTF-16BE without a mark": declared("utf-16be", codec="utf-16-be"),
    "standalone, odd quotes, a line end inside": (
        f"<?xml version='1.0'\n encoding='utf-8'\tstandalone='yes' ?>\n{TEXT}".encode()
    ),
}


@pytest.mark.parametrize("data", ENCODED.values(), ids=ENCODED.keys())
@given(places=cuts())
@example(places=list(range(200)))
def test_any_encoding_cut_anywhere_gives_the_same_bytes(data: bytes, places: Sequence[int]) -> None:
    assert spliced(data, places).removeprefix(b"\n") == TEXT.encode()


@pytest.mark.parametrize("data", ENCODED.values(), ids=ENCODED.keys())
def test_canonical_form_is_the_same_before_and_inside_the_frame(data: bytes) -> None:
    head, tail = frame(HODEMELDING)
    _, inside = read(head + spliced(data) + tail)
    assert canonical(inside) == canonical(etree.fromstring(data))


def canonical(root: etree._Element) -> bytes:
    return etree.tostring(root, method="c14n", exclusive=True)


CHARACTERS = st.characters(
    min_codepoint=0x20, max_codepoint=0xFFFD, exclude_categories=["Cs"], exclude_characters="<&>\x7f"
)
# By hand: hypothesis tries every character of Unicode to find these.
_SIGNS = set(bytes(range(256)).decode("cp1252", "ignore")) - set("<&>")
WESTERN = st.sampled_from(sorted(sign for sign in _SIGNS if category(sign) != "Cc"))


@st.composite
def documents(draw: st.DrawFn, characters: st.SearchStrategy[str]) -> str:
    """A document with prefixes, other namespaces, attributes, comments and processing instructions."""
    prefix = draw(st.sampled_from(["", "i", "ns0"]))
    name = f"{prefix}:" if prefix else ""
    words = st.text(characters, max_size=12)
    attribute = draw(words).replace('"', "")
    inner = "".join(
        draw(
            st.lists(
                st.sampled_from(
                    [
                        f"<{name}A/>",
                        f"<{name}B b=\"{attribute}\" a='&#229;'/>",
                        '<x:C xmlns:x="urn:x" x:y="1"><x:D/></x:C>',
                        '<E xmlns="urn:e"><F/></E>',
                        '<E xmlns=""><F/></E>',
                        "<!-- made by an EPJ -->",
                        "<?epj row 1?>",
                        "<![CDATA[<&]]>",
                        "\r\n",
                    ]
                )
                | words,
                max_size=8,
            )
        )
    )
    before = draw(st.sampled_from(["", "<!-- made by an EPJ -->\n", '<?xml-stylesheet href="x"?>']))
    declaration = f'xmlns:{prefix}="{NAMESPACE}"' if prefix else f'xmlns="{NAMESPACE}"'
    return f"{before}<{name}IPLOS {declaration}>{inner}</{name}IPLOS>"


@given(documents(CHARACTERS), st.sampled_from(["UTF-8", "UTF-16"]), cuts())
def test_whatever_a_document_holds_its_canonical_form_stays(text: str, encoding: str, places: Sequence[int]) -> None:
    unchanged(declared(encoding, text), places)


@given(documents(WESTERN), st.sampled_from(["windows-1252"]), cuts())
def test_the_same_for_a_western_encoding(text: str, encoding: str, places: Sequence[int]) -> None:
    unchanged(declared(encoding, text), places)


def unchanged(data: bytes, places: Sequence[int]) -> None:
    head, tail = frame(HODEMELDING)
    _, inside = read(head + spliced(data, places) + tail)
    assert canonical(inside) == canonical(etree.fromstring(data))


def test_comments_and_instructions_round_the_root_stay() -> None:
    data = b'<?xml version="1.0"?><!-- before --><?epj 1?><a/><!-- behind -->'
    assert spliced(data) == b"<!-- before --><?epj 1?><a/><!-- behind -->"


def test_an_instruction_whose_name_begins_with_xml_is_no_declaration() -> None:
    data = b'<?xml-stylesheet href="x"?><a/>'
    assert spliced(data) == data


REFUSED = {
    "unknown encoding": (b'<?xml version="1.0" encoding="EBCDIC-NO"?><a/>', "not one we know", 1),
    "unknown to XML, known to Python": (b'<?xml version="1.0" encoding="rot13"?><a/>', "not one we know", 1),
    "says UTF-16, is UTF-8": (b'<?xml version="1.0" encoding="utf-16"?><a/>', "another encoding than", 1),
    "says UTF-8, is UTF-16": (b"\xff\xfe" + declared("utf-8", codec="utf-16-le"), "another encoding than", 1),
    "says ISO-8859-1, has a UTF-8 mark": (b"\xef\xbb\xbf" + declared("iso-8859-1", codec="utf-8"), "another", 1),
    "UTF-16 that does not say so": ('<?xml version="1.0"?><a/>'.encode("utf-16-le"), "does not say so", 1),
    "UTF-32": (declared("utf-32"), "UTF-32", 1),
    "not the encoding it names": (
        b'<?xml version="1.0" encoding="us-ascii"?>\n<a>\n\xe5</a>',
        "not in the encoding",
        3,
    ),
    "undefined in windows-1252": (b'<?xml version="1.0" encoding="cp1252"?>\n\n\n<a>\x81</a>', "not in the enc", 4),
    "half a character at the end": (b"\xff\xfe<\x00a\x00/\x00>\x00\n", "not in the encoding", 1),
    "XML 1.1": (b'<?xml version="1.1"?><a/>', "not XML 1.0", 1),
    "declaration without end": (b'<?xml version="1.0" ' + b" " * 5000 + b"<a/>", "no end", 1),
    "declaration cut off": (b'<?xml version="1.0"', "no end", 1),
    "declaration with more in it": (b'<?xml version="1.0" author="x"?><a/>', "not valid", 1),
}


@pytest.mark.parametrize(("data", "reason", "line"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("places", [(), range(500)], ids=["whole", "byte by byte"])
def test_what_cannot_be_read_for_certain_is_refused(data: bytes, reason: str, line: int, places: Sequence[int]) -> None:
    with pytest.raises(MessageRefused, match=reason) as refused:
        spliced(data, places)
    assert refused.value.line == line


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"<", b"<?xml"])
def test_hardly_anything_is_no_error_here(data: bytes) -> None:
    assert spliced(data) == spliced(data, range(5))


def test_lines_of_the_declaration_are_counted() -> None:
    lines, _ = open_payload([b"<?xml\nversion='1.0'\r\n?>\n<a/>"])
    assert lines == 2


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_nothing_is_held(encoding: str) -> None:
    def chunks() -> Iterator[bytes]:
        yield declared(encoding, "<a>")
        for _ in range(400):
            yield b"<b/>" * 16_384
        yield b"</a>"

    tracemalloc.start()
    try:
        assert sum(map(len, splice(chunks()))) > 26_000_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
