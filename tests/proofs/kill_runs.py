"""Runs that are killed at a fault point and started again, judged by what the bus's own ledger holds."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from kpr_sender.fault_points import FaultPoint
from kpr_sender.journal.port import JournalView
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment, MessageType, Shipment
from kpr_sender.sandbox import peer
from kpr_sender.sandbox.answers import Answer as Written
from kpr_sender.sandbox.evaluation import Assessment
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from kpr_sender.states import ShipmentState
from tests.helpers.municipality import SENDER_HER_ID, municipality
from tests.helpers.postgres import PASSWORD, Database
from tests.helpers.repository import ROOT
from tests.proofs.kill_judge import Answer, Answers, Found, Judge

_DEADLINE: Final = 20.0  # seconds
_FRAME: Final = 16_384  # bytes; so that the larger message takes two
_S = ShipmentState


@dataclass(frozen=True)
class Scene:
    """What FHI does to a fagmelding, and what a person decides of it.

    Attributes:
        fault: The sandbox's name for it.
        state: What it is then.
        decision: What the person does; empty where it is left to FHI.
        again: Whether its content goes again by that.
        late: Whether a receipt for what was sent first comes after that; for what goes again none comes then. FHI does
            not answer the identmelding before, so that our queue is looked at.
    """

    fault: str
    state: ShipmentState
    decision: str
    again: bool
    late: bool = False

    def __str__(self) -> str:
        done = " and ".join(filter(None, (self.decision, "a late receipt" if self.late else "")))
        return f"{done} after {self.fault}"


SCENES: Final = (
    Scene("error-queue", _S.FAULTED, "resend", True),
    Scene("reject", _S.REJECTED, "resend", True),
    Scene("no-answer", _S.PUBLISHED, "not-arrived", True),
    Scene("receipt-sender", _S.PUBLISHED, "accept", False),
    Scene("status-3", _S.DELIVERED_WITH_ERRORS, "settle", False),
    Scene("error-queue", _S.FAULTED, "", False, late=True),
    Scene("error-queue", _S.FAULTED, "resend", True, late=True),
)


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
        sandbox: The bus.
        server: Forks the runs.
        database: Makes a case's database; None where its journal is a file.
    """

    def __init__(
        self,
        folder: Path,
        answers: Answers,
        sandbox: Sandbox,
        server: subprocess.Popen[str],
        database: Callable[[Path], Database] | None = None,
    ) -> None:
        self._folder = folder
        self._new_database = database
        self._database: Database | None = None
        self._view: JournalView | None = None
        self._in_case = ExitStack()
        self._answers = answers
        self._sandbox = sandbox
        self._server = server
        self._late = _LateAnswers(sandbox)
        self._cases = 0
        self.found = Found()

    def case(self, stops: tuple[Stop, ...]) -> tuple[FaultPoint, ...]:
        """Kill a run at each stop in turn, start it again, and judge the end.

        A stop that is not reached is no stop: then the run was over before.

        Returns:
            The points that the first run reached.
        """
        journal = self._new_case()
        before = len(self._sandbox.ledger.lines())
        judge = Judge(self._answers, self.found, where=", then ".join(map(str, stops)) or "undisturbed")
        first: tuple[FaultPoint, ...] | None = None
        for stop in (*stops, None):
            ended = self._run(journal, stop)
            first = ended.points if first is None else first
            lines = self._sandbox.ledger.lines()[before:]
            shipments = self._shipments(journal / "journal.db")
            if ended.exit_code is not None:
                judge.at_end(shipments, lines, ended.exit_code)
                judge.copies(list((journal / "receipts").glob("*.xml")))
                break
            judge.when_killed(shipments, lines, ended.points[-1])
        self.found.runs += 0 < len(stops) == judge.kills
        empty_queues(self._sandbox)
        shutil.rmtree(journal)
        return first or ()

    def _new_case(self) -> Path:
        """Make a case's folder, and its database where its journal is in one."""
        self._in_case.close()
        self._view = None
        self._cases += 1
        folder = self._folder / f"case-{self._cases}"
        folder.mkdir(mode=0o700)
        if self._new_database is not None:
            self._database = self._new_database(folder)
        return folder

    def decided(self, scene: Scene, stop: Stop | None) -> tuple[FaultPoint, ...]:
        """Let a person decide on a fagmelding that FHI did not simply take, and kill that run and what it sends.

        Returns:
            The points that the person's run reached.
        """
        journal = self._new_case()
        before = len(self._sandbox.ledger.lines())
        unanswered = {MessageType.KPR_IDE} if scene.late else set()
        unanswered |= {MessageType.KPR_IPL} if scene.fault == Answer.NONE.fault else set()
        faults = {f"{scene.fault}:{MessageType.KPR_IPL}", *(f"{Answer.NONE.fault}:{one}" for one in unanswered)}
        self._sandbox.faults = Faults.parse(faults)
        self._run(journal, None, unanswered=unanswered)
        judge = Judge(self._answers, self.found, where=f"{scene}, {stop}")
        if (state := self._shipments(journal / "journal.db")[MessageType.KPR_IPL].state) is not scene.state:
            judge.object(f"it is {state} before anybody decides")
        if scene.late:
            self._late.answer(MessageType.KPR_IPL)
        # What it held back comes now, the late receipts.
        self._sandbox.faults = Faults.parse([f"{Answer.NONE.fault}:{MessageType.KPR_IPL}"] if scene.late else [])
        ended = self._run(journal, stop, scene.decision)
        points = ended.points
        if ended.exit_code is None:
            self.found.runs += 1
            judge.when_decided(self._shipments(journal / "journal.db"), self._sandbox.ledger.lines()[before:])
            ended = self._run(journal, None, scene.decision)
        if any(one.state is _S.IN_DOUBT for one in self._shipments(journal / "journal.db").values()):
            self.found.in_doubt += 1
            if self._database is not None:
                self._database.time_passes()  # else whoever began it may still be sending
            ended = self._run(journal, None, "in-doubt")
        lines = self._sandbox.ledger.lines()[before:]
        judge.when_decided(self._shipments(journal / "journal.db"), lines)
        judge.when_settled(self._shipments(journal / "journal.db"), lines, ended.exit_code, again=scene.again)
        empty_queues(self._sandbox)
        shutil.rmtree(journal)
        return points

    def _run(
        self, folder: Path, stop: Stop | None, decision: str = "", *, unanswered: Collection[MessageType] = ()
    ) -> Ended:
        order = {
            "config": str(self._folder / "lokal.toml"),
            "folder": str(folder),
            "ledger": str(self._sandbox.ledger.path),
            "answered": [
                type_.value
                for type_, answer in self._answers.items()
                if answer is not Answer.NONE and type_ not in unanswered
            ],
            "decision": decision,
            "database": None if self._database is None else [self._database.url, PASSWORD],
            "stop": None if stop is None else [stop.point.value if stop.point else "", stop.time],
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        told: dict[str, Any] = json.loads(self._server.stdout.readline())
        self._until(lambda: not self._on_bus(lambda: self._sandbox._broker._peers))  # type: ignore[union-attr]
        points = tuple(map(FaultPoint, told["points"]))
        if self._database is not None:
            self._database.until_free(but=self._view is not None)
        if told["signal"] == signal.SIGKILL:
            return Ended(points, None)
        assert told["signal"] == 0, f"{stop}: ended by signal {told['signal']}"
        assert "failed" not in told["result"], f"{stop}: {told['result']}"
        return Ended(points, told["result"]["exit_code"])

    def _shipments(self, journal: Path) -> dict[MessageType, Shipment]:
        if self._database is None:
            return _shipments(journal)
        if self._view is None:  # one for a case: to open it takes longer than to read it
            storage = self._database.storage(queue=self._sandbox.receipts_queue)
            self._view = self._in_case.enter_context(storage.reading())
        return {} if self._view is None else _of(self._view)

    def close(self) -> None:
        """End the last case."""
        self._in_case.close()

    def _on_bus(self, what: Callable[[], Any]) -> Any:
        return self._sandbox._on_bus(what)

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "the bus did not notice the end of the connection"
            time.sleep(0.001)


class _LateAnswers:
    """What a sandbox's receiver evaluated, so that what it said is wrong is answered all the same, and later."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._answers = sandbox, sandbox._receiver._answers
        self._first: dict[str, Assessment] = {}
        sandbox._receiver._answers = self  # type: ignore[assignment]  # it writes what the other writes

    def write(self, evaluation: Assessment, faults: Faults) -> Iterator[Written]:
        """Write as the receiver's own does."""
        self._first.setdefault(evaluation.message.subject, evaluation)
        return self._answers.write(evaluation, faults)

    def answer(self, type_: MessageType) -> None:
        """Write a receipt for the first of its type that was answered since the last time."""
        evaluation = replace(self._first[type_], fault=None)
        self._first.clear()
        for answer in self._answers.write(evaluation, NO_FAULTS):
            self._sandbox.put(answer.queue, answer.message)


def empty_queues(sandbox: Sandbox) -> None:
    """Take away what came back because the settlement never left, and what is still to be answered: it is settled."""

    def take() -> None:
        sandbox._receiver._pending.clear()
        for queue in (sandbox.receipts_queue, sandbox.error_queue):
            spool = sandbox._queues[queue].spool
            while spool.ready:
                spool.remove(spool.ready.popleft())

    sandbox._on_bus(take)


def _shipments(journal: Path) -> dict[MessageType, Shipment]:
    """Read what the journal says, as another process would; nothing where there is no submission yet."""
    view = SqliteJournal.open_readonly(journal, Environment.LOKAL)
    if view is None:
        return {}
    with view:
        return _of(view)


def _of(view: JournalView) -> dict[MessageType, Shipment]:
    submissions = view.submissions()
    assert len(submissions) <= 1, "one pair, one submission"
    return {shipment.type: shipment for submission in submissions for shipment in submission.shipments}


@contextmanager
def run_server(module: str = "tests.proofs.kill_server") -> Iterator[subprocess.Popen[str]]:
    """Start the process that forks the runs."""
    server = subprocess.Popen(
        [sys.executable, "-m", module],
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
def kill_town(
    server: subprocess.Popen[str], answers: Answers, database: Callable[[Path], Database] | None = None
) -> Iterator[KillTown]:
    """Set up a municipality whose bus answers in one way."""
    faults = Faults.parse(f"{answer.fault}:{type_}" for type_, answer in answers.items() if answer.fault)
    with (
        TemporaryDirectory(prefix="kpr-kill-") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(name)
        made = municipality(folder)
        patch.setattr(peer, "_MAX_FRAME", _FRAME)
        with Sandbox(folder, sender_her_id=SENDER_HER_ID, faults=faults, behaviour=Behaviour(tls=False)) as sandbox:
            made.configure({"bus": {"tls": False}}, port=sandbox.port)
            with closing(KillTown(folder, answers, sandbox, server, database)) as town:
                yield town
