"""The sandbox's bus with nothing behind it but a count of every message whose transfer was complete."""

from __future__ import annotations

import ssl
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Self

from kpr_sender.sandbox.amqp_message import read
from kpr_sender.sandbox.broker import Broker
from kpr_sender.sandbox.dialect import dialect
from kpr_sender.sandbox.links import BusRules, Fate
from kpr_sender.sandbox.queues import Queues
from tests.helpers.bus_settings import ERRORS, RECEIPTS
from tests.helpers.rabbitmq import EXCHANGE


class CountingBus:
    """The bus; a context manager. It accepts every message and keeps none.

    Attributes:
        ledger: How often each message-id came, whole.
    """

    def __init__(self, folder: Path, tls: ssl.SSLContext | None = None) -> None:
        self.ledger: Counter[str] = Counter()
        self._queues = Queues(folder, (RECEIPTS, ERRORS))
        rules = BusRules(EXCHANGE, frozenset({RECEIPTS, ERRORS}), 50_000_000, dialect("3.10.8"))
        self._broker = Broker(rules, self._queues, self, tls=tls)

    def __enter__(self) -> Self:
        self._broker.start()
        self.port = self._broker.port
        return self

    def __exit__(self, *_: object) -> None:
        self._broker.close()

    def put(self, message: bytes) -> None:
        """Put a message on the receipts queue."""

        def publish() -> None:
            self._queues.publish(RECEIPTS, message)

        self._broker.call(publish)

    def depth(self) -> int:
        """Return how many messages are on the receipts queue, given out or not."""
        answer: Future[int] = Future()
        self._broker.call(lambda: answer.set_result(len(self._queues[RECEIPTS])))
        return answer.result(5)

    # What the bus asks

    def admits(self, user: str, password: bytes) -> bool:
        return True

    def fate(self, queue: str, message: bytes, proposed: Fate) -> Fate:
        self.ledger[read(message).message_id] += 1
        return Fate.LOSE

    def stored(self, queue: str) -> None:
        return None
