"""The sandbox: a local Tjenestebuss with a KPR receiver behind it and an Adresseregister beside it, in one folder.

In the folder: ``pki/`` (all keys), ``bus-password``, ``queues/`` (what is on them), ``ledger.jsonl`` (what came),
``foreign.jsonl`` (what another system of the municipality read).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from kpr_sender.journal import witness
from kpr_sender.model import Party
from kpr_sender.sandbox import amqp_message
from kpr_sender.sandbox.broker import Broker
from kpr_sender.sandbox.dialect import DEFAULT_VERSION, dialect
from kpr_sender.sandbox.faults import NO_FAULTS, FaultName, Faults
from kpr_sender.sandbox.foreign import Owner
from kpr_sender.sandbox.ledger import Ledger
from kpr_sender.sandbox.links import BusRules, Fate
from kpr_sender.sandbox.queues import dead_letter_queue
from kpr_sender.sandbox.receiving_end import kpr_party, open_receiving_end, own_queues, take_lock
from kpr_sender.sandbox.register import Register
from kpr_sender.sandbox.registered import EKSEMPEL
from kpr_sender.settings.sample_file import EXCHANGE

MAX_MESSAGE_SIZE: Final = 50_000_000
"""The bus's bound that Helsenorge's pages name, in bytes."""
_CALL_TIMEOUT: Final = 10.0  # seconds
T = TypeVar("T")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """One message on a queue.

    Attributes:
        message_id: AMQP message-id.
        returned: How often readers had it and gave it back, one way or another.
        longest_held: The longest time that one of them had it, in seconds.
    """

    message_id: str
    returned: int
    longest_held: float


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How bus and receiver behave apart from the faults.

    Attributes:
        tls: Of the bus. Without it only for tests that look at the wire; the address is loopback either way.
        version: Which RabbitMQ the bus behaves as.
        v1_permitted: False for a RabbitMQ 4 that denies v1 addresses, as 4.3 does by default.
        max_message_size: In bytes.
        apprec_version: Of the receipts, ``1.0`` or ``1.1``.
    """

    tls: bool = True
    version: str = DEFAULT_VERSION
    v1_permitted: bool = True
    max_message_size: int = MAX_MESSAGE_SIZE
    apprec_version: str = "1.0"


DEFAULT_BEHAVIOUR: Final = Behaviour()


class Sandbox:
    """A bus and a receiver, from ``start`` to ``close``; a context manager.

    Args:
        directory: Its folder; made where missing. What an earlier run left in it is continued.
        sender_her_id: Level 2 HER-id of the municipality that may send; names its queues.
        port: The bus's; 0 for any free port on 127.0.0.1.
        register_port: The Adresseregister's, likewise.
        municipality: Who may send, as the register has it.
        faults: What goes wrong from the start.
        behaviour: How it behaves otherwise.
        now: The clock for certificates and timestamps; aware.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sender_her_id: int,
        port: int = 0,
        register_port: int = 0,
        municipality: Party = EKSEMPEL,
        faults: Faults = NO_FAULTS,
        behaviour: Behaviour = DEFAULT_BEHAVIOUR,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.directory = directory
        self.ledger = Ledger(directory)
        self.receipts_queue, self.error_queue = own_queues(sender_her_id)
        self._sender_her_id = sender_her_id
        self._port = port
        self._register_port = register_port
        self._municipality = dataclasses.replace(municipality, service_her_id=sender_her_id)
        self._faults = faults
        self._behaviour = behaviour
        self._dialect = dialect(behaviour.version, v1_permitted=behaviour.v1_permitted)
        self._now = now
        self._broker: Broker | None = None
        self._register: Register | None = None
        self._owner_turns = 0
        self.foreign = Owner(directory, receiver_her_id=kpr_party().service_her_id, now=now)
        """The other system on the receipts queue; reads only while the fault ``foreign-owner`` is on."""

    def free_place_of(self, journal: Path) -> None:
        """Let a new journal begin where one is gone that sent to a sandbox which is gone with it."""
        if not self.ledger.path.exists():
            witness.free(journal)

    def start(self) -> Self:
        """Make what the folder lacks, bind the port, and answer what an earlier run left unanswered.

        Raises:
            OSError: The folder cannot be written, or a port is taken.
            JournalLocked: Another sandbox runs in this folder.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = take_lock(self.directory, self._now)
        try:
            self._begin()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _begin(self) -> None:
        end = open_receiving_end(
            self.directory,
            sender_her_id=self._sender_her_id,
            municipality=self._municipality,
            dialect=self._dialect,
            max_bytes=self._behaviour.max_message_size,
            apprec_version=self._behaviour.apprec_version,
            faults=self._faults,
            now=self._now,
        )
        self._queues, self._registered, self._receiver = end.queues, end.registered, end.receiver
        self._receiver.resume()
        own = (self.receipts_queue, self.error_queue)
        readable = frozenset({*own, *map(dead_letter_queue, own)})
        rules = BusRules(EXCHANGE, readable, self._behaviour.max_message_size, self._dialect)
        tls = end.pki.server_context()
        broker = Broker(rules, self._queues, self, tls=tls if self._behaviour.tls else None, port=self._port)
        broker.start()
        try:
            register = Register(self._registered, tls=tls, port=self._register_port, now=self._now)
        except BaseException:
            broker.close()
            raise
        register.start()
        self._broker, self._register = broker, register
        broker.call(functools.partial(self._switch, self._faults))

    def close(self) -> None:
        """Drop every connection and free the port; what is on the queues stays on disk. Safe to call twice."""
        if self._broker and self._register:
            self._register.close()
            self._broker.close()
            self._broker = self._register = None
            self._lock.release()

    def __enter__(self) -> Self:
        return self if self._broker else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Where the bus listens."""
        return self._broker.port if self._broker else self._port

    @property
    def register_port(self) -> int:
        """Where its Adresseregister listens."""
        return self._register.port if self._register else self._register_port

    @property
    def faults(self) -> Faults:
        """What goes wrong now. Assigned from another thread than the bus's; what a fault held back is sent.

        Every message that comes after the assignment meets the new faults.
        """
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        if self._broker:
            self._registered.faults = faults
            self._on_bus(lambda: self._switch(faults))

    def put(self, queue: str, message: bytes) -> None:
        """Put an encoded AMQP message on a queue, as another party on the bus would. From any thread.

        Args:
            queue: ``receipts_queue`` or ``error_queue``.
            message: As ``amqp_message.write`` makes it.
        """
        self._on_bus(lambda: self._queues.publish(queue, message))

    def depth(self, queue: str) -> int:
        """Return how many messages are on a queue, given out or not. From any thread."""
        return self._on_bus(lambda: len(self._queues[queue]))

    def queued(self, queue: str) -> tuple[QueuedMessage, ...]:
        """Return what is on a queue, given out or not, oldest first: the broker's own count. From any thread."""

        def look() -> tuple[QueuedMessage, ...]:
            return tuple(
                QueuedMessage(amqp_message.read(entry.read()).message_id, entry.returned, entry.longest_held)
                for entry in self._queues[queue].entries()
            )

        return self._on_bus(look)

    def admits(self, user: str, password: bytes) -> bool:
        """Tell whether a login is valid; for the bus."""
        return self._registered.knows(user, password) and not self._faults.find(FaultName.REFUSE_LOGIN)

    def fate(self, queue: str, message: bytes, proposed: Fate) -> Fate:
        """Decide what becomes of a message; for the bus."""
        return self._receiver.decide(queue, message, proposed)

    def stored(self, queue: str) -> None:
        """Called by the bus when a message is on a queue. It is answered after its disposition was sent."""
        self._receiver.stored(queue)
        if self._broker:
            self._broker.call(self._answer)

    def _switch(self, faults: Faults) -> None:
        self._receiver.faults = faults
        limit = faults.find(FaultName.DELIVERY_LIMIT)
        self._queues.delivery_limit = int(limit.number) if limit else None
        self._owner_turns += 1
        self._let_owner_read(self._owner_turns, first=True)
        if self._broker and not any(fault.name is FaultName.HOLD_DISPOSITION for fault in faults.active):
            self._broker.release_held()
        self._answer()

    def _answer(self) -> None:
        wait = self._receiver.answer()
        if wait is not None and self._broker:
            self._broker.call_later(wait, self._answer)

    def _let_owner_read(self, turns: int, *, first: bool = False) -> None:
        """Let the other system read now and then, until the faults are switched again."""
        slow = self._faults.find(FaultName.FOREIGN_OWNER)
        if self._broker is None or slow is None or turns != self._owner_turns:
            return
        if not first:
            self.foreign.read(self._queues[self.receipts_queue])
        self._broker.call_later(slow.number, functools.partial(self._let_owner_read, turns))

    def _on_bus(self, what: Callable[[], T]) -> T:
        result: Future[T] = Future()
        if self._broker is None:
            raise RuntimeError("the sandbox is not running")

        def run() -> None:
            try:
                result.set_result(what())
            except Exception as error:  # noqa: BLE001 - raised in the caller's thread
                result.set_exception(error)

        self._broker.call(run)
        return result.result(_CALL_TIMEOUT)
