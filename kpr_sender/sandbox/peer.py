"""One client's connection: socket, TLS by Python's ssl, SASL by hand, AMQP by proton's engine.

Everything here runs on the broker's thread; no proton object leaves it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final

from kpr_sender.bus.proton_engine import (
    SERVER,
    Collector,
    Connection,
    Endpoint,
    Event,
    Transport,
    TransportException,
    silent_transport,
)
from kpr_sender.sandbox.sasl import SaslRefused, SaslServer

_READ: Final = 262_144  # bytes
_READS_A_TURN: Final = 64  # before other clients are served
_MAX_FRAME: Final = 131_072  # bytes, as RabbitMQ 4
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class PeerGone(Exception):
    """The connection is over: closed by the client, by us, or broken."""


class Peer:
    """A connection from accept to close.

    Args:
        sock: As accepted.
        tls: Where TLS is spoken.
        admits: Says whether a user name and password are valid.
        on_event: Called for every AMQP event.
        idle_timeout: Seconds after which a silent client is given up.
        channels: Highest channel number.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        tls: ssl.SSLContext | None,
        admits: Callable[[str, bytes], bool],
        on_event: Callable[[Peer, Event], None],
        idle_timeout: float,
        channels: int,
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) if tls else sock
        self.wants_write = False
        self._shaken = tls is None
        self._sasl = SaslServer(admits)
        self._on_event = on_event
        self._idle_timeout = idle_timeout
        self._channels = channels
        self._output = b""
        self._transport: Transport | None = None
        self._connection: Connection | None = None
        self._collector: Collector | None = None

    def has_buffered_input(self) -> bool:
        """Whether TLS holds bytes that the selector cannot see."""
        return isinstance(self.socket, ssl.SSLSocket) and self._shaken and self.socket.pending() > 0

    def receive(self) -> None:
        """Read what the client sent.

        Raises:
            PeerGone: It closed or broke the connection, or its login failed.
        """
        with contextlib.suppress(*_WOULD_BLOCK):
            if not self._shaken and isinstance(self.socket, ssl.SSLSocket):
                self.socket.do_handshake()
                self._shaken = True
            for _ in range(_READS_A_TURN):
                room = min(_READ, self._room())
                if room <= 0:
                    return
                data = self.socket.recv(room)
                if not data:
                    self._end_of_input()
                self._take(data)
                self.send()

    def send(self) -> None:
        """Write as much as the socket accepts; ``wants_write`` says whether more is waiting.

        Raises:
            PeerGone: The connection is closed on both sides.
        """
        try:
            while self._output:
                self._output = self._output[self.socket.send(self._output) :]
            if self._transport:
                self._send_amqp(self._transport)
            self.wants_write = False
        except _WOULD_BLOCK:
            self.wants_write = True

    def tick(self, now: float) -> float | None:
        """Run heartbeats and the idle timeout.

        Args:
            now: Monotonic, in seconds.

        Returns:
            When to call again, on the same clock; None when nothing is due.
        """
        if not self._transport:
            return None
        deadline = self._transport.tick(now)
        self._pump()
        return deadline or None

    def close(self) -> None:
        """Close the socket and free every proton object on this thread: another thread must never free one."""
        self.socket.close()
        if self._transport and self._connection:
            with contextlib.suppress(Exception):
                self._transport.unbind()
            self._connection.free()
        self._connection = self._transport = self._collector = None

    def _room(self) -> int:
        if not self._transport:
            return _READ
        try:
            return self._transport.capacity()
        except TransportException:
            return -1

    def _take(self, data: bytes) -> None:
        if self._transport:
            self._transport.push(data)
            self._pump()
            return
        try:
            self._output += self._sasl.receive(data)
        except SaslRefused as refused:
            self._output += refused.answer
            self.send()
            raise PeerGone("login refused") from None
        if self._sasl.user is not None:
            self._begin_amqp()

    def _begin_amqp(self) -> None:
        self._collector = Collector()
        self._connection = Connection()
        self._connection.collect(self._collector)
        self._connection.container = "kpr-sandbox"
        self._transport = silent_transport(SERVER)
        self._transport.idle_timeout = self._idle_timeout
        self._transport.max_frame_size = _MAX_FRAME
        self._transport.channel_max = self._channels
        self._transport.bind(self._connection)
        if self._sasl.left_over:
            self._transport.push(self._sasl.left_over)
            self._pump()

    def _send_amqp(self, transport: Transport) -> None:
        while (waiting := _pending(transport)) > 0:
            output = transport.peek(waiting)
            if not output:
                break
            transport.pop(self.socket.send(output))
            self._pump()
        if waiting < 0 or (self._connection and self._is_closed(self._connection)):
            raise PeerGone("closed")

    @staticmethod
    def _is_closed(connection: Connection) -> bool:
        both = Endpoint.LOCAL_CLOSED | Endpoint.REMOTE_CLOSED
        return bool(connection.state & both == both)

    def _end_of_input(self) -> None:
        if self._transport:
            with contextlib.suppress(TransportException):
                self._transport.close_tail()
            self._pump()
        raise PeerGone("end of input")

    def _pump(self) -> None:
        while self._collector and (event := self._collector.peek()):
            try:
                self._on_event(self, event)
            finally:
                self._collector.pop()


def _pending(transport: Transport) -> int:
    try:
        return transport.pending()
    except TransportException:
        return -1
