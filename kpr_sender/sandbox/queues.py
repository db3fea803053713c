"""The queues and who reads them: round robin over readers with credit, and everything unsettled comes back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kpr_sender.bus.proton_engine import Delivery, Endpoint, Sender
from kpr_sender.sandbox.amqp_message import with_delivery_count
from kpr_sender.sandbox.spool import Entry, Spool


@dataclass(slots=True, eq=False)
class Consumer:
    """One reading link.

    Attributes:
        link: The broker's sending end of it.
        owner: The connection it belongs to.
        unsettled: What it holds, by delivery tag.
    """

    link: Sender
    owner: object
    queue: Queue
    unsettled: dict[str, Entry] = field(default_factory=dict)

    @property
    def can_take(self) -> bool:
        """Whether it has credit and stands."""
        return bool(self.link.credit > 0 and self.link.state & Endpoint.REMOTE_ACTIVE)


class Queue:
    """One durable queue.

    Args:
        folder: Where its messages lie.
    """

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder)
        self.consumers: deque[Consumer] = deque()

    def __len__(self) -> int:
        return len(self.spool.ready) + sum(len(consumer.unsettled) for consumer in self.consumers)


class Queues:
    """All queues of one sandbox.

    Args:
        folder: One folder a queue in it.
        names: Which there are.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._queues = {name: Queue(folder / name) for name in names}
        self._tags = 0

    def __contains__(self, name: str) -> bool:
        return name in self._queues

    def __getitem__(self, name: str) -> Queue:
        return self._queues[name]

    def publish(self, name: str, message: bytes) -> Entry:
        """Store a message and give it to whoever waits for it; it is on disk when this returns.

        Raises:
            OSError: It cannot be written.
        """
        entry = self._queues[name].spool.append(message)
        self.deliver(self._queues[name])
        return entry

    def subscribe(self, name: str, link: Sender, owner: object) -> Consumer:
        """Let a link read a queue."""
        queue = self._queues[name]
        consumer = Consumer(link, owner, queue)
        queue.consumers.append(consumer)
        return consumer

    def unsubscribe(self, consumer: Consumer) -> None:
        """Take a link's right back; what it held is redelivered."""
        if consumer not in consumer.queue.consumers:
            return
        consumer.queue.consumers.remove(consumer)
        for entry in consumer.unsettled.values():
            consumer.queue.spool.give_back(entry, delivered=True)
        consumer.unsettled.clear()
        self.deliver(consumer.queue)

    def unsubscribe_all(self, owner: object) -> None:
        """The same for all links of a connection."""
        gone = [consumer for queue in self._queues.values() for consumer in queue.consumers if consumer.owner is owner]
        for queue in self._queues.values():  # first all, so that none of them is given anything again
            queue.consumers = deque(consumer for consumer in queue.consumers if consumer.owner is not owner)
        for consumer in gone:
            for entry in consumer.unsettled.values():
                consumer.queue.spool.give_back(entry, delivered=True)
            consumer.unsettled.clear()
        for consumer in gone:
            self.deliver(consumer.queue)

    def settle(self, consumer: Consumer, tag: str, state: int) -> None:
        """Act on a reader's disposition: accepted and rejected end it, all else brings it back."""
        entry = consumer.unsettled.pop(tag, None)
        if entry is None:
            return
        if state in {Delivery.ACCEPTED, Delivery.REJECTED}:
            consumer.queue.spool.remove(entry)
        else:
            consumer.queue.spool.give_back(entry, delivered=state != Delivery.RELEASED)
            self.deliver(consumer.queue)

    def deliver(self, queue: Queue) -> None:
        """Give out what is ready to whoever has credit, in turn."""
        passed_over = 0
        while queue.spool.ready and passed_over < len(queue.consumers):
            consumer = queue.consumers[0]
            queue.consumers.rotate(-1)
            if not consumer.can_take:
                passed_over += 1
                continue
            passed_over = 0
            entry = queue.spool.ready.popleft()
            self._tags += 1
            tag = str(self._tags)
            consumer.unsettled[tag] = entry
            consumer.link.delivery(tag)
            consumer.link.stream(with_delivery_count(entry.read(), entry.deliveries))
            consumer.link.advance()
