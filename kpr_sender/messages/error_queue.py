"""Messages on our error queue: what a receiver's message handler reports of one of our messages.

Read as leniently as can be: they come without content type or body, with dates in .NET's invariant culture and with
parts missing (helsenorge/Helsenorge.Messaging, ``AmqpCore.ReportErrorToExternalSender``), as a clone of our own message
with the error's properties added (the same client before 7.0), or as a SOAP 1.2 fault. What cannot be read is empty;
nothing here raises, and nothing is ever answered: two handlers that answer errors with errors never stop.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from lxml import etree

from kpr_sender.messages import safe_xml, transport
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.privacy import foreign_text

_MAX_FAULT: Final = 1_000_000  # bytes
_MAX_PROPERTIES: Final = 1_000
_MAX_DATA: Final = 10_000  # characters of errorConditionData that are read as JSON


@dataclass(frozen=True, slots=True)
class BusFault:
    """An error-queue message. Every text is one line, cut, without anything like a national id, and may be empty.

    Attributes:
        original_message_id: AMQP message-id (not MsgId) of the message it is about, as we write ids.
        condition: For example ``transport:expired-certificate``.
        description: In the receiver's words.
        data: What it names: thumbprints, field names, HER-ids; as a list in words.
    """

    original_message_id: str
    condition: str
    description: str
    data: str


def parse(properties: Mapping[str, str], subject: str, body: bytes, correlation_id: str = "") -> BusFault:
    """Read an error-queue message; never raises.

    Args:
        properties: Application properties; names are compared without regard to case and blanks.
        subject: AMQP subject; ``AMQP_SOAP_FAULT`` when the body is a SOAP fault.
        body: Bytes of the body, most often empty. Anything but a SOAP fault is ignored.
        correlation_id: AMQP correlation-id: what it is about where nothing else says so.
    """
    by_name = _by_name(properties)

    def read(name: str) -> str:
        return foreign_text(by_name.get(name.casefold(), ""))

    named = by_name.get(transport.ORIGINAL_MESSAGE_ID.casefold(), "")
    related, code, reason = _soap_fault(body) if subject.strip() == transport.SUBJECT_SOAP_FAULT else ("", "", "")
    return BusFault(
        original_message_id=_message_id(named) or _message_id(related) or _message_id(correlation_id),
        condition=read(transport.ERROR_CONDITION) or code,
        description=read(transport.ERROR_DESCRIPTION) or reason,
        data=foreign_text(_in_words(str(by_name.get(transport.ERROR_CONDITION_DATA.casefold(), "")))),
    )


def _in_words(data: str) -> str:
    """Return errorConditionData as a list in words: HITS 1216 2.2.6 has JSON in it, NHN's client ``1;2;``."""
    try:
        value = json.loads(data) if len(data) <= _MAX_DATA else data
        if isinstance(value, dict | list):
            return ", ".join(_leaves(value, ""))
    except (ValueError, RecursionError):  # nested so deep that it can be read, and not be gone through
        pass
    return ", ".join(filter(None, (part.strip() for part in data[:_MAX_DATA].split(";"))))


def _leaves(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name} {key}".strip())
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name)
    else:
        yield f"{name} {value}".strip()


def _message_id(text: object) -> str:
    plain = transport.plain_id(str(text)[:_MAX_DATA])
    if transport.is_guid(plain):
        return plain
    cleaned = foreign_text(plain)
    return "" if transport.is_guid(cleaned) else cleaned  # what is a GUID only without what was around it is none


def _soap_fault(body: bytes) -> tuple[str, str, str]:
    """Return RelatesTo, fault code and reason of a SOAP fault, each empty where it is not there."""
    try:
        root = safe_xml.parse_answer(body, max_bytes=_MAX_FAULT)
    except MessageRefused:
        return "", "", ""
    related = _text(root.findall(".//{*}RelatesTo"))  # WS-Addressing
    code = _text(root.findall(".//{*}Fault/{*}Code/{*}Value") or root.findall(".//{*}Fault/faultcode"))
    # One in each language.
    reason = _text((root.findall(".//{*}Fault/{*}Reason/{*}Text") or root.findall(".//{*}Fault/faultstring"))[:1])
    return related, foreign_text(code), foreign_text(reason)


def _text(found: list[etree._Element]) -> str:
    """Return the text of the one element that was found; empty where there are two, or more in it than text."""
    try:
        return safe_xml.value(safe_xml.only(found))
    except MessageRefused:
        return ""


def _by_name(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties by their names without case and blanks; what has two values has none."""
    values: dict[str, set[str]] = {}
    for name, value in islice(properties.items(), _MAX_PROPERTIES):
        values.setdefault(name.replace(" ", "").casefold(), set()).add(str(value))
    return {name: said.pop() if len(said) == 1 else "" for name, said in values.items()}
