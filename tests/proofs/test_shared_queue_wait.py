"""G8 while a run waits: with an owner that reads every minute nothing comes late, neither to it nor to us.

Only the time is made up: the listener, its memory, the journal and the receipts are the real ones.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.client import Client
from kpr_sender.events import ignore
from kpr_sender.inbound.listen import Listener
from kpr_sender.inbound.look_memory import LookMemory, beside
from tests.helpers.fhi import Fhi
from tests.helpers.figures import figure
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality

_BEGUN: Final = datetime.now(UTC)
_MINUTE: Final = 60.0
_LOOK: Final = 5.0
_TEN_MINUTES: Final = 600.0
_MOMENT: Final = 0.01  # what it takes to hand one message out


@dataclass(slots=True, eq=False)
class _Message:
    inbound: Inbound
    arrives: float
    ours: bool
    handed_out_at: float | None = None
    missed_at: float | None = None
    """When its owner read the queue while we had it."""


class Queue(MemoryBus, threading.Event):
    """A queue in made-up time, whose owner takes its own off it every minute; the clock, too, of whoever waits.

    Attributes:
        late: How long each of our receipts lay there.
        missed: How long the owner had to do without a message that it would have read.
    """

    def __init__(self, messages: list[_Message], first_read: float) -> None:
        MemoryBus.__init__(self)
        threading.Event.__init__(self)
        self.at = 0.0
        self.late: list[float] = []
        self.missed: list[float] = []
        self.read = 0
        self._messages = messages
        self._next_read = first_read

    def __call__(self) -> float:
        return self.at

    def wait(self, timeout: float | None = None) -> bool:
        self._pass(timeout or 0.0)
        return False

    def _pass(self, seconds: float) -> None:
        end = self.at + seconds
        while self._next_read <= end:
            self.at = self._next_read
            self._next_read += _MINUTE
            for one in [one for one in self._messages if not one.ours and one.arrives <= self.at]:
                if one.handed_out_at is None:
                    self._messages.remove(one)
                    self.read += 1
                else:
                    one.missed_at = one.missed_at or self.at
        self.at = end

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        end = self.at + timeout
        while True:
            there = [one for one in self._messages if one.handed_out_at is None and one.arrives <= self.at]
            there = there if Source.RECEIPTS in sources else []
            if there:
                first = min(there, key=lambda one: one.arrives)
                first.handed_out_at = self.at
                self._pass(_MOMENT)
                return first.inbound
            if self.at >= end:
                return None
            self._pass(min([end, *(one.arrives for one in self._messages if one.arrives > self.at)]) - self.at)

    def settle(self, inbound: Inbound) -> bool:
        (one,) = (one for one in self._messages if one.inbound is inbound)
        assert one.ours
        self._messages.remove(one)
        self.late.append(self.at - one.arrives)
        return True

    @property
    def held(self) -> int:
        return sum(one.handed_out_at is not None for one in self._messages)

    def detach(self) -> None:
        """Give back; the owner, which still listens, has at once what it missed."""
        for one in [one for one in self._messages if one.handed_out_at is not None]:
            assert one.handed_out_at is not None
            assert self.at - one.handed_out_at <= _LOOK, "a real bus would have given it back by itself"
            one.handed_out_at = None
            if one.missed_at is not None:
                self._messages.remove(one)
                self.missed.append(self.at - one.missed_at)
                self.read += 1


@pytest.mark.parametrize(("every", "seed"), [(0.5, 1), (7.0, 2), (7.0, 3), (45.0, 4), (45.0, 5)])
def test_g8_while_a_run_waits_nothing_comes_late(
    kommune: Municipality, new_client: Callable[..., Client], fhi: Fhi, every: float, seed: int
) -> None:
    """Theirs every so many seconds, ours at any time: a minute and a look for ours, a look for theirs."""
    randomly = random.Random(seed)
    bus = MemoryBus()
    client = new_client(bus)
    submission = client.submit().submission
    ours = [one for message in bus.published for one in fhi.answer(message)]
    messages = [_Message(one, randomly.uniform(0, _TEN_MINUTES), ours=True) for one in ours]
    at = 0.0
    while at < _TEN_MINUTES + 2 * _MINUTE:
        other = Inbound(None, Source.RECEIPTS, f"other-{at}", "", "DIALOG", "", {}, b"another system's")
        messages.append(_Message(other, at, ours=False))
        at += randomly.uniform(0, 2 * every)
    queue = Queue(messages, randomly.uniform(0, _MINUTE))
    memory = LookMemory(beside(kommune.journal))
    listener = Listener(
        journal=client._app.session.opened(),
        bus=queue,
        queues=frozenset(Source),
        folder=None,
        handler=lambda: client._app.receipt_handler,
        reevaluate=bool,
        closing=queue,
        section=threading.Lock(),
        monotonic=queue,
        now=lambda: _BEGUN + timedelta(seconds=queue.at),
        held_cap=500,
        memory=lambda: memory,
        registered_for=str,
        observe=ignore,
    )

    answered = listener.wait(submission, _TEN_MINUTES + 2 * _MINUTE)

    assert answered.state == "delivered"
    assert max(queue.late) <= _MINUTE + _LOOK
    assert max(queue.missed, default=0.0) <= _LOOK
    assert queue.read > 0
    assert memory.looks[Source.RECEIPTS].highest <= 1, "somebody reads it: nothing is taken twice"
    figure("shared queue while a run waits", waits=1, ours=len(queue.late), theirs_read=queue.read)
