"""The receiving link: hands deliveries out, leaves foreign ones unsettled, and gives them back in time.

1. Only what the caller says is settled. Everything else stays the broker's, and goes back to it.
2. At most ``_CREDIT`` messages are handed out and not yet decided, and held ones do not count, so that foreign messages
   in front cannot hide ours; beyond the cap there is no more credit.
3. Credit is given again only when all of it is used up: RabbitMQ 3.x counts what it has under way as not yet sent when
   credit comes meanwhile, and then sends as much more, without end.
4. A broker ends the session of a consumer that leaves a message unsettled too long (RabbitMQ: 30 minutes). Well before,
   all is given back, the session ended, and after a pause, in which others may take theirs, the link attached again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.bus.io_thread import IoThread
from kpr_sender.bus.links import ConnectionEnded, InwardLink
from kpr_sender.bus.port import Source
from kpr_sender.bus.proton_engine import Delivery, Link

_CREDIT: Final = 10  # messages handed out and not yet decided
_PAUSE_SHARE: Final = 30  # the pause before the link is made anew is this part of hold_time
MAX_INBOUND_BYTES: Final = 64 * 1024 * 1024  # above the bus's own largest limit (50 MB)


@dataclass(frozen=True, slots=True)
class Token:
    """Names one delivery: which connection, which link, how often attached, which number."""

    connection: str
    source: Source
    serial: int
    number: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A delivery, not yet decided; ``raw`` is the encoded message, None when it was too large to keep."""

    token: Token
    raw: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The broker ended a receiving link that was attached."""

    source: Source
    condition: str
    description: str


Item = Arrived | LinkLost | ConnectionEnded
"""What a connection hands to its caller."""


@dataclass(slots=True)
class HeldCount:
    """How many foreign messages one connection holds, over all its queues. Written on the I/O thread only."""

    cap: int
    count: int = 0


@dataclass(slots=True)
class _Unsettled:
    delivery: Delivery
    arrived_at: float
    held: bool = False


class ReceivingLink(InwardLink):
    """A link from one queue. All of it runs on the I/O thread.

    Args:
        hold_time: Nothing stays unsettled longer, in seconds.
        held: Shared by the connection's receiving links.
        hand_out: Takes what arrives; must not block.
    """

    def __init__(
        self,
        io: IoThread,
        address: str,
        *,
        source: Source,
        hold_time: float,
        held: HeldCount,
        hand_out: Callable[[Arrived | LinkLost], None],
    ) -> None:
        super().__init__(io, address)
        self._source = source
        self._hold_time = hold_time
        self._held = held
        self._hand_out = hand_out
        self._unsettled: dict[int, _Unsettled] = {}
        self._number = 0
        self._partial = bytearray()
        self._wanted = 0
        self._attach_at: float | None = None

    def settle(self, token: Token) -> None:
        """Accept a delivery and ask for one more. Nothing happens to one of an earlier attachment."""
        entry = self._unsettled.pop(token.number, None) if token.serial == self.serial else None
        if entry is None:
            return
        self._held.count -= entry.held
        if self._link is not None:
            entry.delivery.update(Delivery.ACCEPTED)
            entry.delivery.settle()
            if not entry.held:
                self._ask_for_more(1)

    def hold(self, token: Token) -> None:
        """Leave a delivery unsettled, and ask for one more below the cap."""
        entry = self._unsettled.get(token.number) if token.serial == self.serial else None
        if entry is None or entry.held or self._link is None:
            return
        entry.held = True
        self._held.count += 1
        if self._held.count <= self._held.cap:
            self._ask_for_more(1)

    def on_open(self, link: Link) -> None:
        """Ask for messages, and not before: proton would count from 0, and RabbitMQ 4 counts from -5.

        It then sends five more than asked for, and ends the session when our credit is below zero, over and over.
        """
        super().on_open(link)
        if self.alive:
            link.flow(_CREDIT)

    def on_delivery(self, delivery: Delivery) -> None:
        """A message, a part of one, or the broker takes one back."""
        if delivery.readable:
            self._read(delivery)
        elif delivery.updated:
            self._taken_back(delivery)

    def on_refused(self, condition: str, description: str) -> None:
        """The broker ended the link or its session; all that was unsettled is its own again."""
        attached = self._attaching is None
        super().on_refused(condition, description)
        if attached:
            self._hand_out(LinkLost(self._source, condition, description))

    def tick(self, now: float) -> float | None:
        """Give everything back when the oldest has been here for ``hold_time``; attach again after the pause."""
        if self._attach_at is not None:
            if now < self._attach_at:
                return self._attach_at
            self._attach_at = None
            self.attach(None)  # on_refused reports it when it fails
        oldest = next(iter(self._unsettled.values()), None)
        if oldest is None:
            return None
        if now < oldest.arrived_at + self._hold_time:
            return oldest.arrived_at + self._hold_time
        self._give_all_back()
        self._attach_at = now + self._hold_time / _PAUSE_SHARE
        return self._attach_at

    def leave(self) -> None:
        """Give everything back and end the session."""
        self._give_all_back()
        super().leave()

    def _read(self, delivery: Delivery) -> None:
        link = self._link
        if link is None:
            return
        if len(self._partial) <= MAX_INBOUND_BYTES:
            self._partial += link.recv(delivery.pending) or b""
        else:
            link.recv(delivery.pending)
        if delivery.aborted:
            self._partial = bytearray()
            delivery.settle()
            self._ask_for_more(1)
            return
        if delivery.partial:
            return
        raw, self._partial = self._partial, bytearray()
        link.advance()
        self._ask_for_more(0)
        self._number += 1
        self._unsettled[self._number] = _Unsettled(delivery, time.monotonic())
        token = Token(self._io.name, self._source, self.serial, self._number)
        self._hand_out(Arrived(token, bytes(raw) if len(raw) <= MAX_INBOUND_BYTES else None))

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
            self._ask_for_more(1)

    def _give_all_back(self) -> None:
        for entry in self._unsettled.values():
            # With a state, always: RabbitMQ's old 3.x crashes on a settlement without one; and on *modified*, too.
            entry.delivery.update(Delivery.RELEASED)
            entry.delivery.settle()
        session = None if self._link is None else self._link.session
        self._drop()
        if session is not None:
            session.close()

    def _drop(self) -> None:
        self._held.count -= sum(entry.held for entry in self._unsettled.values())
        self._unsettled.clear()
        self._partial = bytearray()
        self._wanted = 0
        super()._drop()
