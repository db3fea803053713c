"""A connection that is logged in, how a link is attached on it, and what sends and reads by it.

``doctor``'s probe shares ``OpenConnection``; ``BusConnection`` is one with its links, as the caller's thread sees it.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from kpr_sender.bus import broker_errors
from kpr_sender.bus.codec import WRONG_FORM, encode_head, form_for, other_form, receive_address, send_address
from kpr_sender.bus.dial import dial
from kpr_sender.bus.io_thread import IoThread
from kpr_sender.bus.links import ConnectionEnded, LinkAttached, LinkRefused, SessionLink
from kpr_sender.bus.port import Outbound, Outcome, Reach, Source
from kpr_sender.bus.receiver import HeldCount, Item, ReceivingLink, Token
from kpr_sender.bus.sender import SendingLink, TransferEnding, TransferResult
from kpr_sender.deadline import Stopped, never, wait_for
from kpr_sender.errors import BusUnreachable
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.messages.transport import queue_name
from kpr_sender.settings.values import AddressForm, BusSettings
from kpr_sender.texts import Text

_THREAD_SECONDS: Final = 5.0  # the I/O thread never blocks longer on anything
_Link = TypeVar("_Link", bound=SessionLink)


class OpenConnection:
    """Dials and logs in, once.

    Args:
        settings: The municipality's connection.
        deadline: Until when, by ``time.monotonic``.
        on_end: Called on the I/O thread when the connection is over.
        stopped: Ends what waits for the bus within a second, as if the time were up.

    Attributes:
        io: What links are made on.
        where: What errors call the bus.
        version: The broker's, as it says; may be empty.

    Raises:
        BusUnreachable: Not in time, or the bus ended it; worth another attempt.
        AccessRefused: Wrong login, certificate or host name.
        ConfigInvalid: Wrong port, or no TLS where it is required.
    """

    def __init__(
        self,
        settings: BusSettings,
        deadline: float,
        *,
        on_end: Callable[[ConnectionEnded], None],
        stopped: Stopped = never,
    ) -> None:
        self._stopped = stopped
        self.where = f"{settings.host}:{settings.port}"
        self._guessed = settings.address_form is AddressForm.AUTO
        password = settings.password.reveal()
        self.io = IoThread(
            dial(settings, deadline, stopped),
            host=settings.host,
            username=settings.username,
            password=password,
            idle_timeout=settings.idle_timeout,
            on_end=on_end,
        )
        try:
            self.version = self._opened(deadline)
        except BaseException:
            self.abort()
            raise
        self._form = form_for(settings.address_form, self.version)

    def abort(self) -> None:
        """Hang up on what could not be completed."""
        self.io.abort(Text("connecting failed"))

    def attach(
        self, make: Callable[[AddressForm], _Link], deadline: float
    ) -> tuple[_Link, LinkAttached | LinkRefused | ConnectionEnded]:
        """Attach in the form that the broker is known to take; where that was a guess, try the other one once.

        Raises:
            BusUnreachable: No answer in time.
        """
        link = make(self._form)
        answer = self._wait(self.io.ask(link.attach), deadline)
        if self._guessed and isinstance(answer, LinkRefused) and answer.condition == WRONG_FORM:
            other = make(other_form(self._form))
            second = self._wait(self.io.ask(other.attach), deadline)
            if isinstance(second, LinkAttached):
                self._form = other_form(self._form)
                return other, second
        return link, answer

    def attached(
        self, make: Callable[[AddressForm], _Link], deadline: float, *, where: str
    ) -> tuple[_Link, LinkAttached]:
        """Attach, or raise what keeps the bus from it; ``where`` is what errors call the link.

        Raises:
            ConfigInvalid: The bus does not know it, or not this form of address.
            AccessRefused: We may not use it.
            BusUnreachable: No answer in time, or the connection ended.
        """
        link, answer = self.attach(make, deadline)
        if isinstance(answer, LinkRefused):
            raise broker_errors.link_error(answer, where)
        if isinstance(answer, ConnectionEnded):
            raise broker_errors.connection_error(answer, self.where)
        return link, answer

    def _opened(self, deadline: float) -> str:
        opened: str | ConnectionEnded = self._wait(self.io.opened, deadline)
        if isinstance(opened, ConnectionEnded):
            raise broker_errors.connection_error(opened, self.where)
        return opened

    def _wait(self, reply: Future[Any], deadline: float) -> Any:
        try:
            wait_for(reply, deadline, self._stopped)
        except TimeoutError:
            raise BusUnreachable(Text("The bus does not answer (no answer in time)."), where=self.where) from None
        return reply.result()


class BusConnection:
    """Logs in and attaches receiving links, in ``connect_timeout``; connected until the bus or we end it.

    Args:
        settings: The municipality's connection.
        queues: What may be read from, by source.
        attached: Which of them to attach to now; ``read`` attaches to the others when they are asked for.
        stopped: Ends connecting and attaching within a second.

    Raises:
        BusUnreachable, AccessRefused, ConfigInvalid: As for ``OpenConnection`` and ``OpenConnection.attached``.
    """

    def __init__(
        self,
        settings: BusSettings,
        queues: Mapping[Source, str],
        *,
        attached: Collection[Source],
        stopped: Stopped = never,
    ) -> None:
        self.inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._settings = settings
        self._queues = queues
        self.gave_back = False  # what was not settled in time: this connection reads no more
        self._held = HeldCount(settings.held_cap)
        self._reading: set[Source] = set()
        self._receivers: dict[Source, ReceivingLink] = {}
        self._senders: dict[str, tuple[SendingLink, int]] = {}
        deadline = time.monotonic() + settings.connect_timeout
        reached(FaultPoint.BEFORE_CONNECT)
        self._open = OpenConnection(settings, deadline, on_end=self.inbox.put, stopped=stopped)
        self._io = self._open.io
        try:
            self._attach_receivers(attached, deadline)
        except BaseException:
            self._open.abort()
            raise

    @property
    def alive(self) -> bool:
        """Whether it is still connected, as far as is known."""
        return self._io.ended is None

    @property
    def held(self) -> int:
        """How many foreign messages are left unsettled."""
        return self._held.count

    def publish(self, message: Outbound) -> Outcome:
        """Transfer one message and wait for its outcome, ``publish_timeout`` at most. Never raises for the bus."""
        deadline = time.monotonic() + self._settings.publish_timeout
        name = queue_name(message.envelope.queue)
        where = Text("exchange {exchange}, queue {name}", exchange=self._settings.exchange or "(default)", name=name)
        sender = self._attach_sender(name, deadline, where)
        if isinstance(sender, Outcome):
            return sender
        link, limit = sender
        head = encode_head(message)
        length = len(head) + len(message.body)
        if limit and length > limit:
            return broker_errors.too_large(length, limit, where)
        result = self._transfer(link, head, message, deadline)
        if isinstance(result, ConnectionEnded):
            result = TransferResult(TransferEnding.LOST, Reach.NOT_BEGUN, 0, result.condition, result.description)
        if result.ending is TransferEnding.TIMED_OUT:
            # An outcome that comes after this must not be taken for the next message's.
            self._io.abort(Text("a transfer got no outcome in time"))
        return broker_errors.outcome_of(result, where)

    def read(self, sources: Collection[Source]) -> bool:
        """Ask for messages from queues; does nothing the second time. Returns whether it was the first for any.

        Raises:
            BusUnreachable, AccessRefused, ConfigInvalid: As for ``OpenConnection.attached``.
        """
        self._attach_receivers(sources, time.monotonic() + self._settings.connect_timeout)
        first = (self._receivers.keys() & sources) - self._reading
        try:
            for source in first:
                self._io.do(self._receivers[source].read).result(_THREAD_SECONDS)
        except TimeoutError:
            raise BusUnreachable(Text("The connection's thread does not answer."), where=self._open.where) from None
        self._reading |= first
        return bool(first)

    def settle(self, token: Token) -> bool:
        """Accept a delivery; return whether it was still here: one of an earlier attachment is not."""
        return self._decide(ReceivingLink.settle, token)

    def hold(self, token: Token) -> None:
        """Leave a delivery unsettled."""
        self._decide(ReceivingLink.hold, token)

    def stale(self, token: Token) -> bool:
        """Whether the delivery is of an earlier connection, and has gone back with it."""
        return token.connection != self._io.name

    def close(self) -> None:
        """End the sessions, which gives back what is unsettled, close connection and socket; two seconds at most."""
        self._io.close()

    def forget_after_fork(self) -> None:
        """In a child process: the connection is the parent's."""
        self._io.forget_after_fork()

    def _attach_receivers(self, sources: Collection[Source], deadline: float) -> None:
        for source, name in self._queues.items():
            if source in sources and source not in self._receivers:
                self._receivers[source] = self._attach_receiver(source, name, deadline)

    def _attach_receiver(self, source: Source, name: str, deadline: float) -> ReceivingLink:
        key = "bus.receipts_queue" if source is Source.RECEIPTS else "bus.error_queue"

        def make(form: AddressForm) -> ReceivingLink:
            return ReceivingLink(
                self._io,
                receive_address(name, form),
                source=source,
                held=self._held,
                max_inbound=self._settings.max_inbound,
                hand_out=self.inbox.put,
            )

        return self._open.attached(make, deadline, where=f"{key} {queue_name(name)}")[0]

    def _attach_sender(self, name: str, deadline: float, where: str) -> tuple[SendingLink, int] | Outcome:
        # A link stays attached as long as the connection, also when another queue is sent to: RabbitMQ 4.0 sometimes
        # never answers a session begun under the number of one that has just been ended (measured, 5 in 100).
        link, limit = self._senders.get(name, (None, 0))
        if link is not None and link.alive:
            return link, limit

        def make(form: AddressForm) -> SendingLink:
            return SendingLink(self._io, send_address(self._settings.exchange, name, form))

        try:
            link, answer = self._open.attach(make, deadline)
        except BusUnreachable as error:
            self._io.abort(Text("attaching failed"))
            return broker_errors.not_connected(error)
        if isinstance(answer, LinkRefused):
            return broker_errors.refused_link(answer, where)
        if isinstance(answer, ConnectionEnded):
            ended = broker_errors.connection_error(answer, self._open.where)
            return broker_errors.not_connected(ended, answer.condition)
        self._senders[name] = link, answer.max_message_size
        return self._senders[name]

    def _transfer(
        self, link: SendingLink, head: bytes, message: Outbound, deadline: float
    ) -> TransferResult | ConnectionEnded:
        reply = self._io.ask(lambda reply: link.publish(reply, head, message.body, message.may_begin))
        try:
            result: TransferResult | ConnectionEnded = reply.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            with contextlib.suppress(TimeoutError):
                self._io.do(link.give_up).result(_THREAD_SECONDS)
            # Without an answer even now nothing is known, so nothing is certain.
            unknown = TransferResult(TransferEnding.TIMED_OUT, Reach.HANDED_OVER, 0)
            result = reply.result(0) if reply.done() else unknown
        return result

    def _decide(self, decision: Callable[[ReceivingLink, Token], bool | None], token: Token) -> bool:
        if self.stale(token):
            return False
        link = self._receivers[token.source]
        with contextlib.suppress(TimeoutError):  # as where the connection is lost: the message comes again
            decided = self._io.ask(lambda reply: reply.set_result(decision(link, token))).result(_THREAD_SECONDS)
            return decided is True
        return False
