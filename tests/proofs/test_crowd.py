"""G1 when twenty processes send the same files at once: one publish of each, counted in the bus's own ledger."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from tests.helpers.figures import figure
from tests.helpers.municipality import SENDER_HER_ID, municipality
from tests.helpers.nightly import scaled
from tests.helpers.postgres import PASSWORD, Database
from tests.proofs.kill_runs import run_server
from tests.proofs.kill_wires import empty_queues

PROCESSES: Final = 20
ROUNDS: Final = 50
ROUNDS_IN_POSTGRES: Final = 1
ROUNDS_OF_PERSONS: Final = 10
PARTS_NIGHTLY: Final = 20  # of as many rounds each
PARTS_POSTGRES: Final = 5
DONE, PUBLISHED, LOCKED = 0, 80, 87
WAITS: Final = 60.0  # seconds at most
_rounds: Final = itertools.count()


@dataclass(frozen=True)
class Scene:
    """What FHI did with a pair, and what twenty persons at once decide of both.

    Attributes:
        fault: The sandbox's name for it.
        decision: What each decides; one must count, and the others be refused.
        words: How often each of the two goes, the first time included.
        codes: How their runs may end.
        rounds: How often it is played in each run of the suite.
        late: Whether the receipts come at the moment of the decision. In every other round some look for them first,
            and where they are seen nothing goes again.
    """

    fault: str
    decision: str
    words: int
    codes: frozenset[int]
    rounds: int = 1
    late: bool = False

    def __str__(self) -> str:
        return f"{self.decision} after {self.fault}" + (" and a late receipt" if self.late else "")


CRON: Final = Scene("no-answer", "", 1, frozenset({PUBLISHED, LOCKED}))
SCENES: Final = (
    Scene("error-queue", "resend", 2, frozenset({PUBLISHED, LOCKED}), ROUNDS_OF_PERSONS),
    Scene("no-answer", "not-arrived", 2, frozenset({PUBLISHED, LOCKED})),
    Scene("no-answer", "not-arrived", 2, frozenset({DONE, PUBLISHED, LOCKED}), 2, late=True),
    Scene("receipt-sender", "accept", 1, frozenset({DONE, LOCKED})),
)


@dataclass(frozen=True)
class Town:
    """A municipality, its bus and the server of its runs."""

    server: subprocess.Popen[str]
    config: Path
    bus: Sandbox

    def crowd(self, rounds: int, scene: Scene = CRON, database: Database | None = None) -> None:
        """Play a scene so often, each time with a journal of its own."""
        for number in range(rounds):
            folder = self.config.parent / f"round-{next(_rounds)}"
            crowd = Crowd(self.server, self.config, folder, database)
            one_round(crowd, self.bus, scene, waits_first=scene.late and number % 2 == 1)
            empty_queues(self.bus)
            if database is not None:
                database.until_free()
                database.set_aside()


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """One for all: starting the server takes longer than many rounds."""
    folder = Path(tempfile.mkdtemp())
    made = municipality(folder)
    sandbox = Sandbox(folder, sender_her_id=SENDER_HER_ID, behaviour=Behaviour(tls=False))
    try:
        with run_server("tests.proofs.crowd_server") as server, sandbox as bus:
            made.configure({"bus": {"tls": False}}, port=bus.port)
            yield Town(server, made.config, bus)
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Crowd:
    """The server of runs, for one journal."""

    server: subprocess.Popen[str]
    config: Path
    folder: Path
    database: Database | None = None

    def run(self, runs: int, **order: object) -> list[tuple[int, int]]:
        """Start so many at once; return the exit code of each, and how many shipments the bus took from it."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        order |= {"config": str(self.config), "folder": str(self.folder), "runs": runs}
        if self.database is not None:
            order["database"] = [self.database.url, PASSWORD]
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        return [(code, sent) for code, sent in json.loads(self.server.stdout.readline())]


def one_round(crowd: Crowd, bus: Sandbox, scene: Scene, *, waits_first: bool) -> None:
    before = len(bus.ledger.lines())
    bus.faults = Faults.parse([scene.fault])
    if scene.decision:
        silent = scene.fault == "no-answer"
        assert [sent for _, sent in crowd.run(1, waits=None if silent else 0.05, heard=not silent)] == [2]
    if scene.late:
        bus.faults = NO_FAULTS
    waits = 0 if scene.late else None
    ended = crowd.run(PROCESSES, decision=scene.decision, waits=waits, waits_first=waits_first)
    lines = bus.ledger.lines()[before:]
    taken = Counter(line.type for line in lines)
    sent = sorted(sent for _, sent in ended)
    figure(
        f"{'PostgreSQL: ' if crowd.database else ''}{PROCESSES} {'persons' if scene.decision else 'processes'} at once",
        rounds=1,
        runs=len(ended),
        published=taken.total(),
        already=sum(code != LOCKED and sent == 0 for code, sent in ended),
        locked=sum(code == LOCKED for code, _ in ended),
        lost=2 - len(taken),
        duplicated=sum(max(times - scene.words, 0) for times in taken.values()),
    )
    assert set(taken) == {"KPR_IPL", "KPR_IDE"}
    assert len({line.message_id for line in lines}) == len(lines) == 2 * bool(scene.decision) + sum(sent)
    assert len({line.msg_id for line in lines}) == 2
    assert len(ended) == PROCESSES
    assert {code for code, _ in ended} <= scene.codes
    if scene.late:
        assert crowd.run(1, waits=WAITS) == [(DONE, 0)], "both are delivered, whichever came first"
    if waits_first:
        assert max(taken.values()) <= scene.words
    else:
        assert set(taken.values()) == {scene.words}
        by_one = [2] if scene.words > bool(scene.decision) else [0]
        assert sent == [0] * (PROCESSES - 1) + by_one, "one run has sent both"
    if scene.decision == "accept":
        assert crowd.run(1) == [(DONE, 0)], "both are delivered"


def test_g1_twenty_processes_at_once_publish_each_shipment_once(town: Town) -> None:
    town.crowd(ROUNDS)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_g1_twenty_persons_at_once_send_each_shipment_again_once(town: Town, scene: Scene) -> None:
    town.crowd(scene.rounds, scene)


def test_g1_in_postgresql_too(town: Town, own_postgres: Database) -> None:
    town.crowd(ROUNDS_IN_POSTGRES, CRON, own_postgres)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(scaled(PARTS_NIGHTLY)))
def test_g1_twenty_processes_at_once_all_night(town: Town, part: int) -> None:
    del part  # which process comes first differs by itself
    town.crowd(ROUNDS)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(scaled(PARTS_NIGHTLY)))
@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_g1_twenty_persons_at_once_all_night(town: Town, scene: Scene, part: int) -> None:
    del part
    town.crowd(ROUNDS_OF_PERSONS, scene)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(scaled(PARTS_POSTGRES)))
@pytest.mark.parametrize("scene", [CRON, *SCENES], ids=str)
def test_g1_in_postgresql_all_night(town: Town, own_postgres: Database, scene: Scene, part: int) -> None:
    del part
    town.crowd(ROUNDS_IN_POSTGRES, scene, own_postgres)
