"""A bus in memory that knows the truth: what it has really taken, whatever it says of it, over any number of crashes.

It is a ``MemoryBus`` that outlives the clients that use it, tells a lie about an outcome only where a network can, and
keeps the ledger that G1 is counted from. Nothing of it looks at the journal.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kpr_sender.bus.port import MAIL, Inbound, Outbound, Outcome, Reach, Source, Verdict
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, InDoubt
from kpr_sender.model import Transport
from kpr_sender.texts import Text
from tests.helpers.memory_bus import MemoryBus, anew

_NO = Text("No.")
_NO_STATE = Text("No state.")


class Crash(SystemExit):
    """The process died here. Nothing of it is left but its files."""


@dataclass(frozen=True)
class Attempt:
    """How one transfer ends.

    Attributes:
        taken: Whether the bus really has the message afterwards.
        outcome: What the client is told.
    """

    taken: bool
    outcome: Outcome


class Transfer(enum.Enum):
    """Every way a transfer can end, true to what each reach means (``kpr_sender.bus.port``)."""

    ACCEPTED = Attempt(True, Outcome(Verdict.ACCEPTED, Reach.OUTCOME, 4000))
    NO_CONNECTION = Attempt(False, Outcome(Verdict.NOT_SENT, Reach.NO_CONNECTION, error=BusUnreachable(Text("Gone."))))
    NO_CREDIT = Attempt(False, Outcome(Verdict.NOT_SENT, Reach.NO_CREDIT, error=BusUnreachable(Text("No credit."))))
    NOT_BEGUN = Attempt(False, Outcome(Verdict.NOT_SENT, Reach.NOT_BEGUN, error=BusUnreachable(Text("Detached."))))
    INCOMPLETE = Attempt(False, Outcome(Verdict.NOT_SENT, Reach.INCOMPLETE, 99, error=BusUnreachable(Text("Cut."))))
    RELEASED = Attempt(False, Outcome(Verdict.NOT_SENT, Reach.OUTCOME, 4000, "released", error=ConfigInvalid(_NO)))
    REFUSED = Attempt(False, Outcome(Verdict.NOT_SENT, Reach.OUTCOME, 4000, "rejected", error=AccessRefused(_NO)))
    MODIFIED = Attempt(False, Outcome(Verdict.NOT_SENT, Reach.OUTCOME, 4000, "modified", error=BusUnreachable(_NO)))
    LOST_AFTERWARDS = Attempt(True, Outcome(Verdict.IN_DOUBT, Reach.HANDED_OVER, 4000, error=InDoubt(Text("Cut."))))
    LOST_ON_THE_WAY = Attempt(False, Outcome(Verdict.IN_DOUBT, Reach.HANDED_OVER, 4000, error=InDoubt(Text("Cut."))))
    SETTLED_AND_TAKEN = Attempt(True, Outcome(Verdict.IN_DOUBT, Reach.OUTCOME, 4000, error=InDoubt(_NO_STATE)))
    SETTLED_AND_DROPPED = Attempt(False, Outcome(Verdict.IN_DOUBT, Reach.OUTCOME, 4000, error=InDoubt(_NO_STATE)))


@dataclass
class Fuse:
    """Lets the process die at one of the boundaries it comes to.

    Attributes:
        left: How many boundaries are still to be passed; None while no crash is planned.
        at_death: Called at the moment of death, before anything else can happen.
    """

    at_death: Callable[[], None]
    left: int | None = None
    dead: bool = False
    passed: list[str] = field(default_factory=list)

    def boundary(self, name: str) -> None:
        """Pass a boundary, or die at it."""
        if self.left is None or self.dead:
            return
        if self.left == 0:
            self.dead = True
            self.passed.append(name)
            self.at_death()
            raise Crash(name)
        self.left -= 1

    @contextmanager
    def burning(self, after: int | None) -> Iterator[None]:
        """Let the process die at the boundary that comes after so many others, if it comes to so many."""
        self.left, self.dead = after, False
        try:
            yield
        finally:
            self.left, self.dead = None, False


class LedgerBus(MemoryBus):
    """A bus that takes what it takes, and remembers it; it is mail server and mailbox as well.

    Attributes:
        ledger: Every message that the bus has really taken, in order, by AMQP message-id.
        offered: Every transfer that was tried, taken or not.
        seen: Called with what is about to happen: ``("publish", Outbound)``, ``("told", Outbound, Outcome)``,
            ``("received", Inbound)``, ``("settled", Inbound)``, ``("held", Inbound)``.
        way: Returns the way that whoever uses it takes now: a queue has no mails, and a mailbox nothing else.
    """

    def __init__(self, fuse: Fuse, seen: Callable[[str, Outbound | Inbound, Outcome | None], None]) -> None:
        super().__init__()
        self.fuse = fuse
        self.seen = seen
        self.ledger: list[Outbound] = []
        self.offered: list[Outbound] = []
        self.plan: deque[Transfer] = deque()
        self.way: Callable[[], Transport] = lambda: Transport.AMQP

    def connect(self) -> None:
        self.fuse.boundary("connect")
        super().connect()

    def attempts(self) -> Iterator[None]:
        yield  # no more than one: what is not sent stays for the next run, as the model has it

    def publish(self, message: Outbound) -> Outcome:
        assert not self.fuse.dead, "a dead process publishes nothing"
        assert message.envelope.transport is self.way(), "handed over another way than it is sealed for"
        self.seen("publish", message, None)
        self.fuse.boundary("publish: before the transfer")
        attempt = (self.plan.popleft() if self.plan else Transfer.ACCEPTED).value
        self.offered.append(message)
        if attempt.taken:
            self.ledger.append(message)
        self.fuse.boundary("publish: before the outcome")
        self.seen("told", message, attempt.outcome)
        self.fuse.boundary("publish: after the outcome")
        if attempt.outcome.error is not None:
            anew(attempt.outcome.error)
        return attempt.outcome

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        self.fuse.boundary("receive")
        inbound = super().receive(timeout, sources)
        if inbound is not None:
            self.seen("received", inbound, None)
        return inbound

    def lies_in(self, inbound: Inbound, sources: Collection[Source]) -> bool:
        by_mail = self.way() is Transport.EDI
        return super().lies_in(inbound, sources) and (inbound.content_type == MAIL) is by_mail

    def settle(self, inbound: Inbound) -> bool:
        self.seen("settled", inbound, None)
        self.fuse.boundary("settle: before")
        super().settle(inbound)
        self.fuse.boundary("settle: after")
        return True

    def hold(self, inbound: Inbound) -> None:
        self.seen("held", inbound, None)
        super().hold(inbound)
        self.fuse.boundary("hold")

    def detach(self) -> None:
        self.fuse.boundary("detach")
        super().detach()

    def close(self) -> None:
        """The link is gone, properly or not: what was not settled is on the queue again."""
        super().detach()
