"""The receiving link: hands deliveries out, leaves foreign ones unsettled, and gives them back by ending its session.

1. Only what the caller says is settled. Everything else stays the broker's, and goes back to it when the session ends:
   without releasing it first, which RabbitMQ counts as a delivery of its own (measured on 3.10 and 4.0).
2. Nothing is asked for before ``read``: a run that only publishes takes no message out of anybody's reach.
3. At most ``_CREDIT`` messages are handed out and not yet decided, and held ones do not count, so that foreign messages
   in front cannot hide ours; beyond the cap there is no more credit.
4. Credit is given again only when all of it is used up: RabbitMQ 3.x counts what it has under way as not yet sent when
   credit comes meanwhile, and then sends as much more, without end.
5. Of a broker that sends more than was asked for, or takes back what it sent, over and over, no more than
   ``_MOST_UNDECIDED`` messages wait for the caller, and no more bytes than half as many of ``max_inbound`` have: then
   the connection ends.
6. What was taken and is not settled, held or not decided yet, is out of its owner's reach for ``LONGEST_HOLD`` at most
   (promise G8), whatever the caller is at: then all of it goes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.bus.io_thread import IoThread
from kpr_sender.bus.links import BrokerViolation, ConnectionEnded, InwardLink, LinkRefused
from kpr_sender.bus.port import Source
from kpr_sender.bus.proton_engine import Delivery
from kpr_sender.texts import Text

_CREDIT: Final = 10  # messages handed out and not yet decided
_MOST_UNDECIDED: Final = 3 * _CREDIT  # RabbitMQ may send five too many, see ``read``: half of it has room for those
LONGEST_HOLD: Final = 4.5
"""How long a message is here at most before it is settled or goes back, in seconds. It is then out of its owner's reach
for 5 seconds at most: half a second is for the ways here and back."""


@dataclass(frozen=True, slots=True)
class Token:
    """Names one delivery: which connection, which link, which number."""

    connection: str
    source: Source
    number: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A delivery, not yet decided; ``raw`` is the encoded message, only ``max_inbound`` bytes where it was larger."""

    token: Token
    raw: bytes = field(repr=False)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What was not settled in ``LONGEST_HOLD`` has gone back, and nothing more comes from this queue."""


Item = Arrived | GivenBack | LinkRefused | ConnectionEnded
"""What a connection hands to its caller."""


@dataclass(slots=True)
class HeldCount:
    """How many foreign messages one connection holds, over all its queues. Written on the I/O thread only."""

    cap: int
    count: int = 0


@dataclass(slots=True)
class _Unsettled:
    delivery: Delivery
    size: int
    taken_at: float
    held: bool = False


class ReceivingLink(InwardLink):
    """A link from one queue. All of it runs on the I/O thread.

    Args:
        held: Shared by the connection's receiving links.
        max_inbound: The largest message that is read whole, in bytes as it is encoded.
        hand_out: Takes what arrives; must not block.
    """

    def __init__(
        self,
        io: IoThread,
        address: str,
        *,
        source: Source,
        held: HeldCount,
        max_inbound: int,
        hand_out: Callable[[Arrived | GivenBack | LinkRefused], None],
    ) -> None:
        super().__init__(io, address)
        self._source = source
        self._held = held
        self._max_inbound = max_inbound
        self._hand_out = hand_out
        self._unsettled: dict[int, _Unsettled] = {}
        self._number = 0
        self._partial = bytearray()
        self._partial_at: float | None = None  # when the last part of a message that is not complete came
        self._wanted = 0
        self._taken_back_since = 0  # messages that the caller has not decided on, and may not even have seen

    def settle(self, token: Token) -> bool:
        """Accept a delivery and ask for one more; return whether it was still here, and had not gone back."""
        self._taken_back_since = 0
        entry = self._unsettled.pop(token.number, None)
        if entry is None or self._link is None:
            return False
        self._held.count -= entry.held
        entry.delivery.update(Delivery.ACCEPTED)
        entry.delivery.settle()
        if not entry.held:
            self._ask_for_more(1)
        return True

    def hold(self, token: Token) -> None:
        """Leave a delivery unsettled, and ask for one more below the cap."""
        self._taken_back_since = 0
        entry = self._unsettled.get(token.number)
        if entry is None or entry.held or self._link is None:
            return
        entry.held = True
        self._held.count += 1
        if self._held.count <= self._held.cap:
            self._ask_for_more(1)

    def read(self) -> None:
        """Ask for the first messages; not before the link is open.

        Asked before, proton would count from 0, and RabbitMQ 4 counts from -5: it then sends five more than asked for,
        and ends the session when our credit is below zero, over and over.
        """
        if self._link is not None:
            self._link.flow(_CREDIT)

    def on_delivery(self, delivery: Delivery) -> None:
        """A message, a part of one, or the broker takes one back."""
        taken_back = delivery.updated  # perhaps in the same read as the message's end; read before it may be settled
        if delivery.readable:
            self._read(delivery)
        if taken_back:
            self._taken_back(delivery)

    def on_refused(self, condition: str, description: str) -> None:
        """The broker ended the link or its session; all that was unsettled is its own again."""
        attached = self._attaching is None
        super().on_refused(condition, description)
        if attached:
            self._hand_out(LinkRefused(condition, description))

    def tick(self, now: float) -> float | None:
        """End the session when anything unsettled has been here for ``LONGEST_HOLD``, and wait for the caller to leave.

        The caller sees that nothing more comes; it is not attached again by itself, which would be the next delivery.
        A message that is still coming counts from its last part: on a slow line it would come over and over.
        """
        oldest = next((entry.taken_at for entry in self._unsettled.values()), self._partial_at)
        if oldest is None or now < oldest + LONGEST_HOLD:
            return None if oldest is None else oldest + LONGEST_HOLD
        self.leave()
        self._hand_out(GivenBack())
        return None

    def _read(self, delivery: Delivery) -> None:
        link = self._link
        if link is None:
            return
        if delivery.aborted:  # before it is read, which proton refuses then
            self._forget_partial()
            delivery.settle()
            self._ask_for_more(1)
            return
        arrived = link.recv(delivery.pending) or b""
        # One byte too many tells that it is too large, and bounds what of it is stored.
        self._partial += arrived[: self._max_inbound + 1 - len(self._partial)]
        if delivery.partial:
            self._partial_at = time.monotonic()
            return
        raw = self._partial
        self._forget_partial()
        link.advance()
        self._ask_for_more(0)
        self._number += 1
        self._unsettled[self._number] = _Unsettled(delivery, min(len(raw), self._max_inbound), time.monotonic())
        sizes = [entry.size for entry in self._unsettled.values() if not entry.held]
        if len(sizes) > _MOST_UNDECIDED or sum(sizes) > _MOST_UNDECIDED // 2 * self._max_inbound:
            raise BrokerViolation(Text("it sends more messages than it was asked for"))
        token = Token(self._io.name, self._source, self._number)
        complete = len(raw) <= self._max_inbound
        self._hand_out(Arrived(token, bytes(raw[: self._max_inbound]), complete=complete))

    def _ask_for_more(self, count: int) -> None:
        """Ask for as many messages more, as soon as all that were asked for have arrived."""
        self._wanted += count
        if self._link is not None and self._wanted and self._link.credit <= 0:
            self._link.flow(self._wanted)
            self._wanted = 0

    def _taken_back(self, delivery: Delivery) -> None:
        """RabbitMQ 4.3 ends a delivery that waited too long with a disposition of its own: it must be settled."""
        number = next((number for number, entry in self._unsettled.items() if entry.delivery == delivery), None)
        if number is None or not (delivery.settled or delivery.remote_state):
            return
        entry = self._unsettled.pop(number)
        self._held.count -= entry.held
        entry.delivery.settle()
        if self._link is not None and not entry.held:
            self._taken_back_since += 1
            if self._taken_back_since > _MOST_UNDECIDED // 2:
                raise BrokerViolation(Text("it takes back what it sent, over and over"))
            self._ask_for_more(1)

    def _forget_partial(self) -> None:
        self._partial, self._partial_at = bytearray(), None

    def _drop(self) -> None:
        self._held.count -= sum(entry.held for entry in self._unsettled.values())
        self._unsettled.clear()
        self._forget_partial()
        self._wanted = 0
        super()._drop()
