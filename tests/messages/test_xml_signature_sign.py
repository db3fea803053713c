"""Our XML signatures are valid for xmlsec1 and signxml, not one byte can be altered, and the key stays where it is."""

from __future__ import annotations

import hashlib

import pytest
from lxml import etree

from kpr_sender.cms.port import ProtectionRefused
from kpr_sender.errors import AccessRefused
from kpr_sender.keys.files import KeyPair
from kpr_sender.messages.xml_signature import signature, verify_enveloped
from tests.helpers import pki
from tests.helpers.pki import Kind
from tests.helpers.xml_signatures import sign_enveloped, signxml_holds, xmlsec1_holds

SIGNER = pki.key_pair(Kind.SIGNER)
HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<MsgHead xmlns="urn:msghead"><Document><Content>'
TAIL = b"</Content></Document></MsgHead>"

PAYLOADS = {
    "plain": b'<IPLOS xmlns="http://www.npr.no/xmlstds/iplos/2019" versjon="3.7"><PERSON pePeID="1"/></IPLOS>',
    "prefixes": b'<x:p xmlns:x="urn:x" xmlns:y="urn:y" x:b="1" a="2" y:a="3"><y:q/><q xmlns=""/></x:p>',
    "comments and instructions": b"<p>a<!-- no -->b<?keep  this ?><![CDATA[<&>]]></p><!-- behind --><?p?>",
    "line ends and references": b"<p a='&#10;&#13;&#9; \r\n \"'>\r\n &#13; &amp;&#230;&gt;</p>\r\n",
    "xml attributes": b'<p xml:lang="no" b="" xml:space="preserve" a="">  </p>',
}


def document(payload: bytes) -> bytes:
    return HEAD + payload + TAIL


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=list(PAYLOADS))
def test_signxml_and_xmlsec1_and_we_agree(payload: bytes) -> None:
    xml = document(payload)
    signed = sign_enveloped(xml, SIGNER)
    certificate = SIGNER.certificate
    assert signed.startswith(HEAD + payload)
    canonical = etree.tostring(etree.fromstring(xml), method="c14n", exclusive=True, with_comments=False)
    assert verify_enveloped(signed, certificate) == canonical
    assert signxml_holds(signed, certificate)
    assert xmlsec1_holds(signed, certificate)
    for other in (signed.replace(b"<p", b"<P").replace(b"</p", b"</P"), signed.replace(b"MsgHead", b"MsgHeat")):
        if other != signed:
            assert not signxml_holds(other, certificate)
            assert not xmlsec1_holds(other, certificate)
    stranger = pki.certificate(Kind.STRANGER)
    assert not signxml_holds(signed, stranger)
    assert not xmlsec1_holds(signed, stranger)


def test_no_byte_can_be_altered() -> None:
    xml = document(PAYLOADS["plain"])
    signed = sign_enveloped(xml, SIGNER)
    whole = verify_enveloped(signed, SIGNER.certificate)
    unsigned = range(signed.index(b"<ds:KeyInfo>"), signed.index(b"</ds:KeyInfo>"))
    refused = 0
    for at in range(len(signed)):
        if at in unsigned and at % 40:  # the certificate inside is no trust, whatever it is
            continue
        altered = signed[:at] + bytes((signed[at] ^ 1,)) + signed[at + 1 :]
        try:
            found = verify_enveloped(altered, SIGNER.certificate)
        except ProtectionRefused:
            refused += 1
        else:
            assert found == whole, f"altered at {at}: {altered[at - 20 : at + 20]!r}"
    assert refused > len(signed) - len(unsigned) - 60  # what remains stands in the declaration, or in unsigned parts


def test_the_signature_s_length_is_known_before_it_is_made() -> None:
    assert len({len(signature(document(b"<p>%d</p>" % n), SIGNER)) for n in range(5)}) == 1


def test_a_key_that_is_not_the_certificate_s_signs_nothing() -> None:
    with pytest.raises(AccessRefused, match="does not belong"):
        sign_enveloped(document(b"<p></p>"), KeyPair(pki.certificate(Kind.STRANGER), SIGNER.private_key))


class Token:
    """A signer that has nothing to give away: it is asked for one signature of one digest."""

    certificate = SIGNER.certificate
    chain = ()

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def sign_digest(self, digest: bytes) -> bytes:
        self.asked.append(digest)
        return SIGNER.sign_digest(digest)


def test_a_key_in_a_token_is_asked_for_one_signature_of_signed_info_s_digest() -> None:
    token = Token()
    signed = sign_enveloped(document(PAYLOADS["plain"]), token)
    signed_info = next(etree.fromstring(signed).iter("{*}SignedInfo"))
    canonical = etree.tostring(signed_info, method="c14n", exclusive=True, with_comments=False)
    assert token.asked == [hashlib.sha256(canonical).digest()]
    assert xmlsec1_holds(signed, SIGNER.certificate)
