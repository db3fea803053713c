"""A holder that is stopped for longer than its lease, and goes on: it doubles nothing (G1).

It stops itself with SIGSTOP where a stop is worst. The server ends its lease meanwhile, and another machine takes over,
in this process; a person is refused until nobody can be sending any more; then the first one goes on.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from kpr_sender.app import journal_storage
from kpr_sender.client import Client
from kpr_sender.errors import InDoubt, JournalLocked
from kpr_sender.fault_points import FaultPoint
from kpr_sender.journal import postgres_lease, postgres_server, postgres_storage
from kpr_sender.journal.postgres import LATE_OUTCOME
from kpr_sender.model import Shipment
from kpr_sender.operator.resolve import Decision
from kpr_sender.sandbox import peer
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import Settings
from kpr_sender.states import ShipmentState
from tests.helpers.figures import figure
from tests.helpers.municipality import SENDER_HER_ID, Municipality
from tests.helpers.postgres import PASSWORD, Database
from tests.helpers.process_state import state_of
from tests.proofs.kill_runs import run_server
from tests.proofs.kill_server import AFTER_LOOK, shorten_lease

_FRAME: Final = 16_384  # bytes; so that the larger message takes two
_PATIENCE: Final = 150.0  # seconds
_ASKED: Final = "FHI has it not."


@dataclass(frozen=True)
class Times:
    """How long what takes, in seconds; None for a lease as the program has it."""

    lease: tuple[float, float] | None
    publish: int
    idle: int


SHORT: Final = Times((2, 0.5), 1, 1)
REAL: Final = Times(None, 10, 60)

WHERE: Final = {
    "before anything is sent": (FaultPoint.AFTER_ATTACH.value, 0),
    "right before the first byte": (FaultPoint.BEFORE_TRANSFER.value, 1),
    "between the look at the lease and the first byte": (AFTER_LOOK, 1),
    "in the middle of a transfer": (FaultPoint.MID_TRANSFER.value, 1),
    "before the outcome is stored": (FaultPoint.AFTER_OUTCOME.value, 0),
}
"""Where a run is stopped, and how many shipments are in doubt for whoever takes over: what the bus has is answered."""


@pytest.fixture(scope="module")
def runs() -> Iterator[subprocess.Popen[str]]:
    with run_server() as server:
        yield server
        for left in _children(server):  # of a test that failed
            os.kill(left, signal.SIGKILL)


@dataclass
class Scene:
    """One municipality, two machines and the bus."""

    sandbox: Sandbox
    settings: Settings
    runs: subprocess.Popen[str]
    times: Times
    kommune: Municipality

    def stopped_at(self, point: str) -> int:
        """Begin a run that stops itself there; return its process when it has."""
        order = {
            "config": str(self.kommune.config),
            "folder": str(self.kommune.folder),
            "ledgers": [str(self.sandbox.ledger.path.parent)],
            "answered": ["KPR_IPL", "KPR_IDE"],
            "decision": "",
            "database": [self.settings.journal.url, PASSWORD],
            "stop": [point, 1],
            "stopped": True,
            "lease": self.times.lease,
            "hangs_after": 600,
        }
        assert self.runs.stdin is not None
        self.runs.stdin.write(json.dumps(order) + "\n")
        self.runs.stdin.flush()
        ends = time.monotonic() + _PATIENCE
        while not (stopped := [pid for pid in _children(self.runs) if state_of(Path("/proc", str(pid))) == "T"]):
            assert time.monotonic() < ends, "it does not come to where it stops"
            time.sleep(0.02)
        return stopped[0]

    def ended(self) -> dict[str, Any]:
        """Wait for the end of that run; return what it said."""
        assert self.runs.stdout is not None
        told: dict[str, Any] = json.loads(self.runs.stdout.readline())
        assert told["signal"] == 0
        found: dict[str, Any] = told["result"]
        return found

    def look_after(self) -> dict[str, Shipment]:
        """Do what a run does, on another machine; return the shipments by type."""
        with Client(self.settings) as client:
            client.submit()
            journal_storage(self.settings).document("looks").remove()
            report = client.wait(timeout=2)
        return {one.type.value: one for one in report.submission.shipments}

    def taken_over(self) -> dict[str, Shipment]:
        """The same as soon as the lease is free."""
        ends = time.monotonic() + _PATIENCE
        while True:
            try:
                return self.look_after()
            except JournalLocked:
                assert time.monotonic() < ends, "the server ends no silent holder"
                time.sleep(0.2)

    def settled(self, known: dict[str, Shipment]) -> dict[str, Shipment]:
        """Let a person and runs of the other machine bring it to the end, as soon as that is allowed."""
        ends = time.monotonic() + _PATIENCE + self.times.publish + self.times.idle
        while any(one.state is not ShipmentState.DELIVERED for one in known.values()):
            assert time.monotonic() < ends, known
            for one in known.values():
                if one.state is ShipmentState.IN_DOUBT and not _copies(self.sandbox)[one.type.value]:
                    try:
                        self.let_go(one.msg_id)
                    except InDoubt:
                        time.sleep(0.2)
            known = self.look_after()
        return known

    def testimony(self, msg_id: str) -> str:
        """Return what the stopped run said of its transfer when it went on."""
        with journal_storage(self.settings).reading() as view:
            assert view is not None
            (said,) = [line for line in view.events(msg_id) if line.what == LATE_OUTCOME]
        return str(said.details)

    def let_go(self, msg_id: str) -> None:
        """Say *not arrived* of a shipment, as a person does."""
        with Client(self.settings) as client:
            client.resolve(msg_id, Decision.NOT_ARRIVED, reason=_ASKED, by="Kari Vakt")


def _play(kommune: Municipality, database: Database, runs: subprocess.Popen[str], times: Times, where: str) -> None:
    point, in_doubt = WHERE[where]
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID, behaviour=Behaviour(tls=False)) as sandbox:
        bus = {"tls": False, "publish_timeout": f"{times.publish}s", "idle_timeout": f"{times.idle}s"}
        settings = kommune.configure({"bus": bus}, port=sandbox.port)
        journal = database.settings(password=Secret(PASSWORD))
        scene = Scene(sandbox, dataclasses.replace(settings, journal=journal), runs, times, kommune)

        pid = scene.stopped_at(point)
        try:
            known = scene.taken_over()
            met = [one for one in known.values() if one.state is not ShipmentState.DELIVERED]
            assert [one.state for one in met] == [ShipmentState.IN_DOUBT] * in_doubt
            for one in met if times is REAL else ():  # on a busy machine a short wait is over
                with pytest.raises(InDoubt, match="may still be sending it"):
                    scene.let_go(one.msg_id)
            if point == FaultPoint.BEFORE_TRANSFER:  # also when a person's word has let it go again, and it was sent
                known = scene.settled(known)
        finally:
            os.kill(pid, signal.SIGCONT)
        said = scene.ended()
        assert "lost the journal's lease" in said.get("failed", ""), "it decides nothing more"
        if point == FaultPoint.BEFORE_TRANSFER:
            assert "local:lease" in scene.testimony(met[0].msg_id), "it looked at its lease, and sent nothing"

        known = scene.settled(known)
        copies = _copies(sandbox)
        lost, doubled = sum(not copies[one] for one in known), sum(number > 1 for number in copies.values())
        figure("stopped holders", runs=1, taken_over=1, in_doubt=len(met), lost=lost, duplicated=doubled)
        assert copies == dict.fromkeys(known, 1)


def _children(process: subprocess.Popen[str]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()]


def _copies(sandbox: Sandbox) -> Counter[str]:
    return Counter(line.type for line in sandbox.ledger.lines() if line.disposition == "accepted")


@pytest.mark.parametrize("where", ["right before the first byte", "in the middle of a transfer"])
def test_g1_a_holder_that_was_stopped_for_longer_than_a_short_lease_doubles_nothing(
    kommune: Municipality,
    own_postgres: Database,
    runs: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    monkeypatch.setattr(peer, "_MAX_FRAME", _FRAME)
    for module in (postgres_lease, postgres_server, postgres_storage):
        monkeypatch.setattr(module, "LEASE_SECONDS", postgres_server.LEASE_SECONDS)  # put back when the test ends
    monkeypatch.setattr(postgres_lease, "HEARTBEAT_SECONDS", postgres_lease.HEARTBEAT_SECONDS)
    assert SHORT.lease is not None
    shorten_lease(*SHORT.lease)
    _play(kommune, own_postgres, runs, SHORT, where)


@pytest.mark.nightly
@pytest.mark.parametrize("where", WHERE)
def test_g1_a_holder_that_was_stopped_for_longer_than_its_lease_doubles_nothing(
    kommune: Municipality,
    own_postgres: Database,
    runs: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    monkeypatch.setattr(peer, "_MAX_FRAME", _FRAME)
    _play(kommune, own_postgres, runs, REAL, where)
