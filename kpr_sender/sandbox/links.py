"""AMQP above the connection: attaching, transfers with their fate, dispositions and credit, as RabbitMQ does it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from kpr_sender.bus.proton_engine import (
    Condition,
    Connection,
    Delivery,
    Endpoint,
    Event,
    Receiver,
    Sender,
    Session,
    symbol,
)
from kpr_sender.sandbox.dialect import AttachRefused, Destination, Dialect
from kpr_sender.sandbox.peer import Peer, PeerGone
from kpr_sender.sandbox.queues import Consumer, Queues

_CREDIT: Final = 170  # as RabbitMQ 4 gives each sender


class Fate(enum.Enum):
    """What becomes of a message whose transfer is complete."""

    STORE = "accepted"
    LOSE = "accepted and lost"
    RELEASE = "released"
    REJECT = "rejected"
    HOLD = "stored, disposition held back"
    DROP = "connection dropped, not stored"
    STORE_AND_DROP = "stored, connection dropped"


_DISPOSITIONS: Final = {
    Fate.STORE: Delivery.ACCEPTED,
    Fate.LOSE: Delivery.ACCEPTED,
    Fate.RELEASE: Delivery.RELEASED,
    Fate.REJECT: Delivery.REJECTED,
}
_TERMINAL: Final = frozenset({Delivery.ACCEPTED, Delivery.REJECTED, Delivery.RELEASED, Delivery.MODIFIED})
STORING: Final = frozenset({Fate.STORE, Fate.HOLD, Fate.STORE_AND_DROP})
_DROPPING: Final = frozenset({Fate.DROP, Fate.STORE_AND_DROP})


class Decisions(Protocol):
    """Who decides on logins and messages. Called on the broker's thread."""

    def admits(self, user: str, password: bytes) -> bool:
        """Tell whether a login is valid."""

    def fate(self, queue: str, message: bytes, proposed: Fate) -> Fate:
        """Decide what becomes of a message; ``proposed`` is what the bus would do: ``STORE`` where it has the queue.

        Only what was proposed as ``STORE`` may be stored.
        """

    def stored(self, queue: str) -> None:
        """Called when a message is on a queue."""


@dataclass(slots=True, eq=False)
class _Producer:
    """One sending link, and the chunks of the transfer that is on its way."""

    destination: Destination
    chunks: bytearray = field(default_factory=bytearray)


@dataclass(slots=True, eq=False)
class _Links:
    """What one connection has attached."""

    producers: dict[Receiver, _Producer] = field(default_factory=dict)
    consumers: dict[Sender, Consumer] = field(default_factory=dict)
    held: list[Delivery] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BusRules:
    """What the bus knows and allows.

    Attributes:
        exchange: The one exchange there is; every queue is bound to it by its own name.
        readable: Which queues clients may read.
        max_message_size: In bytes.
    """

    exchange: str
    readable: frozenset[str]
    max_message_size: int
    dialect: Dialect


class LinkLayer:
    """All links of all connections."""

    def __init__(self, rules: BusRules, queues: Queues, decisions: Decisions) -> None:
        self._rules = rules
        self._queues = queues
        self._decisions = decisions
        self._links: dict[Peer, _Links] = {}
        self._handlers: dict[object, Callable[[Peer, Any], None]] = {
            Event.CONNECTION_REMOTE_OPEN: self._connection_opens,
            Event.CONNECTION_REMOTE_CLOSE: lambda _, connection: connection.close(),
            Event.SESSION_REMOTE_OPEN: lambda _, session: session.open(),
            Event.SESSION_REMOTE_CLOSE: self._session_closes,
            Event.LINK_REMOTE_OPEN: self._link_opens,
            Event.LINK_REMOTE_CLOSE: self._link_closes,
            Event.LINK_REMOTE_DETACH: self._link_closes,
            Event.LINK_FLOW: self._credit,
            Event.DELIVERY: self._delivery,
        }

    def handle(self, peer: Peer, event: Event) -> None:
        """Act on one event of proton's.

        Raises:
            PeerGone: The connection must be dropped.
        """
        handler = self._handlers.get(event.type)
        if handler:
            handler(peer, event.context)

    def gone(self, peer: Peer) -> None:
        """Forget a connection; what it held returns to its queue."""
        links = self._links.pop(peer, None)
        if links:
            self._queues.unsubscribe_all(peer)

    def release_held(self) -> None:
        """Answer every disposition that was held back."""
        for links in self._links.values():
            for delivery in links.held:
                if not delivery.link.state & Endpoint.REMOTE_ACTIVE:
                    continue
                delivery.update(Delivery.ACCEPTED)
                delivery.settle()
            links.held.clear()

    def _of(self, peer: Peer) -> _Links:
        return self._links.setdefault(peer, _Links())

    def _connection_opens(self, peer: Peer, connection: Connection) -> None:
        self._of(peer)
        connection.properties = {
            symbol("product"): "RabbitMQ-compatible sandbox",
            symbol("version"): self._rules.dialect.version,
        }
        connection.open()

    def _session_closes(self, peer: Peer, session: Session) -> None:
        links = self._of(peer)
        for sender in [sender for sender in links.consumers if sender.session == session]:
            self._queues.unsubscribe(links.consumers.pop(sender))
        for receiver in [receiver for receiver in links.producers if receiver.session == session]:
            del links.producers[receiver]
        session.close()

    def _link_opens(self, peer: Peer, link: Receiver | Sender) -> None:
        try:
            if isinstance(link, Receiver):
                self._open_producer(peer, link)
            else:
                self._open_consumer(peer, link)
        except AttachRefused as refused:
            self._end_session(peer, link.session, refused.condition, refused.description)

    def _open_producer(self, peer: Peer, link: Receiver) -> None:
        destination = self._rules.dialect.target(link.remote_target.address)
        if destination.exchange not in {"", self._rules.exchange}:
            raise AttachRefused("amqp:not-found", f"no exchange '{destination.exchange}' in vhost '/'")
        unknown_queue = not destination.exchange and destination.key not in self._queues
        if unknown_queue and not self._rules.dialect.loses_unroutable:
            raise AttachRefused("amqp:not-found", f"no queue '{destination.key}' in vhost '/'")
        link.target.copy(link.remote_target)
        link.source.copy(link.remote_source)
        if self._rules.dialect.announces_size:
            link.max_message_size = self._rules.max_message_size
        self._of(peer).producers[link] = _Producer(destination)
        link.open()
        link.flow(_CREDIT)

    def _open_consumer(self, peer: Peer, link: Sender) -> None:
        name = self._rules.dialect.source(link.remote_source.address)
        if name not in self._queues:
            raise AttachRefused("amqp:not-found", f"no queue '{name}' in vhost '/'")
        if name not in self._rules.readable:
            raise AttachRefused("amqp:unauthorized-access", f"read access to queue '{name}' in vhost '/' refused")
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.open()
        self._of(peer).consumers[link] = self._queues.subscribe(name, link, peer)

    def _end_session(self, peer: Peer, session: Session, condition: str, description: str) -> None:
        session.condition = Condition(condition, description)
        self._session_closes(peer, session)

    def _link_closes(self, peer: Peer, link: Receiver | Sender) -> None:
        links = self._of(peer)
        if isinstance(link, Receiver):
            links.producers.pop(link, None)
        elif link in links.consumers:
            self._queues.unsubscribe(links.consumers.pop(link))
        if link.state & Endpoint.LOCAL_ACTIVE:
            link.close()

    def _credit(self, peer: Peer, link: Receiver | Sender) -> None:
        consumer = self._of(peer).consumers.get(link) if isinstance(link, Sender) else None
        if consumer:
            self._queues.deliver(consumer.queue)
            if link.drain_mode and link.credit:
                link.drained()

    def _delivery(self, peer: Peer, delivery: Delivery) -> None:
        link = delivery.link
        if isinstance(link, Receiver):
            self._transfer(peer, link, delivery)
            return
        state, tag = int(delivery.remote_state), delivery.tag
        if delivery.updated and (delivery.settled or state in _TERMINAL):
            delivery.settle()
            consumer = self._of(peer).consumers.get(link)
            if consumer:
                self._queues.settle(consumer, tag, state)

    def _transfer(self, peer: Peer, link: Receiver, delivery: Delivery) -> None:
        producer = self._of(peer).producers.get(link)
        if producer is None:  # its session is ended; what was on its way comes to nothing
            if delivery.pending:
                link.recv(delivery.pending)
            return
        if delivery.aborted:
            producer.chunks.clear()
            delivery.settle()
            link.flow(1)
            return
        if delivery.pending:
            producer.chunks += link.recv(delivery.pending) or b""
        if len(producer.chunks) > self._rules.max_message_size:
            self._refuse_size(peer, link, len(producer.chunks))
        elif not delivery.partial and delivery.readable:
            message = bytes(producer.chunks)
            producer.chunks = bytearray()
            link.advance()
            link.flow(1)
            self._decide(peer, producer.destination, delivery, message)

    def _refuse_size(self, peer: Peer, link: Receiver, size: int) -> None:
        limit = self._rules.max_message_size
        text = f"message size of at least {size} bytes is larger than the maximum message size of {limit} bytes"
        self._end_session(peer, link.session, self._rules.dialect.too_large, text)

    def _decide(self, peer: Peer, destination: Destination, delivery: Delivery, message: bytes) -> None:
        queue = destination.key
        unbound = Fate.LOSE if self._rules.dialect.loses_unroutable else Fate.RELEASE
        fate = self._decisions.fate(queue, message, Fate.STORE if queue in self._queues else unbound)
        if fate in STORING:
            try:
                self._queues.publish(queue, message)
            except OSError:  # a full disk is a full queue
                fate = Fate.REJECT
            else:
                self._decisions.stored(queue)
        if fate in _DROPPING:
            raise PeerGone("dropped on demand")
        if fate is Fate.HOLD:
            self._of(peer).held.append(delivery)
        else:
            delivery.update(_DISPOSITIONS[fate])
            delivery.settle()
