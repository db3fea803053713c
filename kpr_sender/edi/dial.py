"""From a mail server's host and port to a connected socket, inside a time limit; and what ends a wait on one."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpr_sender.bus.dial import NOT_TLS, TOO_OLD, VERIFY_ERRORS, keep_unsent_here
from kpr_sender.bus.port import Handshake
from kpr_sender.deadline import HEARD_WITHIN, Stopped, never
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, KprError
from kpr_sender.net import is_loopback, open_socket, start_tls, verifying
from kpr_sender.texts import Text

_NOT_VERIFIED: Final = Text("cannot be verified")


@dataclass(frozen=True, slots=True)
class MailServer:
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
    return (error.strerror if isinstance(error, OSError) else "") or Text("the connection ended")


def handshake_of(connected: socket.socket) -> Handshake | None:
    """Return what the TLS handshake showed; None without TLS."""
    if not isinstance(connected, ssl.SSLSocket):
        return None
    cipher = connected.cipher()
    shown = f"{connected.version()}, {cipher[0] if cipher else 'no cipher'}"
    return Handshake(shown, connected.getpeercert(binary_form=True))


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
