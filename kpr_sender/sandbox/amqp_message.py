"""AMQP messages as the sandbox reads and writes them: bytes in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.bus.proton_engine import Message

# The header section (AMQP 1.0, part 3.2.1): descriptor 0x70 in its short or long form, then a list.
_HEADER_FORMS: Final = (b"\x00\x53\x70", b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x70")
_LIST8: Final = 0xC0
_NO_CONTENT_TYPE: Final = "None"  # what proton's getter makes of a message without one
_TRUE, _FALSE, _NULL, _UINT = b"\x41", b"\x42", b"\x40", b"\x70"


class NoMessage(ValueError):
    """Bytes that are no AMQP message."""


@dataclass(frozen=True, slots=True)
class BusMessage:
    """What the receiver looks at.

    Attributes:
        body: Bytes of the one Data section; None when the body is anything else.
    """

    message_id: str
    subject: str
    to: str
    reply_to: str
    correlation_id: str
    content_type: str
    properties: Mapping[str, str]
    body: bytes | None = field(repr=False)


def read(data: bytes) -> BusMessage:
    """Decode a message; ids and property values become strings.

    Raises:
        NoMessage: It cannot be decoded.
    """
    message = Message()
    try:
        message.decode(data)
        body = bytes(message.body) if message.inferred and isinstance(message.body, (bytes, memoryview)) else None
        raw: dict[object, object] | None = message.properties
        return BusMessage(
            message_id=_text(message.id),
            subject=_text(message.subject),
            to=_text(message.address),
            reply_to=_text(message.reply_to),
            correlation_id=_text(message.correlation_id),
            content_type="" if message.content_type == _NO_CONTENT_TYPE else _text(message.content_type),
            properties={str(name): _text(value) for name, value in (raw or {}).items()},
            body=body,
        )
    except Exception as error:  # proton raises many kinds, also UnicodeDecodeError and KeyError
        raise NoMessage("not an AMQP message") from error


def write(message: BusMessage) -> bytes:
    """Encode a durable message with one Data section; empty fields are left out."""
    encoded = Message(
        body=message.body or b"",
        inferred=True,
        durable=True,
        id=message.message_id,
        subject=message.subject,
        address=message.to,
        reply_to=message.reply_to or None,
        correlation_id=message.correlation_id or None,
        content_type=message.content_type or None,
        properties=dict(message.properties),
    ).encode()
    return bytes(encoded)


def with_delivery_count(data: bytes, count: int) -> bytes:
    """Return the message with a header that says how often it was given out before; the bare message is untouched.

    Args:
        data: A whole AMQP message, with or without a header.
        count: Earlier deliveries.
    """
    fields = _TRUE + _NULL + _NULL + (_FALSE if count else _TRUE) + _UINT + count.to_bytes(4, "big")
    header = _HEADER_FORMS[0] + bytes([_LIST8, len(fields) + 1, 5]) + fields
    return header + data[_header_length(data) :]


def _header_length(data: bytes) -> int:
    """Return how long the header section is; 0 where there is none."""
    form = next((form for form in _HEADER_FORMS if data.startswith(form)), None)
    start = len(form or b"")
    match data[start : start + 1] if form else b"":
        case b"\x45":  # an empty list
            return start + 1
        case b"\xc0":
            return start + 2 + int.from_bytes(data[start + 1 : start + 2], "big")
        case b"\xd0":
            return start + 5 + int.from_bytes(data[start + 1 : start + 5], "big")
    return 0


def _text(value: object) -> str:
    return "" if value is None else str(value)
