"""One attempt to publish through the proxy, judged by what the bus's own ledger holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Outcome, Reach, Verdict
from kpr_sender.errors import BusUnreachable, InDoubt
from tests.helpers.bus_settings import NO_QUEUES, bus_settings, outbound
from tests.helpers.counting_bus import CountingBus
from tests.helpers.fault_proxy import Cut, FaultProxy, Faults, Passage

_numbers: Final = itertools.count()
_FRAMES: Final = {
    0x10: "open",
    0x11: "begin",
    0x12: "attach",
    0x13: "flow",
    0x14: "transfer",
    0x15: "disposition",
    0x17: "end",
    0x18: "close",
}


@dataclass(frozen=True)
class Attempt:
    """How it went, on both sides.

    Attributes:
        arrived: How often the bus has the whole message.
    """

    outcome: Outcome
    passage: Passage
    arrived: int

    @property
    def misclassified(self) -> bool:
        """Whether something was said that is not so (G1)."""
        return (self.outcome.verdict is Verdict.NOT_SENT and self.arrived > 0) or (
            self.outcome.verdict is Verdict.ACCEPTED and self.arrived != 1
        )

    def check(self, message_length: int) -> None:
        """What holds however an attempt is broken off by the network, beyond being classified rightly."""
        outcome = self.outcome
        assert self.arrived <= 1
        if outcome.verdict is Verdict.IN_DOUBT:
            # Doubt is only for a message that had left this process to its last byte.
            assert (outcome.reach, outcome.bytes_handed_over) == (Reach.HANDED_OVER, message_length)
            assert isinstance(outcome.error, InDoubt)
        elif outcome.verdict is Verdict.NOT_SENT:
            assert isinstance(outcome.error, BusUnreachable)  # what a network does is worth another try
            assert outcome.bytes_handed_over < message_length
        else:
            assert (outcome.reach, outcome.bytes_handed_over) == (Reach.OUTCOME, message_length)


@dataclass
class Series:
    """Many attempts and what came of them.

    Attributes:
        at: Where each of them was cut, with the attempt.
    """

    at: list[tuple[Faults, Attempt]] = field(default_factory=list)

    @property
    def misclassified(self) -> list[tuple[Faults, Outcome, int]]:
        """Every attempt of which something was said that is not so."""
        return [(faults, one.outcome, one.arrived) for faults, one in self.at if one.misclassified]

    def counts(self) -> dict[str, int]:
        """Return how many there were of each kind."""
        verdicts = [one.outcome.verdict for _, one in self.at]
        doubts = [one for _, one in self.at if one.outcome.verdict is Verdict.IN_DOUBT]
        return {
            "not_sent": verdicts.count(Verdict.NOT_SENT),
            "accepted": verdicts.count(Verdict.ACCEPTED),
            "in_doubt": len(doubts),
            "in_doubt_and_there": sum(one.arrived for one in doubts),
            "misclassified": len(self.misclassified),
        }


class Sender:
    """Publishes messages of one length through the proxy, each under an id of its own."""

    def __init__(
        self, bus: CountingBus, proxy: FaultProxy, body: bytes, *, receive: bool = False, **changes: Any
    ) -> None:
        self._bus, self._proxy, self._body, self._receive = bus, proxy, body, receive
        self._changes: dict[str, Any] = {"connect_timeout": 10.0, "publish_timeout": 10.0} | changes
        self.length = 0

    def undisturbed(self) -> Passage:
        """Publish once with nothing in the way; learn how long the message is."""
        attempt = self.attempt(Faults())
        assert attempt.outcome.verdict is Verdict.ACCEPTED
        assert attempt.arrived == 1
        self.length = attempt.outcome.bytes_handed_over
        return attempt.passage

    def attempt(self, faults: Faults) -> Attempt:
        """Publish once with these faults in the way, and ask the ledger when the bus has seen all it will see."""
        message_id = f"{next(_numbers):08d}"
        self._proxy.faults = faults
        settings = bus_settings(self._proxy.port, **({} if self._receive else NO_QUEUES), **self._changes)
        with AmqpBus(settings) as bus:
            outcome = bus.publish(outbound(self._body, message_id=message_id))
        passage = self._proxy.passages[-1]
        if faults.cut is Cut.STALL:
            self._proxy.finish(passage)
        assert passage.over.wait(10), "the bus does not hang up"
        return Attempt(outcome, passage, self._bus.ledger[message_id])

    def series(self, faults: Iterable[Faults]) -> Series:
        """Publish once with each of these faults in the way."""
        series = Series()
        for one in faults:
            attempt = self.attempt(one)
            attempt.check(self.length)
            series.at.append((one, attempt))
        return series


def everywhere(places: Iterable[int], cuts: tuple[Cut, ...] = (Cut.RESET, Cut.CLOSE)) -> Iterator[Faults]:
    """Return the faults that cut the client's stream at each place in each way."""
    return (Faults(cut_after=place, cut=cut) for place, cut in itertools.product(places, cuts))


def parts(stream: bytes) -> dict[str, int]:
    """Return where in a client's plain stream each kind of frame ends for the first time, in bytes.

    The two protocol headers are ``sasl-header`` and ``header``.
    """
    ends: dict[str, int] = {}
    at = 0
    while at < len(stream):
        if stream.startswith(b"AMQP", at):
            name, size = ("sasl-header" if stream[at + 4] else "header"), 8
        else:
            size = int.from_bytes(stream[at : at + 4], "big")
            name = "sasl-init" if stream[at + 5] else _FRAMES.get(_descriptor(stream, at), "other")
        at += size
        ends.setdefault(name, at)
    return ends


def _descriptor(stream: bytes, at: int) -> int:
    return stream[at + 10] if stream.startswith(b"\x00\x53", at + 8) else -1
