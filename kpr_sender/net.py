"""Hosts, TLS and HTTP: what is this machine, a context that verifies, and one HTTP client with bounds.

The only module that knows httpx, and it loads it where something is asked: that takes a tenth of a second.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from kpr_sender.errors import ConfigInvalid

if TYPE_CHECKING:
    import httpx

_CONNECTED: Final = ("connection.connect_tcp.complete", "connection.start_tls.complete")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine and cannot be another one: 127.0.0.0/8, ::1 and ``localhost``.

    Not ``*.localhost``, which a name server may answer for; not an address that only some systems take for this
    machine (0.0.0.0, ``::``, IPv4 written as IPv6).
    """
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback and getattr(address, "ipv4_mapped", None) is None


def may_be_this_machine(host: str) -> bool:
    """Tell whether a connection to a host could end on this machine: what ``is_loopback`` says, and all its doubts."""
    if is_loopback(host) or host.lower().endswith(".localhost"):  # RFC 6761 6.3
        return True
    address = _address(host)
    address = getattr(address, "ipv4_mapped", None) or address
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def verifying(ca_file: Path | None, *, key: str) -> ssl.SSLContext:
    """Return the TLS context that every connection of ours is made with: the other side verified, 1.2 or newer.

    Raises:
        ConfigInvalid: The file cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(
            f"The CA file cannot be used: {getattr(error, 'strerror', None) or 'it holds no PEM certificate'}.",
            where=f"{key}: {ca_file}",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class NoAnswer(Exception):
    """There is no complete answer, for a reason that fits after a colon; a server's certificate may be that reason."""

    def __init__(self, why: str, *, certificate_flaw: str = "") -> None:
        super().__init__(why)
        self.certificate_flaw = certificate_flaw


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete answer, whatever its status; headers by name in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Asks servers that need not be trusted; a context manager.

    Every answer is bounded in size and time. No redirect is followed, no proxy is taken from the environment, nothing
    is unpacked.

    Args:
        seconds: Bound on one question and its answer: all of it but the name's look-up.
        tls: For https; None where only http is asked.
    """

    def __init__(self, *, seconds: float, max_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        import httpx  # noqa: PLC0415 - see the module

        self._seconds = seconds
        self._max_bytes = max_bytes
        # Without TLS a context that trusts nobody: httpx would read the machine's authorities for its own.
        verify = tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx.Client(verify=verify, trust_env=False, follow_redirects=False, timeout=seconds)
        self._connection: Any = None

    def ask(
        self,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        login: tuple[str, str] | None = None,
    ) -> HttpAnswer:
        """Ask one question: POST where there is a body, else GET; ``login`` is for basic authentication.

        Raises:
            NoAnswer: No connection, or no complete answer within the bounds.
        """
        import httpx  # noqa: PLC0415 - see the module

        # Unpacked, an answer could grow beyond any bound: none that is packed is asked for.
        plain = {**(headers or {}), "Accept-Encoding": "identity"}
        method, extensions = "GET" if body is None else "POST", {"trace": self._trace}
        late = NoAnswer(f"no answer in {self._seconds:g} seconds")
        ends = time.monotonic() + self._seconds
        try:
            with (
                self._time_limit(),
                self._client.stream(
                    method, url, content=body, headers=plain, auth=login, extensions=extensions
                ) as response,
            ):
                found = {name.lower(): value for name, value in response.headers.items()}
                answer = HttpAnswer(url, response.status_code, found, self._read(response))
        except httpx.TimeoutException:
            raise late from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise (late if time.monotonic() >= ends else _failure(error)) from None
        # An answer that ends where its connection ends may be one that was cut off here.
        if time.monotonic() >= ends:
            raise late
        return answer

    def _read(self, response: httpx.Response) -> bytes:
        read = bytearray()
        for chunk in response.iter_raw():
            read += chunk
            if len(read) > self._max_bytes:
                raise NoAnswer(f"the answer is larger than {self._max_bytes:,} bytes")
        return bytes(read)

    @contextlib.contextmanager
    def _time_limit(self) -> Iterator[None]:
        """Shut the connection down when the time is over.

        httpx bounds each wait by itself, so that a server which sends a byte now and then could go on for ever.
        """
        timer = threading.Timer(self._seconds, self._shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the connection (https://www.encode.io/httpcore/extensions/#trace)."""
        if event in _CONNECTED:
            self._connection = info["return_value"]

    def _shut_down(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()


def _failure(error: Exception) -> NoAnswer:
    """Say what broke, by the error of the system or of TLS that is behind httpx's own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoAnswer("the server's certificate is refused", certificate_flaw=cause.verify_message)
        if isinstance(cause, ssl.SSLError):
            return NoAnswer(f"TLS failed ({cause.reason or type(cause).__name__})")
        if isinstance(cause, OSError):
            return NoAnswer(f"no connection: {cause.strerror or 'the host is not known'}")
        cause = cause.__cause__ or cause.__context__
    return NoAnswer("the answer is cut off or no HTTP")
