"""What goes over the wire to a mail server: smtplib's commands, strict replies, and a mail's bytes as SMTP has them."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from kpr_sender.edi.dial import words_of
from kpr_sender.edi.smtp_replies import SmtpReply
from kpr_sender.texts import Text

CHUNK_SECONDS: Final = 180.0
"""RFC 5321, 4.5.3.2.5: how long one block of a mail may take to leave."""
_CHUNK: Final = 64 * 1024  # bytes
_MOST_LINE: Final = 2_048  # bytes; RFC 5321, 4.5.3.1.5 has 512
_MOST_LINES: Final = 100


class NoSmtpReply(smtplib.SMTPServerDisconnected):
    """The connection ended before a reply did, or what came is none."""


class SmtpConnection(smtplib.SMTP):
    """smtplib's commands over a socket of ours, with replies that are complete, strict and bounded.

    smtplib's own ``getreply`` invents a 500 where a line is too long, which would be taken for the server's word.
    """

    def __init__(self, connected: socket.socket) -> None:
        address = str(connected.getsockname()[0]).partition("%")[0]  # no zone
        # RFC 5321, 4.1.3. The machine's own name would be asked of a name server, and is nobody's business.
        super().__init__(local_hostname=f"[IPv6:{address}]" if ":" in address else f"[{address}]")
        self.sock: socket.socket = connected
        self._received = bytearray()

    def getreply(self) -> tuple[int, bytes]:
        """Return one reply. Raises NoSmtpReply."""
        lines: list[bytes] = []
        while len(lines) < _MOST_LINES:
            line = self._line()
            code, separator = line[:3], line[3:4]
            if not (code.isdigit() and b"200" <= code <= b"599" and separator in (b"", b" ", b"-")):
                self.close()
                raise NoSmtpReply(Text("what it answered is no reply"))
            lines.append(line[4:].strip())
            if separator != b"-":
                return int(code), b"\n".join(lines)  # as smtplib reads the answer to EHLO
        self.close()
        raise NoSmtpReply(Text("its reply has no end"))

    def ask(self, command: str, arguments: str = "") -> SmtpReply:
        """Send a command, and return the reply. Raises NoSmtpReply."""
        return SmtpReply.of(*self.docmd(command, arguments))

    def reply(self) -> SmtpReply:
        """Return the next reply. Raises NoSmtpReply."""
        return SmtpReply.of(*self.getreply())

    def spoke_first(self) -> SmtpReply | None:
        """Return a reply that nothing asked for, without waiting. Raises NoSmtpReply where the connection has ended."""
        self.sock.settimeout(0.0)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._receive()
        if not self._received:
            return None
        self.sock.settimeout(CHUNK_SECONDS)
        return self.reply()

    def on(self, connected: socket.socket) -> None:
        """Go on over another socket, of which nothing has been read: what the server said before does not count."""
        self.sock = connected
        self._received.clear()
        self.ehlo_resp = self.helo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False

    @property
    def forgotten(self) -> int:
        """Bytes that came and were not asked for."""
        return len(self._received)

    def close(self) -> None:
        """Close the socket, whatever state it is in."""
        with contextlib.suppress(OSError):
            super().close()

    def _line(self) -> bytes:
        while (end := self._received.find(b"\n")) < 0 and len(self._received) <= _MOST_LINE:
            try:
                self._receive()
            except OSError as error:
                self.close()
                raise NoSmtpReply(words_of(error)) from None
        if end < 0 or end > _MOST_LINE:
            self.close()
            raise NoSmtpReply(Text("its reply has no end"))
        line = bytes(self._received[:end]).removesuffix(b"\r")
        del self._received[: end + 1]
        return line

    def _receive(self) -> None:
        if self.sock is None:
            raise ConnectionResetError
        more = self.sock.recv(4096)
        if not more:
            raise ConnectionResetError(0, Text("the connection ended"))
        self._received += more


def dot_stuffed(body: bytes) -> Iterator[bytes]:
    """Yield a body in chunks as SMTP has it: another dot before each line's first (RFC 5321, 4.5.2)."""
    at = 0
    if body.startswith(b"."):
        yield b"."
    while at < len(body):
        dot = body.find(b"\r\n.", at, at + _CHUNK + 2)  # where one begins in this chunk, it is seen whole
        end = min(at + _CHUNK, len(body)) if dot < 0 else dot + 3
        yield body[at:end] if dot < 0 else body[at:end] + b"."
        at = end


def xtext(text: str) -> str:
    """Write a value of DSN's parameters (RFC 3461, 4)."""
    return "".join(one if "!" <= one <= "~" and one not in "+=" else f"+{ord(one) & 0xFF:02X}" for one in text)
