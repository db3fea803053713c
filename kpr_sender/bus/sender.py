"""The sending link: one message at a time, streamed, with the evidence of how far it came."""

from __future__ import annotations

import enum
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from kpr_sender.bus.codec import body_start
from kpr_sender.bus.io_thread import IoThread
from kpr_sender.bus.links import BrokerViolation, ConnectionEnded, OutwardLink, described
from kpr_sender.bus.port import Reach, always
from kpr_sender.bus.proton_engine import Delivery
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.texts import Text

NOT_OURS: Final = Text("another run may have the journal: nothing was begun")
_CHUNK: Final = 256 * 1024  # bytes


class TransferEnding(enum.StrEnum):
    """What ended a transfer."""

    ACCEPTED = "accepted"
    RELEASED = "released"
    REJECTED = "rejected"
    MODIFIED = "modified"
    NO_STATE = "settled-without-state"
    UNKNOWN_STATE = "unknown-state"
    REFUSED = "refused"
    LOST = "lost"
    TIMED_OUT = "timed-out"


@dataclass(frozen=True, slots=True)
class TransferResult:
    """How a transfer ended; ``reach`` and ``bytes_handed_over`` are how far it came by itself."""

    ending: TransferEnding
    reach: Reach
    bytes_handed_over: int
    condition: str = ""
    description: str = ""


_ENDINGS: Final = {
    int(Delivery.ACCEPTED): TransferEnding.ACCEPTED,
    int(Delivery.REJECTED): TransferEnding.REJECTED,
    int(Delivery.RELEASED): TransferEnding.RELEASED,
    int(Delivery.MODIFIED): TransferEnding.MODIFIED,
}
_NOT_FINAL: Final = frozenset({0, int(Delivery.RECEIVED)})
_WORDS: Final = {
    TransferEnding.NO_STATE: Text("the bus settled the transfer without saying what became of it"),
    TransferEnding.UNKNOWN_STATE: Text("the bus settled the transfer with a state that AMQP does not know"),
}


class _Transfer:
    """One message on its way: what of it is still to be given to proton."""

    def __init__(
        self,
        reply: Future[TransferResult | ConnectionEnded],
        head: bytes,
        body: bytes,
        may_begin: Callable[[], bool],
    ) -> None:
        self.reply = reply
        self.may_begin = may_begin
        self.delivery: Delivery | None = None
        self.complete = False
        self._head = head + body_start(len(body))
        self._body = memoryview(body)
        self._at = 0
        self.length = len(self._head) + len(body)

    @property
    def begun(self) -> bool:
        """Whether proton has any of it."""
        return self.delivery is not None

    def next_chunk(self) -> bytes:
        """Return the next bytes; ``complete`` says when they were the last."""
        chunk = bytes(self._body[self._at : self._at + _CHUNK])
        chunk, self._head = self._head + chunk, b""
        self._at = min(self._at + _CHUNK, len(self._body))
        self.complete = self._at == len(self._body)
        return chunk


class SendingLink(OutwardLink):
    """A link to one queue. All of it runs on the I/O thread."""

    def __init__(self, io: IoThread, address: str) -> None:
        super().__init__(io, address)
        self._transfer: _Transfer | None = None
        self._tags = 0

    def publish(
        self,
        reply: Future[TransferResult | ConnectionEnded],
        head: bytes,
        body: bytes,
        may_begin: Callable[[], bool] = always,
    ) -> None:
        """Transfer one message when there is credit, and resolve ``reply`` once, with how it ended.

        ``head`` is the encoded sections before the body; ``body`` becomes one Data section, read in chunks only.
        ``may_begin`` is ``Outbound.may_begin``.
        """
        self._transfer = _Transfer(reply, head, body, may_begin)
        if not self.alive:
            self._finish(TransferEnding.LOST, description=Text("the link was gone before the transfer began"))

    def give_up(self) -> None:
        """The caller waited long enough. What has begun must not go on: then nothing more leaves the process."""
        self._finish(TransferEnding.TIMED_OUT, "local:timeout", Text("no outcome in time"))

    def feed(self) -> bool:
        """Give proton the next chunk. Only when all before it has left, so that memory stays flat."""
        transfer, link = self._transfer, self._link
        if transfer is None or link is None or transfer.complete or not self.alive:
            return False
        if not transfer.begun:
            if link.credit < 0 and not self._tags:
                # proton counts in 32 bits with a sign, and would wait for ever. Less than none is left of a credit
                # only where it was taken back while a message was on its way.
                raise BrokerViolation(Text("it gives a credit of 2^31 or more, which cannot be counted"))
            if link.credit <= 0:
                return False
            reached(FaultPoint.BEFORE_TRANSFER)
            if not transfer.may_begin():
                self._finish(TransferEnding.LOST, "local:lease", NOT_OURS)
                return False
            self._tags += 1
            self._io.transfers.begin()
            transfer.delivery = link.delivery(str(self._tags))  # ASCII: proton decodes tags as UTF-8
        if link.session.outgoing_bytes > 0:
            return False  # the broker's session window is closed
        link.stream(transfer.next_chunk())
        if transfer.complete:
            link.advance()
        return True

    def on_delivery(self, delivery: Delivery) -> None:
        """The broker reports the state of our transfer."""
        state = int(delivery.remote_state or 0)
        if state in _NOT_FINAL and not delivery.settled:
            return
        ending = _ENDINGS.get(state, TransferEnding.NO_STATE if state in _NOT_FINAL else TransferEnding.UNKNOWN_STATE)
        rejected = ending is TransferEnding.REJECTED
        condition, description = described(lambda: delivery.remote.condition) if rejected else ("", "")
        # A second state for a message that is settled already must not be taken for the next one's.
        current = self._transfer is not None and delivery == self._transfer.delivery
        delivery.settle()
        if current:
            self._finish(ending, condition, description or _WORDS.get(ending, ""))

    def on_refused(self, condition: str, description: str) -> None:
        """The broker closed the link or its session, maybe because of our transfer."""
        self._finish_for_good(TransferEnding.REFUSED, condition, description)
        super().on_refused(condition, description)

    def on_end(self, ended: ConnectionEnded) -> None:
        """The connection is over."""
        self._finish_for_good(TransferEnding.LOST, ended.condition, ended.description)
        super().on_end(ended)

    def leave(self) -> None:
        """We close: a transfer under way is not waited for."""
        self._finish_for_good(TransferEnding.LOST, "local:closed", Text("the connection was closed by us"))
        super().leave()

    def _finish_for_good(self, ending: TransferEnding, condition: str, description: str) -> None:
        self.alive = False  # before the caller is resumed and publishes again
        self._finish(ending, condition, description)

    def _finish(self, ending: TransferEnding, condition: str = "", description: str = "") -> None:
        transfer, self._transfer = self._transfer, None
        if transfer is None:
            return
        reach = self._reach(transfer)
        if transfer.begun and reach is not Reach.HANDED_OVER:
            # Whatever ended it: the rest must never leave, or "certainly not sent" would turn false afterwards.
            self._io.abort_here(Text("a transfer was broken off"))
        left = self._io.transfers.message_bytes if transfer.begun else 0
        if not transfer.reply.done():
            transfer.reply.set_result(TransferResult(ending, reach, left, condition, description))

    def _reach(self, transfer: _Transfer) -> Reach:
        if not transfer.begun:
            return Reach.NO_CREDIT if self._link is not None and self._link.credit <= 0 else Reach.NOT_BEGUN
        if transfer.complete and self._io.transfers.handed_over(transfer.length):
            return Reach.HANDED_OVER
        return Reach.INCOMPLETE
