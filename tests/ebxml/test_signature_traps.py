"""What somebody could do to a signed message without breaking its signature, and what a signature must not be."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from lxml import etree

from kpr_sender.cms.port import AlgorithmRefused, ProtectionRefused, SignatureRefused
from kpr_sender.ebxml import canonical, signature
from kpr_sender.ebxml.answers import Acknowledgment, classify
from kpr_sender.ebxml.envelope import DS, NEXT_MSH, SOAP_NEXT, SignedReference, acknowledgment
from kpr_sender.ebxml.read_mail import Mail, read
from kpr_sender.ebxml.signature import SHA256_ONLY, verify
from kpr_sender.errors import AccessRefused
from kpr_sender.messages.refused import MessageRefused
from tests.ebxml.samples import ACK_ID, AT, CONVERSATION, KPR, MESSAGE_ID, SENT, US, acknowledged, shipment
from tests.ebxml.test_answers import as_mail, from_kpr
from tests.ebxml.test_signature import sent
from tests.helpers import pki
from tests.helpers.pki import Kind
from tests.helpers.xml_signatures import NO_XMLSEC1

Change = Callable[[bytes], bytes]
_ACTORS: Final = (NEXT_MSH, SOAP_NEXT)


def resigned(change: Change, *, kind: Kind = Kind.RECEIVER_SIGNER, soap: bytes = b"") -> bytes:
    """Return an envelope, an Acknowledgment for one, changed before its signer makes the signature's own values."""
    changed = change(soap or sent(acknowledged((), signer=kind))[0])
    root, bare = canonical.parsed(changed), canonical.parsed(changed)
    signed, own = root.find(f".//{DS}Signature"), bare.find(f".//{DS}Signature")
    if signed is None or own is None:
        return changed
    canonical.remove(own)
    has_xpath = signed.find(f"{DS}SignedInfo//{DS}XPath") is not None
    digest = hashlib.sha256(canonical.canonical(canonical.without_next(bare) if has_xpath else bare)).digest()
    info, value = signed.find(f"{DS}SignedInfo"), signed.find(f"{DS}SignatureValue")
    if info is None or value is None:
        return changed
    for reference in info.findall(f"{DS}Reference"):
        written = reference.find(f"{DS}DigestValue")
        if written is not None and not reference.get("URI", "").startswith("cid:"):
            written.text = base64.b64encode(digest).decode()
    made = pki.key_pair(kind).sign_digest(hashlib.sha256(canonical.canonical(canonical.own_document(info))).digest())
    value.text = base64.b64encode(made).decode()
    return canonical.serialised(root)


def replacing(old: str, new: str) -> Change:
    def change(soap: bytes) -> bytes:
        changed = re.sub(old.encode(), new.encode(), soap, count=1)
        assert changed != soap
        return changed

    return change


def verified(soap: bytes) -> etree._Element:
    return verify(soap, parts={}, expected=[pki.certificate(Kind.RECEIVER_SIGNER)], policy=SHA256_ONLY).root


def answer(soap: bytes) -> Acknowledgment:
    mail = read(as_mail(soap))
    assert isinstance(mail, Mail)
    found = classify(mail, from_kpr())
    assert isinstance(found, Acknowledgment)
    return found


def test_what_is_signed_again_without_a_change_holds() -> None:
    assert answer(resigned(lambda soap: soap)).assurance.is_verified


@pytest.mark.parametrize("actor", _ACTORS)
def test_a_part_that_we_go_by_and_that_no_signature_is_over_is_refused(actor: str) -> None:
    """Somebody puts it in, or takes the signed one out of the signature by an attribute."""
    soap, _ = sent(acknowledged(()))
    put_in = {
        "MessageHeader": f'<eb:MessageHeader SOAP:actor="{actor}"/>',
        "Acknowledgment": f'<eb:Acknowledgment SOAP:actor="{actor}"/>',
        "ErrorList": f'<x SOAP:actor="{actor}"><eb:ErrorList/></x>',
        "Manifest": f'<eb:Manifest SOAP:actor="{actor}"/>',
    }
    for name, element in put_in.items():
        with pytest.raises(SignatureRefused, match=rf"its {name} is for the next hop"):
            verified(replacing("<SOAP:Header>", f"<SOAP:Header>{element}")(soap))
    by_its_signer = resigned(replacing('SOAP:actor="[^"]*toPartyMSH"', f'SOAP:actor="{actor}"'))
    assert answer(by_its_signer).assurance.problem.startswith("its Acknowledgment is for the next hop")


@pytest.mark.parametrize("actor", _ACTORS)
def test_anything_else_that_no_signature_is_over_is_ignored(actor: str) -> None:
    soap, _ = sent(acknowledged(()))
    another = f'<eb:RefToMessageId SOAP:actor="{actor}">another</eb:RefToMessageId>'
    for place, element in (
        ("(?<=<SOAP:Header>)", f'<eb:SyncReply SOAP:mustUnderstand="1" eb:version="2.0" SOAP:actor="{actor}"/>'),
        ("(?<=<SOAP:Header>)", f'<x:y xmlns:x="urn:x" SOAP:mustUnderstand="1" SOAP:actor="{actor}"/>'),
        ("(?=<eb:RefToMessageId>)", another),
        ("(?<=</eb:MessageId>)", f'<eb:MessageId SOAP:actor="{actor}">another</eb:MessageId>'),
    ):
        found = answer(replacing(place, element)(soap))
        assert found.assurance.is_verified
        assert (found.acknowledged, found.header.message_id) == (MESSAGE_ID, ACK_ID)
    # Without the actor the signature is over it.
    with pytest.raises(SignatureRefused, match="its envelope was changed"):
        verified(replacing("(?=<eb:RefToMessageId>)", another.replace(f' SOAP:actor="{actor}"', ""))(soap))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<Signature .*</Signature>", "", "it is not signed"),
        ("(<Signature .*</Signature>)", r"\1\1", "more than one Signature"),
        ("(<Signature .*</Signature>)(.*<SOAP:Body)/>", r"\2>\1</SOAP:Body>", "not a child of SOAP:Header"),
        ("<SignedInfo>.*</SignedInfo>", "", "its signature has no SignedInfo"),
        ("<SignatureValue>.*</SignatureValue>", "", "its signature has no SignatureValue"),
        ("<X509Certificate>.*</X509Certificate>", "", "its signature has no certificate"),
        ("<X509Certificate>[^<]*", "<X509Certificate>AAAA", "another certificate than those we hold"),
        ("<SignatureValue>[^<]*", "<SignatureValue>****", "a value that is no base64"),
        ("<SignatureValue>[^<]*", "<SignatureValue>AAAA", "its signature is not valid"),
    ],
)
def test_a_signature_that_lacks_a_part_is_refused(old: str, new: str, why: str) -> None:
    soap, _ = sent(acknowledged(()))
    with pytest.raises(SignatureRefused, match=why):
        verified(replacing(f"(?s){old}", new)(soap))


_DIGEST: Final = f'<DigestMethod Algorithm="{signature.SHA256_DIGEST}"/><DigestValue>AA==</DigestValue>'
_REFERENCE: Final = r'(?s)(<SignedInfo>.*?)<Reference URI="">(.*?)</Reference>'


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (_REFERENCE, r"\1", "not over the envelope and each part of the mail once"),
        (_REFERENCE, r"\1<Reference>\2</Reference>", "not over the envelope and each part"),
        (
            _REFERENCE,
            r'\1<Reference URI="">\2</Reference><Reference URI="">\2</Reference>',
            "each part of the mail once",
        ),
        (_REFERENCE, r'\1<Reference URI="">\2</Reference><Reference URI="#a">\2</Reference>', "something else than"),
        (
            _REFERENCE,
            rf'\1<Reference URI="">\2</Reference><Reference URI="cid:a">{_DIGEST}</Reference>',
            "a part of the mail that it signs is not there",
        ),
        (r'<Transform Algorithm="[^"]*enveloped-signature"/>', "", "other transforms than those of ebXML"),
        (r"REC-xml-c14n-20010315(?=\"/></Transforms>)", "REC-xml-c14n-20010315#WithComments", "other transforms"),
        ("ancestor-or-self::node", "ancestor::node", "another XPath than that of ebXML"),
        ("(?s)<XPath .*?</XPath>", "", "another XPath"),
        ("(?s)(<XPath .*?</XPath>)", r"\1\1", "more than one XPath"),
        ("(?<=<XPath )xmlns:SOAP-ENV=.http://schemas", 'xmlns:SOAP-ENV="urn:schemas', "another XPath"),
    ],
)
def test_a_signature_over_something_else_is_refused(old: str, new: str, why: str) -> None:
    """Its own signer signs it so: everything else in it holds."""
    with pytest.raises(SignatureRefused, match=why):
        verified(resigned(replacing(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("xmldsig-more#rsa-sha256", "xmldsig-more#rsa-sha512"),
        ("xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256"),
        ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
        ('(?<=<CanonicalizationMethod Algorithm=")[^"]*', "http://www.w3.org/2001/10/xml-exc-c14n#"),
        (r'(?s)(?<=</Transforms><DigestMethod Algorithm=")[^"]*', "http://www.w3.org/2000/09/xmldsig#sha1"),
    ],
)
def test_an_algorithm_that_is_not_the_profile_s_is_refused(old: str, new: str) -> None:
    soap, _ = sent(acknowledged(()))
    with pytest.raises(AlgorithmRefused, match="which is refused"):
        verified(replacing(old, new)(soap))


def test_peers_that_leave_the_xpath_out_sign_all_of_it() -> None:
    without = resigned(replacing(r"(?s)(?<=<SignedInfo>)(.*?)<Transform Algorithm=.[^>]*xpath.*?</Transform>", r"\1"))
    assert answer(without).assurance.is_verified
    with pytest.raises(SignatureRefused, match="its envelope was changed"):
        verified(replacing("<SOAP:Header>", f'<SOAP:Header><x SOAP:actor="{SOAP_NEXT}"/>')(without))


def test_a_payload_that_the_manifest_names_and_nobody_signed_is_refused() -> None:
    """Also where its own signer left it out: nobody can make such a message with this room."""
    root = canonical.parsed(sent(shipment())[0])
    signed = root.find(f".//{DS}Signature")
    assert signed is not None
    canonical.remove(signed)
    with pytest.raises(SignatureRefused, match="its Manifest names a part that is not signed"):
        signature.sign(root, signer=pki.key_pair(Kind.SIGNER), digests={})


def test_names_that_signature_programs_do_not_agree_on_are_refused() -> None:
    soap, _ = sent(acknowledged(()))
    for name, why in (("urn:&amp;x", "do not agree on"), ("relative", "relative namespace name")):
        with pytest.raises(ProtectionRefused, match=why):
            verified(replacing("<SOAP:Header>", f'<SOAP:Header xmlns:z="{name}">')(soap))


def test_a_comment_hides_nothing_of_what_was_signed() -> None:
    """Canonical form has no comments: a peer may have one in a text, and anybody may put one in."""
    soap, _ = sent(acknowledged(()))
    found = answer(replacing(MESSAGE_ID[:8] + "(?=-)", MESSAGE_ID[:8] + "<!-- -->")(soap))
    assert (found.assurance.is_verified, found.acknowledged) == (True, MESSAGE_ID)


def test_what_costs_most_is_over_soon() -> None:
    """Anybody can embed the certificate that we expect, and so get as far as the canonical form."""
    soap, _ = sent(acknowledged(()))
    names = " ".join(f'xmlns:n{number}="urn:{number}"' for number in range(900))
    nested = b"<eb:MessageHeader>" * 200 + b"</eb:MessageHeader>" * 200
    bombs = {
        "namespaces": replacing("<SOAP:Header>", f"<SOAP:Header {names}>")(soap).replace(
            b"<SOAP:Body/>", b"<x/>" * 40_000 + b"<SOAP:Body/>"
        ),
        "depth": soap.replace(b"<SOAP:Body/>", nested * 120 + b"<SOAP:Body/>"),
        "next hop": soap.replace(b"<SOAP:Body/>", f'<x SOAP:actor="{SOAP_NEXT}"/>'.encode() * 15_000 + b"<SOAP:Body/>"),
        "attributes": replacing("<eb:CPAId", "<eb:CPAId " + " ".join(f'a{number}=""' for number in range(90)))(soap),
        "references": re.sub(b"(?s)(<SignedInfo>.*?)(<Reference .*?</Reference>)", rb"\1" + rb"\2" * 500, soap),
    }
    for name, bomb in bombs.items():
        began = time.process_time()
        with contextlib.suppress(SignatureRefused, MessageRefused):
            verified(bomb)
            assert name == "next hop"  # which is ignored, however much of it there is
        assert time.process_time() - began < 5, name


def test_an_answer_that_xmlsec1_signs_is_taken(tmp_path: Path) -> None:
    """With a template of its own: nothing of ours made it."""
    if shutil.which("xmlsec1") is None:
        pytest.skip(NO_XMLSEC1)
    (tmp_path / "key.pem").write_bytes(pki.key_pem(Kind.RECEIVER_SIGNER))
    (tmp_path / "certificate.pem").write_bytes(pki.certificate_pem(Kind.RECEIVER_SIGNER))
    (tmp_path / "ack.xml").write_text(_TEMPLATE)
    command = ["xmlsec1", "--sign", "--privkey-pem", "key.pem,certificate.pem", "--output", "signed.xml", "ack.xml"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    found = answer((tmp_path / "signed.xml").read_bytes())

    assert found.assurance.is_verified
    assert (found.acknowledged, found.header.from_her_id) == (MESSAGE_ID, KPR)
    assert found.references == (SignedReference("", "AAAA", "http://www.w3.org/2001/04/xmlenc#sha256"),)


_TEMPLATE: Final = f"""<?xml version="1.0" encoding="utf-8"?>
<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"
 xmlns:eb="http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd">
 <S:Header>
  <eb:MessageHeader S:mustUnderstand="true" eb:version="2.0">
   <eb:From><eb:PartyId eb:type="HER"> {KPR} </eb:PartyId><eb:PartyId eb:type="ENH">983744516</eb:PartyId></eb:From>
   <eb:To><eb:PartyId eb:type="HER">{US}</eb:PartyId></eb:To>
   <eb:CPAId>{KPR}_{US}</eb:CPAId><eb:ConversationId>{CONVERSATION}</eb:ConversationId>
   <eb:Service>urn:oasis:names:tc:ebxml-msg:service</eb:Service><eb:Action>Acknowledgement</eb:Action>
   <eb:MessageData><eb:MessageId>20231121-154526-99398@kpr</eb:MessageId>
    <eb:Timestamp>2027-01-14T08:31:00.1234567</eb:Timestamp><eb:RefToMessageId>{MESSAGE_ID}</eb:RefToMessageId>
   </eb:MessageData>
  </eb:MessageHeader>
  <eb:Acknowledgment S:mustUnderstand="true" eb:version="2.0">
   <eb:Timestamp>2027-01-14T08:31:00</eb:Timestamp><eb:RefToMessageId>{MESSAGE_ID.upper()}</eb:RefToMessageId>
   <Reference xmlns="http://www.w3.org/2000/09/xmldsig#" URI="">
    <DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue>AAAA</DigestValue></Reference>
  </eb:Acknowledgment>
  <eb:SyncReply eb:version="2.0" S:mustUnderstand="1" S:actor="{SOAP_NEXT}"/>
  <Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo>
   <CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>
   <SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>
   <Reference URI=""><Transforms>
     <Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>
     <Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><XPath>
      not(ancestor-or-self::node()[@S:actor='{NEXT_MSH}'] |
          ancestor-or-self::node()[@S:actor='{SOAP_NEXT}'])</XPath></Transform>
     <Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/></Transforms>
    <DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue/></Reference>
  </SignedInfo><SignatureValue/><KeyInfo><X509Data/><KeyValue/></KeyInfo></Signature>
 </S:Header>
 <S:Body/>
</S:Envelope>
"""
"""With what real messages have: another prefix, ids of two kinds, ``true``, blanks round values, other times."""


def test_the_key_of_another_certificate_is_not_signed_with() -> None:
    own = pki.key_pair(Kind.SIGNER)
    with pytest.raises(AccessRefused, match="does not belong to its certificate"):
        signature.sign(
            acknowledgment(SENT.parties.for_answer, SENT.ids, cpa="a", acknowledged="b", accepted_at=AT, references=()),
            signer=type(own)(pki.certificate(Kind.STRANGER), own.private_key),
            digests={},
        )
