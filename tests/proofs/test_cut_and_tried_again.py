"""A connection is cut and the next one stands: what is tried again, and what is not, counted at the bus (G1, G2)."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from kpr_sender.bus import amqp
from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.journal.lock import JournalLock
from kpr_sender.model import MessageType
from kpr_sender.outbound.publish import Publisher
from kpr_sender.states import ShipmentState
from tests.helpers.bus_settings import NO_QUEUES, bus_settings
from tests.helpers.counting_bus import CountingBus
from tests.helpers.fault_proxy import Cut, FaultProxy, Faults
from tests.helpers.figures import figure
from tests.journal.builders import Clock, new_shipment, new_submission, open_journal
from tests.proofs.attempts import Sender

RUNS = 60


def test_a_pair_over_connections_that_are_cut_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run's first connections are cut after a random byte of what we, or the bus, say; the last one stands."""
    monkeypatch.setattr(amqp, "_FIRST_PAUSE", 0.001)
    numbers = random.Random(4)
    states: list[ShipmentState] = []
    lost = duplicated = 0
    lock = JournalLock.acquire(tmp_path / "journal.db", now=Clock())
    journal = open_journal(tmp_path / "journal.db")
    with CountingBus(tmp_path / "queues") as bus, FaultProxy(bus.port) as proxy:
        stands = Sender(bus, proxy, bytes(300)).undisturbed()
        for number in range(RUNS):
            earlier = len(proxy.passages)
            for _ in range(numbers.randrange(1, 4)):
                ours, theirs = numbers.randrange(1, 2 * stands.let_through), numbers.randrange(1, stands.answered)
                cut = numbers.choice([Cut.RESET, Cut.CLOSE])
                proxy.upcoming.append(
                    numbers.choice([Faults(cut_after=ours, cut=cut), Faults(cut_after_answer=theirs, cut=cut)])
                )
            shipments = tuple(new_shipment(type_, sealed_bytes=300) for type_ in MessageType)
            submission = journal.create(new_submission(f"2024-{number:08x}", bydel=f"{number:02}", shipments=shipments))
            with AmqpBus(bus_settings(proxy.port, reconnect_budget=30.0, **NO_QUEUES)) as ours_bus:
                publisher = Publisher(journal, ours_bus, threading.RLock(), threading.Event(), lambda _: None)
                submission, _ = publisher.publish_all(submission)
            proxy.upcoming.clear()
            assert all(passage.over.wait(10) for passage in proxy.passages[earlier:])
            for shipment in submission.shipments:
                arrived = bus.ledger[shipment.message_id]
                states.append(shipment.state)
                duplicated += arrived > 1
                lost += arrived == 0 and shipment.state is ShipmentState.PUBLISHED
                assert shipment.state is not ShipmentState.SEALED  # certain, so tried again until it went
        attempts = len(proxy.passages) - 1
    journal.close()
    lock.release()
    figure(
        "cut and tried again",
        shipments=len(states),
        connections=attempts,
        published=states.count(ShipmentState.PUBLISHED),
        in_doubt=states.count(ShipmentState.IN_DOUBT),
        lost=lost,
        duplicated=duplicated,
    )
    assert (lost, duplicated) == (0, 0)
    assert set(states) == {ShipmentState.PUBLISHED, ShipmentState.IN_DOUBT}
