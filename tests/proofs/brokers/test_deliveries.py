"""What each broker says of how often a message was delivered: a look that leaves it is one delivery."""

from __future__ import annotations

import pytest
from proton import Message

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Inbound
from tests.helpers.bus_settings import RECEIPTS, bus_settings
from tests.helpers.rabbitmq import RabbitMq

# Measured. Only what a broker counts can be read: of the others it is said that they were delivered, and no more.
_COUNTS = {
    ("3.10", "classic"): False,
    ("3.10", "quorum"): False,
    ("4.0", "classic"): False,
    ("4.0", "quorum"): True,
    ("4.3", "classic"): True,
    ("4.3", "quorum"): True,
}


def looked_at(node: RabbitMq) -> Inbound:
    """Return what one look finds, which leaves it where it is."""
    with AmqpBus(bus_settings(node.port)) as bus:
        inbound = bus.receive(10)
        assert inbound is not None
        bus.hold(inbound)
    node.wait_for(RECEIPTS, ready=1)
    return inbound


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_g8_a_look_is_one_delivery(every_broker: RabbitMq, kind: str) -> None:
    broker = every_broker
    broker.delete_queue(RECEIPTS)
    broker.declare_queue(RECEIPTS, x_queue_type=kind)
    try:
        broker.put(RECEIPTS, Message(b"foreign", inferred=True, durable=True, id="foreign"))
        seen = [looked_at(broker) for _ in range(4)]
    finally:
        broker.delete_queue(RECEIPTS)
    assert [one.redelivered for one in seen] == [False, True, True, True]
    counts = _COUNTS[broker.behaves_as, kind]
    assert [one.deliveries for one in seen] == ([0, 1, 2, 3] if counts else [0, 0, 0, 0])
