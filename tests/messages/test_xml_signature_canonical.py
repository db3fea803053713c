"""Exclusive C14N of a stream is what lxml (libxml2) makes of the whole document."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from kpr_sender.cms.errors import Malformed
from kpr_sender.messages.xml_signature import exclusive
from tests.helpers.chunks import cut, cuts

PREFIXES = ("", "a", "b", "zz")
NAMESPACES = ("urn:1", "urn:2", "http://x.example/?a=1;b=2", "URN:1")
TEXTS = ("x", " ", "\n", "\r\n", "\r", "\t", "&lt;", "&amp;", "&gt;", ">", "'", "&quot;", "&#13;", "&#10;", "&#9;",
         "&#x9;", "&#xD;", "æ", "&#230;", "\U0001d11e", "&#x1D11E;", "]", "word word", "&apos;")  # fmt: skip
CONTENTS = (*TEXTS, '"', "<![CDATA[]]>", "<![CDATA[<&>\r\n\"']]>", "<!---->", "<!-- æ\n -->", "<?p?>", "<?p  d ?>",
            "<?p <&>\r\n'?>")  # fmt: skip

_texts = st.lists(st.sampled_from(TEXTS), max_size=4).map("".join)


@st.composite
def elements(draw: st.DrawFn, scope: dict[str, str], depth: int = 0) -> str:
    """An element, well-formed with namespaces, given those in force."""
    declared = draw(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(NAMESPACES), max_size=2))
    if draw(st.integers(0, 9)) == 0:
        declared[""] = ""
    scope = {**scope, **declared}
    name = draw(st.sampled_from(("e", "f", "æ", "n-1.")))
    prefix = draw(st.sampled_from(sorted(scope)))
    tag = f"{prefix}:{name}" if prefix else name
    attributes = [(f"xmlns:{key}" if key else "xmlns", uri) for key, uri in declared.items()]
    expanded = set()
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.sampled_from(["", "xml", *(key for key in sorted(scope) if key)]))
        local = draw(st.sampled_from(("space", "lang") if at == "xml" else ("p", "q", "Q", "ø", "xmlnsx")))
        if (scope.get(at, at) if at else "", local) not in expanded:
            expanded.add((scope.get(at, at) if at else "", local))
            attributes.append((f"{at}:{local}" if at else local, "preserve" if local == "space" else draw(_texts)))
    attributes = draw(st.permutations(attributes))
    written = "".join(f"{draw(st.sampled_from((' ', '  ', chr(10))))}{key}={_quoted(uri)}" for key, uri in attributes)
    content = draw(
        st.lists(
            st.sampled_from(CONTENTS) | (elements(scope, depth + 1) if depth < 4 else st.nothing()), max_size=4
        ).map("".join)
    )  # fmt: skip
    if not content and draw(st.booleans()):
        return f"<{tag}{written}/>"
    return f"<{tag}{written}>{content}</{tag} >"


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


_beside_the_root = st.lists(st.sampled_from(("\n", "\r\n", " ", "<!-- c -->", "<?p?>", "<?p d\r\n?>")), max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    declaration = draw(st.sampled_from(("", '<?xml version="1.0" encoding="UTF-8"?>', "\ufeff")))
    before, after = "".join(draw(_beside_the_root)), "".join(draw(_beside_the_root))
    return (declaration + before + draw(elements({"": ""})) + after).encode()


def streamed(document: bytes, places: Sequence[int] = ()) -> bytes:
    pieces: list[bytes] = []
    exclusive(cut(document, places), pieces.append)
    return b"".join(pieces)


def by_libxml2(document: bytes) -> bytes:
    tree = etree.fromstring(document).getroottree()
    return etree.tostring(tree, method="c14n", exclusive=True, with_comments=False)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(documents(), cuts())
@example(b'<a xmlns="urn:1" xmlns:b="urn:2"><b:c xmlns=""><d xmlns="urn:1" b:x="1" x="2"/></b:c></a>', ())
@example(b"<a x='\r\n&#13;&#10;\t'>\r\n&#13;</a>", (13, 14, 15))
def test_any_document_has_the_canonical_form_that_libxml2_gives_it(document: bytes, places: Sequence[int]) -> None:
    assert streamed(document, places) == by_libxml2(document)


@given(documents())
def test_a_canonical_form_is_its_own(document: bytes) -> None:
    canonical = streamed(document)
    assert streamed(canonical) == canonical


def test_more_tags_than_are_remembered_are_right_all_the_same() -> None:
    document = b'<a xmlns:b="urn:1">' + b"".join(b'<b:e%d x="%d"/>' % (n, n) for n in range(10_500)) * 2 + b"</a>"
    assert streamed(document) == by_libxml2(document)


def test_a_long_text_comes_in_pieces() -> None:
    document = b"<a>" + "æ&amp;".encode() * 200_000 + b"</a>"
    assert streamed(document, range(0, len(document), 999)) == by_libxml2(document)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<a>", id="no end"),
        pytest.param(b"<a/><b/>", id="two roots"),
        pytest.param(b"<!DOCTYPE a><a/>", id="DTD"),
        pytest.param(b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', id="entity"),
        pytest.param(b"<a>&e;</a>", id="unknown entity"),
        pytest.param(b"<a>\xff</a>", id="not UTF-8"),
        pytest.param(b"<b:a/>", id="prefix not declared"),
        pytest.param(b"<a b:c=''/>", id="attribute's prefix not declared"),
        pytest.param(b"<a xmlns:b='urn:1' xmlns:c='urn:1' b:x='' c:x=''/>", id="attribute twice by its namespace"),
        pytest.param(b"<a xmlns:b=''/>", id="prefix declared away"),
        pytest.param(b"<a xmlns:xmlns='urn:1'/>", id="xmlns declared"),
        pytest.param(b"<a xmlns:xml='urn:1'/>", id="xml declared as another"),
        pytest.param(b"<a xmlns:b='http://www.w3.org/XML/1998/namespace'/>", id="another declared as xml"),
        pytest.param(b"<xmlns:a/>", id="xmlns as a prefix"),
        pytest.param(b"<a:b:c xmlns:a='urn:1'/>", id="two colons"),
        pytest.param(b"<a:/>", id="no local name"),
    ],
)
def test_what_is_no_document_with_namespaces_has_no_canonical_form(document: bytes) -> None:
    with pytest.raises(Malformed):
        streamed(document)


@pytest.mark.parametrize("uri", [b"urn:a&amp;b", b"urn:a&#10;b", b'urn:a"b', b"urn:a&lt;b"])
def test_a_namespace_name_that_libxml2_writes_otherwise_than_the_standard_is_refused(uri: bytes) -> None:
    with pytest.raises(Malformed, match="do not agree"):
        streamed(b"<a xmlns:b='" + uri + b"'/>")


@pytest.mark.parametrize("uri", [b"relative", b"../x", b"//host/x", b"#x"])
def test_a_relative_namespace_name_is_refused_as_libxml2_does_it(uri: bytes) -> None:
    document = b'<a xmlns:b="' + uri + b'"/>'
    with pytest.raises(Malformed, match="relative namespace"):
        streamed(document)
    with pytest.raises((etree.C14NError, ValueError)):
        by_libxml2(document)
