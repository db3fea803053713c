"""From host and port to a connected socket, with TLS where configured, inside a time limit."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import Final

from kpr_sender.bus import tls
from kpr_sender.errors import BusUnreachable
from kpr_sender.settings.values import BusSettings
from kpr_sender.tls_context import verifying

_MOST_UNSENT: Final = 64 * 1024  # bytes


def dial(settings: BusSettings, deadline: float) -> socket.socket:
    """Return a non-blocking socket to the bus, through TLS unless it is switched off for a loopback address.

    Args:
        settings: Host, port and TLS.
        deadline: When to give up, on ``time.monotonic``'s clock.

    Raises:
        BusUnreachable: Name not found, refused, reset, or not in time.
        AccessRefused: The certificate is not believed.
        ConfigInvalid: No TLS where it is demanded, a port that does not speak it, or an unusable CA file.
    """
    where = f"{settings.host}:{settings.port}"
    if not settings.tls:
        tls.require_loopback(settings.host)
    context = verifying(settings.ca_file, key="bus.ca_file") if settings.tls else None
    connected = _connect(settings.host, settings.port, deadline, where)
    try:
        if context is None:
            tls.require_loopback(connected.getpeername()[0])
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _keep_unsent_here(connected)
        if context is not None:
            connected.settimeout(_left(deadline))
            connected = context.wrap_socket(connected, server_hostname=settings.host)
        connected.setblocking(False)
    except ssl.SSLError as error:
        connected.close()
        raise tls.refusal(error, where) from None
    except OSError as error:
        connected.close()
        raise _unreachable(error, where) from None
    except BaseException:
        connected.close()
        raise
    return connected


def _keep_unsent_here(connected: socket.socket) -> None:
    """Let the kernel take little more than the network does.

    What the kernel has taken may arrive, and a message whose last byte it has is in doubt when the connection breaks.
    By default it takes megabytes that the bus has no room for yet.
    """
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS
    if option is not None:
        connected.setsockopt(socket.IPPROTO_TCP, option, _MOST_UNSENT)


def _connect(host: str, port: int, deadline: float, where: str) -> socket.socket:
    """Try each address of the host in turn; the last failure is the one told."""
    failure: OSError = TimeoutError("timed out")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BusUnreachable(
            f"The host name cannot be looked up ({getattr(error, 'strerror', None) or 'not a host name'}).",
            where=where,
            next_step="Check bus.host and this machine's network; nothing is lost, run the same command again.",
        ) from None
    for family, kind, protocol, _, address in addresses:
        candidate = socket.socket(family, kind, protocol)
        try:
            candidate.settimeout(_left(deadline))
            candidate.connect(address)
        except OSError as error:
            failure = error
            with contextlib.suppress(OSError):
                candidate.close()
        except BaseException:
            candidate.close()
            raise
        else:
            return candidate
    raise _unreachable(failure, where)


def _left(deadline: float) -> float:
    """Seconds left; never 0, which would mean non-blocking."""
    return max(deadline - time.monotonic(), 0.001)


def _unreachable(error: OSError, where: str) -> BusUnreachable:
    words = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or type(error).__name__
    return BusUnreachable(f"The bus cannot be reached ({words}).", where=where)
