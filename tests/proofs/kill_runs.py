"""Runs that are killed at a fault point and started again, judged by what the bus's own ledger holds."""

from __future__ import annotations

import enum
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from kpr_sender.fault_points import FaultPoint
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment, MessageType, Shipment
from kpr_sender.sandbox import peer
from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.ledger import LedgerLine
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from kpr_sender.states import ShipmentState
from tests.helpers.municipality import SENDER_HER_ID, municipality
from tests.helpers.repository import ROOT

_DEADLINE: Final = 20.0  # seconds
_FRAME: Final = 16_384  # bytes; so that the larger message takes two
_S = ShipmentState


class Answer(enum.Enum):
    """What FHI says to one of the pair, and the state it must end in."""

    POSITIVE = ("", _S.DELIVERED)
    NEGATIVE = ("reject", _S.REJECTED)
    NONE = ("no-answer", _S.PUBLISHED)

    @property
    def fault(self) -> str:
        """The sandbox's name for it; nothing for what it does anyway."""
        return self.value[0]

    @property
    def state(self) -> ShipmentState:
        """What a shipment that the bus took must become."""
        return self.value[1]


Answers = dict[MessageType, Answer]


@dataclass(frozen=True)
class Scene:
    """What FHI does to a fagmelding, and what a person decides of it.

    Attributes:
        fault: The sandbox's name for it.
        state: What it is then.
        decision: What the person does.
        again: Whether its content goes again by that.
    """

    fault: str
    state: ShipmentState
    decision: str
    again: bool

    def __str__(self) -> str:
        return f"{self.decision} after {self.fault}"


SCENES: Final = (
    Scene("error-queue", _S.FAULTED, "resend", True),
    Scene("reject", _S.REJECTED, "resend", True),
    Scene("no-answer", _S.PUBLISHED, "not-arrived", True),
    Scene("receipt-sender", _S.PUBLISHED, "accept", False),
    Scene("status-3", _S.DELIVERED_WITH_ERRORS, "settle", False),
)

_HELD_BY_BUS: Final = frozenset({_S.PUBLISHED, _S.DELIVERED, _S.DELIVERED_WITH_ERRORS, _S.REJECTED, _S.FAULTED})
_NOT_HELD_BY_BUS: Final = frozenset({_S.SEALED, _S.CANCELLED})
MAY_LEAVE_DOUBT: Final = frozenset(
    {
        FaultPoint.BEFORE_COMMIT,
        FaultPoint.AFTER_COMMIT,
        FaultPoint.AFTER_ATTACH,
        FaultPoint.BEFORE_TRANSFER,
        FaultPoint.MID_TRANSFER,
        FaultPoint.AFTER_TRANSFER,
        FaultPoint.AFTER_OUTCOME,
    }
)
"""Where a shipment may be in the middle of being published. Killed anywhere else, none may ever be in doubt."""


@dataclass(frozen=True)
class Stop:
    """Where to kill a run.

    Attributes:
        point: Which point; None counts all points alike.
        time: The how manieth time it is reached, from 1.
    """

    point: FaultPoint | None
    time: int

    def __str__(self) -> str:
        return f"{self.point or 'any point'} {self.time}"


@dataclass
class Found:
    """What a number of cases amounted to.

    Attributes:
        runs: Cases that were killed at each of their stops.
        lost: Shipments that the bus does not have and nobody is told of, and answers that were forgotten.
        duplicated: Shipments that the bus has more than once, however often.
        misclassified: Shipments that are called what the bus's ledger belies.
        in_doubt: Shipments that end in doubt, and are reported so.
        dead_ends: Shipments that no person's word ends.
        wrong: Everything that is not as it must be, in words.
    """

    runs: int = 0
    lost: int = 0
    duplicated: int = 0
    misclassified: int = 0
    in_doubt: int = 0
    dead_ends: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """How one run ended.

    Attributes:
        points: Which it reached, in order.
        exit_code: None when it was killed.
    """

    points: tuple[FaultPoint, ...]
    exit_code: int | None


class KillTown:
    """A municipality, its bus and a server of runs; each case has a journal of its own.

    Args:
        folder: Where everything lies.
        answers: What FHI says to each of the pair.
    """

    def __init__(self, folder: Path, answers: Answers, sandbox: Sandbox, server: subprocess.Popen[str]) -> None:
        self._folder = folder
        self._answers = answers
        self._sandbox = sandbox
        self._server = server
        self._cases = 0
        self.found = Found()

    def case(self, stops: tuple[Stop, ...]) -> tuple[FaultPoint, ...]:
        """Kill a run at each stop in turn, start it again, and judge the end.

        A stop that is not reached is no stop: then the run was over before.

        Returns:
            The points that the first run reached.
        """
        self._cases += 1
        journal = self._folder / f"case-{self._cases}"
        journal.mkdir()
        before = len(self._sandbox.ledger.lines())
        judge = _Judge(self._answers, self.found, where=", then ".join(map(str, stops)) or "undisturbed")
        first: tuple[FaultPoint, ...] | None = None
        for stop in (*stops, None):
            ended = self._run(journal, stop)
            first = ended.points if first is None else first
            lines = self._sandbox.ledger.lines()[before:]
            shipments = _shipments(journal / "journal.db")
            if ended.exit_code is not None:
                judge.at_end(shipments, lines, ended.exit_code)
                judge.copies(list((journal / "receipts").glob("*.xml")))
                break
            judge.when_killed(shipments, lines, ended.points[-1])
        self.found.runs += 0 < len(stops) == judge.kills
        self._empty_queue()
        shutil.rmtree(journal)
        return first or ()

    def decided(self, scene: Scene, stop: Stop | None) -> tuple[FaultPoint, ...]:
        """Let a person decide on a fagmelding that FHI did not simply take, and kill that run and what it sends.

        Returns:
            The points that the person's run reached.
        """
        self._cases += 1
        journal = self._folder / f"case-{self._cases}"
        journal.mkdir()
        before = len(self._sandbox.ledger.lines())
        self._sandbox.faults = Faults.parse([f"{scene.fault}:{MessageType.KPR_IPL}"])
        self._run(journal, None, silent=scene.fault == Answer.NONE.fault)
        judge = _Judge(self._answers, self.found, where=f"{scene.decision} after {scene.fault}, {stop}")
        if (state := _shipments(journal / "journal.db")[MessageType.KPR_IPL].state) is not scene.state:
            judge.object(f"it is {state} before anybody decides")
        self._sandbox.faults = Faults.parse([])  # what it held back comes now: a late receipt
        ended = self._run(journal, stop, scene.decision)
        points = ended.points
        if ended.exit_code is None:
            self.found.runs += 1
            judge.when_decided(_shipments(journal / "journal.db"), self._sandbox.ledger.lines()[before:])
            ended = self._run(journal, None, scene.decision)
        if any(one.state is _S.IN_DOUBT for one in _shipments(journal / "journal.db").values()):
            self.found.in_doubt += 1
            ended = self._run(journal, None, "in-doubt")
        lines = self._sandbox.ledger.lines()[before:]
        judge.when_decided(_shipments(journal / "journal.db"), lines)
        judge.when_settled(_shipments(journal / "journal.db"), lines, ended.exit_code, again=scene.again)
        self._empty_queue()
        shutil.rmtree(journal)
        return points

    def _run(self, folder: Path, stop: Stop | None, decision: str = "", *, silent: bool = False) -> Ended:
        order = {
            "config": str(self._folder / "lokal.toml"),
            "folder": str(folder),
            "ledger": str(self._sandbox.ledger.path),
            "answered": [
                type_.value
                for type_, answer in self._answers.items()
                if answer is not Answer.NONE and not (silent and type_ is MessageType.KPR_IPL)
            ],
            "decision": decision,
            "stop": None if stop is None else [stop.point.value if stop.point else "", stop.time],
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        told: dict[str, Any] = json.loads(self._server.stdout.readline())
        self._until(lambda: not self._on_bus(lambda: self._sandbox._broker._peers))  # type: ignore[union-attr]
        points = tuple(map(FaultPoint, told["points"]))
        if told["signal"] == signal.SIGKILL:
            return Ended(points, None)
        assert told["signal"] == 0, f"{stop}: ended by signal {told['signal']}"
        assert "failed" not in told["result"], f"{stop}: {told['result']}"
        return Ended(points, told["result"]["exit_code"])

    def _empty_queue(self) -> None:
        """Take away what came back because the settlement never left: it belongs to this case."""

        def take() -> None:
            for queue in (self._sandbox.receipts_queue, self._sandbox.error_queue):
                spool = self._sandbox._queues[queue].spool
                while spool.ready:
                    spool.remove(spool.ready.popleft())

        self._on_bus(take)

    def _on_bus(self, what: Callable[[], Any]) -> Any:
        return self._sandbox._on_bus(what)

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "the bus did not notice the end of the connection"
            time.sleep(0.001)


class _Judge:
    """Judges one case: the ledger is right, the journal and the exit code are examined."""

    def __init__(self, answers: Answers, found: Found, *, where: str) -> None:
        self._answers = answers
        self._found = found
        self._where = where
        self._doubtful: set[MessageType] = set()
        self._unheard: set[MessageType] = set()
        self.kills = 0

    def when_killed(self, shipments: dict[MessageType, Shipment], lines: Sequence[LedgerLine], at: FaultPoint) -> None:
        """Look at what a killed run left."""
        self.kills += 1
        self._compare(shipments, lines)
        publishing = {type_ for type_, shipment in shipments.items() if shipment.state is _S.PUBLISHING}
        if publishing and at not in MAY_LEAVE_DOUBT:
            self.object(f"{sorted(publishing)} is being published at {at}")
        if len(publishing) > 1:
            self.object("both are being published at once")
        self._doubtful |= publishing

    def at_end(self, shipments: dict[MessageType, Shipment], lines: Sequence[LedgerLine], exit_code: int) -> None:
        """Look at what became of the pair after the last start."""
        if set(shipments) != set(MessageType):
            self.object(f"the pair is {sorted(shipments)}")
            return
        self._compare(shipments, lines)
        for type_, shipment in shipments.items():
            received = [line for line in lines if line.type == type_]
            self._found.duplicated += max(0, len(received) - 1)
            self._unheard |= {type_} if not received else set()
            in_doubt = shipment.state is _S.IN_DOUBT
            self._found.in_doubt += in_doubt
            forgotten = self._answers[type_] is not Answer.NONE and shipment.state is not self._answers[type_].state
            self._found.lost += forgotten if received else not in_doubt
            may_doubt = type_ in self._doubtful and (not received or self._answers[type_] is Answer.NONE)
            if not (may_doubt if in_doubt else received and shipment.state is self._answers[type_].state):
                self.object(f"{type_} ends as {shipment.state}, received {len(received)} times")
            if [(line.msg_id, line.message_id, line.sha256) for line in received] not in (
                [],
                [(shipment.msg_id, shipment.message_id, shipment.sealed_sha256)],
            ):
                self.object(f"{type_}: the bus has other bytes, or another id, than the journal")
        if any(count > 1 for count in Counter(line.msg_id for line in lines).values()):
            self.object("a MsgId twice")
        expected = expected_exit_code({shipment.state for shipment in shipments.values()})
        if exit_code != expected:
            self.object(f"exit code {exit_code}, not {expected}")

    def when_decided(self, shipments: dict[MessageType, Shipment], lines: Sequence[LedgerLine]) -> None:
        """Look at what is said of shipments that have, or had, several ids."""
        taken = {line.message_id for line in lines}
        known = {one for shipment in shipments.values() for one in _message_ids(shipment)}
        for shipment in shipments.values():
            unsaid = shipment.state is _S.SEALED and shipment.message_id in taken
            if unsaid or (shipment.state in _HELD_BY_BUS and not taken & _message_ids(shipment)):
                self._found.misclassified += 1
                self.object(f"{shipment.type} is called {shipment.state}")
        if taken - known:
            self._found.misclassified += 1
            self.object("the journal does not know all message-ids that the bus has")

    def when_settled(
        self,
        shipments: dict[MessageType, Shipment],
        lines: Sequence[LedgerLine],
        exit_code: int | None,
        *,
        again: bool,
    ) -> None:
        """Look at what became of the pair in the end: delivered or settled, and sent once for each person's word."""
        received = Counter(line.message_id for line in lines)
        twice = sum(times - 1 for times in received.values())
        for type_, shipment in shipments.items():
            words = len({one.message_id for one in shipment.earlier} | {shipment.message_id})
            sent = len(received.keys() & _message_ids(shipment))
            twice += max(sent - words, 0) + (max(sent - 1, 0) if not again or type_ is MessageType.KPR_IDE else 0)
            if not (shipment.state is _S.DELIVERED or shipment.settled):
                self._found.dead_ends += 1
                self.object(f"{type_} ends as {shipment.state}")
        self._found.duplicated += twice
        self._found.lost += 2 - len(shipments)
        if twice or exit_code != 0:
            self.object(f"exit code {exit_code}, {twice} times too often on the bus")

    def copies(self, files: Sequence[Path]) -> None:
        """Look at the receipts' copies for the archive: one for each answer."""
        answered = sum(answer is not Answer.NONE for answer in self._answers.values())
        unheard = sum(self._answers[type_] is not Answer.NONE for type_ in self._unheard)
        if len(files) != answered - unheard:
            self.object(f"{len(files)} copies of {answered} receipts")

    def _compare(self, shipments: dict[MessageType, Shipment], lines: Sequence[LedgerLine]) -> None:
        received = {line.msg_id for line in lines}
        for shipment in shipments.values():
            claimed = _HELD_BY_BUS if shipment.msg_id not in received else _NOT_HELD_BY_BUS
            if shipment.state in claimed:
                self._found.misclassified += 1
                self.object(f"{shipment.type} is called {shipment.state}")
        if unknown := received - {shipment.msg_id for shipment in shipments.values()}:
            self._found.misclassified += 1
            self.object(f"the journal knows nothing of {len(unknown)} messages that the bus has")

    def object(self, what: str) -> None:
        """Note what is not as it must be."""
        self._found.wrong.append(f"killed at {self._where}: {what}")


def _message_ids(shipment: Shipment) -> set[str]:
    return {shipment.message_id, *(one.message_id for one in shipment.earlier)}


def expected_exit_code(states: set[ShipmentState]) -> int:
    """Return what ``docs/exit-codes.md`` promises for a pair in these states."""
    if _S.IN_DOUBT in states:
        return 83
    if _S.REJECTED in states:
        return 82 if _S.DELIVERED in states else 81
    return 80 if _S.PUBLISHED in states else 0


def _shipments(journal: Path) -> dict[MessageType, Shipment]:
    """Read what the journal says, as another process would; nothing where there is no submission yet."""
    view = SqliteJournal.open_readonly(journal, Environment.LOKAL)
    if view is None:
        return {}
    with view:
        submissions = view.submissions()
        assert len(submissions) <= 1, "one pair, one submission"
        return {shipment.type: shipment for submission in submissions for shipment in submission.shipments}


@contextmanager
def run_server() -> Iterator[subprocess.Popen[str]]:
    """Start the process that forks the runs."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.proofs.kill_server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        yield server
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(_DEADLINE) == 0


@contextmanager
def kill_town(server: subprocess.Popen[str], answers: Answers) -> Iterator[KillTown]:
    """Set up a municipality whose bus answers in one way.

    In memory where there is a file system for that: what a killed process has written is not lost with it, so nothing
    here depends on a disk, and a thousand runs wait for many thousands of fsyncs.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    faults = Faults.parse(f"{answer.fault}:{type_}" for type_, answer in answers.items() if answer.fault)
    with (
        TemporaryDirectory(prefix="kpr-kill-", dir=memory if memory.is_dir() else None) as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(name)
        town = municipality(folder)
        patch.setattr(peer, "_MAX_FRAME", _FRAME)
        with Sandbox(folder, sender_her_id=SENDER_HER_ID, faults=faults, behaviour=Behaviour(tls=False)) as sandbox:
            town.configure({"bus": {"tls": False}}, port=sandbox.port)
            yield KillTown(folder, answers, sandbox, server)
