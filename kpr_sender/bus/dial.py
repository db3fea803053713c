"""From host and port to a connected socket, inside a time limit; and how the socket is closed.

TLS by Python's ``ssl``, outside proton: 1.2 or later, chain and host name verified, own CA where configured.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Final

from kpr_sender.deadline import Stopped, never
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, KprError
from kpr_sender.net import VERIFY_ERRORS, is_loopback, open_socket, verifying
from kpr_sender.settings.values import BusSettings
from kpr_sender.texts import Text

_NOT_VERIFIED: Final = Text("cannot be verified")
_VERIFY_NEXT: Final = {
    **dict.fromkeys((2, 18, 19, 20, 21), Text("Check bus.ca_file; do not switch the check off.")),
    **dict.fromkeys((9, 10), Text("Check this machine's clock, then ask the bus's operator (kundesenter@nhn.no).")),
    **dict.fromkeys((62, 64), Text("Check bus.host: it must be the name in the certificate.")),
}
NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
TOO_OLD: Final = (
    *("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "NO_SHARED_CIPHER"),
    *("SSLV3_ALERT_HANDSHAKE_FAILURE", "INTERNAL_ERROR"),
)
_MOST_UNSENT: Final = 64 * 1024  # bytes


def dial(settings: BusSettings, deadline: float, stopped: Stopped = never) -> socket.socket:
    """Return a non-blocking socket to the bus, through TLS unless it is switched off for a loopback address.

    Args:
        settings: Host, port and TLS.
        deadline: When to give up, on ``time.monotonic``'s clock.
        stopped: Ends it within a second, as if the time were up.

    Raises:
        BusUnreachable: Name not found, refused, reset, or not in time.
        AccessRefused: The certificate cannot be verified, or TLS is older than 1.2.
        ConfigInvalid: No TLS where it is required, a port that does not speak it, or an unusable CA file.
    """
    where = f"{settings.host}:{settings.port}"
    if not settings.tls:
        _require_loopback(settings.host)
    context = verifying(settings.ca_file, key="bus.ca_file") if settings.tls else None
    try:
        connected = open_socket(settings.host, settings.port, deadline=deadline, tls=context, stopped=stopped)
    except ssl.SSLError as error:
        raise _handshake_error(error, where) from None
    except OSError as error:
        raise _unreachable(error, where) from None
    try:
        if context is None:
            _require_loopback(connected.getpeername()[0])
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        keep_unsent_here(connected)
        connected.setblocking(False)
    except OSError as error:
        connected.close()
        raise _unreachable(error, where) from None
    except BaseException:
        connected.close()
        raise
    return connected


def _require_loopback(address: str) -> None:
    """Refuse to log in without TLS anywhere but on this machine: PLAIN shows the password to the network."""
    if not is_loopback(address):
        raise ConfigInvalid(
            Text("The bus is configured without TLS, and its address is not on this machine."),
            where="bus.tls",
            next_step=Text("Set bus.tls to true; without TLS only a loopback address is allowed."),
        )


def _handshake_error(error: ssl.SSLError, where: str) -> KprError:
    """Return what a failed handshake means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        return AccessRefused(
            Text(
                "The bus's certificate {flaw} ({reason}).",
                flaw=VERIFY_ERRORS.get(code, _NOT_VERIFIED),
                reason=error.verify_message,
            ),
            where=where,
            next_step=_VERIFY_NEXT.get(code),
        )
    reason = error.reason or ""
    if reason in NOT_TLS:
        return ConfigInvalid(
            Text("What answers does not speak TLS."),
            where=where,
            next_step=Text("Check bus.port and bus.tls (TLS is on 5671)."),
        )
    if reason in TOO_OLD:
        return AccessRefused(Text("The bus offers no TLS 1.2 or later ({reason}).", reason=reason), where=where)
    if "CERTIFICATE" in reason:
        return AccessRefused(Text("TLS failed on a certificate ({reason}).", reason=reason), where=where)
    return BusUnreachable(
        Text("The TLS handshake failed ({reason}).", reason=reason or type(error).__name__), where=where
    )


def keep_unsent_here(connected: socket.socket) -> None:
    """Let the kernel take little more than the network does.

    What the kernel has taken may arrive, and a message whose last byte it has is in doubt when the connection breaks.
    By default it takes megabytes that the bus has no room for yet.
    """
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS
    if option is not None:
        connected.setsockopt(socket.IPPROTO_TCP, option, _MOST_UNSENT)


def hang_up(connected: socket.socket, *, agreed: bool) -> None:
    """Close a socket, at once.

    Where TLS is not ended before, RabbitMQ 3.10 leaves one connection in twelve half-closed, and now and then spends a
    whole core on one for half a minute (measured).

    Args:
        connected: What ``dial`` returned.
        agreed: Whether both sides have closed the connection inside; TLS is ended then. Otherwise nothing more is sent.
    """
    if agreed and isinstance(connected, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):
            connected.unwrap()  # says so, and does not wait for the answer: the socket does not block
    connected.close()


def _unreachable(error: OSError, where: str) -> BusUnreachable:
    if isinstance(error, socket.gaierror):
        return BusUnreachable(
            Text("The host name cannot be looked up ({reason}).", reason=error.strerror),
            where=where,
            next_step=Text("Check bus.host and this machine's network; nothing is lost, run the same command again."),
        )
    words = Text("no answer in time") if isinstance(error, TimeoutError) else error.strerror or type(error).__name__
    return BusUnreachable(Text("The bus cannot be reached ({words}).", words=words), where=where)
