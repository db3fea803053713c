"""The broker killed under a transfer: nothing is called not sent that it has, and nothing is sent twice (G1, G3)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Inbound, Outcome, Reach, Verdict
from tests.helpers.bus_settings import KPR_QUEUE, NO_QUEUES, RECEIPTS, bus_settings, outbound
from tests.helpers.command import until
from tests.helpers.nightly import scaled
from tests.helpers.rabbitmq import RabbitMq
from tests.proofs.brokers.one_way import OneWayRelay
from tests.proofs.brokers.reckoning import on_broker, reckon

LARGE = 15_000_000  # bytes: more than two sockets' buffers hold, less than RabbitMQ 4's limit


def sender(port: int, **changes: Any) -> AmqpBus:
    return AmqpBus(bus_settings(port, publish_timeout=60.0, **changes, **NO_QUEUES))


def left(bus: AmqpBus) -> int:
    """How many bytes of the message under way the process has let go of."""
    connection = bus._connection
    assert connection is not None
    return connection._io.transfers.message_bytes


def settled(number: Callable[[], int], more_than: int) -> None:
    """Wait until a number is above another and does not grow any more."""
    before = -1
    while number() <= more_than or number() != before:
        before = number()
        time.sleep(0.2)


@contextmanager
def publishing(bus: AmqpBus, name: str, body: bytes = b"sealed") -> Iterator[dict[str, Outcome]]:
    """Publish on a thread; the outcome is there at the end."""
    said: dict[str, Outcome] = {}
    thread = threading.Thread(target=lambda: said.update({name: bus.publish(outbound(body, message_id=name))}))
    thread.start()
    try:
        yield said
    finally:
        thread.join(60)


def receive(bus: AmqpBus, seconds: float = 10.0) -> Inbound:
    inbound = bus.receive(seconds)
    assert inbound is not None
    return inbound


def test_killed_mid_transfer_and_before_and_after_it_stored_the_message_and_while_we_listen(broker: RabbitMq) -> None:
    """One kill, four connections, each at another moment."""
    with (
        OneWayRelay(broker.port) as relay,
        sender(relay.port) as storing,
        sender(broker.port) as handing,
        sender(broker.port) as streaming,
        AmqpBus(bus_settings(broker.port, reconnect_budget=60.0)) as listening,
    ):
        said = {
            name: bus.publish(outbound(message_id=name))
            for name, bus in (("first", storing), ("second", handing), ("third", streaming))
        }
        listening.publish(outbound(queue=RECEIPTS, message_id="receipt"))
        unsettled = receive(listening)
        relay.deaf.set()
        with publishing(storing, "stored") as stored:
            broker.wait_for(KPR_QUEUE, ready=4)
            broker.pause()
            with publishing(handing, "handed over") as handed, publishing(streaming, "half", bytes(LARGE)) as half:
                until(lambda: left(handing) > 0)
                settled(lambda: left(streaming), 0)
                assert 0 < left(streaming) < LARGE
                broker.kill9()
        said |= stored | handed | half
        broker.restart()
        again = receive(listening, 60)
        assert again.message_id == unsettled.message_id == "receipt"
        listening.settle(unsettled)
        listening.settle(again)
    assert [(outcome.verdict, outcome.reach) for outcome in (stored | handed | half).values()] == [
        (Verdict.IN_DOUBT, Reach.HANDED_OVER),
        (Verdict.IN_DOUBT, Reach.HANDED_OVER),
        (Verdict.NOT_SENT, Reach.INCOMPLETE),
    ]
    arrived = on_broker(broker, KPR_QUEUE)
    assert arrived["stored"] == 1, "in doubt, and there"
    assert arrived["handed over"] == 0, "in doubt, and gone with the broker"
    with sender(broker.port) as bus:
        said["half"] = bus.publish(outbound(message_id="half"))
    assert said["half"].verdict is Verdict.ACCEPTED
    reckon(broker, said, arrived + on_broker(broker, KPR_QUEUE))
    assert broker.depth(RECEIPTS) == 0


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(scaled(20)))
def test_killed_at_any_moment(broker: RabbitMq, seed: int) -> None:
    """Messages one after the other until the broker dies; whatever was certain is compared after its restart."""
    chance = random.Random(seed)
    said: dict[str, Outcome] = {}

    def publish_until_it_is_gone() -> None:
        with sender(broker.port) as bus:
            for number in range(100_000):
                name = f"{seed}-{number}"
                said[name] = bus.publish(outbound(bytes(chance.choice((100, 20_000, 3_000_000))), message_id=name))
                if said[name].verdict is not Verdict.ACCEPTED:
                    return

    thread = threading.Thread(target=publish_until_it_is_gone)
    thread.start()
    until(lambda: bool(said))
    time.sleep(chance.uniform(0, 0.5))  # the moment itself is what varies
    broker.kill9()
    thread.join(90)
    broker.restart()
    reckon(broker, said, on_broker(broker, KPR_QUEUE))
