"""G1, G2: whatever happens to the database itself, nothing is lost and nothing is sent twice.

The server is killed, every process of it, and restarted at each point of a run over a real bus; a transaction is left
open by a holder that is stopped. What becomes of the submission is looked at as in ``test_postgres_cuts``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from kpr_sender import fault_points
from kpr_sender.app import journal_storage
from kpr_sender.bus import transfer_tracker
from kpr_sender.client import Client
from kpr_sender.errors import JournalLocked, KprError
from kpr_sender.fault_points import FaultPoint
from kpr_sender.journal.postgres import PostgresJournal
from kpr_sender.model import MessageType, Shipment
from kpr_sender.sandbox import peer
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from kpr_sender.settings.values import Settings
from kpr_sender.states import AWAITING_RECEIPT
from tests.helpers.figures import figure
from tests.helpers.municipality import SENDER_HER_ID, municipality
from tests.helpers.nightly import stride
from tests.helpers.postgres import Database
from tests.helpers.stage import stage, strike
from tests.journal.builders import new_submission
from tests.proofs.kill_wires import empty_queues
from tests.proofs.postgres_life import Counts, Life, OnStage, Scene, Taken, decided, keys_loaded

_PATIENCE: Final = 20.0  # seconds
_LOOK: Final = 0.5
_PARTS: Final = 4
_FRAME, _CHUNK = 16_384, 4096  # bytes: so that a message is on its way for long enough to be cut off


class OverAmqp:
    """A world of real parts: the sandbox is the bus, and FHI behind it."""

    times: Mapping[MessageType, int] = dict.fromkeys(MessageType, 1)

    def __init__(self, settings: Settings, sandbox: Sandbox) -> None:
        self._settings = settings
        self.sandbox = sandbox
        self._before = 0

    def begin(self) -> None:
        """Begin another life."""
        self._before = len(self.sandbox.ledger.lines())

    def run(self, life: Life) -> int:
        """Send, and wait until every receipt that will come is here."""
        with Client(life.settings(self._settings), by="cron") as client:
            decided(life, client, lambda _: Path(), self.taken())
            report = client.submit()
            ends = time.monotonic() + _PATIENCE
            while any(map(self._is_due, report.submission.shipments)) and time.monotonic() < ends:
                journal_storage(client.settings).document("looks").remove()  # a look need not wait for another
                report = client.wait(timeout=_LOOK)
            life.said({one.state for one in report.submission.shipments})
            return report.exit_code

    def taken(self) -> Sequence[Taken]:
        return [Taken(line.message_id, line.type) for line in self.sandbox.ledger.lines()[self._before :]]

    def _is_due(self, shipment: Shipment) -> bool:
        awaited = shipment.state in AWAITING_RECEIPT and not shipment.receipts
        return awaited and any(one.message_id == shipment.message_id for one in self.taken())


@pytest.fixture(scope="module")
def world() -> Iterator[OverAmqp]:
    with TemporaryDirectory(prefix="kpr-amqp-") as name, pytest.MonkeyPatch.context() as patched:
        patched.setattr(peer, "_MAX_FRAME", _FRAME)
        patched.setattr(transfer_tracker, "LARGEST_CHUNK", _CHUNK)
        folder = Path(name)
        made = municipality(folder)
        with Sandbox(folder, sender_her_id=SENDER_HER_ID, behaviour=Behaviour(tls=False)) as sandbox:
            yield OverAmqp(made.configure({"bus": {"tls": False}}, port=sandbox.port), sandbox)


class Killing:
    """Kills the database's server when a point is reached for the so manieth time, and restarts it at once.

    Attributes:
        at: None where it is not killed.
        reached: The points in order.
    """

    def __init__(self, world: OverAmqp, database: Database) -> None:
        self._world, self._database = world, replace(database, queue=world.sandbox.receipts_queue)
        self.at: tuple[FaultPoint, int] | None = None
        self.reached: list[FaultPoint] = []
        self._life: Life | None = None

    def live(self, at: tuple[FaultPoint, int] | None) -> None:
        """Live once, and count it where the server was killed."""
        self.at, self.reached, found = at, [], Counts()
        self._world.begin()
        self._life = Life(self._world, self._database, self._database.boss(), found, f"killed at {at}")
        with fault_points.armed(self._point):
            self._life.until_over()
        self._life.boss.close()
        assert self.at is None, "it came to that"
        empty_queues(self._world.sandbox)
        self._database.until_free()
        self._database.set_aside()
        if at is not None:
            found.broken = 1
            figure("PostgreSQL: server killed -9 and restarted", **found.figures("cases"))
        assert not found.wrong, "\n".join(found.wrong)
        assert (found.lost, found.duplicated) == (0, 0)

    def _point(self, point: FaultPoint) -> None:
        self.reached.append(point)
        if self.at is None or (point, Counter(self.reached)[point]) != self.at:
            return
        self.at = None
        self._database.server.kill()
        self._database.server.start()
        assert self._life is not None
        self._life.boss.close()
        self._life.boss = self._database.boss()


@pytest.fixture
def killing(world: OverAmqp, own_postgres: Database) -> Killing:
    return Killing(world, own_postgres)


def test_the_server_killed_and_restarted_nothing_is_lost_and_nothing_sent_twice(killing: Killing) -> None:
    """At the commit of *publishing*, before the answer to it, and while the bus has the message."""
    for at in (
        (FaultPoint.BEFORE_COMMIT, 3),
        (FaultPoint.AFTER_COMMIT, 3),
        (FaultPoint.MID_TRANSFER, 1),
        (FaultPoint.AFTER_OUTCOME, 1),
        (FaultPoint.ANSWER_OPENED, 1),
    ):
        killing.live(at)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(_PARTS))
def test_the_server_killed_at_every_fault_point(killing: Killing, part: int) -> None:
    killing.live(None)
    times: Counter[FaultPoint] = Counter()
    stops = []
    for point in killing.reached:
        times[point] += 1
        stops.append((point, times[point]))
    assert set(times) == set(FaultPoint)
    for at in stops[part :: _PARTS * stride()]:
        killing.live(at)


def test_a_transaction_that_was_left_open_is_ended_by_the_server_and_holds_nobody_up(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``idle_in_transaction_session_timeout``: a holder that is stopped in the middle of a transaction."""
    monkeypatch.setattr("kpr_sender.journal.postgres_server.LEASE_SECONDS", 1)
    on, found = stage(), Counts(broken=1)
    with closing(postgres.storage().open(who="stopped")) as journal, keys_loaded(on), postgres.boss() as boss:
        assert isinstance(journal, PostgresJournal)
        stopped = journal._store.writing()
        stopped.__enter__()
        postgres.end_holder(boss)  # its transaction keeps the lease's row locked
        Life(OnStage(on, Scene.DELIVERED), postgres, boss, found, "stopped").until_over()
        with pytest.raises(JournalLocked, match="lost the journal's lease"):
            stopped.__exit__(None, None, None)
        with pytest.raises(KprError):
            journal.create(new_submission())
    strike(on)
    figure("PostgreSQL: holder stopped in a transaction", **found.figures("cases"))
    assert not found.wrong, found.wrong
    assert (found.lost, found.duplicated) == (0, 0)
