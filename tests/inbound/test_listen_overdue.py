"""Receipts that do not come, and clocks that jump: what is shown changes, what is decided does not (G2, G4, G5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.operator.resolve import Decision
from kpr_sender.report import Report
from kpr_sender.states import ShipmentState
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
YEAR_AHEAD = timedelta(days=366)


class World:
    """A pair that was sent now, on a machine whose clock can be set."""

    def __init__(self, folder: Path) -> None:
        self.kommune: Municipality = municipality(folder)
        self.bus = MemoryBus()
        self.fhi = Fhi(self.kommune.pki)
        self.off = timedelta(0)

    def client(self, overdue_after: str = "24h") -> Client:
        settings = self.kommune.configure({"report": {"overdue_after": overdue_after}})
        return Client(settings, bus=self.bus, now=lambda: datetime.now(UTC) + self.off)

    def sent(self) -> Report:
        with self.client() as client:
            return client.submit()

    def status(self, overdue_after: str = "24h") -> Report:
        with self.client(overdue_after) as client:
            report = client.status()
        assert report is not None
        return report

    def waited(self) -> Report:
        with self.client() as client:
            return client.wait(timeout=0)

    def answered(self) -> None:
        for message in self.bus.taken:
            self.bus.inbox.extend(self.fhi.answer(message))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    assert made.sent().exit_code == 80
    yield made
    assert len(made.bus.taken) == 2, "G1: whatever the clock says, nothing goes twice"


def test_a_day_later_it_is_overdue_and_still_waited_for(world: World) -> None:
    world.off = DAY - timedelta(minutes=1)
    assert world.status().exit_code == 80
    world.off = DAY + timedelta(minutes=1)
    assert world.status().exit_code == 84
    assert world.waited().exit_code == 84
    assert world.sent().exit_code == 84, "send goes on where it stands, and sends nothing"
    world.answered()
    assert world.waited().exit_code == 0


def test_the_limit_is_the_configuration_s(world: World) -> None:
    world.off = 2 * HOUR
    assert [world.status(limit).exit_code for limit in ("1h", "2h", "3h", "8760h")] == [84, 84, 80, 80]


def test_a_receipt_is_taken_whenever_it_comes(world: World) -> None:
    world.off = timedelta(days=60)
    assert world.status().exit_code == 84
    world.answered()
    assert world.waited().exit_code == 0


def test_who_says_that_it_has_arrived_waits_anew(world: World) -> None:
    world.off = 2 * DAY
    with world.client() as client:
        for shipment in world.status().submission.shipments:
            report = client.resolve(shipment.msg_id, Decision.ARRIVED, reason="FHI has it")
    assert report.exit_code == 80
    world.off += DAY + HOUR
    assert world.status().exit_code == 84


@pytest.mark.parametrize("jump", [-YEAR_AHEAD, -HOUR, YEAR_AHEAD])
def test_a_clock_that_jumps_changes_no_state(world: World, jump: timedelta) -> None:
    before = world.status().submission
    world.off = jump
    report = world.waited()
    assert report.submission == before
    assert report.exit_code == (84 if jump > DAY else 80)
    world.off = timedelta(0)
    assert world.status().exit_code == 80
    world.answered()
    assert world.waited().exit_code == 0


def test_a_clock_set_back_an_hour_keeps_no_receipt_out(world: World) -> None:
    world.off = -HOUR
    world.answered()
    # The test PKI is younger than an hour: its certificates are not valid yet, by this clock.
    assert world.waited().exit_code in {0, 76}
    world.off = timedelta(0)
    assert world.waited().exit_code == 0


@pytest.mark.parametrize("bare", [False, True], ids=["as FHI sends it", "without correlation and properties"])
def test_a_receipt_whose_certificate_has_expired_is_kept_and_believed_once_the_clock_is_right(
    world: World, *, bare: bool
) -> None:
    """G4: nobody can tell when it was signed. G2: and yet it is not lost, nor taken off the queue."""
    world.off = YEAR_AHEAD
    world.answered()
    if bare:
        bared = [replace(inbound, correlation_id="", properties={}) for inbound in world.bus.inbox]
        world.bus.inbox.clear()
        world.bus.inbox.extend(bared)
    report = world.waited()
    assert report.exit_code == 76
    assert "expired" in report.text()
    for shipment in report.submission.shipments:
        assert shipment.state is ShipmentState.PUBLISHED
        assert [(receipt.verified, receipt.status) for receipt in shipment.receipts] == [(False, 1)]
    assert world.bus.settled == []
    assert world.waited().submission == report.submission, "again is a duplicate"
    world.off = timedelta(0)
    report = world.waited()
    assert report.exit_code == 0
    assert [len(shipment.receipts) for shipment in report.submission.shipments] == [1, 1]
    assert len(world.bus.settled) == 2
