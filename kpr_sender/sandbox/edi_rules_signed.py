"""HITS 1172's numbered rules, the second half: what the register says, the signature, and the kind of message.

Algorithms are today's: RSA-SHA256 and SHA-256 alone, where the text of rules 33 and 84 still has SHA-1.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.x509 import Certificate, ExtensionNotFound, KeyUsage, load_der_x509_certificate
from lxml import etree

from kpr_sender.cms.port import ProtectionRefused
from kpr_sender.ebxml.signature import SignaturePolicy, verify
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.sandbox.edi_letter import DS, EB, SOAP, Letter, content_id, decoded, elements, text
from kpr_sender.sandbox.edi_rules import UUID, EbxmlRule, Reply, is_message_id
from kpr_sender.sandbox.registered import Agreement, Level

_SECURITY: Final = "SecurityFailure"
_MIME_PROBLEM: Final = "MimeProblem"
_SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
_RSA_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_TRANSFORMS: Final = (
    ("37", "http://www.w3.org/2000/09/xmldsig#enveloped-signature"),
    ("36", "http://www.w3.org/TR/1999/REC-xpath-19991116"),
    ("35", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
)
_XPATH: Final = (
    'not(ancestor-or-self::node()[@SOAP-ENV:actor="urn:oasis:names:tc:ebxml-msg:actor:nextMSH"]|'
    'ancestor-or-self::node()[@SOAP-ENV:actor="http://schemas.xmlsoap.org/soap/actor/next"])'
)
_SIGNAL_SERVICE: Final = "urn:oasis:names:tc:ebxml-msg:service"


@dataclass(frozen=True, slots=True)
class View:
    """What the message server knows beside a message.

    Attributes:
        level: Returns who has a HER-id; None when nobody has.
        agreement: Returns the agreement that a UUID names; None where none is registered.
        own_her_id: Its own.
        now: When the message is taken; aware.
    """

    level: Callable[[int], Level | None]
    agreement: Callable[[str], Agreement | None]
    own_her_id: int
    now: datetime

    def of(self, letter: Letter, side: str) -> Level | None:
        """Return who stands in eb:From or eb:To."""
        her_id = letter.her_id(side)
        return None if her_id is None else self.level(her_id)

    def signing(self, letter: Letter) -> Certificate | None:
        """Return the certificate that the sender is registered to sign with."""
        level = self.of(letter, "From")
        return level.signing if level else None


def register_rules(view: View) -> tuple[EbxmlRule, ...]:
    """Return the rules that Adresseregisteret decides."""

    def is_service(letter: Letter, side: str) -> bool:
        level = view.of(letter, side)
        return level is not None and level.parent is not None

    def address_is_registered(letter: Letter, header: str) -> bool:
        level = view.of(letter, header)
        registered = level.addresses.get("E_EDI", "") if level else ""
        return registered.lower() in (letter.header(header) or "").lower().replace("<", " ").replace(">", " ").split()

    def of_agreement(holds: Callable[[Letter, Agreement], bool]) -> Callable[[Letter], bool]:
        """Return a rule about the agreement that a CPAId names; one of both HER-ids names none."""

        def check(letter: Letter) -> bool:
            agreement = view.agreement(letter.named("CPAId"))
            return agreement is None or holds(letter, agreement)

        return check

    def sent_at(letter: Letter) -> datetime:
        at = _timestamp(letter)
        assert at is not None  # noqa: S101 - rule 77
        return at

    return (
        EbxmlRule("29", Reply.FAULT, "the HER-id in eb:From is in Adresseregisteret", lambda it: view.of(it, "From")),
        EbxmlRule("54", Reply.FAULT, "the HER-id in eb:To is in Adresseregisteret", lambda it: view.of(it, "To")),
        EbxmlRule("30", Reply.FAULT, "the HER-id in eb:From is of level 2", lambda it: is_service(it, "From")),
        EbxmlRule("54", Reply.FAULT, "the HER-id in eb:To is of level 2", lambda it: is_service(it, "To")),
        EbxmlRule("54", Reply.FAULT, "the HER-id in eb:To is ours", lambda it: it.her_id("To") == view.own_her_id),
        EbxmlRule(
            "261",
            Reply.ERROR,
            "From is the EDI address registered for eb:From",
            lambda it: address_is_registered(it, "From"),
        ),
        EbxmlRule(
            "262", Reply.ERROR, "To is the EDI address registered for eb:To", lambda it: address_is_registered(it, "To")
        ),
        EbxmlRule(
            "110",
            Reply.ERROR,
            "an agreement is registered for the UUID in CPAId",
            lambda it: not UUID.fullmatch(it.named("CPAId")) or view.agreement(it.named("CPAId")),
            "ValueNotRecognized",
        ),
        *(
            EbxmlRule(number, Reply.ERROR, what, of_agreement(holds))
            for number, what, holds in (
                ("111", "the agreement is eb:From's", lambda it, its: it.her_id("From") in its.her_ids),
                ("112", "the agreement is eb:To's", lambda it, its: it.her_id("To") in its.her_ids),
                ("113", "Timestamp is not before the agreement's period", lambda it, its: its.begins <= sent_at(it)),
                ("114", "Timestamp is not after the agreement's period", lambda it, its: sent_at(it) <= its.ends),
            )
        ),
        EbxmlRule("79", Reply.ERROR, "a signing certificate is registered for eb:From", view.signing, _SECURITY),
    )


def signature_rules(view: View) -> tuple[EbxmlRule, ...]:
    """Return the rules about the signature, and about the attachments that it is over."""

    def rule(number: str, what: str, holds: Callable[[Letter], object]) -> EbxmlRule:
        return EbxmlRule(number, Reply.ERROR, what, holds, _SECURITY)

    def within(letter: Letter, *, after: bool) -> bool:
        certificate, at = _certificate(letter), _timestamp(letter)
        if certificate is None or at is None:
            return False
        return at <= certificate.not_valid_after_utc if after else certificate.not_valid_before_utc <= at

    return (
        rule("45", "ds:Signature is in SOAP:Header", lambda it: it.signature is not None),
        rule("52", "there is one Signature", lambda it: len(_all(it, f"{DS}Signature")) == 1),
        rule("363", "SignedInfo is there", lambda it: _below(it, "SignedInfo") is not None),
        rule("42", "SignatureValue is there", lambda it: text(_below(it, "SignatureValue"))),
        rule("32", "KeyInfo is there", lambda it: _below(it, "KeyInfo") is not None),
        rule("39", "SignedInfo has a Reference", lambda it: it.references),
        rule("85", "each Reference has a URI", lambda it: all(one.get("URI") is not None for one in it.references)),
        rule("40", 'a Reference has URI=""', lambda it: any(one.get("URI") == "" for one in it.references)),
        rule(
            "34",
            "every other Reference's URI begins with cid:",
            lambda it: all(not (uri := one.get("URI", "")) or uri.startswith("cid:") for one in it.references),
        ),
        rule(
            "33",
            "each DigestMethod is SHA-256",
            lambda it: all(_algorithm(one.find(f"{DS}DigestMethod")) == _SHA256 for one in it.references),
        ),
        *(
            rule(number, f"Transform {place} of the envelope is {name}", _has_transform(place, name))
            for place, (number, name) in enumerate(_TRANSFORMS, start=1)
        ),
        rule("36", "its XPath is ebMS 2.0's", _has_xpath),
        rule("38", "it has three transforms", lambda it: len(_transforms(it)) == len(_TRANSFORMS)),
        rule("41", "KeyInfo has X509Data", lambda it: _below(it, "KeyInfo", "X509Data") is not None),
        rule("64", "each Reference has a DigestValue", lambda it: all(it.digests.values())),
        rule("103", "X509Data has an X509Certificate", _certificates),
        rule("65", "X509Data has one X509Certificate", lambda it: len(_certificates(it)) == 1),
        rule("46", "it is a certificate for signing", lambda it: _is_for_signing(_certificate(it))),
        rule("44", "it is the one that is registered", lambda it: _certificate(it) == view.signing(it)),
        rule("104", "Timestamp is not before its validity", lambda it: within(it, after=False)),
        rule("105", "Timestamp is not after its validity", lambda it: within(it, after=True)),
        rule(
            "84",
            "SignatureMethod is RSA-SHA256",
            lambda it: _algorithm(_below(it, "SignedInfo", "SignatureMethod")) == _RSA_SHA256,
        ),
        *ATTACHMENTS,
        rule("50", "signature and digests hold", lambda it: _holds(it, view)),
    )


def _holds(letter: Letter, view: View) -> bool:
    registered = view.signing(letter)
    if registered is None:
        return False

    parts = {content_id(part): decoded(part) for part in letter.parts if content_id(part)}
    try:
        verify(letter.soap, parts=parts, expected=[registered], policy=SignaturePolicy())
    except (ProtectionRefused, MessageRefused):
        return False
    return True


def _all(letter: Letter, tag: str) -> list[etree._Element]:
    return [] if letter.root is None else list(letter.root.iter(tag))


def _below(letter: Letter, *path: str) -> etree._Element | None:
    return None if letter.signature is None else letter.signature.find("/".join(f"{DS}{name}" for name in path))


def _algorithm(element: etree._Element | None) -> str:
    return "" if element is None else element.get("Algorithm", "")


def _transforms(letter: Letter) -> list[etree._Element]:
    of_envelope = next(one for one in letter.references if one.get("URI") == "")
    return of_envelope.findall(f"{DS}Transforms/{DS}Transform")


def _has_transform(place: int, name: str) -> Callable[[Letter], bool]:
    return lambda letter: [_algorithm(one) for one in _transforms(letter)[place - 1 : place]] == [name]


def _has_xpath(letter: Letter) -> bool:
    found = _transforms(letter)[1].find(f"{DS}XPath")
    if found is None:
        return False
    prefix = next((name for name, uri in found.nsmap.items() if f"{{{uri}}}" == SOAP and name), "")
    return "".join((found.text or "").split()).replace(f"@{prefix}:actor", "@SOAP-ENV:actor") == "".join(_XPATH.split())


def _certificates(letter: Letter) -> list[etree._Element]:
    data = _below(letter, "KeyInfo", "X509Data")
    return [] if data is None else data.findall(f"{DS}X509Certificate")


def _certificate(letter: Letter) -> Certificate | None:
    try:
        return load_der_x509_certificate(base64.b64decode("".join(text(_certificates(letter)[0]).split())))
    except (binascii.Error, ValueError, IndexError):
        return None


def _is_for_signing(certificate: Certificate | None) -> bool:
    if certificate is None:
        return False
    try:
        return certificate.extensions.get_extension_for_class(KeyUsage).value.content_commitment
    except ExtensionNotFound:
        return False


def _timestamp(letter: Letter) -> datetime | None:
    try:
        return datetime.fromisoformat(letter.named("MessageData", "Timestamp"))
    except ValueError:
        return None


def _declares_utf8(letter: Letter) -> bool:
    root = letter.root
    return root is not None and (root.getroottree().docinfo.encoding or "").upper() == "UTF-8"


def _never_both(one: str, other: str) -> Callable[[Letter], bool]:
    return lambda letter: letter.block(one) is None or letter.block(other) is None


ATTACHMENTS: Final = (
    EbxmlRule(
        "6", Reply.ERROR, "Manifest has a Reference", lambda it: it.block("Manifest") is None or it.hrefs, _MIME_PROBLEM
    ),
    EbxmlRule("27", Reply.ERROR, "there is an attachment", lambda it: not it.hrefs or len(it.parts) > 1, _MIME_PROBLEM),
    EbxmlRule(
        "23",
        Reply.ERROR,
        "a part has the Content-ID of each Reference",
        lambda it: all(it.attachment(href) is not None for href in it.hrefs),
        _MIME_PROBLEM,
    ),
)
"""Before the signature is verified, which is over the attachments too."""

KIND: Final = tuple(
    EbxmlRule(
        "5.11.3",
        Reply.ERROR,
        f"{one} and {other} are never in one message",
        _never_both(one, other),
    )
    for one, other in (
        ("Acknowledgment", "ErrorList"),
        ("Acknowledgment", "AckRequested"),
        ("Acknowledgment", "Manifest"),
        ("ErrorList", "AckRequested"),
        ("ErrorList", "Manifest"),
    )
)
PAYLOAD: Final = (
    EbxmlRule("5.11.2", Reply.ERROR, "SOAP:Body has one element at most", lambda it: len(list(elements(it.body))) <= 1),
    EbxmlRule(
        "5", Reply.ERROR, "Manifest has eb:version 2.0", lambda it: _manifest_version(it) == "2.0", "NotSupported"
    ),
    EbxmlRule(
        "74",
        Reply.ERROR,
        "DuplicateElimination is there",
        lambda it: it.message is not None and (it.message.find(f"{EB}DuplicateElimination") is not None),
    ),
)
"""Of a payload message. Its attachment is opened after them (263)."""

PAYLOAD_REMARKS: Final = (
    EbxmlRule("68", Reply.WARNING, "the envelope is UTF-8", _declares_utf8, "OtherXml"),
    EbxmlRule("75", Reply.WARNING, "AckRequested is there", lambda it: it.block("AckRequested") is not None),
    EbxmlRule("94", Reply.WARNING, "AckRequested is signed", lambda it: _asks(it, f"{EB}signed") in {"true", "1"}),
    EbxmlRule(
        "5.14.2", Reply.WARNING, "AckRequested must be understood", lambda it: _asks(it, f"{SOAP}mustUnderstand") == "1"
    ),
    EbxmlRule(
        "265", Reply.NOTE, "Schema has its location", lambda it: _schema(it) is None or _schema_says(it, "location")
    ),
    EbxmlRule(
        "266", Reply.NOTE, "Schema has its version", lambda it: _schema(it) is None or _schema_says(it, "version")
    ),
    EbxmlRule("271", Reply.NOTE, "MSH-system is there", lambda it: not _described(it) or "MSH-system" in _systems(it)),
    EbxmlRule(
        "272", Reply.NOTE, "MSH-versjon is there", lambda it: not _described(it) or "MSH-versjon" in _systems(it)
    ),
    EbxmlRule("273", Reply.NOTE, "MSH-system is valid", lambda it: _systems(it).get("MSH-system", "-")),
    EbxmlRule("274", Reply.NOTE, "MSH-versjon is valid", lambda it: _systems(it).get("MSH-versjon", "-")),
    EbxmlRule(
        "279",
        Reply.NOTE,
        "both Schema and Description, or neither",
        lambda it: (_schema(it) is None) != bool(_described(it)),
    ),
)
"""What does not stop a payload message: its first warning is the acknowledgement, notes are in the ledger."""

ACKNOWLEDGMENT: Final = (
    EbxmlRule("106", Reply.NOTE, "Service is ebXML's own", lambda it: it.named("Service") == _SIGNAL_SERVICE),
    EbxmlRule("107", Reply.NOTE, "Action is Acknowledgment", lambda it: it.action == "Acknowledgment"),
    EbxmlRule("108", Reply.NOTE, "RefToMessageId is a message id", lambda it: is_message_id(acknowledged(it))),
    EbxmlRule(
        "109", Reply.NOTE, "MessageData has no RefToMessageId", lambda it: not it.named("MessageData", "RefToMessageId")
    ),
    EbxmlRule("115", Reply.NOTE, "there is no ErrorList", lambda it: it.block("ErrorList") is None),
    EbxmlRule("116", Reply.NOTE, 'the Reference with URI="" is repeated', lambda it: "" in repeated(it)),
    EbxmlRule("117", Reply.NOTE, "the References with cid: are repeated", lambda it: any(repeated(it))),
)
ERROR: Final = (
    EbxmlRule("120", Reply.NOTE, "Service is ebXML's own", lambda it: it.named("Service") == _SIGNAL_SERVICE),
    EbxmlRule("121", Reply.NOTE, "Action is MessageError", lambda it: it.action == "MessageError"),
    EbxmlRule(
        "122",
        Reply.NOTE,
        "RefToMessageId is a message id",
        lambda it: is_message_id(it.named("MessageData", "RefToMessageId")),
    ),
    EbxmlRule("123", Reply.NOTE, "there is no Acknowledgment", lambda it: it.block("Acknowledgment") is None),
)


def acknowledged(letter: Letter) -> str:
    """Return the eb:MessageId that an Acknowledgment names; empty where it names none."""
    return text(letter.block("Acknowledgment"), f"{EB}RefToMessageId")


def repeated(letter: Letter) -> dict[str, str]:
    """Return the digests that an Acknowledgment repeats, by URI."""
    block = letter.block("Acknowledgment")
    found = [] if block is None else block.findall(f"{DS}Reference")
    return {one.get("URI", ""): "".join(text(one, f"{DS}DigestValue").split()) for one in found}


def _manifest_version(letter: Letter) -> str | None:
    manifest = letter.block("Manifest")
    return None if manifest is None else manifest.get(f"{EB}version")


def _asks(letter: Letter, attribute: str) -> str:
    block = letter.block("AckRequested")
    return "" if block is None else block.get(attribute, "")


def _schema(letter: Letter) -> etree._Element | None:
    manifest = letter.block("Manifest")
    return None if manifest is None else manifest.find(f"{EB}Reference/{EB}Schema")


def _schema_says(letter: Letter, name: str) -> str:
    schema = _schema(letter)
    return "" if schema is None else schema.get(f"{EB}{name}", "")


def _described(letter: Letter) -> str:
    return letter.named("Description")


def _systems(letter: Letter) -> dict[str, object]:
    try:
        found = json.loads(_described(letter))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
