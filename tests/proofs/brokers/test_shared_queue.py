"""G8 counted by the broker: cron runs for days on a queue with messages of another system that nobody reads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
from proton import Message

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Inbound, Source
from kpr_sender.client import Client
from kpr_sender.model import Environment
from kpr_sender.report import Report
from kpr_sender.settings import load
from kpr_sender.states import ShipmentState
from tests.helpers.bus_settings import ERRORS, bus_settings
from tests.helpers.fhi import Fhi
from tests.helpers.figures import figure
from tests.helpers.municipality import Municipality
from tests.helpers.rabbitmq import EXCHANGE, RabbitMq
from tests.proofs.e2e.test_rabbitmq import RECEIPTS, answer, as_sent, kommune_on, taken

_DEAD: Final = "900002_dead"
_SHARED: Final = (RECEIPTS, ERRORS)
_OTHERS: Final = 3
_EVERY: Final = timedelta(minutes=10)
_DAYS: Final = {("4.0", "quorum"): 14}
_LOOK_SECONDS: Final = 5.0
_LOOKS: Final = 5
_NEW: Final = "other-new"
ASKED: Final[dict[str, Any]] = {"look_anyway": True, "reason": "the receipt is urgent", "by": "Kari"}


class Cron:
    """Runs of ``kpr-send wait --wait 0``, each a client of its own with a bus of its own; only the time is made up."""

    def __init__(self, kommune: Municipality) -> None:
        self._settings = load(kommune.config, Environment.LOKAL, environ={})
        self.at = datetime.now(UTC)
        self.longest = 0.0

    def run(self, **asking: Any) -> Report:
        begun = time.monotonic()
        with Client(self._settings, now=lambda: self.at) as client:
            report = client.wait(timeout=0, **asking)
        self.longest = max(self.longest, time.monotonic() - begun)
        return report

    def send(self, **replacing: Any) -> int:
        with Client(self._settings, now=lambda: self.at) as client:
            return client.submit(**replacing).sent


def other(message_id: str) -> Message:
    return Message(b"other", inferred=True, durable=True, id=message_id)


def deliveries(node: RabbitMq) -> list[int]:
    """Read both queues empty, and return how often the broker says that each of the others' was delivered before."""
    found = []
    with AmqpBus(bus_settings(node.port)) as bus:
        while (inbound := bus.receive(1)) is not None:
            assert inbound.message_id.startswith("other")
            found.append(inbound.deliveries)
            bus.settle(inbound)
    return found


@pytest.fixture
def taken_by_us(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often our bus got which message, over all runs: not every broker says how often it delivered one."""
    taken = Counter[str]()

    class CountingBus(AmqpBus):
        def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
            inbound = super().receive(timeout, sources)
            taken.update([] if inbound is None else [inbound.message_id])
            return inbound

    monkeypatch.setattr("kpr_sender.bus.amqp.AmqpBus", CountingBus)
    return taken


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize("days", [None, pytest.param(14, marks=pytest.mark.nightly)])
def test_g8_cron_for_days_on_a_queue_that_others_share(
    every_broker: RabbitMq, tmp_path: Path, kind: str, days: int | None, taken_by_us: Counter[str]
) -> None:
    broker = every_broker
    version = broker.behaves_as
    limit = {"x_delivery_limit": 10} if (version, kind) == ("3.10", "quorum") else {}
    broker.declare_queue(_DEAD)
    for queue in _SHARED:
        broker.delete_queue(queue)
        dead = {"x_dead_letter_exchange": EXCHANGE, "x_dead_letter_routing_key": _DEAD}
        broker.declare_queue(queue, x_queue_type=kind, **dead, **limit)
    try:
        kommune = kommune_on(broker, tmp_path, tls=False)
        text = kommune.config.read_text("utf-8").replace("[report]", '[report]\noverdue_after = "8760h"')
        kommune.config.write_text(text, "utf-8")
        fhi, cron = Fhi(kommune.pki), Cron(kommune)
        assert cron.send() == 2
        sent = [as_sent(taken(broker)) for _ in range(2)]
        others = {queue: [f"other-{queue}-{one}" for one in range(_OTHERS)] for queue in _SHARED}
        for queue, ids in others.items():
            broker.put(queue, *map(other, ids))
        ids = list(chain(*others.values()))
        runs, codes, begun = (days or _DAYS.get((version, kind), 2)) * 144, list[int](), cron.at
        for number in range(runs):
            cron.at = begun + number * _EVERY
            if number == 3:  # after the third take: the next permitted look is an hour after it
                answer(broker, fhi, sent[0])
            if number == 160:  # after the fifth
                answer(broker, fhi, sent[1])
            report = cron.run()
            codes.append(report.exit_code)
            if number == 8:
                assert report.submission.shipments[0].state is ShipmentState.DELIVERED
        assert broker.depth(_DEAD) == 0
        assert set(codes[:152]) == {80}
        assert set(codes[153:]) == {88}
        assert [taken_by_us[one] for one in ids] == [_LOOKS] * len(ids), "counted by us, whatever the broker counts"
        delivered = cron.run(**ASKED)
        assert delivered.exit_code == 0
        assert [taken_by_us[one] for one in ids] == [_LOOKS + 1] * len(ids)
        for queue in _SHARED:
            broker.wait_for(queue, ready=_OTHERS)
        counted = deliveries(broker)
        assert len(counted) == len(_SHARED) * _OTHERS
        assert max(counted) <= _LOOKS + 1, "five by ourselves, and the one that a person asked for"
        _runs_look_again_once_the_queue_was_read(broker, kommune, cron, delivered)
        assert taken_by_us[_NEW] == 1
        assert [taken_by_us[one] for one in ids] == [_LOOKS + 1] * len(ids)
        assert cron.longest <= _LOOK_SECONDS
        lost, dropped = len(_SHARED) * _OTHERS - len(counted), broker.depth(_DEAD)
        figure("shared queue", runs=runs, foreign=len(counted), lost=lost, dead_lettered=dropped)
        figure("shared queue", taken_of_one_at_most=f"{_LOOKS}, and once more by a person's word")
        if max(counted):
            figure("shared queue", deliveries_of_one_at_most=f"{max(counted)} by the broker's count")
    finally:
        for queue in (*_SHARED, _DEAD):
            broker.delete_queue(queue)


def _runs_look_again_once_the_queue_was_read(
    broker: RabbitMq, kommune: Municipality, cron: Cron, delivered: Report
) -> None:
    """Their owner has read both queues, a person says so, and from then on each run looks by itself."""
    kommune.corrected()
    replaced = delivered.submission.submission_id
    assert cron.send(replaces=replaced, reason="agreed with FHI") == 1
    sent = as_sent(taken(broker))
    assert cron.run().exit_code == 88, "that it was read, nobody but a person can say"
    assert cron.run(**ASKED, emptied=True).exit_code == 80
    broker.put(RECEIPTS, other(_NEW))
    answer(broker, Fhi(kommune.pki), sent)
    cron.at += _EVERY
    assert cron.run().exit_code == 0
    broker.wait_for(RECEIPTS, ready=1)
    assert broker.depth(_DEAD) == 0
