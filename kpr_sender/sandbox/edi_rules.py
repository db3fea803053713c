"""HITS 1172's numbered rules, as the sandbox's message server requires them: first what the mail and its header say.

The standard names an answer for each group of rules and no error code for any; the codes here are our choice among
HITS 1171 8.3's. The first rule that is broken decides. What is not here cannot be required in a sandbox: 16 and 17
beyond the order of elements, since the official schemas are not ours to hand out.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.message import Message
from typing import Final

from lxml import etree

from kpr_sender.sandbox.edi_letter import DS, EB, SOAP, Letter, elements, encoding, text


class Reply(enum.Enum):
    """What a broken rule is answered with (HITS 1172, figure 4)."""

    LOG = "logged"
    FAULT = "SOAP Fault"
    ERROR = "MessageError"
    WARNING = "MessageError, Warning"
    NOTE = "noted"


@dataclass(frozen=True, slots=True)
class EbxmlRule:
    """One rule.

    Attributes:
        number: As HITS 1172 has it; with its paragraph where it has no number.
        reply: What answers a message that breaks it.
        text: What is required, in a clause.
        holds: Whether a message keeps it. What a rule reads is there where all before it hold.
        code: errorCode, where a MessageError answers.
    """

    number: str
    reply: Reply
    text: str
    holds: Callable[[Letter], object]
    code: str = "Inconsistent"

    def __str__(self) -> str:
        """What the answer says."""
        return f"HITS 1172 rule {self.number}: {self.text}"


def broken(letter: Letter, rules: Iterable[EbxmlRule]) -> EbxmlRule | None:
    """Return the first rule that a message breaks, None where it keeps them all."""
    return next((rule for rule in rules if not rule.holds(letter)), None)


UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MESSAGE_ID: Final = re.compile(r"[^@\s<>]{1,200}@[^@\s<>]{1,200}")
_TIMESTAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z")
_CPA_OF_PARTIES: Final = re.compile(r"([0-9]+)_([0-9]+)(_[0-9]+)?")
_DECLARATION: Final = re.compile(rb"<\?xml\s+version=([\"'])1\.0\1\s+encoding=([\"'])([A-Za-z0-9._-]+)\2")
_ENCODINGS: Final = frozenset({"8bit", "binary", "quoted-printable", "base64"})
_UNDERSTOOD: Final = f"{SOAP}mustUnderstand"
_VERSION: Final = f"{EB}version"
_HEAD_BLOCKS: Final = frozenset(
    {f"{EB}{name}" for name in ("MessageHeader", "AckRequested", "Acknowledgment", "ErrorList", "MessageOrder")}
    | {f"{DS}Signature"}
)
_BODY_BLOCKS: Final = frozenset({f"{EB}{name}" for name in ("Manifest", "StatusRequest", "StatusResponse")})
_ORDER: Final = {
    "MessageHeader": (
        *("From", "To", "CPAId", "ConversationId", "Service", "Action", "MessageData"),
        *("DuplicateElimination", "Description"),
    ),
    "MessageData": ("MessageId", "Timestamp", "RefToMessageId", "TimeToLive"),
    "From": ("PartyId", "Role"),
    "To": ("PartyId", "Role"),
    "Acknowledgment": ("Timestamp", "RefToMessageId", "From", "Reference"),
    "ErrorList": ("Error",),
}
"""Children of each element in the schema's order (msg-header-2_0.xsd)."""


def is_message_id(written: str) -> bool:
    """Whether an eb:MessageId has one of its two forms (rule 102)."""
    return bool(UUID.fullmatch(written) or _MESSAGE_ID.fullmatch(written))


def _there(name: str) -> Callable[[Letter], bool]:
    return lambda letter: letter.header(name) is not None


def _filled(name: str) -> Callable[[Letter], bool]:
    return lambda letter: bool(letter.header(name))


def _soap_part(letter: Letter) -> Message:
    return letter.mail if letter.soap_part is None else letter.soap_part


def _attachments(letter: Letter) -> list[Message]:
    return [part for part in letter.parts if part is not letter.soap_part]


def _is_sealed_part(part: Message) -> bool:
    return part.get_content_type() == "application/pkcs7-mime" and part.get_param("smime-type") == "enveloped-data"


def _declared(letter: Letter) -> str:
    found = _DECLARATION.match(letter.soap)
    return found[3].decode("ascii").upper() if found else ""


def _is_ebxml(letter: Letter) -> bool:
    root = letter.root
    return (
        root is not None and root.tag == f"{SOAP}Envelope" and any(each.tag.startswith(EB) for each in root.iter("*"))
    )


def _understands(letter: Letter) -> bool:
    root = letter.root
    return root is not None and all(each.get(_UNDERSTOOD, "1") in {"0", "1"} for each in root.iter("*"))


def _in_order(letter: Letter) -> bool:
    root = letter.root
    return root is not None and all(
        _follows(element, order) for name, order in _ORDER.items() for element in root.iter(f"{EB}{name}")
    )


def _follows(element: etree._Element, order: tuple[str, ...]) -> bool:
    names = [etree.QName(child).localname for child in elements(element)]
    return all(name in order for name in names) and names == sorted(names, key=order.index)


def _known_blocks(parent: etree._Element | None, known: frozenset[str]) -> bool:
    return all(child.tag in known or child.get(_UNDERSTOOD) != "1" for child in elements(parent)) and not any(
        child.tag == f"{EB}SyncReply" for child in elements(parent)
    )


def _attribute(name: str) -> Callable[[Letter], str | None]:
    return lambda letter: None if letter.message is None else letter.message.get(name)


def _child(*path: str) -> Callable[[Letter], bool]:
    names = "/".join(f"{EB}{name}" for name in path)
    return lambda letter: letter.message is not None and letter.message.find(names) is not None


def _party_ids(letter: Letter, side: str) -> list[str]:
    found = [] if letter.message is None else letter.message.findall(f"{EB}{side}/{EB}PartyId")
    return [text(one) for one in found]


def _no_party_is_empty(side: str) -> Callable[[Letter], bool]:
    return lambda letter: all(_party_ids(letter, side))


def _has_her_id(side: str) -> Callable[[Letter], bool]:
    return lambda letter: bool(letter.party(side))


def _her_ids_are_digits(side: str) -> Callable[[Letter], bool]:
    return lambda letter: all(one.isascii() and one.isdecimal() for one in letter.party(side))


def _is_cpa_id(letter: Letter) -> bool:
    written = letter.named("CPAId")
    if UUID.fullmatch(written):
        return True
    parties = _CPA_OF_PARTIES.fullmatch(written)
    sides = [letter.her_id("From") or 0, letter.her_id("To") or 0]
    return parties is not None and [int(parties[1]), int(parties[2])] == sorted(sides)


MAIL: Final = tuple(
    EbxmlRule(number, Reply.LOG, f"{name} {what}", holds(name))
    for name, there, filled in (
        ("From", "18", "80"),
        ("To", "19", "81"),
        ("Message-ID", "250", "251"),
        ("Date", "20", "83"),
    )
    for number, what, holds in ((there, "is there", _there), (filled, "is not empty", _filled))
)

MIME: Final = (
    EbxmlRule("21", Reply.FAULT, "MIME-Version is there", _there("MIME-Version")),
    EbxmlRule("82", Reply.FAULT, "MIME-Version is 1.0", lambda letter: letter.header("MIME-Version") == "1.0"),
    EbxmlRule("22", Reply.FAULT, "SOAPAction is there", _there("SOAPAction")),
    EbxmlRule(
        "51", Reply.FAULT, 'SOAPAction is "ebXML" with its quotes', lambda it: it.header("SOAPAction") == '"ebXML"'
    ),
    EbxmlRule(
        "252",
        Reply.FAULT,
        "Content-Type is there and is not text/plain",
        lambda letter: letter.header("Content-Type") and letter.mail.get_content_type() != "text/plain",
    ),
    EbxmlRule(
        "66",
        Reply.FAULT,
        "the mail is multipart/related or text/xml",
        lambda letter: letter.mail.get_content_type() in {"multipart/related", "text/xml"},
    ),
    EbxmlRule(
        "253",
        Reply.FAULT,
        'multipart/related has type="text/xml"',
        lambda letter: letter.mail.get_content_type() == "text/xml" or letter.mail.get_param("type") == "text/xml",
    ),
    EbxmlRule("67", Reply.FAULT, "a part is text/xml", lambda letter: letter.soap_part is not None),
    EbxmlRule("255", Reply.FAULT, "the first part is text/xml", lambda letter: letter.parts[0] is letter.soap_part),
    EbxmlRule(
        "256",
        Reply.FAULT,
        "the charset of the SOAP part is UTF-8",
        lambda letter: str(_soap_part(letter).get_param("charset") or "").upper() == "UTF-8",
    ),
    EbxmlRule(
        "257",
        Reply.FAULT,
        "the SOAP part has a Content-Transfer-Encoding",
        lambda letter: encoding(_soap_part(letter)),
    ),
    EbxmlRule(
        "258",
        Reply.FAULT,
        "that is 8bit, binary, quoted-printable or base64",
        lambda letter: encoding(_soap_part(letter)) in _ENCODINGS,
    ),
    EbxmlRule(
        "259",
        Reply.FAULT,
        "each attachment is base64",
        lambda letter: all(encoding(part) == "base64" for part in _attachments(letter)),
    ),
    EbxmlRule(
        "260",
        Reply.FAULT,
        "each attachment is application/pkcs7-mime; smime-type=enveloped-data",
        lambda letter: all(_is_sealed_part(part) for part in _attachments(letter)),
    ),
)

XML: Final = (
    EbxmlRule(
        "78",
        Reply.FAULT,
        'the envelope begins with <?xml version="1.0" encoding="UTF-8"?>',
        _declared,
    ),
    EbxmlRule(
        "68",
        Reply.FAULT,
        "the envelope is well-formed in the encoding that it says",
        lambda letter: letter.root is not None,
        "OtherXml",
    ),
    EbxmlRule("86", Reply.FAULT, "the root is a SOAP 1.1 envelope with blocks of ebMS 2.0", _is_ebxml),
    EbxmlRule("16", Reply.FAULT, "mustUnderstand is 0 or 1, as SOAP's schema has it", _understands),
    EbxmlRule("17", Reply.FAULT, "elements stand in the order of ebXML's schema", _in_order),
)

SOAP_RULES: Final = (
    EbxmlRule("2", Reply.FAULT, "SOAP:Header is in SOAP:Envelope", lambda letter: letter.head is not None),
    EbxmlRule("3", Reply.FAULT, "SOAP:Body is in SOAP:Envelope", lambda letter: letter.body is not None),
    EbxmlRule(
        "3",
        Reply.FAULT,
        "SOAP:Body is empty in an acknowledgement or error",
        lambda letter: not letter.is_signal or not list(elements(letter.body)),
    ),
    EbxmlRule(
        "100", Reply.FAULT, "every block in SOAP:Header is known", lambda it: _known_blocks(it.head, _HEAD_BLOCKS)
    ),
    EbxmlRule("101", Reply.FAULT, "every block in SOAP:Body is known", lambda it: _known_blocks(it.body, _BODY_BLOCKS)),
)

PARTIES: Final = (
    EbxmlRule("4", Reply.FAULT, "eb:MessageHeader is in SOAP:Header", lambda letter: letter.message is not None),
    *(
        EbxmlRule(number, Reply.FAULT, what, holds)
        for side, numbers in (("From", ("10", "58", "25", "60", "31")), ("To", ("9", "59", "55", "61", "56")))
        for number, what, holds in zip(
            numbers,
            (
                f"eb:{side} is there",
                f"eb:{side} has a PartyId",
                f"no PartyId in eb:{side} is empty",
                f'a PartyId in eb:{side} is of type "HER"',
                f"the HER-id in eb:{side} is digits only",
            ),
            (
                _child(side),
                _child(side, "PartyId"),
                _no_party_is_empty(side),
                _has_her_id(side),
                _her_ids_are_digits(side),
            ),
            strict=True,
        )
    ),
)

HEADER: Final = (
    EbxmlRule("14", Reply.ERROR, "eb:From has exactly one HER-id", lambda letter: len(letter.party("From")) == 1),
    EbxmlRule("13", Reply.ERROR, "eb:To has exactly one HER-id", lambda letter: len(letter.party("To")) == 1),
    EbxmlRule("8", Reply.ERROR, "MessageHeader has eb:version", _attribute(_VERSION), "NotSupported"),
    EbxmlRule("70", Reply.ERROR, "that is 2.0", lambda letter: _attribute(_VERSION)(letter) == "2.0", "NotSupported"),
    EbxmlRule("7", Reply.ERROR, "MessageHeader has SOAP:mustUnderstand", _attribute(_UNDERSTOOD)),
    EbxmlRule("69", Reply.ERROR, "that is 1", lambda letter: _attribute(_UNDERSTOOD)(letter) == "1"),
    EbxmlRule("76", Reply.ERROR, "MessageId is there", _child("MessageData", "MessageId")),
    EbxmlRule("102", Reply.ERROR, "MessageId is a UUID or left@right", lambda letter: is_message_id(letter.message_id)),
    EbxmlRule(
        "77",
        Reply.ERROR,
        "Timestamp is there, in UTC with Z",
        lambda letter: _TIMESTAMP.fullmatch(letter.named("MessageData", "Timestamp")),
    ),
    EbxmlRule("11", Reply.ERROR, "CPAId is there", _child("CPAId")),
    EbxmlRule("12", Reply.ERROR, "CPAId is the smaller HER-id, _ and the greater, or a UUID", _is_cpa_id),
    EbxmlRule("47", Reply.ERROR, "Service is there", _child("Service"), "ValueNotRecognized"),
    EbxmlRule("71", Reply.ERROR, "Service is not empty", lambda letter: letter.named("Service"), "ValueNotRecognized"),
    EbxmlRule("48", Reply.ERROR, "Action is there", _child("Action"), "ValueNotRecognized"),
    EbxmlRule("72", Reply.ERROR, "Action is not empty", lambda letter: letter.action, "ValueNotRecognized"),
)

BEFORE_THE_REGISTER: Final = (*MAIL, *MIME, *XML, *SOAP_RULES, *PARTIES, *HEADER)
"""In the order of figure 4."""
