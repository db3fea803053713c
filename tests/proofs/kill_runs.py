"""Runs that are killed at a fault point and started again, judged by what the bus's own ledger holds."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from kpr_sender.fault_points import FaultPoint
from kpr_sender.journal.port import JournalView
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment, MessageType, Shipment, Transport
from kpr_sender.sandbox.faults import FaultName
from kpr_sender.sandbox.ledger import LedgerLine
from kpr_sender.sandbox.receiving_end import own_queues
from kpr_sender.states import SENT_AGAIN, ShipmentState
from tests.helpers.municipality import SENDER_HER_ID, municipality
from tests.helpers.postgres import PASSWORD, Database
from tests.helpers.repository import ROOT
from tests.proofs.kill_judge import Answer, Answers, Found, Judge
from tests.proofs.kill_wires import WIRES, Wire

_DEADLINE: Final = 20.0  # seconds
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
        ways: Which way it goes at first, and which ways there are.
        acknowledged: Whether KPR's message server acknowledges it.
    """

    fault: str
    state: ShipmentState
    decision: str
    again: bool
    late: bool = False
    ways: tuple[Transport, ...] = (Transport.AMQP,)
    acknowledged: bool = True

    @property
    def is_same_envelope(self) -> bool:
        """Whether a person's word lets the very same envelope go once more, under its old id."""
        return self.decision == "not-arrived" and not self.acknowledged

    @property
    def faults(self) -> set[str]:
        """What goes wrong with the fagmelding at first, as the sandbox names it."""
        names = [self.fault] if self.acknowledged else [self.fault, FaultName.NO_ACKNOWLEDGEMENT]
        return {f"{name}:{MessageType.KPR_IPL}" for name in names}

    def __str__(self) -> str:
        done = " and ".join(filter(None, (self.decision, "a late receipt" if self.late else "")))
        return f"{done} after {self.fault}" + ("" if self.acknowledged else ", unacknowledged")


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
        wires: The ways there are; submissions go the first one.
        server: Forks the runs.
        database: Makes a case's database; None where its journal is a file.
        acknowledged: Whether what goes by mail is acknowledged.
    """

    def __init__(
        self,
        folder: Path,
        answers: Answers,
        wires: Sequence[Wire],
        server: subprocess.Popen[str],
        database: Callable[[Path], Database] | None = None,
        *,
        acknowledged: bool = True,
    ) -> None:
        self._folder = folder
        self._new_database = database
        self._database: Database | None = None
        self._view: JournalView | None = None
        self._in_case = ExitStack()
        self._answers = answers
        self._wires = wires
        self._acknowledged = acknowledged and wires[0].transport is Transport.EDI
        self._server = server
        self._cases = 0
        self._unacknowledged = 0
        self.found = Found()

    def case(self, stops: tuple[Stop, ...]) -> tuple[FaultPoint, ...]:
        """Kill a run at each stop in turn, start it again, and judge the end.

        A stop that is not reached is no stop: then the run was over before.

        Returns:
            The points that the first run reached.
        """
        journal = self._new_case()
        taken = self._taken()
        where = ", then ".join(map(str, stops)) or "undisturbed"
        judge = Judge(self._answers, self.found, where=where, acknowledged=self._acknowledged)
        first: tuple[FaultPoint, ...] | None = None
        for stop in (*stops, None):
            ended = self._run(journal, stop)
            first = ended.points if first is None else first
            lines = taken()
            shipments = self._shipments(journal / "journal.db")
            if ended.exit_code is not None:
                judge.at_end(shipments, lines, ended.exit_code)
                judge.copies(list((journal / "receipts").glob("*.xml")))
                self._require_acknowledged(judge)
                break
            judge.when_killed(shipments, lines, ended.points[-1])
        self.found.runs += 0 < len(stops) == judge.kills
        self._empty()
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
        taken, first = self._taken(), self._wires[0]
        unanswered = {MessageType.KPR_IDE} if scene.late else set()
        unanswered |= {MessageType.KPR_IPL} if scene.fault == Answer.NONE.fault else set()
        first.go_wrong({*scene.faults, *(f"{Answer.NONE.fault}:{one}" for one in unanswered)})
        self._acknowledged = scene.acknowledged and first.transport is Transport.EDI
        self._run(journal, None, unanswered=unanswered)
        judge = Judge(self._answers, self.found, where=f"{scene}, {stop}")
        if (state := self._shipments(journal / "journal.db")[MessageType.KPR_IPL].state) is not scene.state:
            judge.object(f"it is {state} before anybody decides")
        if scene.late:
            first.answer_late(MessageType.KPR_IPL)
        # What it held back comes now, the late receipts.
        first.go_wrong([f"{Answer.NONE.fault}:{MessageType.KPR_IPL}"] if scene.late else [])
        ended = self._run(journal, stop, scene.decision)
        points = ended.points
        if ended.exit_code is None:
            self.found.runs += 1
            judge.when_decided(self._shipments(journal / "journal.db"), taken(), words=self._words(journal, scene))
            ended = self._run(journal, None, scene.decision)
        if any(one.state is _S.IN_DOUBT for one in self._shipments(journal / "journal.db").values()):
            self.found.in_doubt += 1
            if self._database is not None:
                self._database.time_passes()  # else whoever began it may still be sending
            ended = self._run(journal, None, "in-doubt")
        shipments, words = self._shipments(journal / "journal.db"), self._words(journal, scene)
        judge.when_decided(shipments, taken(), words=words)
        judge.when_settled(shipments, taken(), ended.exit_code, again=scene.again, words=words)
        self._require_acknowledged(judge)
        self._empty()
        shutil.rmtree(journal)
        return points

    def _taken(self) -> Callable[[], list[LedgerLine]]:
        """Return what says which messages were taken from now on, whichever way they came."""
        before = [len(wire.lines()) for wire in self._wires]
        return lambda: [line for wire, count in zip(self._wires, before, strict=True) for line in wire.lines()[count:]]

    def _words(self, journal: Path, scene: Scene) -> int:
        """Return how often persons have let the fagmelding's very same envelope go again."""
        if not scene.is_same_envelope:
            return 0
        view = SqliteJournal.open_readonly(journal / "journal.db", Environment.LOKAL)
        assert view is not None
        with view:
            (msg_id,) = (one.msg_id for one in _of(view).values() if one.type is MessageType.KPR_IPL)
            return sum(event.what in SENT_AGAIN for event in view.events(msg_id))

    def _require_acknowledged(self, judge: Judge) -> None:
        if left := sum(wire.unacknowledged() for wire in self._wires) - self._unacknowledged:
            judge.object(f"{left} receipts are not acknowledged")

    def _empty(self) -> None:
        for wire in self._wires:
            wire.empty()
        self._unacknowledged = sum(wire.unacknowledged() for wire in self._wires)

    def _run(
        self, folder: Path, stop: Stop | None, decision: str = "", *, unanswered: Collection[MessageType] = ()
    ) -> Ended:
        order = {
            "config": str(self._folder / "lokal.toml"),
            "folder": str(folder),
            "ledgers": [str(wire.folder) for wire in self._wires],
            "transport": self._wires[0].transport.value,
            "acknowledged": self._acknowledged,
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
        self._until(lambda: all(wire.is_idle() for wire in self._wires))
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
            storage = self._database.storage(queue=own_queues(SENDER_HER_ID)[0])
            self._view = self._in_case.enter_context(storage.reading())
        return {} if self._view is None else _of(self._view)

    def close(self) -> None:
        """End the last case."""
        self._in_case.close()

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "the bus did not notice the end of the connection"
            time.sleep(0.001)


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
    server: subprocess.Popen[str],
    answers: Answers,
    database: Callable[[Path], Database] | None = None,
    *,
    ways: Sequence[Transport] = (Transport.AMQP,),
    acknowledged: bool = True,
) -> Iterator[KillTown]:
    """Set up a municipality whose receiver answers in one way; submissions go the first of its ways."""
    faults = {f"{answer.fault}:{type_}" for type_, answer in answers.items() if answer.fault}
    faults |= set() if acknowledged else {FaultName.NO_ACKNOWLEDGEMENT}
    with TemporaryDirectory(prefix="kpr-kill-") as name, ExitStack() as wired:
        made = municipality(Path(name))
        wires = [wired.enter_context(WIRES[way](made)) for way in ways]
        wires[0].go_wrong(faults)
        made.configure({section: keys for wire in wires for section, keys in wire.sections.items()})
        with closing(KillTown(made.folder, answers, wires, server, database, acknowledged=acknowledged)) as town:
            yield town
