"""A TCP proxy on loopback that does to a connection what networks do: cuts it after a byte, slows it, goes silent.

The bytes of the client's stream are counted here, between the two sides, and are the same for plain TCP and TLS.
"""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

_PIECE: Final = 16 * 1024  # bytes
_MOST_WAITING: Final = 128 * 1024  # bytes in one direction
_RESET: Final = struct.pack("ii", 1, 0)


class Cut(enum.StrEnum):
    """What happens after the last byte that is let through. The server always gets it, and then the end."""

    RESET = "reset"
    CLOSE = "close"
    SLOW_CLOSE = "slow-close"
    """Silence, and after ``linger`` seconds the end."""
    SWALLOW = "swallow"
    """Half-open: the client may send on into nothing, and nothing comes back; the server learns of it at the end."""
    STALL = "stall"
    """Nothing more is read from the client, and nothing comes back."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to a connection; the default is nothing.

    Attributes:
        cut_after: How many bytes of the client's stream are let through; None for all.
        cut_after_answer: The same for the server's stream.
        latency: Seconds by which every byte is late, in both directions.
        bandwidth: Bytes a second in each direction; 0 for as fast as it goes.
    """

    cut_after: int | None = None
    cut_after_answer: int | None = None
    cut: Cut = Cut.RESET
    linger: float = 0.0
    latency: float = 0.0
    bandwidth: int = 0


@dataclass(eq=False)
class _Lane:
    """One direction: what has been read from one side and is due at the other."""

    source: socket.socket
    target: socket.socket
    limit: int | None
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    size: int = 0
    passed: int = 0
    free_at: float = 0.0
    ended: bool = False
    """The source has said its last."""
    told: bool = False
    """The target knows."""


class Passage:
    """One connection through the proxy.

    Attributes:
        stream: The bytes of the client's stream that the server has got.
        over: Set when the server has hung up: what it makes of the stream is then certain.
    """

    def __init__(self, client: socket.socket, server: socket.socket, faults: Faults) -> None:
        self.stream = bytearray()
        self.over = threading.Event()
        self.faults = faults
        self.up = _Lane(client, server, faults.cut_after)
        self.down = _Lane(server, client, faults.cut_after_answer)
        self.cut = False
        self.close_at: float | None = None

    @property
    def let_through(self) -> int:
        """Bytes of the client's stream that the server has got."""
        return self.up.passed

    @property
    def answered(self) -> int:
        """Bytes of the server's stream that the client has got."""
        return self.down.passed


class FaultProxy:
    """The proxy; a context manager.

    Attributes:
        faults: What every new connection gets.
        upcoming: What the next connections get instead, one each.

    Args:
        target: The server's port on loopback.
        receive_buffer: Of the sockets towards the client, in bytes; 0 for the system's.
    """

    def __init__(self, target: int, *, receive_buffer: int = 0) -> None:
        self.faults = Faults()
        self.upcoming: deque[Faults] = deque()
        self.passages: list[Passage] = []
        self._target = target
        self._live: list[Passage] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake_in, self._wake_out = socket.socketpair()
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._calls: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._wake_out.send(b".")
        self._thread.join(10)

    def finish(self, passage: Passage, seconds: float = 10.0) -> Passage:
        """End a connection on both sides, as a cut where none was yet, and wait until the server has hung up."""
        self._calls.append(lambda: self._end(passage))
        self._wake_out.send(b".")
        assert passage.over.wait(seconds), "the server does not hang up"
        return passage

    # The thread

    def _run(self) -> None:
        while not self._stopping:
            while self._calls:
                self._calls.popleft()()
            due = min((self._serve(passage) for passage in tuple(self._live)), default=1.0)
            for key, _ in self._selector.select(due):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._wake_in:
                    self._wake_in.recv(4096)
        for passage in self._live:
            passage.up.source.close()
            passage.down.source.close()
        for end in (self._listener, self._wake_in, self._wake_out):
            end.close()
        self._selector.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.setblocking(False)
        passage = Passage(client, server, self.upcoming.popleft() if self.upcoming else self.faults)
        self.passages.append(passage)
        self._live.append(passage)

    def _serve(self, passage: Passage) -> float:
        """Move what can be moved; return how long may be waited."""
        now = time.monotonic()
        if passage.close_at is not None and now >= passage.close_at:
            passage.close_at = None
            self._end(passage)
        for lane in (passage.up, passage.down):
            self._read(passage, lane, now)
            self._write(passage, lane, now)
        if passage.down.ended:
            passage.over.set()
            if passage.up.ended or passage.cut:
                self._forget(passage)
                return 1.0
        self._watch(passage, now)
        dues = [lane.waiting[0][0] for lane in (passage.up, passage.down) if lane.waiting]
        dues += [] if passage.close_at is None else [passage.close_at]
        return max(0.0, min([now + 1.0, *(due for due in dues if due > now)]) - now)

    def _wants(self, passage: Passage, lane: _Lane) -> int:
        if lane.ended or lane.size >= _MOST_WAITING:
            return 0
        if lane.limit is not None and not passage.cut:
            return min(_PIECE, lane.limit - lane.passed - lane.size)
        if lane is passage.up and passage.cut and passage.faults.cut is Cut.STALL:
            return 0
        return _PIECE

    def _read(self, passage: Passage, lane: _Lane, now: float) -> None:
        while (wanted := self._wants(passage, lane)) > 0:
            try:
                data = lane.source.recv(wanted)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                lane.ended = True
                return
            if passage.cut:
                continue
            faults = passage.faults
            due = max(now + faults.latency, lane.free_at)
            lane.free_at = due + (len(data) / faults.bandwidth if faults.bandwidth else 0)
            lane.waiting.append((lane.free_at if faults.bandwidth else due, data))
            lane.size += len(data)

    def _write(self, passage: Passage, lane: _Lane, now: float) -> None:
        while lane.waiting and lane.waiting[0][0] <= now:
            due, data = lane.waiting.popleft()
            try:
                sent = lane.target.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:  # that side is gone
                sent = len(data)
            lane.size -= sent
            lane.passed += sent
            if lane is passage.up:
                passage.stream += data[:sent]
            if lane.passed == lane.limit:
                self._cut(passage)
                return
            if sent < len(data):
                lane.waiting.appendleft((due, data[sent:]))
                return
        if lane.ended and not lane.waiting and not lane.told:
            lane.told = True
            _no_more(lane.target)

    def _cut(self, passage: Passage) -> None:
        passage.cut = True
        for lane in (passage.up, passage.down):
            lane.waiting.clear()
            lane.size = 0
        if passage.faults.cut is Cut.RESET:
            self._unwatch(passage.up.source)
            passage.up.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            passage.up.source.close()
            passage.up.ended = passage.up.told = True
            _no_more(passage.up.target)
        elif passage.faults.cut is Cut.CLOSE:
            self._end(passage)
        elif passage.faults.cut is Cut.SLOW_CLOSE:
            passage.close_at = time.monotonic() + passage.faults.linger

    def _end(self, passage: Passage) -> None:
        passage.cut = True
        _no_more(passage.up.source)
        _no_more(passage.up.target)

    def _watch(self, passage: Passage, now: float) -> None:
        """Have the selector say when there is something to do, and only then."""
        for lane, other in ((passage.up, passage.down), (passage.down, passage.up)):
            if lane.source.fileno() < 0:
                continue
            blocked = bool(other.waiting) and other.waiting[0][0] <= now
            events = (selectors.EVENT_READ if self._wants(passage, lane) > 0 else 0) | (
                selectors.EVENT_WRITE if blocked else 0
            )
            known = self._selector.get_map().get(lane.source)
            if known is None and events:
                self._selector.register(lane.source, events)
            elif known is not None and not events:
                self._selector.unregister(lane.source)
            elif known is not None and known.events != events:
                self._selector.modify(lane.source, events)

    def _unwatch(self, end: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(end)

    def _forget(self, passage: Passage) -> None:
        self._live.remove(passage)
        for lane in (passage.up, passage.down):
            self._unwatch(lane.source)
            lane.source.close()


def _no_more(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_WR)
