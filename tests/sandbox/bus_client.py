"""A plain AMQP client of proton's own, which also sees how RabbitMQ ends sessions; no part of the product."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

from proton import Event, Message, ProtonException
from proton.utils import BlockingConnection


class SessionEnded(ProtonException):
    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition


class BusClient(BlockingConnection):
    """Logs in as the municipality does."""

    def __init__(self, port: int, password: str, user: str = "kommune") -> None:
        super().__init__(
            f"amqp://127.0.0.1:{port}", user=user, password=password, allowed_mechs="PLAIN", timeout=10, heartbeat=None
        )

    def on_session_remote_close(self, event: Event) -> None:
        session: Any = event.session
        condition = session.remote_condition
        if condition is not None:
            raise SessionEnded(condition.name, condition.description)

    def leave(self) -> None:
        """Close without minding what the other side makes of it."""
        self.timeout = 0.3
        with contextlib.suppress(ProtonException):
            self.close()

    def publish(self, address: str, message: Message) -> int:
        """Return the outcome's state; everything but a state raises."""
        delivery: Any = self.create_sender(address, name=str(uuid.uuid4())).link.send(message)
        self.wait(lambda: bool(delivery.settled or delivery.remote_state), msg="disposition", timeout=5)
        return int(delivery.remote_state)

    def take(self, queue: str, count: int = 1, prefix: str = "/amq/queue/") -> list[Any]:
        """Accept and return that many messages."""
        receiver: Any = self.create_receiver(prefix + queue, credit=count, name=str(uuid.uuid4()))
        messages = []
        for _ in range(count):
            messages.append(receiver.receive(timeout=10))
            receiver.accept()
        receiver.close()
        return messages
