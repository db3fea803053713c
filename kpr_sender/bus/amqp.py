"""The bus by AMQP 1.0: connects when needed, tries again where that is safe, and never repeats a transfer."""

from __future__ import annotations

import os
import queue
import threading
import time
from types import TracebackType
from typing import Final, Self

from kpr_sender.bus import broker_errors
from kpr_sender.bus.codec import Decoded, Undecodable
from kpr_sender.bus.connection import Connected
from kpr_sender.bus.port import Inbound, Outbound, Outcome, Source
from kpr_sender.bus.receiver import Arrived, Token
from kpr_sender.bus.retry import pause_after, persistently
from kpr_sender.errors import BusUnreachable, KprError
from kpr_sender.settings.values import BusSettings

_SHORT_LIFE: Final = 10.0  # seconds; a connection that ends sooner is not followed by the next at once


class AmqpBus:
    """A municipality's connection to Tjenestebuss.

    One caller at a time for ``receive``; ``publish`` may come from another thread. Nothing is connected before it is
    needed. After a fork the child connects anew and leaves the parent's connection alone.

    Args:
        settings: Host, login, queues and times.
        receive: Attach to the receipts and error queues. False for a vendor whose own listener reads them.
        closing: Ends the trying to connect when set, for good. What is under way on a connection goes on.
    """

    def __init__(self, settings: BusSettings, *, receive: bool = True, closing: threading.Event | None = None) -> None:
        self._settings = settings
        named = {Source.RECEIPTS: settings.receipts_queue, Source.ERRORS: settings.error_queue}
        self._queues = {source: name for source, name in named.items() if name and receive}
        self._connected: Connected | None = None
        self._closing = closing or threading.Event()
        self._gate = threading.RLock()
        self._pid = os.getpid()
        self._stands_since = 0.0
        self._short_lives = 0
        self._down_since: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> None:
        """Connect, log in and attach to the queues; does nothing while the connection stands.

        Raises:
            BusUnreachable: Not within ``reconnect_budget``; tried again with jittered back-off meanwhile.
            AccessRefused: Wrong login, certificate or host name. Final at once.
            ConfigInvalid: A queue is unknown, or there is no TLS where it is demanded. Final at once.
        """
        self._stand(self._settings.reconnect_budget)

    def publish(self, message: Outbound) -> Outcome:
        """Transfer one message and wait for its outcome. Connects first where needed. Never raises for the bus."""
        with self._gate:
            try:
                connected = self._stand(self._settings.reconnect_budget)
            except KprError as error:
                return broker_errors.not_connected(error)
            return connected.publish(message)

    def receive(self, timeout: float) -> Inbound | None:
        """Return the next message from either queue, or None after ``timeout`` seconds.

        Reconnects where needed. A message that cannot be read is nobody's we know: it is held, not returned.

        Raises:
            BusUnreachable: The bus has been away for ``reconnect_budget``.
            AccessRefused: As for ``connect``.
            ConfigInvalid: As for ``connect``.
        """
        deadline = time.monotonic() + timeout
        while True:
            connected = self._stand_until(deadline)
            if connected is None:
                return None
            try:
                item = connected.inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if isinstance(item, Arrived):
                if (inbound := _read(connected, item)) is not None:
                    return inbound
            else:
                self._lost(connected, deadline)

    def settle(self, inbound: Inbound) -> None:
        """Accept a message. Nothing happens when its connection is gone: it comes again."""
        if (at := self._delivery(inbound)) is not None:
            at[0].settle(at[1])

    def hold(self, inbound: Inbound) -> None:
        """Keep a message unsettled; it goes back after ``hold_time``, or on close."""
        if (at := self._delivery(inbound)) is not None:
            at[0].hold(at[1])

    @property
    def held(self) -> int:
        """How many foreign messages are held now."""
        return 0 if self._connected is None else self._connected.held

    def close(self) -> None:
        """Give back what is held, close the link properly, then the socket; for good. Safe to call twice."""
        self._forget_after_fork()
        self._closing.set()
        connected, self._connected = self._connected, None
        if connected is not None:
            connected.close()

    def _stand(self, budget: float) -> Connected:
        self._forget_after_fork()
        with self._gate:
            if self._closing.is_set():
                raise BusUnreachable(
                    "This run has ended its connection to the bus: it was told to stop, or its time was up.",
                    where="bus",
                )
            if self._connected is None or not self._connected.alive:
                self._connected = persistently(
                    lambda: Connected(self._settings, self._queues), budget=budget, closing=self._closing
                )
                self._stands_since = time.monotonic()
            self._down_since = None
            return self._connected

    def _stand_until(self, deadline: float) -> Connected | None:
        """Stand, or None at the deadline; an outage over several calls has one budget."""
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
        gives_up = self._down_since + self._settings.reconnect_budget
        try:
            return self._stand(max(0.0, min(gives_up, deadline) - now))
        except BusUnreachable:
            if time.monotonic() >= gives_up or self._closing.is_set():
                self._down_since = None
                raise
            self._closing.wait(max(0.0, deadline - time.monotonic()))
            return None

    def _lost(self, connected: Connected, deadline: float) -> None:
        """The connection or one of its receiving links ended: let go of the whole, and do not hurry."""
        connected.close()
        if self._connected is connected:
            self._connected = None
        lived = time.monotonic() - self._stands_since
        self._short_lives = self._short_lives + 1 if lived < _SHORT_LIFE else 0
        self._closing.wait(min(pause_after(self._short_lives), max(0.0, deadline - time.monotonic())))

    def _delivery(self, inbound: Inbound) -> tuple[Connected, Token] | None:
        self._forget_after_fork()
        connected, token = self._connected, inbound.token
        if connected is None or not isinstance(token, Token) or connected.stale(token):
            return None
        return connected, token

    def _forget_after_fork(self) -> None:
        if self._pid == os.getpid():
            return
        if self._connected is not None:
            self._connected.forget_after_fork()
        self._connected = None
        self._gate = threading.RLock()
        self._closing = threading.Event()
        self._pid = os.getpid()


def _read(connected: Connected, arrived: Arrived) -> Inbound | None:
    """Decode a delivery; None when it went back meanwhile, or cannot be read and is therefore held."""
    if connected.stale(arrived.token):
        return None
    try:
        message = Decoded(arrived.raw or b"")
    except Undecodable:
        connected.hold(arrived.token)
        return None
    return Inbound(
        token=arrived.token,
        source=arrived.token.source,
        message_id=message.field("message_id"),
        correlation_id=message.field("correlation_id"),
        subject=message.field("subject"),
        content_type=message.field("content_type"),
        properties=message.properties,
        body=message.body,
    )
