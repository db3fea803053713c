"""Waiting while the register is down: nothing is taken that could not be evaluated, and the wait goes on to its end."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.client import Client
from kpr_sender.errors import RegistryUnreachable
from kpr_sender.inbound.look_memory import LookMemory, beside
from kpr_sender.registry.files import FilesRegistry
from kpr_sender.registry.port import Counterpart, Provenance
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.fake_time import FakeTime
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus, error_queue_message
from tests.helpers.municipality import Municipality
from tests.helpers.register_scene import Scene
from tests.helpers.registry_stub import says

NOW = datetime.now(UTC)


class Queues(MemoryBus):
    """Our queues on a clock of their own.

    Attributes:
        looks: When, and at which of them, they were looked at.
        then: What happens after each look.
    """

    def __init__(self, clock: FakeTime) -> None:
        super().__init__()
        self.clock = clock
        self.looks: list[tuple[float, frozenset[Source]]] = []
        self.then: Callable[[], object] = lambda: None

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        self.looks.append((self.clock.at, frozenset(sources)))
        inbound = super().receive(timeout, sources)
        self.clock.at += 0 if inbound else timeout
        self.then()
        return inbound


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    clock = FakeTime()
    monkeypatch.setattr("kpr_sender.app.time", SimpleNamespace(monotonic=clock))
    return clock


@pytest.mark.usefixtures("registered")
def test_a_register_that_is_down_ends_no_wait_and_no_receipt_is_taken_for_nothing(
    scene: Scene, fhi: Fhi, clock: FakeTime
) -> None:
    settings, bus = scene.configure(), Queues(clock)
    with Client(settings, bus=bus, now=lambda: NOW + timedelta(seconds=clock.at)) as client:
        client.submit()
    for message in bus.published:
        bus.inbox.extend(fhi.answer(message))
    bus.inbox.append(error_queue_message(bus.published[0], fromHerId="171479"))
    scene.cache.unlink()
    scene.stub.mishap = says(502, b"<html>")
    scene.stub.questions.clear()
    codes = []

    with Client(settings, bus=bus, now=lambda: NOW + timedelta(seconds=clock.at)) as client:

        def happens() -> None:
            status = client.status()
            assert status is not None
            codes.append(status.exit_code)
            if clock.at >= 60:
                scene.stub.mishap = None

        bus.then = happens
        report = client.wait(timeout=50)
        assert clock.at == pytest.approx(50)
        faulted, other = report.submission.shipments
        assert (faulted.state, other.state) == (ShipmentState.FAULTED, ShipmentState.PUBLISHED), "no register is needed"
        assert other.last_error is not None
        assert (codes[0], report.exit_code, other.last_error.code) == (69, 81, "registry-unreachable")
        assert {sources for _, sources in bus.looks} == {frozenset({Source.ERRORS})}
        assert 3 <= len(scene.stub.questions) <= 7, "it is given pauses that grow"

        report = client.wait(timeout=60)
        assert (report.exit_code, clock.at < 110) == (0, True), "receipts come in the same wait once it is back"
    assert len(bus.settled) == 3


class Expires:
    """The configured certificates, whose time is over at once: the register is asked anew for each purpose."""

    def __init__(self, kommune: Municipality, answers: list[bool]) -> None:
        self.files, self.answers = FilesRegistry(kommune.configure()), answers

    def counterpart(self, her_id: int) -> Counterpart:
        if self.answers and not self.answers.pop(0):
            raise RegistryUnreachable(Text("The register does not answer."))
        old = NOW - timedelta(days=1)
        return replace(self.files.counterpart(her_id), provenance=Provenance("https://register", old, old))


def test_a_register_that_fails_while_a_receipt_is_evaluated_says_nothing_of_it(
    kommune: Municipality, bus: MemoryBus
) -> None:
    later = [timedelta()]
    register = Expires(kommune, [])
    settings = kommune.configure()
    with Client(settings, bus=bus, registry=register, now=lambda: NOW + later[0]) as client:
        client.submit()
        register.answers = [True, False]
        report = client.wait(timeout=0)
        assert isinstance(report.error, RegistryUnreachable)
        assert (report.exit_code, client.receipts(), bus.settled) == (69, (), [])
        assert len(bus.given_back) == 1, "the first one, and then no more are taken"
        taken = LookMemory.load(beside(Path(settings.journal.path))).looks[Source.RECEIPTS].takes
        assert list(taken.values()) == [1]
        later[0] = timedelta(minutes=2)
        assert client.wait(timeout=0).exit_code == 0
