"""Waiting while the bus is down: it is tried to the end, said everywhere, and changes nothing that is known (G5)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Inbound, Outcome, Reach, Source, Verdict
from kpr_sender.client import Client
from kpr_sender.errors import BusUnreachable, InDoubt, JournalUnwritable, LastError
from kpr_sender.inbound.look_memory import LookMemory, beside
from kpr_sender.inbound.looks import Looks, Seen
from kpr_sender.report import Report
from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text, as_text
from tests.helpers.command import kpr_send
from tests.helpers.fake_time import FakeTime
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import SENDER_HER_ID, Municipality
from tests.helpers.register_scene import Scene
from tests.helpers.registry_stub import says

NewClient = Callable[..., Client]
DEFAULT_TIMES: dict[str, dict[str, object]] = {
    "bus": {"reconnect_budget": None, "connect_timeout": None, "publish_timeout": None}
}
NO_OUTCOME = Outcome(Verdict.IN_DOUBT, Reach.HANDED_OVER, 4711, error=InDoubt(Text("No outcome.")))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The clock of the wait and of the bus alike."""
    clock = FakeTime()
    monkeypatch.setattr("kpr_sender.app.time", SimpleNamespace(monotonic=clock))
    return clock


def stopped_broker(kommune: Municipality) -> Settings:
    """Return settings with default times for a bus where nothing listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = kommune.configure(DEFAULT_TIMES, port=port)
    assert (settings.bus.reconnect_budget, settings.bus.connect_timeout) == (60, 10)
    return settings


def wait_at_stopped_broker(kommune: Municipality, clock: FakeTime, timeout: float) -> Report:
    settings = stopped_broker(kommune)
    with Client(settings, bus=AmqpBus(settings.bus, closing=clock, monotonic=clock)) as client:
        return client.wait(timeout=timeout)


def last_errors(report: Report) -> list[LastError | None]:
    return [shipment.last_error for shipment in report.submission.shipments]


@pytest.mark.parametrize("timeout", [0, 8, 75, 1800])
def test_a_bus_that_is_down_is_said_in_text_json_and_journal(
    new_client: NewClient, silent_bus: MemoryBus, kommune: Municipality, clock: FakeTime, timeout: float
) -> None:
    before = new_client(silent_bus).submit()
    new_client(silent_bus).close()

    report = wait_at_stopped_broker(kommune, clock, timeout)

    assert clock.at == pytest.approx(timeout)  # to its end, and no longer
    assert report.exit_code == report.as_json()["exit_code"] == 69
    assert isinstance(report.error, BusUnreachable)
    assert report.as_json()["error"]["code"] == "bus-unreachable"
    assert "Published: " in report.text()
    assert "receipts cannot be fetched: " in report.text()
    assert "Connection refused" in report.text()
    for error in last_errors(report):
        assert error is not None
        assert (error.code, "Connection refused" in error.text) == ("bus-unreachable", True)
    known = [(one.state, one.published_at, one.attempts) for one in before.submission.shipments]
    assert [(one.state, one.published_at, one.attempts) for one in report.submission.shipments] == known
    client = new_client(silent_bus)
    status = client.status()
    assert status is not None
    assert (status.exit_code, status.text(), status.submission) == (69, report.text(), report.submission)
    assert client.wait(timeout=0).exit_code == 80, "a later look that succeeds clears it"
    assert last_errors(client.wait(timeout=0)) == [None, None]


def test_in_doubt_stays_above_a_bus_that_is_down(
    new_client: NewClient, silent_bus: MemoryBus, kommune: Municipality, clock: FakeTime
) -> None:
    silent_bus.outcomes.append(NO_OUTCOME)
    assert new_client(silent_bus).submit().exit_code == 83
    new_client(silent_bus).close()
    report = wait_at_stopped_broker(kommune, clock, 8)
    assert report.exit_code == 83
    assert [error is not None and error.code for error in last_errors(report)] == ["in-doubt", "bus-unreachable"]


class ComesAndGoes(MemoryBus):
    """Down for every look of which the plan says so; each look takes all its time."""

    def __init__(self, clock: FakeTime, up: list[bool]) -> None:
        super().__init__()
        self.clock, self.up, self.noted = clock, up, list[int]()
        self.seen: Callable[[], int] = lambda: 0

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        self.noted.append(self.seen())
        self.clock.at += timeout
        if not self.up.pop(0):
            raise BusUnreachable(as_text(f"Refused, the {len(self.up)}. last."))
        return super().receive(timeout, sources)


@pytest.mark.parametrize(
    ("up", "codes"),
    [
        ([True, True, False, False], [80, 80, 80, 69, 69]),  # what it says before each look, and at the end
        ([False, True, True, True], [80, 69, 80, 80, 80]),
        ([False, False, False, True], [80, 69, 69, 69, 80]),
    ],
)
def test_the_last_look_decides(
    new_client: NewClient, silent_bus: MemoryBus, clock: FakeTime, up: list[bool], codes: list[int]
) -> None:
    new_client(silent_bus).submit()
    bus = ComesAndGoes(clock, list(up))
    client = new_client(bus)

    def code() -> int:
        status = client.status()
        assert status is not None
        return status.exit_code

    bus.seen = code
    report = client.wait(timeout=12)  # looks of 5, 5, 2 and 0 seconds
    assert [*bus.noted, report.exit_code] == codes
    if report.exit_code == 69:
        assert "the 0. last" in report.text(), "as it is at the end, not as it was noted first"


class Hangs(MemoryBus):
    """Takes connections and says nothing: each attempt takes all of ``connect_timeout``, whatever time a look has."""

    def __init__(self, clock: FakeTime) -> None:
        super().__init__()
        self.clock = clock

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        self.clock.at += 10
        raise BusUnreachable(Text("No answer in time."))


@pytest.mark.parametrize(("timeout", "ends"), [(0, 10), (8, 10), (12, 20), (75, 80)])
def test_a_bus_that_hangs_outlasts_a_wait_by_one_attempt_at_most(
    new_client: NewClient, silent_bus: MemoryBus, clock: FakeTime, timeout: float, ends: float
) -> None:
    new_client(silent_bus).submit()
    assert new_client(Hangs(clock)).wait(timeout=timeout).exit_code == 69
    assert clock.at == ends


def test_receipts_that_come_after_an_outage_are_taken_within_the_same_wait(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, clock: FakeTime
) -> None:
    new_client(silent_bus).submit()
    bus = ComesAndGoes(clock, [False, False, True, True, True])
    for message in silent_bus.published:
        bus.inbox.extend(fhi.answer(message))
    report = new_client(bus).wait(timeout=30)
    assert report.exit_code == 0
    assert last_errors(report) == [None, None]


def test_the_real_command_says_so_for_0s(kommune: Municipality, tmp_path: Path) -> None:
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID, faults=Faults.parse(["no-answer"])) as sandbox:
        kommune.configure(DEFAULT_TIMES, port=sandbox.port)
        arguments = ("--env", "lokal", "--config", kommune.config, "--json")
        assert kpr_send(*arguments, "send", "--wait", "0").code == 80
    ran = kpr_send(*arguments, "wait", "--wait", "0s")
    told = ran.json()
    assert (ran.code, told["exit_code"], told["state"]) == (69, 69, "published")
    assert told["error"]["code"] == "bus-unreachable"
    assert [one["last_error"]["code"] for one in told["shipments"]] == ["bus-unreachable"] * 2
    assert kpr_send(*arguments, "status").json() == told
    screen = kpr_send("--env", "lokal", "--config", kommune.config, "wait", "--wait", "0s")
    assert screen.code == 69
    assert "receipts cannot be fetched" in screen.out


@pytest.mark.parametrize("command", ["send", "wait"])
def test_g5_what_is_remembered_of_looks_and_cannot_be_read_is_one_answer(
    new_client: NewClient, silent_bus: MemoryBus, kommune: Municipality, command: str
) -> None:
    """Without it nobody knows how often messages of others were taken, so that nothing is looked at."""
    new_client(silent_bus).submit()
    new_client(silent_bus).close()
    memory = beside(kommune.journal)
    memory.write_text("{")
    arguments = ("--env", "lokal", "--config", kommune.config, "--json")
    ran = kpr_send(*arguments, command, "--wait", "0")
    told = ran.json()
    assert (ran.code, told["exit_code"], told["state"]) == (73, 73, "published")
    assert told["error"]["code"] == "journal-unwritable"
    assert f"receipts cannot be fetched: {memory}" in told["error"]["text"]
    assert [one["last_error"]["code"] for one in told["shipments"]] == ["journal-unwritable"] * 2
    assert kpr_send(*arguments, "status").json() == told
    with pytest.raises(JournalUnwritable, match="not what this version writes"):
        new_client(silent_bus).wait(timeout=0, look_anyway=True, reason="FHI asks", by="Kari")
    memory.unlink()
    looked = LookMemory(memory)
    for queue in Source:
        looked.keep(queue, Looks().after([Seen("another's", 0)], datetime.now(UTC)))
    assert new_client(silent_bus).wait(timeout=0).exit_code == 80, "a pause is none of what keeps us from looking"


def test_g5_what_is_remembered_of_looks_counts_for_nothing_where_all_is_answered(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality
) -> None:
    client = new_client(bus)
    client.submit()
    assert client.wait(timeout=5).exit_code == 0
    beside(kommune.journal).write_text("{")
    assert new_client(bus).wait(timeout=0).exit_code == 0


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.usefixtures("registered")
def test_g5_a_register_that_is_down_is_said_in_text_json_and_journal(
    scene: Scene, silent_bus: MemoryBus, *, in_doubt: bool
) -> None:
    settings = scene.configure()
    silent_bus.outcomes.extend([NO_OUTCOME] if in_doubt else [])
    with Client(settings, bus=silent_bus) as client:
        client.submit()
    scene.cache.unlink()
    scene.stub.mishap = says(502, b"<html>")
    arguments = ("--env", "lokal", "--config", scene.made.config, "--json")
    ran = kpr_send(*arguments, "wait", "--wait", "0s")
    told = ran.json()
    wanted = (83, "in-doubt") if in_doubt else (69, "registry-unreachable")
    assert (ran.code, told["error"]["code"]) == wanted
    assert told["shipments"][1]["last_error"]["code"] == "registry-unreachable"
    assert kpr_send(*arguments, "status").json() == told
    scene.stub.mishap = None
    with Client(settings, bus=silent_bus) as client:
        assert client.wait(timeout=0).exit_code == (83 if in_doubt else 80)
