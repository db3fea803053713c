"""The server's half of SASL PLAIN (AMQP 1.0, part 5.3), without IO.

By hand, because proton's own server side offers only ANONYMOUS and EXTERNAL unless it is built with Cyrus.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from kpr_sender.bus.proton_engine import Data

HEADER: Final = b"AMQP\x03\x01\x00\x00"
_MECHANISMS: Final = b"\x00\x53\x40\xc0\x08\x01\xa3\x05PLAIN"
_INIT: Final = 0x41
_OUTCOME: Final = b"\x00\x53\x44\xc0\x03\x01\x50"
_OK, _AUTH_FAILED = b"\x00", b"\x01"
_FRAME_HEADER: Final = struct.Struct(">IBBH")
_MAX_FRAME: Final = 4096


class SaslRefused(Exception):
    """The login failed, or the bytes are no login; ``answer`` is the last thing to send."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("login refused")
        self.answer = answer


class SaslServer:
    """One login.

    Args:
        admits: Tells whether a user name and password are valid.
    """

    def __init__(self, admits: Callable[[str, bytes], bool]) -> None:
        self._admits = admits
        self._received = b""
        self._header_seen = False
        self.user: str | None = None
        """Who logged in; None until somebody has."""

    @property
    def left_over(self) -> bytes:
        """Bytes received after the login, to be read as AMQP."""
        return self._received

    def receive(self, data: bytes) -> bytes:
        """Process bytes from the client and return what to answer.

        Raises:
            SaslRefused: Not a SASL client, not PLAIN, or not admitted.
        """
        self._received += data
        answer = b""
        if not self._header_seen:
            if not HEADER.startswith(self._received[: len(HEADER)]):
                raise SaslRefused(HEADER)
            if len(self._received) < len(HEADER):
                return answer
            self._received = self._received[len(HEADER) :]
            self._header_seen = True
            answer = HEADER + _frame(_MECHANISMS)
        body = self._complete_frame()
        return answer if body is None else answer + self._answer_init(body)

    def _complete_frame(self) -> bytes | None:
        if len(self._received) < _FRAME_HEADER.size:
            return None
        size, offset, _, _ = _FRAME_HEADER.unpack_from(self._received)
        if not _FRAME_HEADER.size <= size <= _MAX_FRAME:
            raise SaslRefused(b"")
        if len(self._received) < size:
            return None
        body, self._received = self._received[offset * 4 : size], self._received[size:]
        return body

    def _answer_init(self, body: bytes) -> bytes:
        mechanism, response = _read_init(body)
        _, _, credentials = response.partition(b"\0")
        name, _, password = credentials.partition(b"\0")
        user = name.decode("utf-8", "replace")
        if mechanism != "PLAIN" or not self._admits(user, password):
            raise SaslRefused(_frame(_OUTCOME + _AUTH_FAILED))
        self.user = user
        return _frame(_OUTCOME + _OK)


def _frame(body: bytes) -> bytes:
    return _FRAME_HEADER.pack(_FRAME_HEADER.size + len(body), 2, 1, 0) + body


def _read_init(body: bytes) -> tuple[str, bytes]:
    data = Data()
    try:
        data.decode(body)
        data.next()
        described = data.get_object()
        if described is None or int(described.descriptor) != _INIT:
            raise SaslRefused(b"")
        mechanism, response = described.value[:2]
        return str(mechanism), bytes(response or b"")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise SaslRefused(b"") from error
