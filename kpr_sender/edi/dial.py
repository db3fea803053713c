"""From a mail server's host and port to a connected socket, inside a time limit; and what ends a wait on one."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpr_sender.bus.dial import NOT_TLS, TOO_OLD, keep_unsent_here
from kpr_sender.bus.port import Handshake
from kpr_sender.deadline import HEARD_WITHIN, Stopped, never
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, KprError, LoginRefused
from kpr_sender.net import VERIFY_ERRORS, is_loopback, open_socket, start_tls, verifying
from kpr_sender.settings.secrets import Secret
from kpr_sender.texts import Text

_NOT_VERIFIED: Final = Text("cannot be verified")


@dataclass(frozen=True, slots=True)
class MailHost:
    """A mail server and how it is reached.

    Attributes:
        keys: The keys of the configuration that say so, for messages.
        tls_ca: The authorities to trust; the machine's own without it.
        plain_elsewhere: Whether a connection without TLS may leave this machine.
    """

    host: str
    port: int
    keys: str
    tls_ca: Path | None = None
    plain_elsewhere: bool = False

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.host}:{self.port}"

    def dial(self, seconds: float, *, tls: bool, stopped: Stopped = never) -> socket.socket:
        """Return a connected socket, with TLS from the first byte where that is asked for.

        Raises:
            BusUnreachable: Name not found, refused, reset, or not in time.
            AccessRefused: The certificate cannot be verified, or TLS is older than 1.2.
            ConfigInvalid: No TLS to another machine, a port that does not speak it, or an unusable CA file.
        """
        context = self.context() if tls else None
        deadline = time.monotonic() + seconds
        try:
            connected = open_socket(self.host, self.port, deadline=deadline, tls=context, stopped=stopped)
        except ssl.SSLError as error:
            raise self._handshake_error(error) from None
        except OSError as error:
            raise self.unreachable(error) from None
        with contextlib.suppress(OSError):
            keep_unsent_here(connected)
        return connected

    def start_tls(self, connected: socket.socket, seconds: float, stopped: Stopped = never) -> ssl.SSLSocket:
        """Return the same connection with TLS. Raises as ``dial`` does; the connection is closed then."""
        try:
            return start_tls(connected, self.context(), self.host, seconds, stopped)
        except ssl.SSLError as error:
            raise self._handshake_error(error) from None
        except OSError as error:
            raise self.unreachable(error) from None

    def require_safe(self, connected: socket.socket) -> None:
        """Refuse a connection without TLS to another machine, unless that is allowed.

        Raises:
            ConfigInvalid: It is one.
        """
        if isinstance(connected, ssl.SSLSocket) or self.plain_elsewhere or on_this_machine(connected):
            return
        raise ConfigInvalid(
            Text("The mail server is configured without TLS, and its address is not on this machine."),
            where=f"{self.keys}: {self.where}",
            next_step=Text("Use TLS; within Helsenettet edi.allow_plaintext lets mail be sent without it."),
        )

    def context(self) -> ssl.SSLContext:
        """Return what verifies the server. Raises ConfigInvalid for an unusable CA file."""
        return verifying(self.tls_ca, key="edi.tls_ca")

    def unreachable(self, error: Exception) -> BusUnreachable:
        """Return that it cannot be reached, or went away."""
        if isinstance(error, socket.gaierror):
            return BusUnreachable(
                Text("The mail server's name cannot be looked up ({reason}).", reason=error.strerror),
                where=self.where,
                next_step=Text(
                    "Check {keys} and this machine's network; nothing is lost, run the same command again.",
                    keys=self.keys,
                ),
            )
        return BusUnreachable(
            Text("The mail server cannot be reached ({words}).", words=words_of(error)), where=self.where
        )

    def _handshake_error(self, error: ssl.SSLError) -> KprError:
        reason = error.reason or ""
        if isinstance(error, ssl.SSLCertVerificationError):
            return AccessRefused(
                Text(
                    "The mail server's certificate {flaw} ({reason}).",
                    flaw=VERIFY_ERRORS.get(error.verify_code, _NOT_VERIFIED),
                    reason=error.verify_message,
                ),
                where=self.where,
                next_step=Text(
                    "Check {keys} (the host must be the name in the certificate), edi.tls_ca and this machine's "
                    "clock; do not switch the check off.",
                    keys=self.keys,
                ),
            )
        if reason in NOT_TLS:
            return ConfigInvalid(
                Text("What answers does not speak TLS."),
                where=self.where,
                next_step=Text(
                    "Check {keys}: which port speaks TLS from the first byte, and which STARTTLS.", keys=self.keys
                ),
            )
        if reason in TOO_OLD:
            return AccessRefused(
                Text("The mail server offers no TLS 1.2 or later ({reason}).", reason=reason), where=self.where
            )
        if "CERTIFICATE" in reason:
            return AccessRefused(Text("TLS failed on a certificate ({reason}).", reason=reason), where=self.where)
        return BusUnreachable(
            Text("The TLS handshake failed ({reason}).", reason=reason or type(error).__name__), where=self.where
        )


@dataclass(frozen=True, slots=True)
class MailboxAccount:
    """A mailbox's server, and who we are there.

    Attributes:
        tls: Whether the connection begins with TLS; without it only on this machine, since each session logs in.
        seconds: Longest time for connecting and logging in.
        login: Entered around each login; raises ``AccessRefused`` where it is not to be tried now.
        stopped: Ends whatever waits within a second.
    """

    server: MailHost
    user: str
    password: Secret
    tls: bool = True
    seconds: float = 30.0
    login: Callable[[], AbstractContextManager[None]] = nullcontext
    stopped: Stopped = never

    @contextlib.contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """Yield a connection that a login may go over; closed at the end. Raises as ``MailHost.dial``."""
        connection = self.server.dial(self.seconds, tls=self.tls, stopped=self.stopped)
        try:
            connection.settimeout(self.seconds)
            self.server.require_safe(connection)
            yield connection
        finally:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            # Not close(): a library's file on it would hold it open.
            if (left := connection.detach()) >= 0:
                socket.close(left)

    def refused(self, words: str, *, not_now: bool, not_us: bool) -> KprError:
        """Return that the login was refused: for now, for us as we are, or for what user and password are."""
        if not_now:
            said = Text("The mailbox cannot be opened now ({words}).", words=words)
            return BusUnreachable(said, where=self.server.where)
        kind = AccessRefused if not_us else LoginRefused
        return kind(
            Text("The mailbox refused the login ({words}).", words=words),
            where=self.server.where,
            next_step=Text(
                "Check edi.mailbox_user and its password; a wrong one again and again may lock the account."
            ),
        )

    def refuses(self, words: str) -> BusUnreachable:
        """Return that the server said no to what it was asked for."""
        return BusUnreachable(Text("The mailbox refused ({words}).", words=words), where=self.server.where)

    def unreadable(self, error: Exception) -> BusUnreachable:
        """Return that the connection ended, or something came that is no answer."""
        said = Text("The mailbox cannot be read ({words}).", words=words_of(error))
        return BusUnreachable(said, where=self.server.where)


def on_this_machine(connected: socket.socket) -> bool:
    """Tell whether a connection ends on this machine."""
    try:
        return is_loopback(str(connected.getpeername()[0]))
    except OSError:  # it is over
        return False


def words_of(error: Exception) -> str:
    """Return an error of the network in words."""
    if isinstance(error, TimeoutError):
        return Text("no answer in time")
    if error.args and isinstance(error.args[0], Text):
        return error.args[0]
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Text("the connection ended")  # their own words name a line of Python's source
    return (error.strerror if isinstance(error, OSError) else "") or Text("the connection ended")


def handshake_of(connected: socket.socket) -> Handshake | None:
    """Return what the TLS handshake showed; None without TLS."""
    if not isinstance(connected, ssl.SSLSocket):
        return None
    cipher = connected.cipher()
    shown = f"{connected.version()}, {cipher[0] if cipher else 'no cipher'}"
    return Handshake(shown, connected.getpeercert(binary_form=True))


def drain(connected: socket.socket, seconds: float) -> None:
    """Wait until the other side's machine has all that was written, where this system can say so (Linux).

    What waits here still goes out when nobody expects it any more: without this, a mail whose end is written is in
    doubt while most of it has not left.

    Raises:
        OSError: The connection has ended; ``TimeoutError`` where it has not got it in time.
    """
    if sys.platform == "linux":
        from fcntl import ioctl  # noqa: PLC0415 - POSIX alone has it
        from termios import TIOCOUTQ  # noqa: PLC0415 - the same

        ends, pause = time.monotonic() + seconds, 0.0005
        while struct.unpack("i", ioctl(connected.fileno(), TIOCOUTQ, b"\0" * 4))[0]:  # Linux calls it SIOCOUTQ: tcp(7)
            if code := connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(code, os.strerror(code))  # what was not taken by then counts as waiting for ever
            if time.monotonic() > ends:
                raise TimeoutError
            time.sleep(pause)
            pause = min(2 * pause, 0.1)


@contextlib.contextmanager
def cut_off(connected: socket.socket, seconds: float, stopped: Stopped = never) -> Iterator[None]:
    """Shut a connection after so many seconds, or within a second of ``stopped``, if the context is not left before.

    A timeout of a socket begins anew with each byte, and libraries wait for as many as the other side likes to send.
    """
    over, until = threading.Event(), time.monotonic() + seconds

    def watch() -> None:
        while not over.wait(min(HEARD_WITHIN, max(0.0, until - time.monotonic()))):
            if stopped() or time.monotonic() >= until:
                with contextlib.suppress(OSError):
                    # Not SSLSocket's own, which would pull TLS from under a read on the other thread.
                    socket.socket.shutdown(connected, socket.SHUT_RDWR)
                return

    watcher = threading.Thread(target=watch, name="cut-off", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
