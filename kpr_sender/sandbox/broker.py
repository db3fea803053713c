"""An AMQP 1.0 bus on loopback: one thread, one selector, timers on the monotonic clock."""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from kpr_sender.bus.proton_engine import Event
from kpr_sender.sandbox.links import BusRules, Decisions, LinkLayer
from kpr_sender.sandbox.peer import Peer, PeerGone
from kpr_sender.sandbox.queues import Queues

HOST: Final = "127.0.0.1"
_IDLE_TIMEOUT: Final = 30.0  # seconds; RabbitMQ 4 announces the same
_LONGEST_WAIT: Final = 5.0  # seconds between two looks at the timers
_BACKLOG: Final = 50
_log = logging.getLogger("kpr_sender.sandbox")


class Broker:
    """The bus.

    Args:
        rules: What it knows and allows.
        queues: Its queues.
        decisions: Who decides on logins and messages.
        tls: None for plain TCP.
        port: 0 for any free port.
    """

    def __init__(
        self, rules: BusRules, queues: Queues, decisions: Decisions, *, tls: ssl.SSLContext | None, port: int = 0
    ) -> None:
        self._rules = rules
        self._decisions = decisions
        self._tls = tls
        self._wanted_port = port
        self._links = LinkLayer(rules, queues, decisions)
        self._peers: dict[socket.socket, Peer] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.port = port
        """Where it listens, once it is started."""

    def start(self) -> None:
        """Bind the port and begin.

        Raises:
            OSError: The port is taken.
        """
        self._listener = socket.create_server((HOST, self._wanted_port), backlog=_BACKLOG)
        self._selector = selectors.DefaultSelector()
        self._wake_here, self._wake_there = socket.socketpair()
        self._wake_here.setblocking(False)
        self._wake_there.setblocking(False)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_here, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="kpr-sandbox-bus", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Drop every connection, free the port and join the thread. Safe to call twice."""
        if self._thread:
            self._stopping = True
            self._wake()
            self._thread.join()
            self._thread = None

    def call(self, what: Callable[[], None]) -> None:
        """Run something on the bus's thread, soon. From any thread."""
        self._calls.append(what)
        if threading.current_thread() is not self._thread:
            self._wake()

    def call_later(self, seconds: float, what: Callable[[], None]) -> None:
        """Run something on the bus's thread after a while. Only from that thread."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), what))

    def release_held(self) -> None:
        """Answer every disposition that was held back. Only from the bus's thread."""
        self._links.release_held()

    def _wake(self) -> None:
        try:
            self._wake_there.send(b".")
        except (BlockingIOError, OSError):
            return  # it is awake, or closed

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._run_calls()
                wait = self._serve_peers()
                for key, _ in self._selector.select(wait):
                    self._ready(key.fileobj)
        finally:
            for peer in list(self._peers.values()):
                self._drop(peer)
            for sock in (self._listener, self._wake_here, self._wake_there):
                sock.close()
            self._selector.close()

    def _run_calls(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._guarded(heapq.heappop(self._timers)[2])
        for _ in range(len(self._calls)):
            self._guarded(self._calls.popleft())

    @staticmethod
    def _guarded(what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001 - whatever fails, the bus goes on; its text may hold payload
            _log.error("a task of the sandbox failed: %s", type(error).__name__)

    def _serve_peers(self) -> float:
        """Flush and tick every connection; return the longest time to wait, in seconds."""
        now = time.monotonic()
        wait = 0.0 if self._calls else _LONGEST_WAIT
        if self._timers:
            wait = min(wait, max(0.0, self._timers[0][0] - now))
        for peer in list(self._peers.values()):
            deadline = self._attend(peer, now)
            if deadline is not None:
                wait = min(wait, max(0.0, deadline - now))
        return wait

    def _attend(self, peer: Peer, now: float) -> float | None:
        try:
            deadline = peer.tick(now)
            peer.send()
        except Exception as error:  # noqa: BLE001 - an error of one client must not affect the others
            self._drop(peer, error)
            return None
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.wants_write else 0)
        self._selector.modify(peer.socket, mask)
        return now if peer.has_buffered_input() else deadline

    def _ready(self, sock: object) -> None:
        if sock is self._listener:
            self._accept()
        elif sock is self._wake_here:
            self._wake_here.recv(4096)
        elif isinstance(sock, socket.socket) and sock in self._peers:
            self._receive(self._peers[sock])

    def _receive(self, peer: Peer) -> None:
        try:
            peer.receive()
        except Exception as error:  # noqa: BLE001 - an error of one client must not affect the others
            self._drop(peer, error)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
            peer = Peer(
                sock,
                tls=self._tls,
                admits=self._decisions.admits,
                on_event=self._on_event,
                idle_timeout=_IDLE_TIMEOUT,
                channels=self._rules.dialect.channels,
            )
        except OSError:  # the client has already left
            return
        self._peers[peer.socket] = peer
        self._selector.register(peer.socket, selectors.EVENT_READ)

    def _on_event(self, peer: Peer, event: Event) -> None:
        self._links.handle(peer, event)

    def _drop(self, peer: Peer, error: Exception | None = None) -> None:
        if self._peers.pop(peer.socket, None) is None:
            return
        if error and not isinstance(error, (PeerGone, OSError)):
            _log.error("a connection to the sandbox failed: %s", type(error).__name__)
        self._selector.unregister(peer.socket)
        self._guarded(lambda: self._links.gone(peer))
        peer.close()
