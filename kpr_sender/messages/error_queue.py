"""Messages on our error queue: what a receiver's message handler reports of one of our messages.

Read as leniently as can be: they come without content type or body, with dates in .NET's invariant culture and with
parts missing (helsenorge/Helsenorge.Messaging, ``AmqpCore.ReportErrorToExternalSender``), or as a SOAP 1.2 fault.
What cannot be read is empty; nothing here raises, and nothing is ever answered: two handlers that answer errors with
errors never stop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from kpr_sender.messages import safe_xml, transport
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.privacy import redact_message

MAX_TEXT: Final = 500
"""Longest condition or description that is stored, in characters."""

_MAX_FAULT: Final = 1_000_000  # bytes
_UUID: Final = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class BusFault:
    """An error-queue message.

    Attributes:
        original_message_id: AMQP message-id (not MsgId) of the message it is about: lower case, without braces; may
            be empty.
        condition: For example ``transport:expired-certificate``; may be empty.
        description: In the receiver's words, cut and without anything like a national id; may be empty.
        received_at_text: When the receiver had it, in whatever form it came; may be empty.
    """

    original_message_id: str
    condition: str
    description: str
    received_at_text: str


def parse(properties: Mapping[str, str], subject: str, body: bytes) -> BusFault:
    """Read an error-queue message; never raises.

    Args:
        properties: Application properties; names are compared without regard to case.
        subject: AMQP subject; ``AMQP_SOAP_FAULT`` when the body is a SOAP fault.
        body: Bytes of the body, most often empty. Anything but a SOAP fault is ignored.
    """
    by_name = {name.casefold(): value for name, value in properties.items()}

    def read(name: str) -> str:
        return clean(by_name.get(name.casefold(), ""))

    named = by_name.get(transport.ORIGINAL_MESSAGE_ID.casefold(), "")
    related, code, reason = _soap_fault(body) if subject.strip() == transport.SUBJECT_SOAP_FAULT else ("", "", "")
    details = "; ".join(
        filter(None, (read(transport.ERROR_DESCRIPTION) or reason, read(transport.ERROR_CONDITION_DATA)))
    )
    return BusFault(
        original_message_id=_message_id(named) or _message_id(related),
        condition=read(transport.ERROR_CONDITION) or code,
        description=details[:MAX_TEXT],
        received_at_text=read(transport.RECEIVER_TIME_STAMP),
    )


def clean(text: object) -> str:
    """Return foreign text as one line, cut to ``MAX_TEXT`` characters, without anything shaped like a national id."""
    line = " ".join("".join(character if character.isprintable() else " " for character in str(text)).split())
    return redact_message(line)[:MAX_TEXT]


def _message_id(text: object) -> str:
    bare = str(text).strip().lower().removeprefix("urn:uuid:").strip("{} ")
    return bare if _UUID.fullmatch(bare) else clean(bare)  # a UUID may look like it held a national id


def _soap_fault(body: bytes) -> tuple[str, str, str]:
    """Return RelatesTo, fault code and reason of a SOAP fault, each empty where it is not there."""
    try:
        root = safe_xml.parse(body, max_bytes=_MAX_FAULT)
    except MessageRefused:
        return "", "", ""
    related = root.findtext(".//{*}RelatesTo") or ""  # WS-Addressing
    code = _text(root, ".//{*}Fault/{*}Code/{*}Value") or _text(root, ".//{*}Fault/faultcode")
    reason = _text(root, ".//{*}Fault/{*}Reason/{*}Text") or _text(root, ".//{*}Fault/faultstring")
    return related, code, reason


def _text(root: etree._Element, path: str) -> str:
    return clean(root.findtext(path) or "")
