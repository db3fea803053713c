"""What we sign is the canonical form that others compute from our bytes; what has none is refused."""

from __future__ import annotations

import re
from base64 import b64decode
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from kpr_sender.cms.port import Malformed
from kpr_sender.messages.xml_signature import signature, verify_enveloped
from tests.helpers import pki
from tests.helpers.pki import Kind
from tests.helpers.xml_signatures import sign_enveloped, xmlsec1_holds

SIGNER = pki.key_pair(Kind.SIGNER)

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


_beside = st.lists(st.sampled_from(("\n", "\r\n", " ", "<!-- c -->", "<?p?>", "<?p d\r\n?>")), max_size=3).map("".join)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A payload in the frame that is round it when it is signed."""
    payload = draw(_beside) + draw(elements({"": "urn:msghead"})) + draw(_beside)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<MsgHead xmlns="urn:msghead">{payload}</MsgHead>'.encode()


def by_libxml2(document: bytes) -> bytes:
    return etree.tostring(etree.fromstring(document), method="c14n", exclusive=True, with_comments=False)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(documents())
@example(b'<a xmlns="urn:1" xmlns:b="urn:2"><b:c xmlns=""><d xmlns="urn:1" b:x="1" x="2"/></b:c></a>')
@example(b"<a x='\r\n&#13;&#10;\t'>\r\n&#13;</a>")
def test_any_document_is_signed_as_others_canonicalise_it_and_its_bytes_stay(document: bytes) -> None:
    signed = sign_enveloped(document, SIGNER)
    start, end = signed.index(b"<ds:Signature "), signed.index(b"</ds:Signature>") + len(b"</ds:Signature>")
    assert signed[:start] + signed[end:] == document
    found = re.search(b"<ds:DigestValue>(.*)</ds:DigestValue>", signed)
    assert found is not None
    assert b64decode(found[1]) == sha256(by_libxml2(document)).digest()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(documents())
def test_any_document_with_names_in_ascii_is_verified_by_us(document: bytes) -> None:
    """Signxml refuses others when it verifies: it copies documents by way of ASCII. Receipts have none."""
    ascii_names = document.replace("æ".encode(), b"ae").replace("ø".encode(), b"oe")
    assert verify_enveloped(sign_enveloped(ascii_names, SIGNER), SIGNER.certificate) == by_libxml2(ascii_names)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(documents())
def test_any_document_s_signature_is_valid_for_xmlsec1(document: bytes) -> None:
    assert xmlsec1_holds(sign_enveloped(document, SIGNER), SIGNER.certificate)


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
        signature(document, SIGNER)


@pytest.mark.parametrize("uri", [b"urn:a&amp;b", b"urn:a&#10;b", b'urn:a"b', b"urn:a&lt;b"])
def test_a_namespace_name_that_libxml2_writes_otherwise_than_the_standard_is_refused(uri: bytes) -> None:
    with pytest.raises(Malformed, match=r"do not agree|not well-formed"):
        signature(b"<a xmlns:b='" + uri + b"'/>", SIGNER)


@pytest.mark.parametrize("uri", [b"relative", b"../x", b"//host/x", b"#x"])
def test_a_relative_namespace_name_is_refused_as_libxml2_does_it(uri: bytes) -> None:
    document = b'<a xmlns:b="' + uri + b'"/>'
    with pytest.raises(Malformed, match="relative namespace"):
        signature(document, SIGNER)
    with pytest.raises((etree.C14NError, ValueError)):
        by_libxml2(document)
