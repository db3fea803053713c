"""Hosts and TLS: what is this machine, a context that verifies, and the one way to a connected socket."""

from __future__ import annotations

import collections
import contextlib
import ipaddress
import itertools
import os
import selectors
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kpr_sender.deadline import HEARD_WITHIN, Stopped, never, one_wait, time_left, wait_for
from kpr_sender.errors import ConfigInvalid
from kpr_sender.regular_file import require_regular
from kpr_sender.texts import Text

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NEXT_ATTEMPT: Final = 0.25  # seconds; RFC 8305, 5: how long an address is waited for before the next is tried, too
# Names of this machine in the /etc/hosts of Debian, Red Hat and SUSE, beside "localhost".
_THIS_MACHINE: Final = frozenset(
    {
        *("localhost.localdomain", "localhost4", "localhost4.localdomain4", "localhost6", "localhost6.localdomain6"),
        *("ip6-localhost", "ip6-loopback", "ipv6-localhost", "ipv6-loopback"),
    }
)
_WELL_KNOWN_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_IPV4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")  # RFC 4291, 2.5.5.1
_IPV4_TRANSLATED: Final = ipaddress.IPv6Network("::ffff:0:0:0/96")  # SIIT, RFC 2765, 2.1
_ENDS_WITH_IPV4: Final = (_WELL_KNOWN_NAT64, _IPV4_COMPATIBLE, _IPV4_TRANSLATED)
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215: with a prefix of any length from there on
# RFC 6052, 2.2: which bytes are the IPv4 address after 48, 56, 64 and 96 bits; the ninth byte is none of them.
_NAT64_BYTES: Final = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))

VERIFY_ERRORS: Final = {
    **dict.fromkeys((2, 18, 19, 20, 21), Text("is not issued by an authority that we know")),
    **dict.fromkeys((9,), Text("is not valid yet")),
    **dict.fromkeys((10,), Text("is expired")),
    **dict.fromkeys((62, 64), Text("is made out to another host name")),
}
"""What is wrong with a server's certificate, by the X509_V_ERR codes of OpenSSL's x509_vfy.h."""
_NO_PEM: Final = Text("it holds no PEM certificate")


def host_name(host: str) -> str:
    """Return a host as the resolver takes it, so that two spellings of one host are one: lower case, no final dot.

    Full-width letters, ideographic dots and invisible characters are what IDNA makes of them: ``socket.getaddrinfo``
    encodes by it. What is no host name comes back as it is.
    """
    name = host.strip().removeprefix("[").removesuffix("]")
    if not name.isascii():
        with contextlib.suppress(UnicodeError):
            name = name.encode("idna").decode("ascii")
    return name.lower().rstrip(".")


def same_host(one: str, other: str) -> bool:
    """Tell whether two spellings are one host: the same name, or the same address in whatever form."""
    names = host_name(one), host_name(other)
    return names[0] == names[1] or not set(_addresses(names[0])).isdisjoint(_addresses(names[1]))


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine and cannot be another one: 127.0.0.0/8, ::1 and ``localhost``.

    Not ``*.localhost``, which a name server may answer for; not an address that only some systems take for this
    machine (0.0.0.0, ``::``, 127.1, IPv4 written as IPv6).
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None


def may_be_this_machine(host: str) -> bool:
    """Tell whether a connection to a host could end on this machine: what ``is_loopback`` says, and all its doubts.

    The machine's own name is one; ``socket.getfqdn`` is not asked, since it waits for a name server.
    """
    name = host_name(host)
    if name == "localhost" or name in _THIS_MACHINE or name.endswith(".localhost"):  # RFC 6761 6.3
        return True
    if name and name == host_name(socket.gethostname()):
        return True
    return any(address.is_loopback or address.is_unspecified for address in _addresses(name))


def _addresses(name: str) -> Iterator[_Address]:
    """Yield the address that a text is to any system, and the IPv4 address that is written in it.

    ``inet_aton`` has the forms that resolvers take beside the four decimal numbers: 127.1, 0x7f.1, 2130706433, 0177.1.
    """
    written = name.partition("%")[0]
    try:
        address: _Address = ipaddress.ip_address(written)
    except ValueError:
        # It would take what follows white space for a comment.
        with contextlib.suppress(OSError, ValueError):
            if written.split() == [written]:
                yield ipaddress.IPv4Address(socket.inet_aton(written))
        return
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _ENDS_WITH_IPV4):
            yield ipaddress.IPv4Address(address.packed[-4:])
        if address in _LOCAL_NAT64:
            read = (bytes(address.packed[at] for at in places) for places in _NAT64_BYTES)
            yield from (ipaddress.IPv4Address(four) for four in read if any(four))  # zeros: it is read the other way
        yield from (one for one in (address.ipv4_mapped, address.sixtofour) if one is not None)


def verifying(ca_file: Path | None, *, key: str) -> ssl.SSLContext:
    """Return the TLS context that every connection of ours is made with: the other side verified, 1.2 or newer.

    Not ``ssl.create_default_context``: that obeys SSLKEYLOGFILE, and whoever sets a variable would read along.

    Raises:
        ConfigInvalid: The file cannot be read or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if sys.version_info >= (3, 13):  # as create_default_context does from there on
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    try:
        if ca_file is None:
            context.load_default_certs()
        else:
            require_regular(ca_file)
            context.load_verify_locations(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(
            Text("The CA file cannot be used: {reason}.", reason=getattr(error, "strerror", None) or _NO_PEM),
            where=f"{key}: {ca_file}",
        ) from None
    return context


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """One address of a host, as ``getaddrinfo`` gives it."""

    family: int
    kind: int
    protocol: int
    address: Any


def open_socket(
    host: str, port: int, *, deadline: float, tls: ssl.SSLContext | None = None, stopped: Stopped = never
) -> socket.socket:
    """Return a connected socket, with a timeout of its own, through TLS where a context is given.

    The host's addresses are tried as RFC 8305 says: the next one beside the first where that is silent for a moment.
    One that connects and then does not shake hands gets its share of the time, and the others theirs; a certificate
    that is refused is final.

    Args:
        host: Its name or an address.
        port: Of TCP.
        deadline: On ``time.monotonic``'s clock, over everything: name, addresses, handshake.
        tls: Verifies the server by ``host``; None for plain TCP.
        stopped: Ends it within a second, as if the time were up.

    Raises:
        socket.gaierror: The name is not known, or nobody says so in time.
        ssl.SSLError: No handshake; ``ssl.SSLCertVerificationError`` where the certificate is refused.
        OSError: What the last address answered; ``TimeoutError`` where none did in time.
    """
    endpoints = _look_up(host, port, deadline, stopped)
    while True:
        connected, endpoints = _first_connected(endpoints, deadline, stopped)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            share = time_left(deadline, stopped) / (len(endpoints) + 1)
            connected.settimeout(share)
            if tls is None:
                return connected
            connected = tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
            return _shaken_hands(connected, share, stopped)
        except OSError as error:
            connected.close()
            hung_up = not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError)
            if not endpoints or not hung_up:
                raise
        except BaseException:
            connected.close()
            raise


def start_tls(
    connected: socket.socket, tls: ssl.SSLContext, host: str, seconds: float, stopped: Stopped = never
) -> ssl.SSLSocket:
    """Return a connection that goes on with TLS, with a timeout of so many seconds; closed where that fails.

    Raises as ``open_socket`` does.
    """
    try:
        wrapped = tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        connected.close()
        raise
    try:
        return _shaken_hands(wrapped, seconds, stopped)
    except BaseException:
        wrapped.close()
        raise


def _shaken_hands(connected: ssl.SSLSocket, seconds: float, stopped: Stopped) -> ssl.SSLSocket:
    """Return a socket after TLS's handshake, with a timeout of so many seconds; raises as ``open_socket`` does."""
    until = time.monotonic() + seconds
    connected.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(connected, selectors.EVENT_READ)
        while True:
            try:
                connected.do_handshake()
            except ssl.SSLWantReadError:
                selector.modify(connected, selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                selector.modify(connected, selectors.EVENT_WRITE)
            else:
                connected.settimeout(seconds)
                return connected
            selector.select(one_wait(until, stopped))


def _look_up(host: str, port: int, deadline: float, stopped: Stopped) -> Sequence[_Endpoint]:
    """Return a host's addresses, the families in turn (RFC 8305, 4).

    On a thread of its own, because nothing else ends ``getaddrinfo`` where a name server is silent.
    """
    found: Future[list[_Endpoint]] = Future()

    def ask() -> None:
        try:
            answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.set_result([_Endpoint(one[0], one[1], one[2], one[4]) for one in answer])
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            found.set_exception(error)

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        wait_for(found, deadline, stopped)
    except TimeoutError:
        raise socket.gaierror(socket.EAI_AGAIN, Text("no answer in time")) from None
    try:
        endpoints = found.result()
    except ValueError:  # UnicodeError is one, too
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    first = [one for one in endpoints if one.family == endpoints[0].family]
    other = [one for one in endpoints if one.family != endpoints[0].family]
    return [one for pair in itertools.zip_longest(first, other) for one in pair if one is not None]


def _first_connected(
    endpoints: Sequence[_Endpoint], deadline: float, stopped: Stopped
) -> tuple[socket.socket, Sequence[_Endpoint]]:
    """Return a socket to the first address that answers, and the addresses that have not failed beside it."""
    waiting = collections.deque(endpoints)
    failure: OSError = TimeoutError("timed out")
    under_way: dict[socket.socket, _Endpoint] = {}
    next_attempt = time.monotonic()
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or under_way:
                left = time_left(deadline, stopped)
                if waiting and (time.monotonic() >= next_attempt or not under_way):
                    endpoint = waiting.popleft()
                    next_attempt = time.monotonic() + min(_NEXT_ATTEMPT, left / (len(waiting) + 2))
                    try:
                        attempt = _begin(endpoint)
                    except OSError as error:
                        failure = error
                        continue
                    under_way[attempt] = endpoint
                    selector.register(attempt, selectors.EVENT_WRITE, attempt)
                until = min(deadline, next_attempt) if waiting else deadline
                for key, _ in selector.select(min(max(0.0, until - time.monotonic()), HEARD_WITHIN)):
                    attempt = key.data
                    selector.unregister(attempt)
                    under_way.pop(attempt)
                    code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        return attempt, [*under_way.values(), *waiting]
                    attempt.close()
                    failure, next_attempt = OSError(code, os.strerror(code)), time.monotonic()
        finally:
            for attempt in under_way:
                attempt.close()
    raise failure


def _begin(endpoint: _Endpoint) -> socket.socket:
    """Begin to connect, and return the socket on which it shows how that ended."""
    attempt = socket.socket(endpoint.family, endpoint.kind, endpoint.protocol)
    try:
        attempt.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            attempt.connect(endpoint.address)
    except BaseException:
        attempt.close()
        raise
    return attempt
