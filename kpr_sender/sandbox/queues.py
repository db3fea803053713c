"""The queues and who reads them, as quorum queues do it: round robin, and everything unsettled comes back.

Each queue has a dead letter queue (HITS 1216 2.1.3.2), named with ``_dlq``: rejected messages go there, and those that
came back more often than the delivery limit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kpr_sender.bus.proton_engine import Delivery, Endpoint, Sender
from kpr_sender.sandbox import amqp_message
from kpr_sender.sandbox.dialect import DEFAULT_DIALECT, Dialect
from kpr_sender.sandbox.spool import Entry, Spool

_DEAD_LETTER: Final = "_dlq"


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
        """Whether it is attached and has credit."""
        return bool(self.link.credit > 0 and self.link.state & Endpoint.REMOTE_ACTIVE)


class Queue:
    """One durable queue.

    Args:
        folder: Where its messages are stored.
        dead_letters: Its dead letter queue; None for a dead letter queue itself.
    """

    def __init__(self, folder: Path, dead_letters: Queue | None = None) -> None:
        self.spool = Spool(folder)
        self.consumers: deque[Consumer] = deque()
        self.dead_letters = dead_letters

    def __len__(self) -> int:
        return len(self.spool.ready) + sum(len(consumer.unsettled) for consumer in self.consumers)

    def entries(self) -> list[Entry]:
        """Return what is on it, ready or held by a reader, oldest first."""
        held = [entry for consumer in self.consumers for entry in consumer.unsettled.values()]
        return sorted([*self.spool.ready, *held], key=lambda entry: entry.number)


class Queues:
    """All queues of one sandbox.

    Args:
        folder: One folder a queue in it.
        names: Which there are.
        dialect: How deliveries are counted, and how readers see it.
    """

    def __init__(self, folder: Path, names: Iterable[str], dialect: Dialect = DEFAULT_DIALECT) -> None:
        self._queues: dict[str, Queue] = {}
        for name in names:
            dead_letters = Queue(folder / dead_letter_queue(name))
            self._queues |= {name: Queue(folder / name, dead_letters), dead_letter_queue(name): dead_letters}
        self._dialect = dialect
        self._tags = 0
        self.delivery_limit: int | None = None
        """A message that comes back more often is dead; None for no limit."""

    def __contains__(self, name: str) -> bool:
        return name in self._queues

    def __getitem__(self, name: str) -> Queue:
        return self._queues[name]

    def publish(self, name: str, message: bytes) -> Entry:
        """Store a message and deliver it to a waiting reader; it is on disk when this returns.

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
        self._take_back(consumer)
        self.deliver(consumer.queue)

    def unsubscribe_all(self, owner: object) -> None:
        """The same for all links of a connection."""
        gone = [consumer for queue in self._queues.values() for consumer in queue.consumers if consumer.owner is owner]
        for queue in self._queues.values():  # first all, so that none of them is given anything again
            queue.consumers = deque(consumer for consumer in queue.consumers if consumer.owner is not owner)
        for consumer in gone:
            self._take_back(consumer)
        for consumer in gone:
            self.deliver(consumer.queue)

    def settle(self, consumer: Consumer, tag: str, state: int) -> None:
        """Act on a reader's disposition: accepted ends it, rejected is dead, all else brings the message back."""
        entry = consumer.unsettled.pop(tag, None)
        if entry is None:
            return
        if state == Delivery.ACCEPTED:
            consumer.queue.spool.remove(entry)
        elif state == Delivery.REJECTED:
            self._bury(consumer.queue, entry)
        else:
            self._give_back(consumer.queue, entry, failed=state != Delivery.RELEASED)
            self.deliver(consumer.queue)

    def take(self, name: str) -> Entry | None:
        """Give out a queue's next message to a reader in this process; None where there is none."""
        spool = self._queues[name].spool
        if not spool.ready:
            return None
        entry = spool.ready.popleft()
        entry.held_since = time.monotonic()
        return entry

    def put_back(self, name: str, entry: Entry) -> None:
        """Take back what a reader in this process left unsettled; quorum queues count that as a failure."""
        self._give_back(self._queues[name], entry, failed=True)

    def deliver(self, queue: Queue) -> None:
        """Deliver what is ready to the readers that have credit, in turn."""
        passed_over = 0
        while queue.spool.ready and passed_over < len(queue.consumers):
            consumer = queue.consumers[0]
            queue.consumers.rotate(-1)
            if not consumer.can_take:
                passed_over += 1
                continue
            passed_over = 0
            entry = queue.spool.ready.popleft()
            entry.held_since = time.monotonic()
            self._tags += 1
            tag = str(self._tags)
            consumer.unsettled[tag] = entry
            consumer.link.delivery(tag)
            consumer.link.stream(self._as_delivered(entry))
            consumer.link.advance()

    def _as_delivered(self, entry: Entry) -> bytes:
        count, counters = self._dialect.counts(failed=entry.failed, returned=entry.returned)
        return amqp_message.delivered(
            entry.read(),
            again=entry.returned > 0,
            count=count,
            counters=counters,
            durable=self._dialect.durable_without_header,
        )

    def _take_back(self, consumer: Consumer) -> None:
        """Return what a disconnected reader held; quorum queues count that as a failure of each message."""
        for entry in consumer.unsettled.values():
            self._give_back(consumer.queue, entry, failed=True)
        consumer.unsettled.clear()

    def _give_back(self, queue: Queue, entry: Entry, *, failed: bool) -> None:
        queue.spool.give_back(entry, failed=failed, held=time.monotonic() - entry.held_since)
        counted = entry.failed if self._dialect.limits_failures else entry.returned
        if self.delivery_limit is not None and counted > self.delivery_limit:
            queue.spool.ready.remove(entry)
            self._bury(queue, entry)

    @staticmethod
    def _bury(queue: Queue, entry: Entry) -> None:
        if queue.dead_letters is not None:
            queue.dead_letters.spool.append(entry.read())
        queue.spool.remove(entry)


def dead_letter_queue(name: str) -> str:
    """Return the name of a queue's dead letter queue."""
    return name + _DEAD_LETTER
