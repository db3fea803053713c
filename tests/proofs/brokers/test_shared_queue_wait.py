"""G8 while a run waits, on a real broker: an owner reads its own off the queue every minute, and nothing comes late.

The broker has the messages, gives them out and takes them back; what is made up is the time in which nothing happens.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from proton import Message

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Inbound, Source
from kpr_sender.client import Client
from kpr_sender.model import Environment
from kpr_sender.settings import load
from kpr_sender.settings.values import BusSettings
from tests.helpers.bus_settings import bus_settings
from tests.helpers.fhi import Fhi
from tests.helpers.figures import figure
from tests.helpers.rabbitmq import RabbitMq
from tests.proofs.e2e.test_rabbitmq import RECEIPTS, answer, as_sent, kommune_on, taken

_MINUTE: Final = 60.0
_LOOK: Final = 5.0
_WAIT: Final = 5 * _MINUTE
_THEIRS_EVERY: Final = 9.0
_OURS_AT: Final = (2.6 * _MINUTE, 3.8 * _MINUTE)
_THEIRS: Final = "DIALOG"
_MOMENT: Final = 0.02  # real seconds


class PassingTime(threading.Event):
    """A clock that goes as it does while somebody works, and at once to where somebody waits for.

    What others do at a certain time is done on the way there, and takes no time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ahead = -time.monotonic()
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Callable[[], object]]] = []

    def __call__(self) -> float:
        return time.monotonic() + self._ahead

    def at(self, moment: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._due, (moment, next(self._numbers), what))

    def wait(self, timeout: float | None = None) -> bool:
        end = self() + (timeout or 0.0)
        while self.passed_to_next(end):
            pass
        return False

    def passed_to_next(self, end: float) -> bool:
        """Let time pass until somebody has done something, or to the end; return whether it is not yet reached."""
        moment, what = end, None
        if self._due and self._due[0][0] <= end:
            moment, _, what = heapq.heappop(self._due)
        if what is not None:
            self._set(max(moment, self()))
            begun = self()
            what()
            self._set(begun)
        else:
            self._set(max(end, self()))
        return what is not None

    def _set(self, moment: float) -> None:
        self._ahead = moment - time.monotonic()


class PassingBus(AmqpBus):
    """The real bus. Where nothing is left at the broker but what it has in hand, it does not wait in real time.

    Attributes:
        late: How long each of our receipts lay there.
    """

    def __init__(self, settings: BusSettings, node: RabbitMq, clock: PassingTime, owner: Owner) -> None:
        super().__init__(settings)
        self._node, self._clock, self._owner = node, clock, owner
        self._in_hand = 0
        self.late: list[float] = []
        self.arrived: list[float] = []

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        end = self._clock() + timeout
        while True:
            inbound = super().receive(_MOMENT, sources)
            if inbound is not None:
                self._in_hand += 1
                return inbound
            while not self._there_is_more(sources):
                if not self._clock.passed_to_next(end):
                    return None

    def _there_is_more(self, sources: Collection[Source]) -> bool:
        return Source.RECEIPTS in sources and self._node.depth(RECEIPTS) > self._in_hand

    def hold(self, inbound: Inbound) -> None:
        super().hold(inbound)
        self._owner.comes_in_the_middle_of_a_look()

    def settle(self, inbound: Inbound) -> bool:
        settled = super().settle(inbound)
        self._in_hand -= 1
        self.late.append(self._clock() - self.arrived.pop(0))
        return settled

    def detach(self) -> None:
        super().detach()
        self._in_hand = 0
        self._owner.is_back()


@dataclass
class Owner:
    """The other system: messages come for it, and it takes them off the queue every minute.

    Its first reading is in the middle of a look of ours: it listens until it has what the broker says is under way.

    Attributes:
        put: How many messages came for it.
        read: How many it has.
        missed: How long it had to do without one that was out of its reach.
    """

    node: RabbitMq
    clock: PassingTime
    put: int = 0
    read: int = 0
    missed: list[float] = field(default_factory=list)
    _reads: bool = False
    _missing: int = 0
    _since: float = 0.0

    def send(self) -> None:
        self.node.put(
            RECEIPTS, Message(b"other", inferred=True, durable=True, id=f"other-{self.put}", subject="DIALOG")
        )
        self.put += 1
        if (then := self.clock() + _THEIRS_EVERY) < _WAIT - _MINUTE:
            self.clock.at(then, self.send)

    def comes_in_the_middle_of_a_look(self) -> None:
        if not self._reads:
            self._reads = True
            self.clock.at(self.clock() + 0.5, self.reads)

    def reads(self) -> None:
        self.clock.at(self.clock() + _MINUTE, self.reads)
        self._missing = self.node.depth(RECEIPTS) - self.node.ready(RECEIPTS)
        self._since = self.clock()
        self._take()

    def is_back(self) -> None:
        """Have at once what the broker has again."""
        if self._missing:
            self.node.wait_for(RECEIPTS, ready=self.node.depth(RECEIPTS))
            self._take()
            self.missed += [self.clock() - self._since] * self._missing
            self._missing = 0

    def _take(self) -> None:
        """Take its own for good and give back what is ours, as far as the broker has it now."""
        ready, node = self.node.ready(RECEIPTS), self.node
        with node._connection() as connection:
            address = node._address(f"/queues/{RECEIPTS}", f"/amq/queue/{RECEIPTS}")
            receiver = connection.create_receiver(address, credit=ready)
            for _ in range(ready):
                if receiver.receive(timeout=10).subject == _THEIRS:
                    receiver.accept()
                    self.read += 1
                else:
                    receiver.release(delivered=False)


def test_g8_while_a_run_waits_nothing_comes_late_on_a_real_broker(a_broker: RabbitMq, tmp_path: Path) -> None:
    kommune = kommune_on(a_broker, tmp_path, tls=False)
    begun, clock = datetime.now(UTC), PassingTime()
    owner = Owner(a_broker, clock)
    bus = PassingBus(bus_settings(a_broker.port), a_broker, clock, owner)
    settings = load(kommune.config, Environment.LOKAL, environ={})
    with Client(settings, bus=bus, now=lambda: begun + timedelta(seconds=clock()), monotonic=clock) as client:
        submission = client.submit().submission
        sent = [as_sent(taken(a_broker)) for _ in _OURS_AT]
        fhi, listener = Fhi(kommune.pki), replace(client._app.listener(), closing=clock)

        def answered(number: int) -> None:
            answer(a_broker, fhi, sent[number])
            bus.arrived.append(clock())

        for number, moment in enumerate(_OURS_AT):
            clock.at(clock() + moment, partial(answered, number))
        clock.at(clock(), owner.send)
        after = listener.wait(submission, _WAIT)
        looks = listener.memory().looks[Source.RECEIPTS]
    assert after.state == "delivered"
    assert len(bus.late) == len(_OURS_AT)
    assert max(bus.late) <= _MINUTE + _LOOK
    assert owner.missed, "it read while we had some"
    assert max(owner.missed) <= _LOOK
    assert looks.highest <= 1, "somebody reads it: nothing is taken twice"
    a_broker.wait_for(RECEIPTS, ready=owner.put - owner.read)
    figure("shared queue while a run waits", waits=1, ours=len(bus.late), theirs_read=owner.read)
