"""One submission's life with its journal in PostgreSQL, and one statement of it at which something breaks.

The real engine on the stage, a bus that knows what it has taken, FHI that answers it, and a person who answers from
what the bus has. Runs begin anew whenever one breaks off, as cron's do. After each run what it said, what the database
holds and what the bus has are compared; in the end the bus must have each shipment as often as somebody's word let it
go.
"""

from __future__ import annotations

import enum
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from kpr_sender.client import Client
from kpr_sender.errors import InDoubt, JournalLocked, JournalUnwritable, KprError
from kpr_sender.journal.port import Journal
from kpr_sender.journal.postgres_storage import PostgresStorage
from kpr_sender.journal.values import NewShipment
from kpr_sender.model import MessageType
from kpr_sender.operator.resolve import Decision
from kpr_sender.settings.values import Settings
from kpr_sender.states import Cause, ReceiptStatus, ShipmentState
from tests.helpers.command import until
from tests.helpers.ledger_bus import Fuse, LedgerBus, Transfer
from tests.helpers.postgres import Database
from tests.helpers.stage import BEGIN, Stage
from tests.journal.builders import add_verified, content_of, in_chunks, new_submission
from tests.proofs.kill_judge import expected_exit_code

S = ShipmentState
_MOST_RUNS: Final = 12
_BY_BUS: Final = frozenset({S.PUBLISHED, S.DELIVERED, S.REJECTED})
_HERE: Final = frozenset({S.SEALED})
_ASKED, _PERSON = "FHI er spurt.", "Kari Vakt"


class Break(enum.Enum):
    """What happens at a statement."""

    BEFORE = "the connection is cut before it"
    AFTER = "it is carried out, the connection is cut, and its answer is lost"
    LEASE = "the lease's session is ended before it"
    IDLE = "the server ends the session before it, which was idle for too long"
    REFUSED = "the server refuses it: a serialization failure"


class Scene(enum.Enum):
    """How the life goes where nothing breaks: what the bus does to the fagmelding, and what FHI says to it first.

    A person sends again what FHI has refused, and lets go what the bus never had: then FHI takes it.
    """

    DELIVERED = (Transfer.ACCEPTED, ReceiptStatus.OK, 1)
    REJECTED = (Transfer.ACCEPTED, ReceiptStatus.REJECTED, 2)
    IN_DOUBT = (Transfer.LOST_ON_THE_WAY, ReceiptStatus.OK, 1)

    def __init__(self, transfer: Transfer, answer: ReceiptStatus, times: int) -> None:
        self.transfer, self.answer, self.times = transfer, answer, times


@dataclass
class Counts:
    """What the lives came to."""

    broken: int = 0
    runs: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)

    def figures(self, broken: str) -> dict[str, int | str]:
        """Return them for the summary; ``broken`` is what is counted."""
        return {
            broken: self.broken,
            "runs": self.runs,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "misclassified": len(self.wrong),
        }


@dataclass(frozen=True)
class Stored:
    """What the database says of a shipment."""

    msg_id: str
    message_id: str
    type: str
    state: ShipmentState
    receipts: int


@dataclass(frozen=True)
class Taken:
    """What the bus has taken.

    Attributes:
        type: Fagmelding or identmelding.
    """

    message_id: str
    type: str


class World(Protocol):
    """The municipality's program, its bus, FHI behind it, and the person on duty.

    Attributes:
        times: How often each of the pair must be on the bus in the end.
    """

    times: Mapping[MessageType, int]

    def run(self, life: Life) -> int:
        """Do what the person decides, and what cron does; return the exit code."""

    def taken(self) -> Sequence[Taken]:
        """Return what the bus has taken in this life, the oldest first."""


def decided(life: Life, client: Client, file: Callable[[MessageType], Path], taken: Sequence[Taken]) -> None:
    """Let a person decide what is a person's to decide, by what the bus has taken; what goes again is of ``file``."""
    if not {one.state for one in life.stored()} & {S.PUBLISHING, S.IN_DOUBT, S.REJECTED}:
        return
    client.lock()  # what an earlier run left unfinished is in doubt from here on
    report = client.status()
    for one in report.submission.shipments if report else ():
        if one.state is S.REJECTED:
            life.patiently(partial(client.resend, one.msg_id, file(one.type), reason=_ASKED, by=_PERSON, again=True))
        if one.state is S.IN_DOUBT:
            arrived = any(each.message_id == one.message_id for each in taken)
            decision = Decision.ARRIVED if arrived else Decision.NOT_ARRIVED
            life.patiently(partial(client.resolve, one.msg_id, decision, reason=_ASKED, by=_PERSON, again=True))


class OnStage:
    """The real engine, and a bus in memory; for one life."""

    def __init__(self, stage: Stage, scene: Scene) -> None:
        self._stage, self._scene = stage, scene
        self.times: Mapping[MessageType, int] = {MessageType.KPR_IPL: scene.times, MessageType.KPR_IDE: 1}
        self._bus = LedgerBus(Fuse(lambda: None), lambda *_: None)
        self._bus.plan.append(scene.transfer)
        self._answered = 0

    def run(self, life: Life) -> int:
        settings, registry = life.settings(self._stage.settings), self._stage.registry()
        with Client(settings, bus=self._bus, registry=registry, now=lambda: BEGIN, by="cron") as client:
            decided(life, client, self._file, self.taken())
            client.submit(*self._stage.extracts[0])
            self._answer({one.message_id: one.msg_id for one in life.stored()})
            report = client.wait(timeout=0)
            life.said({one.state for one in report.submission.shipments})
            return report.exit_code

    def taken(self) -> Sequence[Taken]:
        return [Taken(message.message_id, message.envelope.subject) for message in self._bus.ledger]

    def _file(self, type_: MessageType) -> Path:
        return self._stage.extracts[0][type_ is MessageType.KPR_IDE]

    def _answer(self, msg_ids: Mapping[str, str]) -> None:
        """Let FHI answer what the bus has taken since."""
        types = [one.type for one in self.taken()]
        for number, one in enumerate(self.taken()[self._answered :], self._answered):
            first = one.type == MessageType.KPR_IPL and one.type not in types[:number]
            status = self._scene.answer if first else ReceiptStatus.OK
            xml = self._stage.apprec(msg_ids[one.message_id], MessageType(one.type), str(status.value))
            self._bus.put(self._stage.inbound(self._stage.sealed(xml), correlation_id=one.message_id))
            self._answered += 1


class AtDesk:
    """The journal's own calls, as the engine makes them, and what is on the bus; for one life."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.times: Mapping[MessageType, int] = {MessageType.KPR_IPL: scene.times, MessageType.KPR_IDE: 1}
        self._new = {one.type: one for one in new_submission().shipments}
        self._taken: list[Taken] = []
        self._offered = 0

    def run(self, life: Life) -> int:
        with closing(life.storage().open(who="cron")) as journal:
            journal.recover()
            if not life.stored():
                journal.create(new_submission(shipments=tuple(map(self._sealed_anew, self._new.values()))))
            for stored in life.stored():
                self._bring_on(life, journal, stored)
            states = {shipment.state for shipment in journal.submissions()[0].shipments}
            life.said(states)
            return expected_exit_code(states)

    def taken(self) -> Sequence[Taken]:
        return self._taken

    def _bring_on(self, life: Life, journal: Journal, stored: Stored) -> None:
        type_, msg_id, message_id, state = MessageType(stored.type), stored.msg_id, stored.message_id, stored.state
        if state is S.REJECTED:
            message_id = f"bus-f{msg_id[1:]}"
            new = replace(self._new[type_], msg_id=f"f{msg_id[1:]}", message_id=message_id)
            sealed = self._sealed_anew(new)
            life.patiently(partial(journal.resend, {msg_id: sealed}, reason=_ASKED, by=_PERSON))
            msg_id, state = new.msg_id, S.SEALED
        if state is S.IN_DOUBT and message_id in {one.message_id for one in self._taken}:
            state = journal.decide(msg_id, Cause.PERSON_ARRIVED, reason=_ASKED, by=_PERSON).state
        elif state is S.IN_DOUBT:
            message_id += "-again"
            life.patiently(partial(journal.let_go, msg_id, message_id=message_id, reason=_ASKED, by=_PERSON))
            state = S.SEALED
        if state is S.SEALED:
            journal.sealed(msg_id)
            journal.begin_publish(msg_id)
            journal.require_transfer_may_begin()
            transfer = self._scene.transfer.value if not self._offered else Transfer.ACCEPTED.value
            self._offered += 1
            self._taken += [Taken(message_id, type_)] if transfer.taken else []
            cause = Cause.ACCEPTED if transfer.taken else Cause.NO_OUTCOME
            state = journal.end_publish(msg_id, cause, evidence={"reach": "outcome"}, error=None).state
        if state is S.PUBLISHED:
            first = type_ is MessageType.KPR_IPL and sum(one.type == type_ for one in self._taken) == 1
            status = self._scene.answer if first else ReceiptStatus.OK
            add_verified(journal, msg_id, status, sealed=msg_id.encode())

    @staticmethod
    def _sealed_anew(new: NewShipment) -> NewShipment:
        return replace(new, sealed=in_chunks(content_of(new.msg_id, new.sealed_bytes)))


class Life:
    """A municipality whose journal is a new one in a database.

    Args:
        where: What is said of it where something is wrong.

    Attributes:
        boss: A connection of the one who may do everything.
    """

    def __init__(
        self, world: World, database: Database, boss: psycopg.Connection[Any], counts: Counts, where: str
    ) -> None:
        self._world, self.boss, self._counts, self._where = world, boss, counts, where
        self._folder = Path(tempfile.mkdtemp())
        self._database = replace(database, folder=self._folder)
        self._said: set[ShipmentState] | None = None

    def settings(self, of: Settings) -> Settings:
        """Return a municipality's settings with this journal."""
        bus = replace(of.bus, receipts_queue=self._database.queue)
        return replace(of, journal=self._database.settings(), bus=bus)

    def storage(self) -> PostgresStorage:
        """Return where this journal is stored."""
        return self._database.storage()

    def said(self, states: set[ShipmentState]) -> None:
        """Take what a run says of the pair."""
        self._said = states

    def patiently(self, decide: Callable[[], object]) -> None:
        """Let a person decide; where whoever began a transfer may still be at it, once that time has passed."""
        try:
            decide()
        except InDoubt:
            self._database.time_passes(self.boss)
            decide()

    def until_over(self, running: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Run again and again, as long as it takes; then count at the bus, and verify the journal.

        Args:
            running: Entered for each run.
        """
        try:
            runs = 0
            while (stored := self.stored()) == [] or {one.state for one in stored} != {S.DELIVERED}:
                runs += 1
                assert runs <= _MOST_RUNS, f"{self._where}: it does not end"
                with running():
                    self._run()
            self._counts.runs += runs
            self._count(stored)
        finally:
            shutil.rmtree(self._folder)

    def _run(self) -> None:
        self._said, error, code = None, None, None
        try:
            code = self._world.run(self)
        except KprError as raised:
            error = raised
        self._judge(error, code)

    def stored(self) -> list[Stored]:
        """Read what the database holds, past all that the product does."""
        rows = self.boss.execute(
            "SELECT msg_id, message_id, type, state, "
            "(SELECT count(*) FROM receipt WHERE receipt.journal_no = s.journal_no AND receipt.msg_id = s.msg_id) "
            "FROM shipment AS s JOIN lease USING (journal_no) WHERE queue = %s ORDER BY shipment_id",
            (self._database.queue,),
        ).fetchall()
        return [Stored(row[0], row[1], row[2], S(row[3]), row[4]) for row in rows]

    def _judge(self, error: KprError | None, code: int | None) -> None:
        """Compare what a run said with what the database holds, and that with what the bus has."""
        taken = {one.message_id for one in self._world.taken()}
        stored = self.stored()
        for one in stored:
            if one.state in (_HERE if one.message_id in taken else _BY_BUS):
                self._object(f"the {one.type} is called {one.state}")
            if one.state in {S.DELIVERED, S.REJECTED} and not one.receipts:
                self._object(f"the {one.type} is {one.state} without a receipt")
        if len(stored) not in {0, 2}:
            self._object(f"half a pair is stored: {stored}")
        if error is not None and not isinstance(error, JournalUnwritable | JournalLocked):
            self._object(f"it ends as {type(error).__name__}: {error.text}")
        states = {one.state for one in stored}
        if error is None and (code, self._said) != (expected_exit_code(states), states):
            self._object(f"it says {code} and {self._said} of {sorted(states)}")

    def _count(self, stored: list[Stored]) -> None:
        taken = self._world.taken()
        by_type = Counter(one.type for one in taken)
        for type_, times in self._world.times.items():
            self._counts.lost += max(times - by_type[type_], 0)
            self._counts.duplicated += max(by_type[type_] - times, 0)
        self._counts.lost += len({one.message_id for one in stored} - {one.message_id for one in taken})
        verified = self.storage().verify()
        if verified is None or verified.findings:
            self._object(f"the journal is not sound: {verified}")

    def _object(self, what: str) -> None:
        self._counts.wrong.append(f"{self._where}: {what}")


Happens = Callable[[Callable[[], object], "psycopg.Connection[Any]", str], object]
"""Called in place of a statement, with what carries it out, its connection and its text."""


@contextmanager
def watched(happens: Happens) -> Iterator[None]:
    """Have something called in place of each statement over the journal's own connections."""
    real = psycopg.Connection.execute

    def execute(self: psycopg.Connection[Any], query: Any, *args: Any, **kwargs: Any) -> object:
        if self.info.user != "kpr":
            return real(self, query, *args, **kwargs)
        text = query.decode() if isinstance(query, bytes) else str(query)
        return happens(lambda: real(self, query, *args, **kwargs), self, text)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg.Connection, "execute", execute)
        yield


@dataclass
class Breaks:
    """Breaks statements of a life, one of each run.

    Attributes:
        numbers: Which of each run, from 1; none of those runs for which there is no number.
        seen: How many there were in all, those that break or are done to break others left out.
        broken: How many it came to.
    """

    how: Break
    numbers: list[int]
    database: Database
    boss: psycopg.Connection[Any]
    seen: int = 0
    broken: int = 0
    _left: int = 0
    _breaking: bool = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Break a statement of one run."""
        self._left = self.numbers.pop(0) if self.numbers else 0
        with watched(self._happens):
            yield

    def _happens(self, carry_out: Callable[[], object], connection: psycopg.Connection[Any], text: str) -> object:
        """Stand in for a statement."""
        if self._breaking:
            return carry_out()
        self.seen += 1
        self._left -= 1
        if self._left != 0:
            return carry_out()
        self._breaking = True
        try:
            return self._break(carry_out, connection, text)
        finally:
            self._breaking = False

    def _break(self, carry_out: Callable[[], object], connection: psycopg.Connection[Any], text: str) -> object:
        if (self.how is Break.LEASE and not self.database.end_holder(self.boss)) or (
            self.how is Break.REFUSED and text.startswith(("BEGIN", "ROLLBACK"))
        ):
            self._left = 1  # it is not taken yet, or cannot be refused: the next one, then
            return carry_out()
        self.broken += 1
        if self.how is Break.REFUSED:
            return _refuse(carry_out, connection, text)
        if self.how is Break.IDLE:
            begun = connection.info.transaction_status is not TransactionStatus.IDLE
            connection.execute(f"SET idle_{'in_transaction_' if begun else ''}session_timeout = '1ms'")
            self._until_ended(connection.info.backend_pid)
        if self.how in {Break.BEFORE, Break.AFTER}:
            if self.how is Break.AFTER:
                carry_out()
            self.boss.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))
            if self.how is Break.AFTER:
                connection.execute("SELECT 1")
        return carry_out()

    def _until_ended(self, pid: int) -> None:
        there = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
        until(lambda: self.boss.execute(there, (pid,)).fetchone() is None)


_REFUSES: Final = "RAISE EXCEPTION 'could not serialize access' USING ERRCODE = 'serialization_failure'"


def _refuse(carry_out: Callable[[], object], connection: psycopg.Connection[Any], text: str) -> object:
    """Have the server refuse a statement as it does where transactions come in between: COMMIT at its very end."""
    if text != "COMMIT":
        return connection.execute(f"DO $$ BEGIN {_REFUSES}; END $$")
    trigger = (
        "CREATE CONSTRAINT TRIGGER refuses AFTER INSERT ON refused DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()"
    )
    for statement in (
        "CREATE TEMP TABLE refused (n INTEGER) ON COMMIT DROP",
        f"CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_REFUSES}; END $$",
        trigger,
        "INSERT INTO refused VALUES (1)",
    ):
        connection.execute(statement)
    return carry_out()


def statements(world: World, database: Database, boss: psycopg.Connection[Any]) -> int:
    """Return how many statements the runs of an undisturbed life have."""
    breaks, counts = Breaks(Break.BEFORE, [], database, boss), Counts()
    Life(world, database, boss, counts, "undisturbed").until_over(breaks.running)
    assert not counts.wrong, counts.wrong
    assert (counts.lost, counts.duplicated) == (0, 0)
    return breaks.seen


def break_at(
    world: World,
    database: Database,
    boss: psycopg.Connection[Any],
    how: Break,
    numbers: Sequence[int],
    counts: Counts,
) -> None:
    """Live once with one statement of each run broken, as long as there are numbers; count those it came to."""
    breaks = Breaks(how, list(numbers), database, boss)
    life = Life(world, database, boss, counts, f"{type(world).__name__}, {numbers}, {how.value}")
    life.until_over(breaks.running)
    counts.broken += breaks.broken


@contextmanager
def keys_loaded(stage: Stage) -> Iterator[None]:
    """Have the product use the stage's keys, which are read already."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kpr_sender.keys.configured.load_key", stage.load_key)
        yield
