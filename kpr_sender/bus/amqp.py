"""The bus by AMQP 1.0: connects when needed, and alone decides what is tried again, when and how long.

What is tried again is reaching the bus, and a transfer that the bus certainly does not have (promise G1). Everything
waits by the one policy of ``kpr_sender/bus/pauses.py``.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from kpr_sender.bus import broker_errors
from kpr_sender.bus.codec import Decoded, Undecodable
from kpr_sender.bus.connection import BusConnection
from kpr_sender.bus.pauses import Pauses
from kpr_sender.bus.port import Inbound, Outbound, Outcome, Source, own_queues
from kpr_sender.bus.receiver import Arrived, GivenBack, Item, Token
from kpr_sender.errors import BusUnreachable, KprError
from kpr_sender.settings.values import BusSettings
from kpr_sender.texts import Text

_FIRST_PAUSE: Final = 0.2  # seconds
_FIRST_ANSWER: Final = 0.25  # seconds; what is there needs so long at most to come, also where nobody wants to wait
_HEARD_WITHIN: Final = 0.5  # seconds; how soon ``closing`` ends the waiting for a message


class AmqpBus:
    """A municipality's connection to Tjenestebuss.

    One caller at a time for ``receive``; ``publish`` may come from another thread. Nothing is connected before it is
    needed. After a fork the child connects anew and leaves the parent's connection alone.

    Args:
        settings: Host, login, queues and times. A queue without a name is not read: a vendor's own listener does that.
        closing: Ends connecting and the waiting for a message within a second when set, for good. A transfer that is
            under way goes on.
        monotonic: A clock that never jumps, in seconds.
        login: Entered around each login; raises ``AccessRefused`` where it is not to be tried now.
    """

    def __init__(
        self,
        settings: BusSettings,
        *,
        closing: threading.Event | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        login: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._settings = settings
        self._queues = own_queues(settings)
        self._connection: BusConnection | None = None
        self._closing = closing or threading.Event()
        self._monotonic = monotonic
        self._login = login
        self._gate = threading.RLock()
        self._pid = os.getpid()
        self._pauses = Pauses(_FIRST_PAUSE, self._closing, monotonic)  # they go on over several calls of ``receive``
        self._unreachable: BusUnreachable | None = None  # why there is no connection now

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> None:
        """Connect, log in and attach to the queues, as ``Bus.connect`` says."""
        for _ in self.attempts():
            return

    def attempts(self) -> Iterator[None]:
        """Yield for each attempt to publish one message, as ``Bus.attempts`` says."""
        self._pauses.begin_anew()
        for _ in self._connections(self._settings.reconnect_budget):
            yield

    def publish(self, message: Outbound) -> Outcome:
        """Transfer one message, once, as ``Bus.publish`` says."""
        with self._gate:
            try:
                connection = self._connect_once()
            except KprError as error:
                return broker_errors.not_connected(error)
            return connection.publish(message)

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        """Return the next message from these queues, as ``Bus.receive`` says."""
        deadline = self._monotonic() + timeout
        try:
            for connection in self._connections(timeout, sources):
                if self._read(connection, sources):
                    deadline = max(deadline, self._monotonic() + _FIRST_ANSWER)
                while isinstance(item := self._next(connection, deadline), Arrived | GivenBack):
                    if isinstance(item, GivenBack):
                        connection.gave_back = True
                    elif (inbound := _decoded(connection, item)) is not None:
                        self._pauses.succeeded()
                        return inbound
                if item is None:
                    if connection.gave_back:
                        self._drop(connection)
                    break
                self._drop(connection)
                self._unreachable = broker_errors.lost(item, f"{self._settings.host}:{self._settings.port}")
        except BusUnreachable:
            self._closing.wait(max(0.0, deadline - self._monotonic()))
            raise
        self._pauses.succeeded()
        return None

    def settle(self, inbound: Inbound) -> bool:
        """Accept a message, as ``Bus.settle`` says."""
        at = self._delivery(inbound)
        return at is not None and at[0].settle(at[1])

    def hold(self, inbound: Inbound) -> None:
        """Leave a message unsettled; it goes back with ``detach`` or ``close``, or after ``LONGEST_HOLD``."""
        if (at := self._delivery(inbound)) is not None:
            at[0].hold(at[1])

    @property
    def held(self) -> int:
        """How many foreign messages are left unsettled now."""
        return 0 if self._connection is None else self._connection.held

    def detach(self) -> None:
        """Close the connection: RabbitMQ 4.0 sometimes never answers a link attached after a detached one."""
        self._forget_after_fork()
        if (connection := self._connection) is not None:
            self._drop(connection)

    def close(self) -> None:
        """Give back what is unsettled, close the link properly, then the socket; for good. Safe to call twice."""
        self._forget_after_fork()
        self._closing.set()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connections(self, seconds: float, attached: Collection[Source] = frozenset(Source)) -> Iterator[BusConnection]:
        """Yield the connection, and again after a pause each time the caller comes back for another attempt.

        By ``Pauses.attempts``, within ``seconds``. A pause outlives that: the next caller waits for its end, so that a
        bus that is down is not asked anew at each look; who has no time at all gets one attempt in any case.

        Raises:
            BusUnreachable: There was no connection at the end. Otherwise the iterator just ends.
            AccessRefused, ConfigInvalid: Final at once.
        """
        deadline = self._monotonic() + seconds
        if seconds > 0 and self._unreachable is not None and not self._pauses.wait_until_over(deadline):
            raise self._unreachable
        yield from self._pauses.attempts(lambda: self._connect_once(attached), deadline)
        if self._unreachable is not None:
            raise self._unreachable

    def _connect_once(self, attached: Collection[Source] = frozenset(Source)) -> BusConnection:
        """Return the connection, or make one attempt at it, bounded by ``connect_timeout``.

        Args:
            attached: The queues that a new connection attaches to. Whoever publishes attaches to both, so that one
                which is unknown is found before anything is sent; whoever reads leaves one in its pause alone.
        """
        self._forget_after_fork()
        with self._gate:
            if self._connection is not None and self._connection.alive:
                return self._connection
            if self._closing.is_set():
                raise self._unreachable or self._stopped()
            try:
                with self._login():
                    stopped = self._closing.is_set
                    self._connection = BusConnection(self._settings, self._queues, attached=attached, stopped=stopped)
            except BusUnreachable as error:
                # What was broken off says nothing about the bus.
                self._unreachable = (self._unreachable or self._stopped()) if self._closing.is_set() else error
                raise self._unreachable from None
            self._unreachable = None
            return self._connection

    def _stopped(self) -> BusUnreachable:
        # Stored, and shown by later runs.
        return BusUnreachable(
            Text("There was no connection yet when the run was told to stop, or its time was up."),
            where=f"{self._settings.host}:{self._settings.port}",
        )

    def _read(self, connection: BusConnection, sources: Collection[Source]) -> bool:
        """Ask for messages from queues; return whether it was the first time for any of them."""
        try:
            return connection.read(sources)
        except KprError:
            self._drop(connection)
            raise

    def _next(self, connection: BusConnection, deadline: float) -> Item | None:
        # Of a connection that gave all back only what it handed out before is still to be seen.
        left = 0.0 if connection.gave_back else max(0.0, deadline - self._monotonic())
        while True:
            try:
                return connection.inbox.get(timeout=min(left, _HEARD_WITHIN))
            except queue.Empty:
                left -= _HEARD_WITHIN
                if left <= 0 or self._closing.is_set():
                    return None

    def _drop(self, connection: BusConnection) -> None:
        """Let go of a connection of which a receiving link, or the whole, has ended."""
        connection.close()
        if self._connection is connection:
            self._connection = None

    def _delivery(self, inbound: Inbound) -> tuple[BusConnection, Token] | None:
        self._forget_after_fork()
        connection, token = self._connection, inbound.token
        if connection is None or not isinstance(token, Token) or connection.stale(token):
            return None
        return connection, token

    def _forget_after_fork(self) -> None:
        if self._pid == os.getpid():
            return
        if self._connection is not None:
            self._connection.forget_after_fork()
        self._connection = None
        self._gate = threading.RLock()
        self._closing = threading.Event()
        self._pid = os.getpid()


def _decoded(connection: BusConnection, arrived: Arrived) -> Inbound | None:
    """Decode a delivery; None when it went back meanwhile."""
    token = arrived.token
    if connection.stale(token):
        return None
    unreadable = Inbound(token, token.source, "", "", "", "", {}, arrived.raw, readable=False)
    if not arrived.complete:
        return replace(unreadable, too_large=True)
    try:
        message = Decoded(arrived.raw)
    except Undecodable:
        return unreadable
    return Inbound(
        token=token,
        source=token.source,
        message_id=message.field("message_id"),
        correlation_id=message.field("correlation_id"),
        subject=message.field("subject"),
        content_type=message.field("content_type"),
        properties=message.properties,
        body=message.body,
        deliveries=message.deliveries,
        redelivered=message.redelivered,
    )
