"""Enveloped XML signatures: ours hold, and whatever is not exactly that form is refused."""

from __future__ import annotations

import logging

import pytest
from lxml import etree

from kpr_sender.cms.port import Malformed, SignatureRefused
from kpr_sender.errors import AccessRefused
from kpr_sender.keys.files import KeyPair
from kpr_sender.messages.xml_signature import verify_enveloped
from tests.helpers import pki
from tests.helpers.pki import Kind
from tests.helpers.xml_signatures import sign_enveloped

SIGNER = pki.key_pair(Kind.SIGNER)
XML = (
    '<MsgHead xmlns="http://www.kith.no/xmlstds/msghead/2006-05-24"><MsgInfo a="1">æøå</MsgInfo>'
    '<Document><x:payload xmlns:x="urn:x">tekst &amp; mer</x:payload></Document></MsgHead>'
).encode()
DS = "{http://www.w3.org/2000/09/xmldsig#}"


def canonical(xml: bytes) -> bytes:
    return etree.tostring(etree.fromstring(xml), method="c14n", exclusive=True, with_comments=False)


def test_what_we_sign_verifies_and_comes_back_without_the_signature() -> None:
    signed = sign_enveloped(XML, SIGNER)
    assert verify_enveloped(signed, SIGNER.certificate) == canonical(XML)


def test_the_signature_is_the_last_child_of_the_root_and_over_the_whole_document() -> None:
    root = etree.fromstring(sign_enveloped(XML, SIGNER))
    assert root[-1].tag == f"{DS}Signature"
    assert [each.get("URI") for each in root.iter(f"{DS}Reference")] == [""]
    algorithms = [each.get("Algorithm") for each in root[-1].iter() if each.get("Algorithm")]
    assert algorithms == [
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/2001/04/xmlenc#sha256",
    ]


def test_a_text_above_libxml2_s_usual_bound_signs_and_verifies() -> None:
    xml = b"<MsgHead><Content>" + b"QUJD" * 3_000_000 + b"</Content></MsgHead>"
    assert verify_enveloped(sign_enveloped(xml, SIGNER), SIGNER.certificate) == xml


def test_an_expired_certificate_is_not_this_part_s_matter() -> None:
    expired = pki.key_pair(Kind.EXPIRED_SIGNER)
    assert verify_enveloped(sign_enveloped(XML, expired), expired.certificate) == canonical(XML)


def test_g4_the_embedded_certificate_is_no_trust() -> None:
    with pytest.raises(SignatureRefused, match="does not hold"):
        verify_enveloped(sign_enveloped(XML, pki.key_pair(Kind.STRANGER)), SIGNER.certificate)


def test_a_comment_does_not_split_a_text_for_whoever_reads_what_was_signed() -> None:
    signed = sign_enveloped(XML, SIGNER).replace(b"tekst", b"te<!-- -->kst")
    assert verify_enveloped(signed, SIGNER.certificate) == canonical(XML)


def moved(signed: bytes) -> bytes:
    root = etree.fromstring(signed)
    root.insert(0, root[-1])
    return etree.tostring(root)


def wrapped(signed: bytes) -> bytes:
    """The classic wrapping attack: the signed document as a child of a new root."""
    return b'<MsgHead xmlns="http://www.kith.no/xmlstds/msghead/2006-05-24"><evil/>' + signed + b"</MsgHead>"


def wrapped_with_the_signature_last(signed: bytes) -> bytes:
    root = etree.fromstring(wrapped(signed))
    root.append(next(root.iter(f"{DS}Signature")))
    return etree.tostring(root)


def twice(signed: bytes) -> bytes:
    start = signed.index(b"<ds:Signature")
    return signed[: -len(b"</MsgHead>")] + signed[start:]


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda signed: signed.replace(b"tekst", b"text"), id="altered content"),
        pytest.param(lambda signed: signed.replace(b'a="1"', b'a="2"'), id="altered attribute"),
        pytest.param(lambda _: XML, id="no signature"),
        pytest.param(moved, id="signature first"),
        pytest.param(wrapped, id="wrapped"),
        pytest.param(wrapped_with_the_signature_last, id="wrapped, signature last"),
        pytest.param(twice, id="two signatures"),
        pytest.param(lambda signed: signed.replace(b'URI=""', b'URI="#a"'), id="reference by Id"),
        pytest.param(lambda signed: signed.replace(b"rsa-sha256", b"rsa-sha1"), id="RSA-SHA1"),
        pytest.param(lambda signed: signed.replace(b"xmlenc#sha256", b"xmlenc#sha512"), id="another digest"),
        pytest.param(
            lambda signed: signed.replace(b"2001/10/xml-exc-c14n#", b"2006/12/xml-c14n11"), id="another C14N"
        ),
        pytest.param(lambda signed: signed.replace(b"Value>", b"Value>AA"), id="altered digest and signature"),
        pytest.param(lambda signed: signed.replace(b"ds:SignedInfo", b"ds:Signed"), id="not its schema"),
    ],
)  # fmt: skip
def test_whatever_is_not_exactly_that_form_is_refused(alter: object) -> None:
    assert callable(alter)
    signed = alter(sign_enveloped(XML, SIGNER))
    with pytest.raises(SignatureRefused):
        verify_enveloped(signed, SIGNER.certificate)


@pytest.mark.parametrize(
    "xml",
    [b"", b"<MsgHead>", b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', b"<!DOCTYPE a><a></a>"],
    ids=["empty", "not well-formed", "entity", "DTD"],
)
def test_what_is_no_plain_document_is_refused(xml: bytes) -> None:
    with pytest.raises(Malformed):
        sign_enveloped(xml, SIGNER)
    with pytest.raises(Malformed):
        verify_enveloped(xml, SIGNER.certificate)


def test_an_id_on_the_root_changes_nothing() -> None:
    xml = b'<MsgHead Id="a"></MsgHead>'
    assert verify_enveloped(sign_enveloped(xml, SIGNER), SIGNER.certificate) == xml


def test_a_weak_certificate_neither_signs_nor_verifies() -> None:
    weak = KeyPair(pki.certificate(Kind.RSA_1024), SIGNER.private_key)
    with pytest.raises(AccessRefused, match="1024 bits"):
        sign_enveloped(XML, weak)
    with pytest.raises(SignatureRefused, match="1024 bits"):
        verify_enveloped(sign_enveloped(XML, SIGNER), weak.certificate)


def test_g6_signxml_logs_no_payload_whatever_level_the_host_sets(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "signxml.processor"):
        verify_enveloped(sign_enveloped(XML, SIGNER), SIGNER.certificate)
    assert "tekst" not in caplog.text
