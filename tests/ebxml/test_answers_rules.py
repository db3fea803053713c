"""HITS 1172's numbered rules, as what comes to us may break them: noted and taken, or refused with the reason.

The sender signs what is broken, so that nothing else speaks against it. A strict receiver would refuse every real
message; what we refuse is what would let somebody else speak, or what cannot be read in one way only.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from kpr_sender.ebxml.answers import Acknowledgment, MessageError, PayloadMessage, classify
from kpr_sender.ebxml.envelope import EbxmlMessage, EbxmlNames, EbxmlParties, MessageIds, Severity
from kpr_sender.ebxml.mail import payload_mail
from kpr_sender.ebxml.read_mail import NotEbxml, read
from kpr_sender.ebxml.reports import Other
from tests.ebxml.samples import ACK_ID, AT, CONTENT, CONVERSATION, KPR, SENT, THEIRS, US, acknowledged, shipment
from tests.ebxml.test_answers import from_kpr, refused_with
from tests.ebxml.test_signature import sent
from tests.ebxml.test_signature_traps import resigned
from tests.helpers import pki
from tests.helpers.pki import Kind

TAKEN: Final = ""
_NOT_ONE_SIDE: Final = "it is not from the receiver that we send to"
_NOT_ONE_OTHER: Final = "it is for another HER-id than ours"
_NO_MESSAGE: Final = "it is no ebXML message"
_TWO_AT_ONCE: Final = "and something else at once"
_NO_PART: Final = "does not name exactly one part"

Row = tuple[str, str, str, str, str]
"""Number, which message, what is replaced in it, with what, and why it is refused: ``TAKEN`` where it is not."""

_HEADERS: Final = (
    ("From", "18", "80"),
    ("To", "19", "81"),
    ("Message-ID", "250", "251"),
    ("Date", "20", "83"),
    ("MIME-Version", "21", "82"),
    ("SOAPAction", "22", "51"),
)
MAIL_ROWS: Final[tuple[Row, ...]] = (
    *((there, "ack", f"(?m)^{name}: .*\n", "", TAKEN) for name, there, _ in _HEADERS),
    *((empty, "ack", f"(?m)^{name}: .*$", f"{name}:", TAKEN) for name, _, empty in _HEADERS),
    ("51", "ack", '"ebXML"', "ebxml", TAKEN),
    ("252", "ack", "multipart/related", "text/plain", "of another type"),
    ("66", "ack", "multipart/related", "application/xml", "of another type"),
    ("253", "ack", ' type="text/xml";', "", TAKEN),
    ("67", "ack", "Content-Type: text/xml", "Content-Type: text/html", "it has no part of text/xml"),
    ("255", "ack", "Content-Type: text/xml", "Content-Type: application/xml", "it has no part of text/xml"),
    ("256", "ack", '; charset="UTF-8"', "", TAKEN),
    ("257", "ack", "(?s)Content-Transfer-Encoding: base64(.*?\n\n).*?(?=\n--b)", r"A: b\1SOAP", TAKEN),
    ("258", "ack", "(?s)(Encoding: )base64(.*?\n\n).*?(?=\n--b)", r"\g<1>7bit\2SOAP", TAKEN),
    ("258", "ack", "(?s)(Encoding: )base64", r"\1x-unknown", "encoded in a way that is not known"),
    ("259a", "apprec", "(?s)(<p>.*Encoding: )base64(.*?\n\n).*?(?=\n--b)", r"\1binary\2PAYLOAD", TAKEN),
    ("259a", "apprec", "(?s)(<p>.*Encoding: )base64", r"\1x-unknown", "a part of the mail that it signs is not there"),
    ("260", "apprec", "smime-type=enveloped-data", 'smime-type="enveloped-data"; name=M1152.P7M', TAKEN),
    ("260", "apprec", "; smime-type=enveloped-data", "", TAKEN),
    ("260", "apprec", "application/pkcs7-mime", "application/octet-stream", "its payload is not sealed"),
    ("23", "apprec", "<p>", "<q>", "a part of the mail that it signs is not there"),
    ("27", "apprec", "(?s)--b\nContent-ID: <p>.*", "--b--", "a part of the mail that it signs is not there"),
    ("5.5.2.2", "apprec", "start=.<s>", 'start="<t>', TAKEN),
)  # fmt: skip

_PARTY: Final = "(<eb:{0}>)<eb:PartyId eb:type=.HER.>([0-9]+)</eb:PartyId>"
XML_ROWS: Final[tuple[Row, ...]] = (
    ("78", "ack", r"^<\?xml[^>]*>\n", "", TAKEN),
    ("68", "ack", r"^<\?xml.*?\?>", '<?xml version="1.0" encoding="ISO-8859-1"?>', TAKEN),
    ("68", "ack", r"^<\?xml.*?\?>", '<?xml version="1.0" encoding="x"?>', "encoding is not known"),
    ("86", "ack", "schemas.xmlsoap.org/soap/envelope/", "x.org/", "its root is not SOAP:Envelope"),
    ("86", "ack", "msg-header-2_0.xsd", "msg-header-3_0.xsd", "it has no MessageHeader"),
    ("16", "ack", 'mustUnderstand="1"', 'mustUnderstand="true"', TAKEN),
    ("16", "ack", "</eb:CPAId>", "", "it is not well-formed XML"),
    ("17", "ack", "(<eb:CPAId>.*</eb:CPAId>)(<eb:Conv.*</eb:ConversationId>)", r"\2\1<eb:Unknown/>", TAKEN),
    ("43", "ack", "SOAP:Envelope(.*)SOAP:Envelope", r"SOAP:Other\1SOAP:Other", "its root is not SOAP:Envelope"),
    ("2", "ack", "SOAP:Header(.*)SOAP:Header", r"SOAP:Other\1SOAP:Other", _NO_MESSAGE),
    ("3", "ack", "<SOAP:Body/>", "", TAKEN),
    ("3", "ack", "<SOAP:Body/>", "<SOAP:Body><x/></SOAP:Body>", TAKEN),
    ("3", "apprec", "<SOAP:Body>.*</SOAP:Body>", "", _NO_PART),
    ("100", "ack", "<SOAP:Header>", '<SOAP:Header><x SOAP:mustUnderstand="1"/>', "a block that must be understood"),
    ("100", "ack", "<SOAP:Header>", '<SOAP:Header><eb:SyncReply SOAP:mustUnderstand="1"/><x/>', TAKEN),
    ("101", "ack", "<SOAP:Body/>", '<SOAP:Body><x SOAP:mustUnderstand="1"/></SOAP:Body>', TAKEN),
    ("4", "ack", "eb:MessageHeader(.*)eb:MessageHeader", r"eb:Other\1eb:Other", "it has no MessageHeader"),
    ("8", "ack", ' eb:version="2.0"', "", TAKEN),
    ("70", "ack", 'eb:version="2.0"', 'eb:version="3.0"', "another version than ebXML Messaging 2.0"),
    ("7", "ack", ' SOAP:mustUnderstand="1"', "", TAKEN),
    ("69", "ack", 'mustUnderstand="1"', 'mustUnderstand="0"', TAKEN),
    ("76", "ack", "<eb:MessageId>[^<]*</eb:MessageId>", "", "it has no MessageId"),
    ("102", "ack", "(<eb:MessageId>)[^<]*", r"\g<1>1152", TAKEN),
    ("102", "ack", "(<eb:MessageId>)[^<]*", rf"\g<1>{'1' * 300}", "its MessageId is too long"),
    ("77", "ack", "<eb:Timestamp>[^<]*</eb:Timestamp>", "", TAKEN),
    ("11", "ack", "<eb:CPAId>[^<]*</eb:CPAId>", "", TAKEN),
    ("12", "ack", "(<eb:CPAId>)[^<]*", r"\g<1>nav:qass:34986", TAKEN),
    ("10", "ack", "eb:From>(.*)eb:From>", r"eb:Other>\1eb:Other>", _NOT_ONE_SIDE),
    ("9", "ack", "eb:To>(.*)eb:To>", r"eb:Other>\1eb:Other>", _NOT_ONE_OTHER),
    ("58", "ack", _PARTY.format("From"), r"\1", _NOT_ONE_SIDE),
    ("59", "ack", _PARTY.format("To"), r"\1", _NOT_ONE_OTHER),
    ("25", "ack", _PARTY.format("From"), r'\1<eb:PartyId eb:type="HER"/>', _NOT_ONE_SIDE),
    ("55", "ack", _PARTY.format("To"), r'\1<eb:PartyId eb:type="HER"/>', _NOT_ONE_OTHER),
    ("60", "ack", _PARTY.format("From"), r'\1<eb:PartyId eb:type="ENH">\2</eb:PartyId>', _NOT_ONE_SIDE),
    ("61", "ack", _PARTY.format("To"), r'\1<eb:PartyId eb:type="ENH">\2</eb:PartyId>', _NOT_ONE_OTHER),
    ("14", "ack", f"({_PARTY.format('From')})", r'\1<eb:PartyId eb:type="HER">1</eb:PartyId>', _NOT_ONE_SIDE),
    ("14", "ack", f"({_PARTY.format('From')})", r'\1<eb:PartyId eb:type="HER">\3</eb:PartyId>', TAKEN),
    ("14", "ack", f"({_PARTY.format('From')})", r'\1<eb:PartyId eb:type="ENH">983744516</eb:PartyId>', TAKEN),
    ("13", "ack", f"({_PARTY.format('To')})", r'\1<eb:PartyId eb:type="HER">1</eb:PartyId>', _NOT_ONE_OTHER),
    ("31", "ack", _PARTY.format("From"), r'\1<eb:PartyId eb:type="HER">\2a</eb:PartyId>', _NOT_ONE_SIDE),
    ("31", "ack", _PARTY.format("From"), r'\1<eb:PartyId eb:type="HER"> \2 </eb:PartyId>', TAKEN),
    ("56", "ack", _PARTY.format("To"), r'\1<eb:PartyId eb:type="HER">+\2</eb:PartyId>', _NOT_ONE_OTHER),
    ("29", "ack", _PARTY.format("From"), r'\1<eb:PartyId eb:type="HER">1\2</eb:PartyId>', _NOT_ONE_SIDE),
    ("54a", "ack", _PARTY.format("To"), r'\1<eb:PartyId eb:type="HER">1\2</eb:PartyId>', _NOT_ONE_OTHER),
    ("47", "ack", "<eb:Service>[^<]*</eb:Service>", "", TAKEN),
    ("71", "ack", "(<eb:Service>)[^<]*", r"\1", TAKEN),
    ("48", "ack", "<eb:Action>[^<]*</eb:Action>", "", TAKEN),
    ("72", "ack", "(<eb:Action>)[^<]*", r"\1", TAKEN),
    ("45", "ack", "<Signature .*</Signature>", "", "it is not signed"),
    ("52", "ack", "(<Signature .*</Signature>)", r"\1\1", "more than one Signature"),
    ("363", "ack", "<SignedInfo>.*</SignedInfo>", "", "its signature has no SignedInfo"),
    ("42", "ack", "<SignatureValue>.*</SignatureValue>", "", "its signature has no SignatureValue"),
    ("32", "ack", "<KeyInfo>.*</KeyInfo>", "", "its signature has no certificate"),
    ("41", "ack", "<X509Data>.*</X509Data>", "", "its signature has no certificate"),
    ("103", "ack", "<X509Certificate>.*</X509Certificate>", "", "its signature has no certificate"),
    ("65", "ack", "(<X509Data>)", r"\1<X509Certificate>MIIB</X509Certificate>", TAKEN),
    ("46", "ack", "(<X509Certificate>)[^<]*", r"\1MIIB", "another certificate than those we hold"),
    ("39", "ack", "(<SignedInfo>.*?)<Reference .*?</Reference>", r"\1", "not over the envelope"),
    ("40", "ack", '(<SignedInfo>.*?)URI=""', r'\1URI="cid:x"', "not over the envelope"),
    ("85", "ack", '(<SignedInfo>.*?) URI=""', r"\1", "not over the envelope"),
    ("34", "apprec", 'URI="cid:', 'URI="http://', "something else than the envelope and parts"),
    ("33", "ack", "xmlenc#sha256", "xmldsig-more#sha384", "sha384, which is refused"),
    ("84", "ack", "#rsa-sha256", "#rsa-sha512", "rsa-sha512, which is refused"),
    ("37", "ack", "#enveloped-signature", "#base64", "other transforms"),
    ("36", "ack", "<Transform [^>]*xpath.*?</Transform>", "", TAKEN),
    ("36", "ack", "actor/next", "actor/other", "another XPath"),
    ("35", "ack", "(<Transform [^>]*)2001/REC-xml-c14n-20010315", r"\g<1>2006/REC-xml-c14n11", "other transforms"),
    ("38", "ack", "(<Transform [^>]*enveloped-signature./>)", r"\1\1", "other transforms"),
    ("64", "ack", "<DigestValue>[^<]*</DigestValue>", "", "its envelope was changed"),
    ("106", "ack", "(<eb:Service>)[^<]*", r"\1S-KPR_IPL", TAKEN),
    ("107", "ack", ">Acknowledgment<", ">Acknowledgement<", TAKEN),
    ("109", "ack", "(?=</eb:MessageData>)", "<eb:RefToMessageId>x</eb:RefToMessageId>", TAKEN),
    ("115", "ack", "<SOAP:Header>", "<SOAP:Header><eb:ErrorList/>", _TWO_AT_ONCE),
    ("5.11.3", "ack", "<SOAP:Header>", "<SOAP:Header><eb:AckRequested/>", _TWO_AT_ONCE),
    ("5.11.3", "ack", "<SOAP:Body/>", "<SOAP:Body><eb:Manifest/></SOAP:Body>", _TWO_AT_ONCE),
    ("5.11.3", "ack", "<SOAP:Header>", "<SOAP:Header><eb:Acknowledgment/>", "more than one Acknowledgment"),
    ("116", "digests", '<Reference [^>]*URI=""[^>]*>.*?</Reference>', "", TAKEN),
    ("117", "digests", '<Reference [^>]*URI="cid:[^>]*>.*?</Reference>', "", TAKEN),
    ("120", "error", "(<eb:Service>)[^<]*", r"\1S-KPR_IPL", TAKEN),
    ("121", "error", "(<eb:Action>)[^<]*", r"\1KPR_IPL", TAKEN),
    ("123", "error", "<SOAP:Header>", "<SOAP:Header><eb:Acknowledgment/>", _TWO_AT_ONCE),
    ("5.11.3", "error", "<SOAP:Header>", "<SOAP:Header><eb:AckRequested/>", TAKEN),
    ("5.11.3", "error", "<SOAP:Body/>", "<SOAP:Body><eb:Manifest/></SOAP:Body>", _TWO_AT_ONCE),
    ("74", "apprec", "<eb:DuplicateElimination/>", "", TAKEN),
    ("75", "apprec", "<eb:AckRequested[^>]*/>", "", TAKEN),
    ("94", "apprec", ' eb:signed="true"', "", TAKEN),
    ("5.14.2", "apprec", '(<eb:AckRequested .*?)SOAP:mustUnderstand="1"', r"\1", TAKEN),
    ("5", "apprec", '<eb:Manifest eb:version="2.0"', "<eb:Manifest", TAKEN),
    ("6", "apprec", "<eb:Reference [^>]*/>", "", _NO_PART),
    ("5.14.3", "apprec", 'xlink:href="[^"]*"', 'xlink:href=""', "names a part that is not signed"),
    ("5.11.2", "apprec", "<SOAP:Body>", "<SOAP:Body><x/>", "more in its Body than a Manifest"),
    ("5.11.1", "apprec", "<eb:AckRequested[^>]*/>(.*)<eb:Manifest.*</eb:Manifest>", r"\1", "without payload"),
)  # fmt: skip


def _apprec() -> tuple[bytes, bytes]:
    """Return the envelope and the payload of an AppRec from KPR."""
    said = EbxmlMessage(
        EbxmlParties(KPR, US, "KPR_IPLreceiver", "KPR_IPLsender"),
        EbxmlNames("S-KPR_IPL", "APPREC", SENT.names.cpa_id),
        MessageIds(ACK_ID, CONVERSATION, AT),
    )
    mail = payload_mail(
        [CONTENT],
        len(CONTENT),
        sent=said,
        addresses=THEIRS,
        signer=pki.key_pair(Kind.RECEIVER_SIGNER),
        recipient=pki.certificate(Kind.ENCRYPTION),
    )
    soap, parts = sent(mail)
    ((name, payload),) = parts.items()
    return soap.replace(name.encode(), b"p"), payload


def _bases() -> dict[str, tuple[bytes, bytes]]:
    return {
        "ack": (sent(acknowledged(()))[0], b""),
        "digests": (sent(acknowledged(shipment().references))[0], b""),
        "error": (sent(refused_with(Severity.ERROR))[0], b""),
        "apprec": _apprec(),
    }


_HEAD: Final = """\
SOAPAction: "ebXML"
From: kpr@edi.nhn.no
To: storevik@edi.nhn.no
Date: Thu, 14 Jan 2027 08:30:00 +0000
Message-ID: <a@b>
MIME-Version: 1.0
Content-Type: multipart/related; type="text/xml"; start="<s>"; boundary=b

--b
Content-ID: <s>
Content-Type: text/xml; charset="UTF-8"
Content-Transfer-Encoding: base64

"""
_PAYLOAD: Final = """
--b
Content-ID: <p>
Content-Type: application/pkcs7-mime; smime-type=enveloped-data
Content-Transfer-Encoding: base64

"""


def _mail(soap: bytes, payload: bytes) -> str:
    parts = [_HEAD, base64.b64encode(soap).decode()]
    return "".join([*parts, _PAYLOAD if payload else "", base64.b64encode(payload).decode(), "\n--b--\n"])


def _problem(whole: bytes) -> str:
    """Return why a mail is refused; nothing where it is verified."""
    mail = read(whole)
    if isinstance(mail, NotEbxml):
        return mail.reason
    answer = classify(mail, from_kpr())
    if isinstance(answer, Other):
        return answer.reason
    assert isinstance(answer, Acknowledgment | MessageError | PayloadMessage)
    return answer.assurance.problem


def _check(number: str, base: str, problem: str, why: str) -> None:
    assert (why in problem) if why else problem == "", f"rule {number}, {base}: {problem or 'taken'}"


def test_what_a_mail_may_break_is_taken_and_what_it_may_not_is_refused() -> None:
    bases = _bases()
    for number, base, old, new, why in MAIL_ROWS:
        soap, payload = bases[base]
        signed = resigned(lambda it: it, soap=soap)
        whole, count = re.subn(old, new, _mail(signed, payload), count=1)
        assert count == 1, f"rule {number}"
        filled = whole.encode().replace(b"SOAP\n", signed + b"\n").replace(b"PAYLOAD\n", payload + b"\n")
        _check(number, base, _problem(filled), why)


def test_what_an_envelope_may_break_is_taken_and_what_it_may_not_is_refused() -> None:
    bases = _bases()
    for number, base, old, new, why in XML_ROWS:
        soap, payload = bases[base]

        def change(written: bytes, old: str = old, new: str = new) -> bytes:
            changed, count = re.subn(f"(?s){old}".encode(), new.encode(), written, count=1)
            assert count == 1, old
            return changed

        try:
            signed = resigned(change, soap=soap)
        except ValueError:  # what has no canonical form is not signed again
            signed = change(soap)
        _check(number, base, _problem(_mail(signed, payload).encode()), why)
