"""The port: what the journeys ask of a bus, in values that name no protocol library.

The rules an implementation keeps:

1. ``publish`` returns an ``Outcome`` for everything that happens to one transfer; it never repeats one by itself.
   A verdict is NOT_SENT only when it is *certain* that the bus does not have the message (promise G1).
2. Trying again is the bus's alone: what reconnects, how long it pauses and when it gives up. A caller asks
   ``attempts`` for leave, because the journal records each attempt, and repeats only what ``may_be_repeated`` allows.
3. *Nothing arrived* (None) and *could not look* (BusUnreachable) are different answers of ``receive``.
4. A message that is not ours is never settled: ``hold`` leaves it unsettled, ``detach`` or ``close`` gives it back.
5. Nothing is taken from a queue before ``receive`` asks for it.
6. What is taken and not settled is out of its owner's reach for 5 seconds at most (promise G8), held or not decided on
   yet, whatever the caller is at. Then it has gone back, and comes again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from kpr_sender.errors import BusUnreachable, KprError
from kpr_sender.model import Envelope
from kpr_sender.settings.values import BusSettings, ReceiptsFrom
from kpr_sender.texts import Text

MAIL: Final = "message/rfc822"
"""The content type of an ``Inbound`` whose body is a whole mail."""


def always() -> bool:
    """Let a transfer begin."""
    return True


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message for the bus. The same shipment always yields the same value (promise G3).

    Attributes:
        message_id: AMQP message-id.
        envelope: Everything else outside the body.
        body: The sealed bytes, sent as one Data section.
        may_begin: Asked right before the first byte, on any thread; where it says no, nothing of it leaves.
    """

    message_id: str
    envelope: Envelope
    body: bytes = field(repr=False)
    may_begin: Callable[[], bool] = field(default=always, repr=False, compare=False)


class Reach(enum.StrEnum):
    """How far an attempt came."""

    NO_CONNECTION = "no-connection"
    NO_CREDIT = "no-credit"
    NOT_BEGUN = "not-begun"
    INCOMPLETE = "incomplete"
    """Begun, but the last byte provably never left the process: the bus cannot have the whole message."""
    HANDED_OVER = "handed-over"
    """Every byte left the process and no outcome came: in doubt."""
    OUTCOME = "outcome"


class LinkState(enum.StrEnum):
    """The state of the link to the receiver's queue when an attempt ended."""

    NONE = "none"
    """There was none: no connection, or no answer to the attach."""
    REFUSED = "refused"
    """The bus refused to attach it."""
    ATTACHED = "standing"
    ENDED_BY_BUS = "ended-by-bus"
    """The bus detached it, or ended its session."""
    LOST = "lost"
    """The connection under it ended."""


class Verdict(enum.StrEnum):
    """What is known after an attempt."""

    ACCEPTED = "accepted"
    NOT_SENT = "not-sent"
    IN_DOUBT = "in-doubt"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt to publish ended, with the evidence.

    Attributes:
        verdict: What is known.
        reach: How far it came.
        bytes_handed_over: Bytes of the message that left the process, in bytes.
        link: The state of the link at the end.
        condition: The broker's condition, for example ``amqp:not-found``, or the local cause; empty when accepted.
        description: The broker's own words; empty when accepted.
        error: Which error a person must see when the message was not sent, or is in doubt; None when accepted.
            ``BusUnreachable`` may be tried again later; any other class is final until something is fixed.
    """

    verdict: Verdict
    reach: Reach
    bytes_handed_over: int = 0
    condition: str = ""
    description: str = ""
    error: KprError | None = None
    link: LinkState = LinkState.NONE

    @property
    def may_be_repeated(self) -> bool:
        """Whether the same bytes may go again by themselves: certainly not sent, and nothing needs fixing first."""
        return self.verdict is Verdict.NOT_SENT and isinstance(self.error, BusUnreachable)


class Source(enum.StrEnum):
    """Which of our queues a message was read from."""

    RECEIPTS = "receipts"
    ERRORS = "errors"


QUEUE_NAMES: Final[Mapping[Source, Text]] = {
    Source.RECEIPTS: Text("receipts queue"),
    Source.ERRORS: Text("error queue"),
}


def own_queues(settings: BusSettings) -> Mapping[Source, str]:
    """Return the queues that we read: not the receipts queue where another message server does."""
    receipts = settings.receipts_queue if settings.receipts_from is ReceiptsFrom.QUEUE else ""
    named = {Source.RECEIPTS: receipts, Source.ERRORS: settings.error_queue}
    return {source: name for source, name in named.items() if name}


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message from one of our queues, not yet settled.

    Attributes:
        token: Names the delivery to the bus that gave it; means nothing elsewhere. A vendor's own listener may use
            any value.
        properties: Application properties, values turned into strings.
        body: Bytes of the Data section(s); empty for error-queue messages.
        deliveries: How often the broker says that it was delivered before; 0 where it does not count. On RabbitMQ only
            quorum queues from 4.0 on do.
        redelivered: Whether the broker says that it was delivered before. Only a hint, by which nothing is decided: it
            means one delivery at least, and ``inbound.looks`` leaves a queue at half of the broker's limit, five.
        readable: False for what is no message, or too large: ``body`` is then what came of it, encoded.
        too_large: Whether it is larger than ``bus.max_inbound``.
    """

    token: object
    source: Source
    message_id: str
    correlation_id: str
    subject: str
    content_type: str
    properties: Mapping[str, str]
    body: bytes = field(repr=False)
    deliveries: int = 0
    redelivered: bool = False
    readable: bool = True
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a TLS handshake showed.

    Attributes:
        tls: The version and the cipher.
        certificate: The bus's, DER; None where it showed none.
    """

    tls: str
    certificate: bytes | None


class BusProbe(Protocol):
    """One connection that logs in and attaches links, and hands nothing over: for ``kpr-send doctor``."""

    @property
    def version(self) -> str:
        """The bus's version as it says; may be empty."""

    def reads(self, queue: str, where: str) -> None:
        """Attach to a queue as if to read from it. Raises as ``sends`` does."""

    def sends(self, queue: str, where: str) -> int:
        """Attach to the configured exchange as if to send to a queue behind it.

        Args:
            queue: Behind the exchange; without one, the queue itself.
            where: What it is called in errors.

        Returns:
            The largest message that it takes, in bytes; 0 where it does not say.

        Raises:
            BusUnreachable, AccessRefused, ConfigInvalid: As for ``Bus.connect``.
        """

    def close(self) -> None:
        """Detach everything and hang up."""


class Bus(Protocol):
    """A connection to the bus. One caller at a time."""

    def connect(self) -> None:
        """Connect, log in and attach to the receipts and error queues; does nothing while connected.

        Raises:
            BusUnreachable: Not within ``bus.reconnect_budget``; tried again with growing, jittered pauses meanwhile.
            AccessRefused: Wrong login, certificate or host name. Final at once.
            ConfigInvalid: A queue or exchange is unknown. Final at once.
        """

    def attempts(self) -> Iterator[None]:
        """Yield, connected, for each attempt to publish one message.

        Always yields once. The caller comes back only after an outcome that ``may_be_repeated``; then it yields again
        after a pause, until ``bus.reconnect_budget`` is used up for connecting and attempts together.

        Raises:
            BusUnreachable, AccessRefused, ConfigInvalid: As for ``connect``.
        """

    def publish(self, message: Outbound) -> Outcome:
        """Transfer one message, once, and wait for its outcome. Never raises for the bus.

        Where there is no connection, one attempt is made to connect.
        """

    def receive(self, timeout: float, sources: Collection[Source]) -> Inbound | None:
        """Return the next message from these queues, or None when nothing arrived in ``timeout`` seconds.

        Reconnects where needed, each attempt bounded by ``bus.connect_timeout``, again and again until ``timeout`` is
        over, so that a caller who goes on looking need not pause: the pauses go on from one call to the next, 30
        seconds at most. A ``timeout`` of 0 is one attempt. A queue that was asked for once
        is read until ``detach``, or until what was taken goes back (rule 6); None is returned then, and the next call
        attaches again.

        Raises:
            BusUnreachable: It could not be looked: there is no connection at the end.
            AccessRefused, ConfigInvalid: As for ``connect``.
        """

    def settle(self, inbound: Inbound) -> bool:
        """Accept a message of ours, after what it says is durable.

        Returns:
            Whether it was still here. No error where it had gone back, or the connection is lost: it comes again.
        """

    def hold(self, inbound: Inbound) -> None:
        """Leave a message that is not ours unsettled, so that it neither hides ours nor is lost to its owner.

        It goes back at ``detach``; in 5 seconds it goes back in any case, and nothing more is received until then.
        """

    @property
    def held(self) -> int:
        """How many foreign messages are left unsettled now."""

    def detach(self) -> None:
        """Leave the queues: everything unsettled goes back, as one delivery. ``receive`` attaches again.

        Does nothing where nothing is attached.
        """

    def close(self) -> None:
        """Give back what is unsettled, close the link properly, then the socket. Safe to call twice."""
