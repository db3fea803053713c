"""HITS 1172's numbered rules, as what we send keeps them: each checked on a shipment, an acknowledgement and an error.

Each rule has a change that breaks it, so that a check which finds nothing would be seen. The checks are this file's
own: neither the room that writes nor the sandbox that requires them is asked.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Final

from lxml import etree

from kpr_sender.cms.read import Policy, decrypt
from kpr_sender.ebxml.envelope import Severity
from kpr_sender.ebxml.mail import PayloadForm
from tests.ebxml.samples import ACK_ID, KPR, MESSAGE_ID, OURS, US, acknowledged, raw, shipment
from tests.ebxml.test_answers import refused_with
from tests.helpers import pki
from tests.helpers.pki import Kind

SHIPMENT: Final = ("shipment",)
ACK: Final = ("ack",)
ERROR: Final = ("error",)
SIGNALS: Final = (*ACK, *ERROR)
ALL: Final = (*SHIPMENT, *SIGNALS)
_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NAMESPACES: Final = {
    "SOAP": "http://schemas.xmlsoap.org/soap/envelope/",
    "eb": "http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd",
    "xlink": "http://www.w3.org/1999/xlink",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "re": "http://exslt.org/regular-expressions",
}
_HEADER: Final = "/SOAP:Envelope/SOAP:Header"
_BODY: Final = "/SOAP:Envelope/SOAP:Body"
_MESSAGE: Final = f"{_HEADER}/eb:MessageHeader"
_SIGNATURE: Final = f"{_HEADER}/ds:Signature"
_ROOT: Final = f"{_SIGNATURE}/ds:SignedInfo/ds:Reference[@URI='']"
_KNOWN: Final = " or ".join(
    f"self::{name}"
    for name in ("eb:MessageHeader", "eb:AckRequested", "eb:Acknowledgment", "eb:ErrorList", "ds:Signature")
)
_SIGNAL: Final = "urn:oasis:names:tc:ebxml-msg:service"

MAIL_RULES: Final[dict[str, tuple[tuple[str, ...], Callable[[EmailMessage], object], str, str]]] = {
    "18": (ALL, lambda mail: "From" in mail, "From: .*\r\n", ""),
    "80": (ALL, lambda mail: str(mail["From"]).strip(), "From: .*\r\n", "From: \r\n"),
    "19": (ALL, lambda mail: "To" in mail, "To: .*\r\n", ""),
    "81": (ALL, lambda mail: str(mail["To"]).strip(), "To: .*\r\n", "To: \r\n"),
    "250": (ALL, lambda mail: "Message-ID" in mail, "Message-ID: .*\r\n", ""),
    "251": (ALL, lambda mail: str(mail["Message-ID"]).strip(), "Message-ID: .*\r\n", "Message-ID: \r\n"),
    "20": (ALL, lambda mail: "Date" in mail, "Date: .*\r\n", ""),
    "83": (ALL, lambda mail: mail["Date"].datetime is not None, "Date: .*\r\n", "Date: \r\n"),
    "21": (ALL, lambda mail: "MIME-Version" in mail, "MIME-Version: .*\r\n", ""),
    "82": (ALL, lambda mail: mail["MIME-Version"] == "1.0", "MIME-Version: 1", "MIME-Version: 2"),
    "22": (ALL, lambda mail: "SOAPAction" in mail, "SOAPAction: .*\r\n", ""),
    "51": (ALL, lambda mail: mail["SOAPAction"] == '"ebXML"', 'SOAPAction: "ebXML"', "SOAPAction: ebXML"),
    "252": (
        ALL,
        lambda mail: mail.get_content_type() != "text/plain",
        "Content-Type: [a-z/]*",
        "Content-Type: text/plain",
    ),
    "66": (
        ALL,
        lambda mail: mail.get_content_type() in {"multipart/related", "text/xml"},
        "Content-Type: [a-z/]*",
        "Content-Type: application/xml",
    ),
    "253": (SHIPMENT, lambda mail: mail.get_param("type") == "text/xml", 'type="text/xml"; ', ""),
    "67": (ALL, lambda mail: _soap(mail) is not None, "text/xml; charset", "text/html; charset"),
    "255": (
        ALL,
        lambda mail: next(_leaves(mail)).get_content_type() == "text/xml",
        "text/xml; charset",
        "text/x; charset",
    ),
    "256": (
        ALL,
        lambda mail: next(_leaves(mail)).get_param("charset") == "UTF-8",
        'charset="UTF-8"',
        'charset="latin1"',
    ),
    "257": (
        ALL,
        lambda mail: "Content-Transfer-Encoding" in next(_leaves(mail)),
        "Content-Transfer-Encoding: .*\r\n",
        "",
    ),
    "258": (
        ALL,
        lambda mail: (
            next(_leaves(mail))["Content-Transfer-Encoding"] in {"8bit", "binary", "quoted-printable", "base64"}
        ),
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: 7bit",
    ),
    "259a": (
        SHIPMENT,
        lambda mail: list(_leaves(mail))[1]["Content-Transfer-Encoding"] == "base64",
        "(?s)(enveloped-data.*?Encoding: )base64",
        r"\1binary",
    ),
    "260": (
        SHIPMENT,
        lambda mail: (
            list(_leaves(mail))[1].get_param("smime-type") == "enveloped-data"
            and list(_leaves(mail))[1].get_content_type() == "application/pkcs7-mime"
        ),
        "smime-type=enveloped-data",
        "smime-type=signed-data",
    ),
    "261": (SHIPMENT, lambda mail: mail["From"] == OURS.sender, "From: storevik", "From: lillevik"),
    "262": (SHIPMENT, lambda mail: mail["To"] == OURS.receiver, "To: kpr@", "To: npr@"),
    "5.5.2.2": (
        SHIPMENT,
        lambda mail: mail.get_param("start") == next(_leaves(mail))["Content-ID"],
        "start=.<envelope",
        'start="<other',
    ),
    "23": (SHIPMENT, lambda mail: list(_leaves(mail))[1]["Content-ID"][1:-1] in _hrefs(mail), "<payload", "<other"),
    "27": (
        SHIPMENT,
        lambda mail: len(list(_leaves(mail))) == len(_hrefs(mail)) + 1,
        "(?s)(--=_[^\r]*)\r\nContent-Type: app.*",
        r"\1--\r\n",
    ),
    "263": (SHIPMENT, lambda mail: _payload(mail)[:1] == b"\x30", "(?s)(<payload.*?\r\n\r\n)MI", r"\1PI"),
}
"""What the mail itself shows: which messages, the check, and what is replaced where it is to fail."""

XML_RULES: Final[dict[str, tuple[tuple[str, ...], str, str, str]]] = {
    "86": (ALL, f"/SOAP:Envelope and {_HEADER}/eb:*", "soap/envelope/", "soap/other/"),
    "43": (ALL, "/SOAP:Envelope", "SOAP:Envelope", "SOAP:Other"),
    "2": (ALL, f"count({_HEADER}) = 1", "SOAP:Header", "SOAP:Other"),
    "3": (SIGNALS, f"{_BODY} and not({_BODY}/*)", "SOAP:Body/>", "SOAP:Body><x/></SOAP:Body>"),
    "100": (
        ALL,
        f"not({_HEADER}/*[not({_KNOWN})])",
        "<SOAP:Header>",
        "<SOAP:Header><eb:SyncReply/>",
    ),
    "101": (SHIPMENT, f"not({_BODY}/*[not(self::eb:Manifest)])", "<SOAP:Body>", "<SOAP:Body><x/>"),
    "5.11.2": (SHIPMENT, f"count({_BODY}/*) = 1", "<SOAP:Body>", "<SOAP:Body><eb:Manifest/>"),
    "4": (ALL, _MESSAGE, "eb:MessageHeader", "eb:Other"),
    "8": (ALL, f"{_MESSAGE}/@eb:version", 'eb:MessageHeader (.*?)eb:version="2.0"', r"eb:MessageHeader \1"),
    "70": (ALL, f"{_MESSAGE}/@eb:version = '2.0'", 'eb:version="2.0"', 'eb:version="3.0"'),
    "7": (ALL, f"{_MESSAGE}/@SOAP:mustUnderstand", 'SOAP:mustUnderstand="1" ', ""),
    "69": (ALL, f"{_MESSAGE}/@SOAP:mustUnderstand = '1'", 'mustUnderstand="1"', 'mustUnderstand="true"'),
    "76": (ALL, f"{_MESSAGE}/eb:MessageData/eb:MessageId", "eb:MessageId", "eb:Other"),
    "102": (ALL, f"re:test({_MESSAGE}/eb:MessageData/eb:MessageId, '^{_UUID}$')", "<eb:MessageId>7", "<eb:MessageId>x"),
    "77": (
        ALL,
        rf"re:test({_MESSAGE}/eb:MessageData/eb:Timestamp, '^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')",
        "00Z<",
        "00<",
    ),
    "11": (ALL, f"{_MESSAGE}/eb:CPAId", "eb:CPAId", "eb:Other"),
    "12": (ALL, f"{_MESSAGE}/eb:CPAId = '{KPR}_{US}'", f"{KPR}_{US}", f"{US}_{KPR}"),
    "10": (ALL, f"{_MESSAGE}/eb:From", "eb:From", "eb:Other"),
    "9": (ALL, f"{_MESSAGE}/eb:To", "eb:To>", "eb:Other>"),
    "58": (ALL, f"{_MESSAGE}/eb:From/eb:PartyId", "eb:PartyId", "eb:Other"),
    "59": (ALL, f"{_MESSAGE}/eb:To/eb:PartyId", "eb:PartyId", "eb:Other"),
    "25": (ALL, f"string({_MESSAGE}/eb:From/eb:PartyId) != ''", r">\d+</eb:PartyId>", "></eb:PartyId>"),
    "55": (ALL, f"string({_MESSAGE}/eb:To/eb:PartyId) != ''", r">\d+</eb:PartyId>", "></eb:PartyId>"),
    "60": (ALL, f"{_MESSAGE}/eb:From/eb:PartyId/@eb:type = 'HER'", '"HER"', '"ENH"'),
    "61": (ALL, f"{_MESSAGE}/eb:To/eb:PartyId/@eb:type = 'HER'", '"HER"', '"ENH"'),
    "14": (ALL, f"count({_MESSAGE}/eb:From/eb:PartyId) = 1", "(<eb:PartyId.*?</eb:PartyId>)", r"\1\1"),
    "13": (ALL, f"count({_MESSAGE}/eb:To/eb:PartyId) = 1", "(<eb:PartyId.*?</eb:PartyId>)", r"\1\1"),
    "31": (ALL, rf"re:test({_MESSAGE}/eb:From/eb:PartyId, '^\d+$')", r"(\d)</eb:PartyId>", r"\1a</eb:PartyId>"),
    "56": (ALL, rf"re:test({_MESSAGE}/eb:To/eb:PartyId, '^\d+$')", r"(\d)</eb:PartyId>", r"\1a</eb:PartyId>"),
    "47": (ALL, f"{_MESSAGE}/eb:Service", "eb:Service", "eb:Other"),
    "71": (ALL, f"string({_MESSAGE}/eb:Service) != ''", "(<eb:Service[^>]*>)[^<]*", r"\1"),
    "48": (ALL, f"{_MESSAGE}/eb:Action", "eb:Action", "eb:Other"),
    "72": (ALL, f"string({_MESSAGE}/eb:Action) != ''", "(<eb:Action>)[^<]*", r"\1"),
    "45": (ALL, _SIGNATURE, "<(/?)Signature", r"<\1Other"),
    "52": (ALL, "count(//ds:Signature) = 1", "(<Signature .*</Signature>)", r"\1\1"),
    "363": (ALL, f"{_SIGNATURE}/ds:SignedInfo", "SignedInfo", "Other"),
    "42": (ALL, f"string({_SIGNATURE}/ds:SignatureValue) != ''", "SignatureValue", "Other"),
    "32": (ALL, f"{_SIGNATURE}/ds:KeyInfo", "KeyInfo", "Other"),
    "39": (ALL, f"{_SIGNATURE}/ds:SignedInfo/ds:Reference", "<(/?)Reference", r"<\1Other"),
    "40": (ALL, _ROOT, 'URI=""', 'URI="#a"'),
    "34": (
        ALL,
        f"not({_SIGNATURE}/ds:SignedInfo/ds:Reference[@URI != '' and not(starts-with(@URI, 'cid:'))])",
        'URI=""',
        'URI="http://a"',
    ),
    "33": (
        ALL,
        "not(//ds:DigestMethod[@Algorithm != 'http://www.w3.org/2001/04/xmlenc#sha256'])",
        "xmlenc#sha256",
        "xmldsig#sha1",
    ),
    "37": (
        ALL,
        f"{_ROOT}//ds:Transform[1]/@Algorithm = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature'",
        "#enveloped-signature",
        "#other",
    ),
    "36": (
        ALL,
        f"{_ROOT}//ds:Transform[2]/@Algorithm = 'http://www.w3.org/TR/1999/REC-xpath-19991116'",
        "REC-xpath",
        "other",
    ),
    "35": (
        ALL,
        f"{_ROOT}//ds:Transform[3]/@Algorithm = 'http://www.w3.org/TR/2001/REC-xml-c14n-20010315'",
        "REC-xml-c14n-20010315",
        "other",
    ),
    "38": (ALL, f"count({_ROOT}//ds:Transform) = 3", "<Transform [^>]*enveloped-signature[^>]*>", ""),
    "41": (ALL, f"{_SIGNATURE}/ds:KeyInfo/ds:X509Data", "X509Data", "Other"),
    "64": (
        ALL,
        f"count({_SIGNATURE}//ds:Reference) = count({_SIGNATURE}//ds:Reference/ds:DigestValue[. != ''])",
        "<DigestValue>[^<]*",
        "<DigestValue>",
    ),
    "85": (ALL, "count(//ds:Reference) = count(//ds:Reference/@URI)", ' URI=""', ""),
    "103": (ALL, f"{_SIGNATURE}/ds:KeyInfo/ds:X509Data/ds:X509Certificate", "X509Certificate", "Other"),
    "65": (ALL, "count(//ds:X509Certificate) = 1", "(<X509Certificate>.*</X509Certificate>)", r"\1\1"),
    "84": (
        ALL,
        "//ds:SignatureMethod/@Algorithm = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256'",
        "#rsa-sha256",
        "#rsa-sha1",
    ),
    "106": (ACK, f"{_MESSAGE}/eb:Service = '{_SIGNAL}' and not({_MESSAGE}/eb:Service/@*)", ":service<", ":other<"),
    "107": (ACK, f"{_MESSAGE}/eb:Action = 'Acknowledgment'", ">Acknowledgment<", ">Acknowledgement<"),
    "108": (ACK, f"{_HEADER}/eb:Acknowledgment/eb:RefToMessageId = '{MESSAGE_ID}'", MESSAGE_ID, "x"),
    "109": (
        ACK,
        f"not({_MESSAGE}/eb:MessageData/eb:RefToMessageId)",
        "</eb:Timestamp>",
        "</eb:Timestamp><eb:RefToMessageId/>",
    ),
    "115": (ACK, f"not({_HEADER}/eb:ErrorList)", "<SOAP:Header>", "<SOAP:Header><eb:ErrorList/>"),
    "116": (ACK, f"{_HEADER}/eb:Acknowledgment/ds:Reference[@URI='']/ds:DigestValue", 'URI=""', 'URI="x"'),
    "117": (
        ACK,
        f"count({_HEADER}/eb:Acknowledgment/ds:Reference[starts-with(@URI, 'cid:')]) = 1",
        'URI="cid:',
        'URI="x',
    ),
    "120": (ERROR, f"{_MESSAGE}/eb:Service = '{_SIGNAL}'", ":service<", ":other<"),
    "121": (ERROR, f"{_MESSAGE}/eb:Action = 'MessageError'", ">MessageError<", ">KPR_IPL<"),
    "122": (ERROR, f"{_MESSAGE}/eb:MessageData/eb:RefToMessageId = '{MESSAGE_ID}'", MESSAGE_ID, "x"),
    "123": (ERROR, f"not({_HEADER}/eb:Acknowledgment)", "<SOAP:Header>", "<SOAP:Header><eb:Acknowledgment/>"),
    "74": (SHIPMENT, f"{_MESSAGE}/eb:DuplicateElimination", "eb:DuplicateElimination", "eb:Other"),
    "75": (SHIPMENT, f"{_HEADER}/eb:AckRequested", "eb:AckRequested", "eb:Other"),
    "94": (SHIPMENT, f"{_HEADER}/eb:AckRequested/@eb:signed = 'true'", 'eb:signed="true"', ""),
    "5.14.2": (
        SHIPMENT,
        f"{_HEADER}/eb:AckRequested/@SOAP:mustUnderstand = '1'",
        '(eb:AckRequested .*?mustUnderstand=)"1"',
        r'\1"0"',
    ),
    "5": (SHIPMENT, f"{_BODY}/eb:Manifest/@eb:version = '2.0'", 'eb:Manifest eb:version="2.0"', "eb:Manifest"),
    "6": (SHIPMENT, f"count({_BODY}/eb:Manifest/eb:Reference) = 1", "eb:Reference", "eb:Other"),
    "5.14.3": (SHIPMENT, f"string({_BODY}/eb:Manifest/eb:Reference/@xlink:href) != ''", 'href="cid:[^"]*', 'href="'),
    "5.11.1": (
        ALL,
        f"{_HEADER}/eb:Acknowledgment or {_HEADER}/eb:ErrorList or {_BODY}/eb:Manifest",
        "eb:(Acknowledgment|ErrorList|Manifest)",
        "eb:Other",
    ),
    "5.11.3": (
        ALL,
        f"count({_HEADER}/eb:Acknowledgment) + count({_HEADER}/eb:ErrorList) + count({_BODY}/eb:Manifest) = 1",
        "<SOAP:Header>",
        "<SOAP:Header><eb:ErrorList/><eb:Acknowledgment/>",
    ),
    "265": (SHIPMENT, "string(//eb:Schema/@eb:location) != ''", 'eb:location="[^"]*"', ""),
    "266": (SHIPMENT, "string(//eb:Schema/@eb:version) != ''", '(<eb:Schema .*)eb:version="3.7"', r'\1eb:version=""'),
    "279": (SHIPMENT, "count(//eb:Schema) = count(//eb:MessageHeader/eb:Description)", "eb:Description", "eb:Other"),
}
"""What the envelope shows, as an XPath that must be true: likewise."""

JSON_RULES: Final = {"271": "MSH-system", "272": "MSH-versjon", "273": "MSH-system", "274": "MSH-versjon"}
"""Which key of eb:Description must be there (271, 272) and have a value (273, 274)."""


def _leaves(mail: EmailMessage) -> Iterator[EmailMessage]:
    return (part for part in mail.walk() if not part.is_multipart())


def _soap(mail: EmailMessage) -> bytes | None:
    found = next((part for part in _leaves(mail) if part.get_content_type() == "text/xml"), None)
    return None if found is None else bytes(found.get_payload(decode=True))


def _payload(mail: EmailMessage) -> bytes:
    return bytes(list(_leaves(mail))[1].get_payload(decode=True))


def _hrefs(mail: EmailMessage) -> list[str]:
    found = re.findall(rb'xlink:href="cid:([^"]*)', _soap(mail) or b"")
    return [one.decode() for one in found]


def _mails() -> dict[str, bytes]:
    sent = shipment()
    return {
        "shipment": raw(sent),
        "ack": raw(acknowledged(sent.references), ACK_ID + ".1"),
        "error": raw(refused_with(Severity.ERROR), ACK_ID + ".1"),
    }


def _parsed(whole: bytes) -> EmailMessage:
    return email.message_from_bytes(whole, policy=email.policy.SMTP)


def _changed(whole: bytes, old: str, new: str) -> bytes:
    changed = re.sub(old.encode(), new.encode(), whole)
    assert changed != whole, old
    return changed


def test_every_mail_of_ours_keeps_every_rule_and_a_broken_one_is_seen() -> None:
    mails = _mails()
    for number, (kinds, holds, old, new) in MAIL_RULES.items():
        for kind in kinds:
            assert holds(_parsed(mails[kind])), f"rule {number}: {kind}"
            assert not _kept(holds, _changed(mails[kind], old, new)), f"rule {number}, broken: {kind}"


def _kept(holds: Callable[[EmailMessage], object], whole: bytes) -> bool:
    try:
        return bool(holds(_parsed(whole)))
    except (IndexError, TypeError, AttributeError):
        return False


def test_every_envelope_of_ours_keeps_every_rule_and_a_broken_one_is_seen() -> None:
    soaps = {kind: _soap(_parsed(whole)) or b"" for kind, whole in _mails().items()}
    for number, (kinds, path, old, new) in XML_RULES.items():
        for kind in kinds:
            assert _is_true(path, soaps[kind]), f"rule {number}: {kind}"
            assert not _is_true(path, _changed(soaps[kind], f"(?s){old}", new)), f"rule {number}, broken: {kind}"


def _is_true(path: str, soap: bytes) -> object:
    return etree.fromstring(soap).xpath(f"boolean({path})", namespaces=_NAMESPACES)


def test_the_declaration_and_the_encoding_are_what_the_rules_say() -> None:
    """Rules 78 and 68; schemas (16, 17) and signatures (50, 44 to 46, 104, 105) have tests of their own."""
    for whole in _mails().values():
        soap = _soap(_parsed(whole)) or b""
        assert soap.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
        assert soap.decode("utf-8")


def test_the_description_names_the_message_server() -> None:
    description = etree.fromstring(_soap(_parsed(raw(shipment()))) or b"").findtext(
        ".//{*}MessageHeader/{*}Description"
    )
    named = json.loads(description or "")
    for number, key in JSON_RULES.items():
        assert named[key], f"rule {number}"


def test_what_is_inside_is_a_mime_part_where_the_setting_says_so() -> None:
    """Rules 264, 259b and 5.15.1: with the setting only, since real messages have the XML itself."""
    whole = _parsed(raw(shipment(form=PayloadForm(inner_mime=True))))
    keys = [pki.key_pair(Kind.RECEIVER_ENCRYPTION)]
    inside = email.message_from_bytes(bytes(decrypt(_payload(whole), decrypters=keys, policy=Policy())))
    assert inside.get_content_type() == "application/xml"
    assert inside["Content-Transfer-Encoding"] == "binary"
