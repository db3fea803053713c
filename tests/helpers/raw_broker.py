"""A bus that speaks AMQP 1.0 byte by byte: what no protocol engine would send, it can."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.helpers.loopback import serving

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
NULL, TRUE, FALSE, ZERO = b"\x40", b"\x41", b"\x42", b"\x43"
_SASL: Final = b"AMQP\x03\x01\x00\x00"
_AMQP: Final = b"AMQP\x00\x01\x00\x00"
_LINK_NAME: Final = re.compile(rb"\xa1.(kpr-sender-[0-9a-f]{12}-[!-~]+)", re.DOTALL)


def frame(code: int, *fields: bytes, payload: bytes = b"", channel: int = 0) -> bytes:
    """Return a frame with one performative."""
    body = performative(code, *fields) + payload
    return struct.pack(">IBBH", 8 + len(body), 2, 0, channel) + body


def performative(code: int, *fields: bytes) -> bytes:
    """Return a described list, which performatives, errors and states alike are."""
    return b"\x00\x53" + bytes([code]) + listed(*fields)


def listed(*fields: bytes, constructor: bytes = b"\xd0") -> bytes:
    """Return a list; a map by its own constructor."""
    body = b"".join(fields)
    return constructor + struct.pack(">II", len(body) + 4, len(fields)) + body


def uint(number: int) -> bytes:
    """Return an unsigned number of four bytes."""
    return b"\x70" + struct.pack(">I", number)


def string(text: bytes, constructor: bytes = b"\xb1") -> bytes:
    """Return a string; a symbol or binary by its own constructor."""
    return constructor + struct.pack(">I", len(text)) + text


def nested(levels: int) -> bytes:
    """Return lists inside lists."""
    value, heads, size = NULL, [], 1
    for _ in range(levels):
        heads.append(b"\xd0" + struct.pack(">II", size + 4, 1))
        size += 9
    return b"".join(reversed(heads)) + value


def error(condition: bytes, description: bytes = b"", info: bytes = NULL) -> bytes:
    """Return an error as close, end, detach and rejected carry it."""
    return performative(0x1D, string(condition, b"\xb3"), string(description), info)


def opened(properties: bytes = NULL) -> bytes:
    """Return the answer to the client's open."""
    return frame(OPEN, string(b"evil"), *[NULL] * 8, properties)


class RawBroker:
    """One connection that has logged in."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.heard = b""

    def hear(self, code: int) -> None:
        """Read until the client has sent this performative."""
        while not self._heard(code):
            self.read()

    def see_off(self) -> None:
        """Answer the end of the first session, and wait for the close."""
        answered = False
        while not self._heard(CLOSE):
            if self._heard(END) and not answered:
                self.say(frame(END))
                answered = True
            self.read()

    def _heard(self, code: int) -> bool:
        return b"\x00\x53" + bytes([code]) in self.heard

    def read(self) -> None:
        """Read what there is."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionResetError
        self.heard += data

    def say(self, *frames: bytes) -> None:
        """Send frames."""
        self.socket.sendall(b"".join(frames))

    def attached(self, *, reads: bool, properties: bytes = NULL) -> None:
        """Open, begin and attach as any bus does; ``reads`` for a link that the client sends on."""
        self.say(opened(properties))
        self.hear(ATTACH)
        found = _LINK_NAME.search(self.heard)
        assert found
        name = found[1][: self.heard[found.start() + 1]]
        self.say(
            frame(BEGIN, b"\x60\x00\x00", ZERO, uint(2048), uint(2048)),
            frame(
                ATTACH,
                *(string(name), ZERO, TRUE if reads else FALSE, NULL, NULL),
                *(performative(0x28, string(b"a")), performative(0x29, string(b"b")), NULL, NULL, ZERO),
            ),
        )


@contextmanager
def raw_broker(script: Callable[[RawBroker], None]) -> Iterator[int]:
    """Serve each connection by a script that begins after the login; yield the port."""

    def behave(connected: socket.socket, _: threading.Event) -> None:
        broker = RawBroker(connected)
        broker.read()
        broker.say(_SASL, struct.pack(">IBBH", 21, 2, 1, 0), b"\x00\x53\x40\xc0\x08\x01\xa3\x05PLAIN")
        while b"\x00\x53\x41" not in broker.heard:
            broker.read()
        broker.say(struct.pack(">IBBH", 16, 2, 1, 0), b"\x00\x53\x44\xc0\x03\x01\x50\x00", _AMQP)
        broker.hear(OPEN)
        script(broker)
        broker.see_off()

    with serving(behave) as port:
        yield port
