"""Messages to and from bytes, as the NHN AMQP profile has them, and the addresses of RabbitMQ's queues.

Pure, and on the caller's thread: nothing here is shared. RabbitMQ has a v1 form of addresses up to version 3 and a v2
form from version 4 on. RabbitMQ 4 still takes v1 by default, 4.3 refuses it (``amqp:invalid-field``), 3.x refuses v2
with the same condition.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote, unquote

from kpr_sender.bus.port import Outbound
from kpr_sender.bus.proton_engine import Data, Described, Message
from kpr_sender.messages.transport import queue_name
from kpr_sender.settings.values import AddressForm

# AMQP 1.0, 3.2: descriptors of the sections that mean something to us.
_HEADER: Final = 0x70
_MESSAGE_ANNOTATIONS: Final = 0x72
_PROPERTIES: Final = 0x73
_APPLICATION_PROPERTIES: Final = 0x74
_DATA: Final = 0x75
_DATA_START: Final = b"\x00\x53\x75\xb0"  # its descriptor, then a binary with a length of four bytes
_SEQUENCE: Final = 0x76
_VALUE: Final = 0x77
_BODY_SECTIONS: Final = frozenset({_DATA, _SEQUENCE, _VALUE})
_REPEATED: Final = frozenset({_DATA, _SEQUENCE})
_MOST_SECTIONS: Final = 100  # each is decoded from a copy of all that follows
_KNOWN_SECTIONS: Final = (
    frozenset({_HEADER, 0x71, _MESSAGE_ANNOTATIONS, _PROPERTIES, _APPLICATION_PROPERTIES, 0x78}) | _BODY_SECTIONS
)
# RabbitMQ's counts of a quorum queue: 4.0 gives the first, 4.3 both, 3.10 none (measured). The header's own count
# leaves out what was released, and is all that there is of a classic queue, from 4.3 on.
_COUNTS: Final = ("x-delivery-count", "x-acquired-count")
# Fields of the properties section, in order.
_FIELDS: Final = ("message_id", "user_id", "to", "subject", "reply_to", "correlation_id", "content_type")

_FIRST_V2_MAJOR: Final = 4
_MAJOR: Final = re.compile(r"(\d{1,9})(?!\d)")
_V2_QUEUE: Final = "/queues/"
WRONG_FORM: Final = "amqp:invalid-field"
"""The condition with which the broker refuses an address of the other form."""


class Undecodable(ValueError):
    """The bytes are no AMQP message. The text names no content."""


def encode_head(message: Outbound) -> bytes:
    """Return the sections before the body: header, properties, application properties, and nothing else.

    Durable, because RabbitMQ 3.x says accepted for a message that is not and loses it at a restart. No user-id,
    no time stamps, no clear-text metadata.
    """
    envelope = message.envelope
    head = Message(
        durable=True,
        id=message.message_id,
        address=envelope.queue,
        subject=envelope.subject,
        reply_to=envelope.reply_to,
        correlation_id=envelope.correlation_id,
        properties={str(name): str(value) for name, value in envelope.properties.items()},
    )
    head.content_type = envelope.content_type
    return bytes(head.encode())


def body_start(length: int) -> bytes:
    """Return what stands before a body of so many bytes: it is one Data section (AMQP 1.0, 3.2.6)."""
    return _DATA_START + length.to_bytes(4, "big")


class Decoded:
    """A message as far as it means something to us; every value a string, absent ones empty.

    Attributes:
        deliveries: How often the broker says that it was delivered before; 0 where it does not count.
        redelivered: Whether the broker says that it was with somebody before; see ``Inbound``.
    """

    def __init__(self, raw: bytes) -> None:
        """Read a message.

        Several Data sections are one body (AMQP 1.0, 3.2.6); an AmqpValue of binary or text is taken, too.

        Raises:
            Undecodable: It is no AMQP message, or its body is a sequence.
        """
        self.properties: dict[str, str] = {}
        self.deliveries = 0
        self.redelivered = False
        self._fields: dict[str, str] = {}
        self._body: list[bytes] = []
        self._latest = self._sections = 0
        try:
            at = 0
            while at < len(raw):
                at += self._read_section(raw[at:])
        except Undecodable:
            raise
        except Exception as error:  # noqa: BLE001 - proton raises what it likes, by what it meets
            raise Undecodable(f"not an AMQP message ({type(error).__name__})") from None
        if not raw:
            raise Undecodable("not an AMQP message (empty)")

    @property
    def body(self) -> bytes:
        """The body's bytes."""
        return self._body[0] if len(self._body) == 1 else b"".join(self._body)

    def field(self, name: str) -> str:
        """Return a field of the properties section, by its name in AMQP with underscores."""
        return self._fields.get(name, "")

    def _read_section(self, raw: bytes) -> int:
        data = Data()
        used = data.decode(raw)
        data.next()
        section = data.get_object()
        descriptor: Any = section.descriptor if isinstance(section, Described) else None
        if not isinstance(section, Described) or descriptor not in _KNOWN_SECTIONS:
            raise Undecodable("not an AMQP message (unknown section)")
        kind = int(descriptor)
        out_of_order = kind < self._latest or (kind == self._latest and kind not in _REPEATED)
        self._latest, self._sections = kind, self._sections + 1
        if out_of_order or self._sections > _MOST_SECTIONS:
            raise Undecodable("not an AMQP message (sections out of order, or too many)")
        value: Any = section.value
        if kind == _HEADER:
            self._read_header(list(value))
        elif kind == _MESSAGE_ANNOTATIONS:
            counts = [number for name, number in value.items() if str(name) in _COUNTS and isinstance(number, int)]
            self.deliveries = max([self.deliveries, *counts])
        elif kind == _PROPERTIES:
            self._fields = {name: text(field) for name, field in zip(_FIELDS, value, strict=False)}
        elif kind == _APPLICATION_PROPERTIES:
            self.properties = {text(name): text(field) for name, field in value.items()}
        elif kind in _BODY_SECTIONS:
            self._body.append(_body_bytes(value))
        return int(used)

    def _read_header(self, fields: list[Any]) -> None:
        """Read first-acquirer and delivery-count: the last two of five (AMQP 1.0, 3.2.1), absent ones left out."""
        first_acquirer, delivery_count = [*fields, None, None, None, None, None][3:5]
        self.redelivered = first_acquirer is False
        self.deliveries = max(self.deliveries, int(delivery_count or 0))


def text(value: Any) -> str:
    """Return what a field says as a string; other clients send UUIDs, numbers and binary where strings are meant."""
    if value is None:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    # proton's ulong and its like print their type, too.
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _body_bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode()
    raise Undecodable(f"a body of another kind than bytes ({type(value).__name__})")


def form_for(setting: AddressForm, broker_version: str) -> AddressForm:
    """Return the form to use: the setting's, or for ``auto`` the one that the broker's version calls for.

    Args:
        setting: ``bus.address_form``.
        broker_version: As the broker says it when the connection opens, for example ``3.10.8``; may be empty.
    """
    if setting is not AddressForm.AUTO:
        return setting
    major = _MAJOR.match(broker_version)
    return AddressForm.V2 if major and int(major[1]) >= _FIRST_V2_MAJOR else AddressForm.V1


def other_form(form: AddressForm) -> AddressForm:
    """Return the form that is not this one."""
    return AddressForm.V1 if form is AddressForm.V2 else AddressForm.V2


def send_address(exchange: str, queue: str, form: AddressForm) -> str:
    """Return the target address for a queue: through the exchange, or straight to it without one."""
    if form is AddressForm.V2:
        return f"/exchanges/{_escaped(exchange)}/{_escaped(queue)}" if exchange else f"/queues/{_escaped(queue)}"
    return f"/exchange/{exchange}/{queue}" if exchange else f"/amq/queue/{queue}"


def receive_address(queue: str, form: AddressForm) -> str:
    """Return the source address of one of our queues.

    Args:
        queue: As configured: its name, its address as registered (``host/exchange/queue``), or its address in any of
            RabbitMQ's forms (``/amq/queue/x``, ``/queue/x``, ``/queues/x``). Only the name is taken from it: ``/queue``
            would declare the queue, and the form is the broker's choice.
        form: What the broker understands.
    """
    name = unquote(queue.removeprefix(_V2_QUEUE)) if queue.startswith(_V2_QUEUE) else queue_name(queue)
    return f"{_V2_QUEUE}{_escaped(name)}" if form is AddressForm.V2 else f"/amq/queue/{name}"


def _escaped(name: str) -> str:
    return quote(name, safe="")
