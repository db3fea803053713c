"""What a broker can answer, when, and what must follow from it: the one table of the expected."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from kpr_sender.bus.port import LinkState, Reach, Verdict
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, InDoubt, InputRefused, KprError
from kpr_sender.states import ShipmentState


class Moment(enum.StrEnum):
    """When the broker says it."""

    ATTACH = "instead of attaching"
    MID_TRANSFER = "in the middle of the transfer"
    HANDED_OVER = "when it has the whole message"
    SECOND = "when it has the whole second message, the first being accepted"
    BETWEEN = "right behind the first message's acceptance"


@dataclass(frozen=True)
class Said:
    """What the broker does.

    Attributes:
        how: As ``Script.transfer`` has it.
    """

    how: str
    condition: str = ""


@dataclass(frozen=True)
class Expected:
    """What must follow for the message that it is about.

    Attributes:
        condition: What the journal keeps of the broker's reason.
    """

    verdict: Verdict
    reach: Reach
    link: LinkState
    error: type[KprError] | None
    condition: str

    @property
    def state(self) -> ShipmentState:
        """The shipment's state afterwards."""
        return _STATES[self.verdict]


_STATES: Final = {
    Verdict.ACCEPTED: ShipmentState.PUBLISHED,
    Verdict.NOT_SENT: ShipmentState.SEALED,
    Verdict.IN_DOUBT: ShipmentState.IN_DOUBT,
}

SAID: Final[Mapping[str, Said]] = {
    "accepted": Said("accepted"),
    "rejected": Said("rejected"),
    "released": Said("released"),
    "modified": Said("modified"),
    "settled without state": Said("settled-without-state"),
    "never settled": Said("silence"),
    "detach": Said("detach", "amqp:link:detach-forced"),
    "detach, resource deleted": Said("detach", "amqp:resource-deleted"),
    "session end": Said("end-session", "amqp:internal-error"),
    "connection forced": Said("close", "amqp:connection:forced"),
    "not found": Said("end-session", "amqp:not-found"),
    "not found, by detach": Said("detach", "amqp:not-found"),
    "unauthorized": Said("end-session", "amqp:unauthorized-access"),
    "unauthorized, by detach": Said("detach", "amqp:unauthorized-access"),
    "resource limit": Said("end-session", "amqp:resource-limit-exceeded"),
    "size exceeded": Said("end-session", "amqp:link:message-size-exceeded"),
}

_V, _R, _L = Verdict, Reach, LinkState
_ACCEPTED: Final = Expected(_V.ACCEPTED, _R.OUTCOME, _L.ATTACHED, None, "")


def _no(reach: Reach, link: LinkState, error: type[KprError], condition: str) -> Expected:
    return Expected(_V.NOT_SENT, reach, link, error, condition)


def _doubt(reach: Reach, link: LinkState, condition: str) -> Expected:
    return Expected(_V.IN_DOUBT, reach, link, InDoubt, condition)


_FORCED: Final = "amqp:connection:forced"
_DETACHED: Final = "amqp:link:detach-forced"
_DELETED: Final = "amqp:resource-deleted"
_INTERNAL: Final = "amqp:internal-error"
_NOT_FOUND: Final = "amqp:not-found"
_UNAUTHORIZED: Final = "amqp:unauthorized-access"
_LIMIT: Final = "amqp:resource-limit-exceeded"
_SIZE: Final = "amqp:link:message-size-exceeded"

# A disposition cannot come before a transfer: the attach has no row for those.
TABLE: Final[Mapping[Moment, Mapping[str, Expected]]] = {
    Moment.ATTACH: {
        "never settled": _no(_R.NO_CREDIT, _L.ATTACHED, BusUnreachable, "local:timeout"),
        "detach": _no(_R.NOT_BEGUN, _L.REFUSED, BusUnreachable, _DETACHED),
        "detach, resource deleted": _no(_R.NOT_BEGUN, _L.REFUSED, BusUnreachable, _DELETED),
        "session end": _no(_R.NOT_BEGUN, _L.REFUSED, BusUnreachable, _INTERNAL),
        "connection forced": _no(_R.NO_CONNECTION, _L.NONE, BusUnreachable, _FORCED),
        "not found": _no(_R.NOT_BEGUN, _L.REFUSED, ConfigInvalid, _NOT_FOUND),
        "not found, by detach": _no(_R.NOT_BEGUN, _L.REFUSED, ConfigInvalid, _NOT_FOUND),
        "unauthorized": _no(_R.NOT_BEGUN, _L.REFUSED, AccessRefused, _UNAUTHORIZED),
        "unauthorized, by detach": _no(_R.NOT_BEGUN, _L.REFUSED, AccessRefused, _UNAUTHORIZED),
        "resource limit": _no(_R.NOT_BEGUN, _L.REFUSED, BusUnreachable, _LIMIT),
        "size exceeded": _no(_R.NOT_BEGUN, _L.ATTACHED, InputRefused, _SIZE),
    },
    Moment.MID_TRANSFER: {
        # An answer to half a message is against the protocol: what such a broker has, nobody knows.
        "accepted": _doubt(_R.INCOMPLETE, _L.ATTACHED, "accepted"),
        "settled without state": _doubt(_R.INCOMPLETE, _L.ATTACHED, "settled-without-state"),
        "rejected": _no(_R.OUTCOME, _L.ATTACHED, BusUnreachable, "rejected"),
        "released": _no(_R.OUTCOME, _L.ATTACHED, ConfigInvalid, "released"),
        "modified": _no(_R.OUTCOME, _L.ATTACHED, BusUnreachable, "modified"),
        "never settled": _no(_R.INCOMPLETE, _L.ATTACHED, BusUnreachable, "local:timeout"),
        "detach": _no(_R.INCOMPLETE, _L.ENDED_BY_BUS, BusUnreachable, _DETACHED),
        "detach, resource deleted": _no(_R.INCOMPLETE, _L.ENDED_BY_BUS, BusUnreachable, _DELETED),
        "session end": _no(_R.INCOMPLETE, _L.ENDED_BY_BUS, BusUnreachable, _INTERNAL),
        "connection forced": _no(_R.INCOMPLETE, _L.LOST, BusUnreachable, _FORCED),
        "not found": _no(_R.INCOMPLETE, _L.ENDED_BY_BUS, ConfigInvalid, _NOT_FOUND),
        "not found, by detach": _no(_R.INCOMPLETE, _L.ENDED_BY_BUS, ConfigInvalid, _NOT_FOUND),
        "unauthorized": _no(_R.INCOMPLETE, _L.ENDED_BY_BUS, AccessRefused, _UNAUTHORIZED),
        "unauthorized, by detach": _no(_R.INCOMPLETE, _L.ENDED_BY_BUS, AccessRefused, _UNAUTHORIZED),
        "resource limit": _no(_R.INCOMPLETE, _L.ENDED_BY_BUS, BusUnreachable, _LIMIT),
        "size exceeded": _no(_R.INCOMPLETE, _L.ENDED_BY_BUS, InputRefused, _SIZE),
    },
    Moment.HANDED_OVER: {
        "accepted": _ACCEPTED,
        "rejected": _no(_R.OUTCOME, _L.ATTACHED, BusUnreachable, "rejected"),
        "released": _no(_R.OUTCOME, _L.ATTACHED, ConfigInvalid, "released"),
        "modified": _no(_R.OUTCOME, _L.ATTACHED, BusUnreachable, "modified"),
        "settled without state": _doubt(_R.HANDED_OVER, _L.ATTACHED, "settled-without-state"),
        "never settled": _doubt(_R.HANDED_OVER, _L.ATTACHED, "local:timeout"),
        "detach": _doubt(_R.HANDED_OVER, _L.ENDED_BY_BUS, _DETACHED),
        "detach, resource deleted": _doubt(_R.HANDED_OVER, _L.ENDED_BY_BUS, _DELETED),
        "session end": _doubt(_R.HANDED_OVER, _L.ENDED_BY_BUS, _INTERNAL),
        "connection forced": _doubt(_R.HANDED_OVER, _L.LOST, _FORCED),
        # RabbitMQ says these three before it routes, and only then (measured on 3.10.8 and 4.0.5).
        "not found": _no(_R.OUTCOME, _L.ENDED_BY_BUS, ConfigInvalid, _NOT_FOUND),
        "not found, by detach": _no(_R.OUTCOME, _L.ENDED_BY_BUS, ConfigInvalid, _NOT_FOUND),
        "unauthorized": _no(_R.OUTCOME, _L.ENDED_BY_BUS, AccessRefused, _UNAUTHORIZED),
        "unauthorized, by detach": _no(_R.OUTCOME, _L.ENDED_BY_BUS, AccessRefused, _UNAUTHORIZED),
        "size exceeded": _no(_R.OUTCOME, _L.ENDED_BY_BUS, InputRefused, _SIZE),
        "resource limit": _doubt(_R.HANDED_OVER, _L.ENDED_BY_BUS, _LIMIT),
    },
    # Nothing is under way then: the second message gets a new link, or a new connection.
    Moment.BETWEEN: {name: _ACCEPTED for name, said in SAID.items() if said.how in {"detach", "end-session", "close"}},
}


GONE: Final = _no(_R.NOT_BEGUN, _L.LOST, BusUnreachable, "lost")
"""The link had gone when the second message asked for it."""


def overtaken(name: str, reach: Reach, condition: str) -> Expected:
    """What follows where the second message has begun when the broker ends things right behind the first.

    How far it had come is the network's to say.
    """
    if reach is Reach.NOT_BEGUN and condition == GONE.condition:
        return GONE
    if reach is Reach.HANDED_OVER:
        return TABLE[Moment.HANDED_OVER][name]
    return replace(TABLE[Moment.MID_TRANSFER][name], reach=reach)


def cases() -> Iterator[tuple[Moment, str, Expected]]:
    """Return every case; what holds for a message alone holds for the second of two."""
    for moment, row in TABLE.items():
        yield from ((moment, name, expected) for name, expected in row.items())
    yield from ((Moment.SECOND, name, expected) for name, expected in TABLE[Moment.HANDED_OVER].items())
