"""G1, G2: whatever happens to the database or the way to it, nothing is lost and nothing is sent twice.

One submission is brought to the end in runs that begin anew whenever one breaks off, as cron's do. What the bus has is
counted by the bus; a person answers from what the bus has.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from kpr_sender import fault_points
from kpr_sender.errors import KprError
from kpr_sender.fault_points import FaultPoint
from kpr_sender.journal.postgres import PostgresJournal
from kpr_sender.journal.values import NewSubmission
from kpr_sender.states import Cause, ReceiptStatus, ShipmentState
from tests.helpers.figures import figure
from tests.helpers.nightly import stride
from tests.helpers.postgres import Database, Server
from tests.journal.builders import add_verified, new_shipment, new_submission

S = ShipmentState
_MOST_RUNS = 12
_PARTS = 16  # no test may take five minutes


@dataclass
class Desk:
    """A municipality's runs, the bus they send to, and the person who is asked."""

    database: Database
    new: NewSubmission
    bus: Counter[str] = field(default_factory=Counter)
    sealed: dict[str, bytes] = field(default_factory=dict)
    runs: int = 0

    def until_delivered(self, broken: Callable[[], bool] = lambda: False) -> None:
        """Run again and again, as long as it takes."""
        done = False
        while not done:
            self.runs += 1
            assert self.runs <= _MOST_RUNS, "it does not end"
            with suppress(KprError):
                done = self._run()
            assert done or broken() or self.runs < _MOST_RUNS

    def _run(self) -> bool:
        with closing(self.database.storage().open(who="vakt")) as journal:
            assert isinstance(journal, PostgresJournal)
            journal._quiet_seconds = 0  # nobody else is sending here
            journal.recover()
            if not journal.submissions():
                journal.create(self.new)
            for shipment in journal.submissions()[0].shipments:
                self._bring_on(journal, shipment.msg_id)
            return {one.state for one in journal.submissions()[0].shipments} == {S.DELIVERED}

    def _bring_on(self, journal: PostgresJournal, msg_id: str) -> None:
        state = _state(journal, msg_id)
        if state is S.IN_DOUBT:
            if self.bus[msg_id]:
                journal.decide(msg_id, Cause.PERSON_ARRIVED, reason="FHI has it", by="kari")
            else:
                journal.let_go(msg_id, message_id=f"again-{self.runs}-{msg_id}", reason="FHI has it not", by="kari")
        if _state(journal, msg_id) is S.SEALED:
            sealed = journal.sealed(msg_id)
            assert self.sealed.setdefault(msg_id, sealed) == sealed  # G3
            journal.begin_publish(msg_id)
            journal.require_transfer_may_begin()
            self.bus[msg_id] += 1
            journal.end_publish(msg_id, Cause.ACCEPTED, evidence={"reach": "outcome"}, error=None)
        if _state(journal, msg_id) is S.PUBLISHED:
            add_verified(journal, msg_id, ReceiptStatus.OK, sealed=b"yes " + msg_id.encode())


@pytest.fixture
def desk(postgres: Database) -> Desk:
    return Desk(postgres, _pair())


def _pair() -> NewSubmission:
    one, other = new_submission().shipments
    return new_submission(shipments=(new_shipment(one.type, sealed_bytes=1_500_000), other))


def _state(journal: PostgresJournal, msg_id: str) -> ShipmentState:
    found = journal.shipment(msg_id)
    assert found is not None
    return found.state


@contextmanager
def _watched(happens: Callable[[psycopg.Connection[Any], str], None]) -> Iterator[None]:
    """Call back before each statement of the journal's own connections."""
    real = psycopg.Connection.execute
    mine = pytest.MonkeyPatch()

    def execute(self: psycopg.Connection[Any], query: Any, *args: Any, **kwargs: Any) -> object:
        if self.info.user == "kpr":
            happens(self, str(query))
        return real(self, query, *args, **kwargs)

    with mine.context() as patched:
        patched.setattr(psycopg.Connection, "execute", execute)
        yield


def _cut_at(desk: Desk, number: int, *, after: bool) -> bool:
    """Bring it to the end with one connection cut at a statement; return whether there is one of that number."""
    seen = itertools.count(1)
    cut = False

    def happens(connection: psycopg.Connection[Any], query: str) -> None:
        nonlocal cut
        if next(seen) != number:
            return
        cut = True
        if after and query == "COMMIT":
            connection.pgconn.exec_(b"COMMIT")  # the server has it, and its answer is lost
        desk.database.cut(connection.info.backend_pid)

    with _watched(happens):
        desk.until_delivered()
    return cut


def _count(desk: Desk, name: str, cases: int) -> None:
    """Count at the bus, verify the journal, and end what is left of it."""
    verified = desk.database.storage().verify()
    assert verified is not None
    assert verified.findings == ()
    wanted = [one.msg_id for one in desk.new.shipments]
    lost = sum(desk.bus[one] == 0 for one in wanted)
    doubled = sum(desk.bus[one] > 1 for one in wanted)
    figure(name, cases=cases, runs=desk.runs, lost=lost, duplicated=doubled)
    assert (lost, doubled) == (0, 0)


def _each_statement(postgres: Database, numbers: Iterable[int]) -> None:
    for after in (False, True):
        for number in numbers:
            queue = f"{postgres.queue}-{number}-{after:d}"
            desk = Desk(Database(postgres.server, postgres.name, postgres.folder / queue, queue), _pair())
            desk.database.folder.mkdir(mode=0o700)
            if not _cut_at(desk, number, after=after):
                break
            _count(desk, "PostgreSQL: connection cut at a statement", 1)


def test_cut_at_some_statements_nothing_is_lost_and_nothing_sent_twice(postgres: Database) -> None:
    _each_statement(postgres, range(50, 400, 90))


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(_PARTS))
def test_cut_at_every_statement_nothing_is_lost_and_nothing_sent_twice(postgres: Database, part: int) -> None:
    every = range(1, 600, stride())
    _each_statement(postgres, every[part::_PARTS])


def _killed_at(desk: Desk, server: Server, point: FaultPoint, number: int) -> bool:
    """Bring it to the end with the server killed at the point's so manieth time; return whether there is one."""
    seen = itertools.count(1)
    killed = False

    def happens(reached: FaultPoint) -> None:
        nonlocal killed
        if reached is point and next(seen) == number:
            killed = True
            server.kill()
            server.start()

    with fault_points.armed(happens):
        desk.until_delivered()
    return killed


@pytest.mark.parametrize(("point", "number"), [(FaultPoint.BEFORE_COMMIT, 3), (FaultPoint.AFTER_COMMIT, 3)])
def test_the_server_killed_and_restarted_nothing_is_lost_and_nothing_sent_twice(
    desk: Desk, postgres_server: Server, point: FaultPoint, number: int
) -> None:
    assert _killed_at(desk, postgres_server, point, number)
    _count(desk, "PostgreSQL: server killed -9 and restarted", 1)


@pytest.mark.nightly
@pytest.mark.parametrize("point", [FaultPoint.BEFORE_COMMIT, FaultPoint.AFTER_COMMIT])
def test_the_server_killed_at_every_fault_point(postgres: Database, point: FaultPoint) -> None:
    for number in itertools.count(1, stride()):
        queue = f"{postgres.queue}-{number}"
        desk = Desk(Database(postgres.server, postgres.name, postgres.folder / queue, queue), _pair())
        desk.database.folder.mkdir(mode=0o700)
        if not _killed_at(desk, postgres.server, point, number):
            break
        _count(desk, "PostgreSQL: server killed -9 and restarted", 1)


def test_a_transaction_that_was_left_open_is_ended_by_the_server_and_holds_nobody_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``idle_in_transaction_session_timeout``: a holder that is stopped in the middle of a transaction."""
    monkeypatch.setattr("kpr_sender.journal.postgres_server.LEASE_SECONDS", 1)
    journal = desk.database.storage().open(who="stopped")
    assert isinstance(journal, PostgresJournal)
    with closing(journal):
        journal.create(desk.new)
        stopped = journal._store.writing()
        stopped.__enter__()
        desk.database.end_holder()  # its transaction keeps the lease's row locked
        desk.until_delivered()
        with pytest.raises(KprError):
            stopped.__exit__(None, None, None)
        with pytest.raises(KprError):
            journal.create(desk.new)
    _count(desk, "PostgreSQL: holder stopped in a transaction", 1)
