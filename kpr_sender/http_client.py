"""One HTTP client with bounds, for servers that need not be trusted.

One deadline holds over all of a question: name, addresses, handshake, head and body. The only module that knows
httpcore, and it loads it where something is asked: that takes a tenth of a second.
"""

from __future__ import annotations

import base64
import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from kpr_sender.deadline import Stopped, never, one_wait
from kpr_sender.net import VERIFY_ERRORS, open_socket
from kpr_sender.texts import Text

if TYPE_CHECKING:
    import httpcore
    from httpcore import NetworkBackend, NetworkStream
else:  # httpcore asks for the methods alone
    NetworkBackend = NetworkStream = object


class NoAnswer(Exception):
    """There is no complete answer, for a reason that fits after a colon; a server's certificate may be that reason."""

    def __init__(self, why: str, *, certificate_flaw: str = "") -> None:
        super().__init__(why)
        self.certificate_flaw = certificate_flaw


class BrokenOff(NoAnswer):
    """The run was told to stop, or its time was up, before there was an answer: it says nothing about the server."""

    def __init__(self) -> None:
        super().__init__(Text("the run was told to stop, or its time was up"))


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete answer, whatever its status; headers by name in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Asks servers that need not be trusted; a context manager, for one thread.

    Every answer is bounded in size and time, whatever the server does. No redirect is followed, no proxy is taken from
    the environment, nothing is unpacked.

    Args:
        seconds: Bound on one question and its answer: name, addresses, handshake, head and body.
        tls: For https; None where only http is asked.
        stopped: Breaks a question off within a second.
    """

    def __init__(
        self, *, seconds: float, max_bytes: int, tls: ssl.SSLContext | None = None, stopped: Stopped = never
    ) -> None:
        import httpcore  # noqa: PLC0415 - see the module

        self._seconds = seconds
        self._max_bytes = max_bytes
        # Without TLS a context that trusts nobody: httpcore would read the machine's authorities for its own.
        self._tls = tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.set_alpn_protocols(["http/1.1"])
        self._network = _Network(stopped)
        self._pool = httpcore.ConnectionPool(ssl_context=self._tls, network_backend=self._network)

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
            NoAnswer: No connection, or no complete answer within the bounds; ``BrokenOff`` where the run was stopped.
        """
        self._network.deadline = time.monotonic() + self._seconds
        try:
            split = urlsplit(url)
            self._network.tls = self._tls if split.scheme == "https" else None
            plain = {
                "Host": split.netloc.rpartition("@")[2],
                "User-Agent": "kpr-sender",
                "Accept": "*/*",
                **(headers or {}),
                # Unpacked, an answer could grow beyond any bound: none that is packed is asked for.
                "Accept-Encoding": "identity",
            }
            if login is not None:
                plain["Authorization"] = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"
            method = "GET" if body is None else "POST"
            with self._pool.stream(method, url, headers=[*plain.items()], content=body) as response:
                return HttpAnswer(url, response.status, _joined(response.headers), self._read(response))
        except NoAnswer:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a foreign byte makes the library raise is no answer
            if self._network.stopped():
                raise BrokenOff from None
            if isinstance(error, TimeoutError):
                raise NoAnswer(Text("no answer in {seconds} seconds", seconds=format(self._seconds, "g"))) from None
            raise _failure(error) from None

    def _read(self, response: httpcore.Response) -> bytes:
        read = bytearray()
        for chunk in response.iter_stream():
            read += chunk
            if len(read) > self._max_bytes:
                raise NoAnswer(Text("the answer is larger than {max_bytes:,} bytes", max_bytes=self._max_bytes))
        return bytes(read)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.close()


class _Network(NetworkBackend):
    """Opens httpcore's connections (https://www.encode.io/httpcore/network-backends/).

    httpcore bounds each wait by itself, so that a server which sends a byte now and then could go on for ever.

    Attributes:
        deadline: Of the question that is asked now; every connection obeys it.
        stopped: Whether to break it off.
        tls: For the next connection.
    """

    def __init__(self, stopped: Stopped) -> None:
        self.deadline = 0.0
        self.stopped = stopped
        self.tls: ssl.SSLContext | None = None

    def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> NetworkStream:
        return _Stream(self, open_socket(host, port, deadline=self.deadline, tls=self.tls, stopped=self.stopped))


class _Stream(NetworkStream):
    """One connection; the timeouts that httpcore gives are not used."""

    def __init__(self, network: _Network, connected: socket.socket) -> None:
        self._network = network
        self._socket = connected

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - see the class
        while True:
            self._wait_no_longer()
            with contextlib.suppress(TimeoutError):
                return self._socket.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - see the class
        import httpcore  # noqa: PLC0415 - see the module

        try:
            while buffer:
                self._wait_no_longer()
                with contextlib.suppress(TimeoutError):
                    buffer = buffer[self._socket.send(buffer) :]
        except TimeoutError:
            raise
        except OSError as error:  # httpcore then reads the answer that may have come before the end
            raise httpcore.WriteError from error

    def _wait_no_longer(self) -> None:
        """Bound the next wait by what is left; raise ``TimeoutError`` where nothing is."""
        self._socket.settimeout(one_wait(self._network.deadline, self._network.stopped))

    def close(self) -> None:
        self._socket.close()

    def start_tls(self, *_: object, **__: object) -> NetworkStream:
        """Return this connection: TLS began with it, since an address counts as reached only after the handshake."""
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return whether the server has sent something, or hung up, since the last answer: all that is asked."""
        if info != "is_readable":
            return None
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return bool(selector.select(0))


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for raw, value in headers:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


_NO_HOST: Final = Text("the host is not known")


def _flaw(error: ssl.SSLCertVerificationError) -> str:
    """Return what is wrong with a certificate: in our words where we have any, and in OpenSSL's, which tell more."""
    flaw = VERIFY_ERRORS.get(error.verify_code)
    return Text("it {flaw}: {reason}", flaw=flaw, reason=error.verify_message) if flaw else error.verify_message


def _failure(error: Exception) -> NoAnswer:
    """Say what broke, by the error of the system or of TLS that is behind httpcore's own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoAnswer(Text("the server's certificate is refused"), certificate_flaw=_flaw(cause))
        if isinstance(cause, ssl.SSLError):
            return NoAnswer(Text("TLS failed ({reason})", reason=cause.reason or type(cause).__name__))
        if isinstance(cause, OSError):
            return NoAnswer(Text("no connection: {reason}", reason=cause.strerror or _NO_HOST))
        cause = cause.__cause__ or cause.__context__
    return NoAnswer(Text("the answer is cut off or no HTTP"))
