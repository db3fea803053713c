"""A bus in memory that does what a test tells it: the port's rules, no network."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from kpr_sender.bus.port import Inbound, Outbound, Outcome, Reach, Source, Verdict
from kpr_sender.errors import KprError

ACCEPTED = Outcome(Verdict.ACCEPTED, Reach.OUTCOME)


class MemoryBus:
    """Answers publishes from ``outcomes`` (accepted when it is empty) and serves ``inbox``."""

    def __init__(self, answer: Callable[[Outbound], list[Inbound]] | None = None) -> None:
        self.outcomes: deque[Outcome | BaseException] = deque()
        self.connect_error: KprError | None = None
        self.receive_error: KprError | None = None
        self.inbox: deque[Inbound] = deque()
        self.published: list[Outbound] = []
        self.taken: list[Outbound] = []
        self.settled: list[Inbound] = []
        self.unsettled: list[Inbound] = []
        self.holding: list[Inbound] = []
        self.given_back: list[Inbound] = []
        self.closed = False
        self.on_publish: Callable[[Outbound], object] = lambda _message: None
        self._answer = answer
        self._tokens = itertools.count()

    def connect(self) -> None:
        if self.connect_error is not None:
            raise anew(self.connect_error)

    def attempts(self) -> Iterator[None]:
        for _ in range(5):
            self.connect()
            yield

    def publish(self, message: Outbound) -> Outcome:
        self.published.append(message)
        self.on_publish(message)
        outcome = self.outcomes.popleft() if self.outcomes else ACCEPTED
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome.verdict is not Verdict.NOT_SENT:
            self.taken.append(message)
            for inbound in self._answer(message) if self._answer else []:
                self.put(inbound)
        return outcome

    def put(self, inbound: Inbound) -> None:
        self.inbox.append(replace(inbound, token=next(self._tokens)))

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        if self.receive_error is not None:
            raise anew(self.receive_error)
        found = next((one for one in self.inbox if self.lies_in(one, sources)), None)
        if found is not None:
            self.inbox.remove(found)
            self.unsettled.append(found)
        return found

    def lies_in(self, inbound: Inbound, sources: Collection[Source]) -> bool:
        return inbound.source in sources

    def settle(self, inbound: Inbound) -> bool:
        self.unsettled.remove(inbound)
        self.settled.append(inbound)
        return True

    def hold(self, inbound: Inbound) -> None:
        self.holding.append(inbound)

    @property
    def held(self) -> int:
        return len(self.holding)

    def detach(self) -> None:
        """Give back what was not settled, as a real bus does."""
        self.inbox.extendleft(reversed(self.unsettled))
        self.given_back += self.holding
        self.unsettled.clear()
        self.holding.clear()

    def close(self) -> None:
        self.detach()
        self.closed = True


def anew(error: KprError) -> KprError:
    """Return an error that is raised again and again without what it kept alive the last time."""
    return error.with_traceback(None)


def error_queue_message(message: Outbound, **properties: str) -> Inbound:
    """What the reference client puts on our error queue for a message it could not take."""
    fault = {
        "fromHerId": message.envelope.properties["toHerId"],
        "originalMessageId": message.message_id,
        "errorCondition": "transport:invalid-certificate",
        "errorDescription": "certificate not trusted",
        "receiverTimeStamp": "01/10/2025 12:00:00",
    }
    return Inbound(None, Source.ERRORS, "f" * 32, "", message.envelope.subject, "", {**fault, **properties}, b"")
