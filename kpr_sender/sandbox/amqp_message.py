"""AMQP messages as the sandbox reads, writes and delivers them: bytes in, values out.

Messages are written as NHN's .NET client writes them: without a header section, so that *durable* is not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from kpr_sender.bus.proton_engine import Data, Message

# The header section (AMQP 1.0, part 3.2.1): descriptor 0x70 in its short or long form, then a list.
_HEADER_FORMS: Final = (b"\x00\x53\x70", b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x70")
# Delivery annotations and message annotations (3.2.2, 3.2.3), which come between the header and the bare message.
_ANNOTATIONS: Final = tuple(
    form[:-1] + code
    for form in _HEADER_FORMS
    for code in (b"\x71", b"\x72")  # short and long descriptors
)
_LIST8, _MAP8, _SYMBOL8, _LONG, _UBYTE = 0xC0, b"\xc1", b"\xa3", b"\x81", b"\x50"
_NO_CONTENT_TYPE: Final = "None"  # what proton's getter makes of a message without one
_TRUE, _FALSE, _NULL, _UINT = b"\x41", b"\x42", b"\x40", b"\x70"
_LONGEST_TTL: Final = (2**32 - 1) / 1000  # seconds
_YEAR_1: Final = (datetime(1, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


class NoMessage(ValueError):
    """Bytes that are no AMQP message."""


@dataclass(frozen=True, slots=True)
class BusMessage:
    """What the receiver reads of a message, and what the sandbox writes into one.

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
    """Encode a message with one Data section and no header; empty fields are left out."""
    data: bytes = _encode(message).encode()
    return data[_header_length(data) :]


def write_as_clone(message: BusMessage) -> bytes:
    """Encode a message as NHN's client once encoded the clone of a message that it had received.

    The header says *durable* and the longest time to live there is; creation and expiry are of the year 1, .NET's
    ``DateTime.MinValue`` (measured with the client before 7.0.2).
    """
    clone = _encode(message)
    clone.durable = True
    clone.ttl = _LONGEST_TTL
    clone.creation_time = clone.expiry_time = _YEAR_1
    return bytes(clone.encode())


def _encode(message: BusMessage) -> Any:
    return Message(
        body=message.body or b"",
        inferred=True,
        id=message.message_id,
        subject=message.subject,
        address=message.to,
        reply_to=message.reply_to or None,
        correlation_id=message.correlation_id or None,
        content_type=message.content_type or None,
        properties={name: str(value) for name, value in message.properties.items()},  # proton goes by exact classes
    )


def delivered(
    data: bytes, *, again: bool, count: int = 0, counters: Mapping[str, int] | None = None, durable: bool = False
) -> bytes:
    """Return a message as a broker delivers it: with a header, and with counters as annotations; the rest untouched.

    Args:
        data: A complete AMQP message, with or without a header.
        again: Whether it was delivered before.
        count: The header's delivery-count.
        counters: Message annotations by name. Left out of a message that has annotations of its own.
        durable: What a message without a header is.
    """
    length = _header_length(data)
    kept = _header_fields(data[:length]) if length else (durable, None, None)
    rest = data[length:]
    fields = (
        (_TRUE if kept[0] else _FALSE)
        + (_NULL if kept[1] is None else _UBYTE + kept[1].to_bytes(1, "big"))
        + (_NULL if kept[2] is None else _UINT + kept[2].to_bytes(4, "big"))
        + (_FALSE if again else _TRUE)
        + _UINT
        + count.to_bytes(4, "big")
    )
    header = _HEADER_FORMS[0] + bytes([_LIST8, len(fields) + 1, 5]) + fields
    if not counters or rest.startswith(_ANNOTATIONS):
        return header + rest
    pairs = b"".join(
        _SYMBOL8 + bytes([len(name)]) + name.encode("ascii") + _LONG + value.to_bytes(8, "big")
        for name, value in counters.items()
    )
    annotations = _ANNOTATIONS[1] + _MAP8 + bytes([len(pairs) + 1, 2 * len(counters)]) + pairs
    return header + annotations + rest


def _header_fields(header: bytes) -> tuple[bool, int | None, int | None]:
    """Return durable, priority and ttl in milliseconds of a header section; nothing of one that cannot be read."""
    data = Data()
    try:
        data.decode(header)
        data.next()
        header_list: Any = data.get_object()
        fields = [*header_list.value, None, None, None][:3]
    except Exception:  # noqa: BLE001 - proton raises many kinds
        return False, None, None
    whole = [value if isinstance(value, int) and value >= 0 else None for value in fields[1:]]
    return fields[0] is True, whole[0], whole[1]


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
