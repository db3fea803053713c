"""Signals and the time budget end a run after the step under way, never in the middle of it (G1, G2)."""

from __future__ import annotations

import importlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kpr_sender.app import App
from kpr_sender.cli import status
from kpr_sender.cli.ending import SAME_SECONDS, Ending
from kpr_sender.cli.main import run
from kpr_sender.cli.session import TimeLimit, graceful_shutdown
from kpr_sender.client import Client
from kpr_sender.errors import RegistryUnreachable
from kpr_sender.events import Event, EventKind
from kpr_sender.outbound.submit import Submitter
from kpr_sender.report import Report
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.ledger import Ledger
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.command import ended, start, until
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import SENDER_HER_ID, Municipality, municipality

S = ShipmentState
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
every_signal = pytest.mark.parametrize("number", SIGNALS)


@pytest.fixture
def kommune(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


@pytest.fixture
def bus(kommune: Municipality) -> MemoryBus:
    return MemoryBus(Fhi(kommune.pki).answer)


def _stray(number: int, _frame: object) -> None:
    raise AssertionError(f"signal {number} came when nobody listened")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Whatever a test does, the process has its own handlers afterwards; meanwhile none that would end it."""
    before = {number: signal.signal(number, _stray) for number in SIGNALS}
    yield
    left = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert left == dict.fromkeys(SIGNALS, _stray)


def states(closed: Client) -> list[ShipmentState]:
    with Client(closed.settings) as client:
        report = client.status()
    assert report is not None
    return [shipment.state for shipment in report.submission.shipments]


def orderly_run(client: Client, steps: Callable[[Client], Report]) -> tuple[Report, bool]:
    ending = Ending()
    ending.begin()
    with ending.listening(), graceful_shutdown(client, TimeLimit(), ending) as shutdown, client:
        report = steps(client)
    return report, shutdown.signalled


@every_signal
def test_a_signal_in_the_middle_of_a_transfer_is_heard_after_its_outcome(
    kommune: Municipality, bus: MemoryBus, number: signal.Signals
) -> None:
    bus.on_publish = lambda _: signal.raise_signal(number)
    report, signalled = orderly_run(Client(kommune.configure(), bus=bus), lambda client: client.submit())
    assert signalled
    assert [shipment.state for shipment in report.submission.shipments] == [S.PUBLISHED, S.SEALED]
    assert (report.sent, report.exit_code, bus.closed) == (1, 90, True)
    bus.on_publish = lambda _: None
    with Client(kommune.configure(), bus=bus) as client:
        client.submit()
        assert client.wait(timeout=0).exit_code == 0
    assert len(bus.taken) == 2


@every_signal
def test_a_second_signal_breaks_off_and_leaves_it_in_doubt(
    kommune: Municipality, bus: MemoryBus, number: signal.Signals
) -> None:
    def twice(_: object) -> None:
        signal.raise_signal(number)
        signal.raise_signal(number)  # as timeout(1) does: it signals the process, and then its group
        time.sleep(SAME_SECONDS)
        reached.append(number)
        signal.raise_signal(number)

    reached: list[int] = []
    bus.on_publish = twice
    client = Client(kommune.configure(), bus=bus)
    with pytest.raises(KeyboardInterrupt):
        orderly_run(client, lambda client: client.submit())
    assert reached == [number], "two of the same moment are one"
    assert bus.closed, "the link is closed properly all the same"
    assert states(client) == [S.PUBLISHING, S.SEALED]
    bus.on_publish = lambda _: None
    with Client(kommune.configure(), bus=bus) as client:
        assert client.submit().exit_code == 83
    assert len(bus.published) == 2, "the first is never sent again by itself"


@every_signal
def test_a_signal_while_a_receipt_is_taken_is_heard_when_it_is_settled(
    kommune: Municipality, bus: MemoryBus, number: signal.Signals
) -> None:
    def observe(event: Event) -> None:
        if event.kind is EventKind.RECEIPT:
            signal.raise_signal(number)

    client = Client(kommune.configure(), bus=bus, on_event=observe)

    def steps(client: Client) -> Report:
        client.submit()
        return client.wait(timeout=60)

    report, signalled = orderly_run(client, steps)
    assert signalled
    assert [shipment.state for shipment in report.submission.shipments] == [S.DELIVERED, S.PUBLISHED]
    assert (len(bus.settled), len(bus.inbox)) == (1, 1)
    assert report.exit_code == 80


@every_signal
def test_a_signal_between_two_steps_ends_the_run_at_once(
    kommune: Municipality, bus: MemoryBus, number: signal.Signals
) -> None:
    def observe(event: Event) -> None:
        if event.kind is EventKind.CONNECTING:
            signal.raise_signal(number)

    client = Client(kommune.configure(), bus=bus, on_event=observe)
    with pytest.raises(KeyboardInterrupt):
        orderly_run(client, lambda client: client.submit())
    assert states(client) == [S.SEALED, S.SEALED]
    assert (bus.published, bus.closed) == ([], True)


@pytest.fixture
def cut_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[signal.Signals], None]]:
    """A module that a signal comes to while it is imported: whatever follows runs until the signal is delivered."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(number: signal.Signals) -> None:
        body = f"import signal\nsignal.raise_signal({int(number)})\nwhole = True\n"
        (tmp_path / "cut_by_a_signal.py").write_text(body, "utf-8")
        assert importlib.import_module("cut_by_a_signal").whole
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            time.sleep(0.005)

    yield load
    sys.modules.pop("cut_by_a_signal")


@every_signal
def test_a_signal_inside_an_import_is_heard_right_after_it(
    kommune: Municipality, bus: MemoryBus, number: signal.Signals, cut_module: Callable[[signal.Signals], None]
) -> None:
    """An interrupt there would end the process by its signal, and no state would be printed."""

    def observe(event: Event) -> None:
        if event.kind is EventKind.CONNECTING:
            cut_module(number)

    client = Client(kommune.configure(), bus=bus, on_event=observe)
    with pytest.raises(KeyboardInterrupt):
        orderly_run(client, lambda client: client.submit())
    assert states(client) == [S.SEALED, S.SEALED]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_so_it_is_in_every_command(
    kommune: Municipality,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    cut_module: Callable[[signal.Signals], None],
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(status, "journal_of", lambda _: cut_module(number))
    assert command(kommune, "status") == 130
    signal.signal(signal.SIGINT, _stray)


@pytest.mark.parametrize(("signals", "code"), [(1, 130), (0, 69)])
def test_a_register_that_is_asked_no_more_after_a_signal_is_not_unreachable(
    kommune: Municipality, monkeypatch: pytest.MonkeyPatch, signals: int, code: int
) -> None:
    def in_the_first_step(_: App) -> None:
        for _number in range(signals):
            signal.raise_signal(signal.SIGTERM)

    def asks_the_register(*_: object, **__: object) -> None:
        raise RegistryUnreachable(Text("No usable answer."), where="https://register")

    monkeypatch.setattr(App, "reevaluate_before_sending", in_the_first_step)
    monkeypatch.setattr(Submitter, "submit", asks_the_register)
    assert command(kommune, "send") == code


def test_a_signal_while_the_link_is_closed_does_not_break_that_off(
    kommune: Municipality, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = bus.close

    def interrupted_close() -> None:
        signal.raise_signal(signal.SIGTERM)
        close()
        monkeypatch.undo()

    monkeypatch.setattr(bus, "close", interrupted_close)
    report, signalled = orderly_run(Client(kommune.configure(), bus=bus), lambda client: client.submit())
    assert signalled
    assert (report.exit_code, bus.closed) == (80, True)
    with Client(kommune.configure(), bus=bus) as client:
        assert client.wait(timeout=0).exit_code == 0, "the journal's lock is free again"


def test_a_signal_that_was_switched_off_stays_off(kommune: Municipality, bus: MemoryBus) -> None:
    """SIGHUP under nohup, SIGINT in a shell's background job."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        bus.on_publish = lambda _: signal.raise_signal(signal.SIGHUP)
        report, signalled = orderly_run(Client(kommune.configure(), bus=bus), lambda client: client.submit())
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (report.sent, signalled) == (2, False)


def command(kommune: Municipality, *arguments: str) -> int:
    return run(["--env", "lokal", "--config", str(kommune.config), "--json", *arguments])


def test_max_wait_bounds_the_trying_to_connect(kommune: Municipality, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing listens on the port, and the configuration would try for an hour."""
    kommune.configure({"bus": {"reconnect_budget": "1h"}})
    begun = time.monotonic()
    assert command(kommune, "send", "--max-wait", "1s", "--wait", "1h") == 69
    assert time.monotonic() - begun < 30
    assert json.loads(capsys.readouterr().out)["state"] == "sealed"


@pytest.fixture
def sandbox(kommune: Municipality) -> Iterator[Sandbox]:
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        kommune.configure({"bus": {"publish_timeout": "3s"}}, port=sandbox.port)
        yield sandbox


def test_max_wait_bounds_the_wait_for_receipts(
    kommune: Municipality, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.faults = Faults.parse(["no-answer"])
    begun = time.monotonic()
    assert command(kommune, "send", "--max-wait", "2s", "--wait", "1h") == 80
    assert command(kommune, "wait", "--max-wait", "0", "--wait", "1h") == 80
    assert command(kommune, "wait", "--max-wait", "1h", "--wait", "0") == 80
    assert time.monotonic() - begun < 60
    capsys.readouterr()


def test_max_wait_lets_a_transfer_be_finished_and_begins_no_other(
    kommune: Municipality, sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is up in the middle of the first transfer, however long the machine takes to get there."""
    limits = []

    def left(limit: TimeLimit) -> float:
        limits.append(limit.seconds)
        until(lambda: len(Ledger.read(kommune.folder)) == 1)
        return 0.0

    monkeypatch.setattr(TimeLimit, "left", left)
    sandbox.faults = Faults.parse(["hold-disposition", "no-answer"])
    assert command(kommune, "send", "--max-wait", "30s", "--wait", "1h") == 83
    assert set(limits) == {30}
    told = json.loads(capsys.readouterr().out)
    assert [shipment["state"] for shipment in told["shipments"]] == ["in_doubt", "sealed"]
    assert len(Ledger.read(kommune.folder)) == 1


def test_the_real_command_finishes_the_transfer_and_ends_with_the_state_s_code(
    kommune: Municipality, sandbox: Sandbox
) -> None:
    sandbox.faults = Faults.parse(["hold-disposition", "no-answer"])
    process = start("--env", "lokal", "--config", kommune.config, "--json", "send", "--wait", "1h")
    until(lambda: len(Ledger.read(kommune.folder)) == 1)
    process.send_signal(signal.SIGTERM)
    ran = ended(process)
    assert ran.code == ran.json()["exit_code"] == 83, ran.err
    assert [shipment["state"] for shipment in ran.json()["shipments"]] == ["in_doubt", "sealed"]
    assert "finishing the step" in ran.err
    assert "interrupted; this is what is known" in ran.err
    sandbox.faults = NO_FAULTS
    assert command(kommune, "send", "--wait", "30s") == 0
    assert len(Ledger.read(kommune.folder)) == 2


def test_a_terminal_that_goes_away_ends_the_run_quietly_with_the_state_s_code(
    kommune: Municipality, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when ssh is cut: SIGHUP, and every write to the terminal is an error (EIO) from then on."""
    sandbox.faults = Faults.parse(["no-answer"])
    leader, follower = pty.openpty()
    arguments = [sys.executable, "-m", "kpr_sender", "--env", "lokal", "--config", str(kommune.config), "send"]
    with subprocess.Popen(arguments, stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        shown = b""
        while b"bus has taken the identmelding" not in shown:
            shown += os.read(leader, 4096)
        os.close(leader)
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 80
    assert command(kommune, "status") == 80
    capsys.readouterr()


def test_a_vendor_s_own_signal_handler_ends_a_submit_after_its_step(kommune: Municipality, bus: MemoryBus) -> None:
    """What is asked for in the middle of a step is heard at its end, without help from another thread."""
    with Client(kommune.configure(), bus=bus) as client:
        asked: list[bool] = []
        bus.on_publish = lambda _: asked.append(client.stop_after_step())
        assert client.submit().sent == 1
        assert asked == [True]
        assert client.stop_after_step() is False
        assert client.wait(timeout=60).submission.shipments[0].state is S.PUBLISHED


def test_stop_ends_a_wait_in_another_thread(kommune: Municipality) -> None:
    looked = threading.Event()

    class Silent(MemoryBus):
        def receive(self, timeout: float, sources: object = None) -> None:
            looked.set()
            time.sleep(min(timeout, 0.01))

    with Client(kommune.configure(), bus=Silent()) as client:
        client.submit()
        waiting = threading.Thread(target=client.wait, kwargs={"timeout": 3600})
        waiting.start()
        assert looked.wait(30)
        client.stop()
        waiting.join(30)
        assert not waiting.is_alive()
