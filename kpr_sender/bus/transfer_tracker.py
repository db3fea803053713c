"""Which transfer frames have left the process: the evidence for "the last byte provably never left".

``TransferTracker`` reads the very bytes the socket accepted, frame by frame (AMQP 1.0, 2.3 "Framing" and 2.7.5
"Transfer"). A message may have reached the bus only when the frame that ends it (``more`` is false) was accepted to
its last byte; a frame that is short by one byte cannot be read by anybody.

``SocketWriter`` makes each byte count from the moment it may arrive. With TLS that takes care: ``SSLSocket.send`` of
more than one record says nothing while a later record waits for room, and the other side reads the earlier ones
meanwhile. So it sends one record at a time; one that the socket took in part cannot be deciphered, is not counted, and
is given again exactly as long as it was, because OpenSSL would finish it and go on to the bytes behind it.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

from kpr_sender.fault_points import FaultPoint, reached

LARGEST_CHUNK: Final = 128 * 1024  # bytes
_TLS_RECORD: Final = 16 * 1024  # bytes; the most that one record holds (RFC 8446, 5.1)
_FRAME_HEADER: Final = 8  # bytes: size, data offset, type, channel
_PROTOCOL_HEADER: Final = b"AMQP"
_HEAD: Final = 128  # bytes; a transfer performative of ours is about 30
_TRANSFER: Final = (b"\x00\x53\x14", b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x14")
_LIST8, _LIST32 = 0xC0, 0xD0
_MORE_FIELD: Final = 5
_TRUE: Final = (b"\x41", b"\x56\x01")
# Constructor: bytes that follow it. The rest of what a transfer's first fields can be is of variable width.
_FIXED_WIDTH: Final = {0x40: 0, 0x41: 0, 0x42: 0, 0x43: 0, 0x52: 1, 0x56: 1, 0x70: 4}
_VARIABLE_WIDTH: Final = {0xA0: 1, 0xB0: 4}


class TransferTracker:
    """Follows what the socket accepted on one connection that carries one transfer at a time.

    Attributes:
        message_bytes: Bytes of the message itself that left since ``begin``.
    """

    def __init__(self) -> None:
        self.message_bytes = 0
        self._ended = False
        self._frames = 0
        self._accepted = 0
        self._head = bytearray()
        self._body_left = 0
        self._transfer: tuple[int, bool] | None = None

    def begin(self) -> None:
        """Count from here: the next transfer frame is the first of a new message."""
        self.message_bytes = self._frames = self._accepted = 0
        self._ended = False

    def handed_over(self, message_length: int) -> bool:
        """Whether the whole message may have left since ``begin``.

        Args:
            message_length: Of the encoded message, in bytes. Where that much has left and no transfer frame was
                recognised in it, the answer is yes: what is not understood is never certain.
        """
        return self._ended or (not self._frames and self._accepted >= message_length + _HEAD)

    def accepted(self, data: bytes) -> None:
        """Take in the bytes the socket accepted, in order, nothing left out."""
        self._accepted += len(data)
        at = 0
        while at < len(data):
            if self._body_left:
                step = min(self._body_left, len(data) - at)
                self._body_left -= step
                self.message_bytes += step if self._transfer else 0
            else:
                step = min(self._wanted() - len(self._head), len(data) - at)
                self._head += data[at : at + step]
                if len(self._head) == self._wanted():
                    self._begin_frame()
            at += step
            if self._head and not self._body_left and len(self._head) == self._wanted():
                self._end_frame()
        if self.message_bytes and not self._ended:
            reached(FaultPoint.MID_TRANSFER)

    def _size(self) -> int:
        if self._head[:4] == _PROTOCOL_HEADER:
            return _FRAME_HEADER
        return max(_FRAME_HEADER, int.from_bytes(self._head[:4], "big"))

    def _wanted(self) -> int:
        return _FRAME_HEADER if len(self._head) < _FRAME_HEADER else min(self._size(), _HEAD)

    def _begin_frame(self) -> None:
        self._transfer = read_transfer(bytes(self._head))
        self._body_left = self._size() - len(self._head)
        if self._transfer:
            self._frames += 1
            self.message_bytes += len(self._head) - self._transfer[0]

    def _end_frame(self) -> None:
        if self._transfer and not self._transfer[1]:
            self._ended = True
            reached(FaultPoint.AFTER_TRANSFER)
        self._transfer = None
        self._head.clear()


def read_transfer(head: bytes) -> tuple[int, bool] | None:
    """Read the beginning of a frame.

    Returns:
        Where the message's bytes begin in it and whether more frames follow; None when it is no transfer. What cannot
        be read counts as the last frame.
    """
    start = head[4] * 4 if len(head) > _FRAME_HEADER else len(head)
    descriptor = next((known for known in _TRANSFER if head.startswith(known, start)), None)
    if descriptor is None or head.startswith(_PROTOCOL_HEADER):
        return None
    try:
        return _read_fields(head, start + len(descriptor))
    except (IndexError, KeyError):
        return len(head), False


def _read_fields(head: bytes, at: int) -> tuple[int, bool]:
    width = {_LIST8: 1, _LIST32: 4}[head[at]]
    end = at + 1 + width + int.from_bytes(head[at + 1 : at + 1 + width], "big")
    count = int.from_bytes(head[at + 1 + width : at + 1 + 2 * width], "big")
    at += 1 + 2 * width
    for _ in range(min(count, _MORE_FIELD)):
        at += 1 + _width(head, at)
    if count <= _MORE_FIELD:
        return end, False
    return end, head.startswith(_TRUE, at)


def _width(head: bytes, at: int) -> int:
    if head[at] in _FIXED_WIDTH:
        return _FIXED_WIDTH[head[at]]
    size = _VARIABLE_WIDTH[head[at]]
    return size + int.from_bytes(head[at + 1 : at + 1 + size], "big")


class SocketWriter:
    """The sending side of one socket.

    Args:
        connected: Non-blocking, TLS done.
        tracker: Is given every byte the socket took.
    """

    def __init__(self, connected: socket.socket, tracker: TransferTracker) -> None:
        self._socket = connected
        self._tracker = tracker
        self._largest = _TLS_RECORD if isinstance(connected, ssl.SSLSocket) else LARGEST_CHUNK
        self._unfinished = 0

    def send(self, data: bytes) -> int:
        """Give bytes to the socket; return how many it took.

        Args:
            data: At most ``LARGEST_CHUNK``; after a call that took fewer, what was left and maybe more behind it.

        Raises:
            OSError: As the socket does; ``BlockingIOError``, ``SSLWantWriteError`` and ``SSLWantReadError`` mean that
                it took nothing now.
        """
        sent = 0
        while sent < len(data):
            chunk = data[sent : sent + (self._unfinished or self._largest)]
            try:
                took = self._socket.send(chunk)
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._unfinished = len(chunk)
                if not sent:
                    raise
                return sent
            self._unfinished = 0
            self._tracker.accepted(chunk[:took])
            sent += took
            if took < len(chunk):
                return sent
        return sent
