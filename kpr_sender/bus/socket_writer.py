"""The last step before the kernel: which bytes the socket took, so that each one counts from the moment it may arrive.

With TLS that takes care. ``SSLSocket.send`` of more than one record says nothing while a later record waits for room,
and the other side reads the earlier ones meanwhile. So one record at a time; and one that the socket took in part is
given again exactly as long as it was, because OpenSSL would finish it and go on to the bytes behind it.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

from kpr_sender.bus.transfer_tracker import OutgoingTransfers

LARGEST_PIECE: Final = 128 * 1024  # bytes
_TLS_RECORD: Final = 16 * 1024  # bytes; the most that one record holds (RFC 8446, 5.1)


class Outlet:
    """The sending side of one socket.

    Args:
        connected: Non-blocking, TLS done.
        outgoing: Told of every byte the socket took.
    """

    def __init__(self, connected: socket.socket, outgoing: OutgoingTransfers) -> None:
        self._socket = connected
        self._outgoing = outgoing
        self._largest = _TLS_RECORD if isinstance(connected, ssl.SSLSocket) else LARGEST_PIECE
        self._unfinished = 0

    def send(self, data: bytes) -> int:
        """Give bytes to the socket; return how many it took.

        Args:
            data: At most ``LARGEST_PIECE``; after a call that took fewer, what was left and maybe more behind it.

        Raises:
            OSError: As the socket does; ``BlockingIOError``, ``SSLWantWriteError`` and ``SSLWantReadError`` mean that
                it took nothing now.
        """
        sent = 0
        while sent < len(data):
            piece = data[sent : sent + (self._unfinished or self._largest)]
            try:
                took = self._socket.send(piece)
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._unfinished = len(piece)
                if not sent:
                    raise
                return sent
            self._unfinished = 0
            self._outgoing.accepted(piece[:took])
            sent += took
            if took < len(piece):
                return sent
        return sent
