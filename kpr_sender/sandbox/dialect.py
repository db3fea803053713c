"""How RabbitMQ 3 and RabbitMQ 4 differ where a client can see it, and how they resolve addresses.

Measured on 3.10.8 with rabbitmq_amqp1_0 and on 4.0.5: errors END the session instead of detaching the link; version 3
knows the v1 addresses only and accepts, and loses, what no queue is bound for; version 4 knows both forms and
releases it. On quorum queues both count every return against the delivery limit; version 3 lets no reader see the
count, 4.0 shows failures in the header and all returns as x-delivery-count. For 4.3 its documentation is the source.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DEFAULT_VERSION: Final = "3.10.8"
_FIRST_WITH_V2: Final = 4
_FIRST_NOT_DURABLE: Final = (4, 2)
_FIRST_LIMITING_FAILURES: Final = (4, 3)


class AttachRefused(Exception):
    """An address that cannot be attached to: the session is ENDed with this.

    Attributes:
        condition: For example ``amqp:not-found``.
        description: In the broker's words.
    """

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition = condition
        self.description = description


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a sending link goes.

    Attributes:
        exchange: Its name; empty for a queue addressed directly.
        key: The routing key, which is the queue's name.
    """

    exchange: str
    key: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one version does.

    Attributes:
        version: As announced in the connection's properties.
        v1: Whether ``/exchange/E/key`` and ``/amq/queue/Q`` are taken; 4.3 denies them unless permitted.
        v2: Whether ``/exchanges/E/key`` and ``/queues/Q`` are taken.
        loses_unroutable: Whether a message that no queue is bound for is accepted and lost, or released.
        announces_size: Whether links say the largest message.
        too_large: The condition for a larger one.
        channels: Highest channel number.
        counts_deliveries: Whether readers see how often a message was delivered.
        limits_failures: Whether the delivery limit is about failures alone, or about every return.
        durable_without_header: Whether a message without a header is delivered as durable.
    """

    version: str
    v1: bool
    v2: bool
    loses_unroutable: bool
    announces_size: bool
    too_large: str
    channels: int
    counts_deliveries: bool
    limits_failures: bool
    durable_without_header: bool

    def counts(self, *, failed: int, returned: int) -> tuple[int, Mapping[str, int]]:
        """Return the header's delivery-count and the annotations of a message's next delivery.

        Args:
            failed: How often it came back from a reader that failed or disconnected.
            returned: How often it came back at all.
        """
        if not (self.counts_deliveries and returned):
            return 0, {}
        if self.limits_failures:
            return failed, {"x-delivery-count": failed, "x-acquired-count": returned}
        return failed, {"x-delivery-count": returned}

    def target(self, address: str | None) -> Destination:
        """Resolve a sending link's address.

        Raises:
            AttachRefused: No such form of address here.
        """
        parts = (address or "").split("/")
        match parts:
            case ["", "exchange", exchange, key] if self.v1:
                return Destination(exchange, key)
            case ["", "exchanges", exchange, key] if self.v2:
                return Destination(urllib.parse.unquote(exchange), urllib.parse.unquote(key))
            case _:
                return Destination("", self.source(address))

    def source(self, address: str | None) -> str:
        """Resolve a receiving link's address to a queue's name.

        Raises:
            AttachRefused: No such form of address here.
        """
        parts = (address or "").split("/")
        match parts:
            case ["", "amq", "queue", queue] if self.v1:
                return queue
            case ["", "queues", queue] if self.v2:
                return urllib.parse.unquote(queue)
            case ["", "exchange" | "amq", *_]:
                raise AttachRefused("amqp:invalid-field", f"amqp_address_v1_not_permitted: {address!r}")
            case ["", "queue", _] | [_]:
                raise AttachRefused("amqp:unauthorized-access", f"configure access to {address!r} refused")
            case _:
                raise AttachRefused("amqp:invalid-field", f"Attach rejected: {{unknown_destination,{address!r}}}")


def dialect(version: str, *, v1_permitted: bool = True) -> Dialect:
    """Return what a version does.

    Args:
        version: ``3.10.8``, ``4.0.5`` and the like; its first number decides.
        v1_permitted: False for a 4.x that denies v1 addresses, as 4.3 does by default. Version 3 has no others.
    """
    major, minor = (int(number) for number in version.split(".")[:2])
    modern = major >= _FIRST_WITH_V2
    return Dialect(
        version=version,
        v1=v1_permitted or not modern,
        v2=modern,
        loses_unroutable=not modern,
        announces_size=modern,
        too_large="amqp:link:message-size-exceeded" if modern else "amqp:precondition-failed",
        channels=63 if modern else 32767,
        counts_deliveries=modern,
        limits_failures=(major, minor) >= _FIRST_LIMITING_FAILURES,
        durable_without_header=modern and (major, minor) < _FIRST_NOT_DURABLE,
    )


DEFAULT_DIALECT: Final = dialect(DEFAULT_VERSION)
