"""Listens: the page on one address, figures for programs on another, both on one thread with its own event loop.

uvicorn does it. It takes no header's word for who asks, writes no log (an address may hold what somebody searched for),
and installs no signal handlers: those are the command's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.types import ASGIApp

from kpr_sender.errors import ConfigInvalid, InternalError
from kpr_sender.settings.web import ListenAddress
from kpr_sender.texts import Text

_BACKLOG: Final = 128
_MOST_AT_ONCE: Final = 256
"""Connections and requests; more are answered 503."""
_HEADER_BYTES: Final = 32_768
_IDLE_SECONDS: Final = 20
_LAST_SECONDS: Final = 3
_SILENT: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "authlib", "httpx2", "httpcore2")
"""They log addresses, and traces with whatever stands in them; what goes wrong is told by ``unexpected``."""


def bind(endpoint: ListenAddress, *, key: str) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigInvalid: The address is not this machine's, the port is taken, or must not be.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET)
    try:
        # A port whose last owner has just ended; on Windows the same word lets two programs have one port.
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((endpoint.host, endpoint.port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigInvalid(
            Text("Nothing can listen on {endpoint}: {reason}.", endpoint=endpoint, reason=error.strerror), where=key
        ) from None
    listening.setblocking(False)
    return listening


def endpoint_of(listening: socket.socket) -> ListenAddress:
    """Return where a socket listens."""
    host, port, *_ = listening.getsockname()
    return ListenAddress(host, port)


def own_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context that the page shows its certificate with: TLS 1.2 or newer.

    Raises:
        ConfigInvalid: The files cannot be read, or do not go together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or Text("certificate and key are no pair in PEM without passphrase")
        raise ConfigInvalid(
            Text("The page's certificate cannot be used: {reason}.", reason=reason), where="web.certificate, web.key"
        ) from None
    return context


def _no_passphrase() -> str:
    """Let no terminal be asked: OpenSSL would."""
    raise ValueError


@dataclass(frozen=True, slots=True)
class Listening:
    """An application and the socket that it answers on."""

    app: ASGIApp
    socket: socket.socket


class Serving:
    """Serves until it is closed; a context manager.

    Args:
        make: Makes the applications, on the thread and in the loop that they run in.
        tls: What the page shows; None for none.
    """

    def __init__(self, make: Callable[[], Sequence[Listening]], tls: ssl.SSLContext | None) -> None:
        self._make, self._tls = make, tls
        self._servers: list[uvicorn.Server] = []
        self._started: Future[None] = Future()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="kpr-web", daemon=True)

    def __enter__(self) -> Self:
        """Begin; what the applications cannot be made of is raised here."""
        for name in _SILENT:
            logging.getLogger(name).addFilter(_nothing)
        self._thread.start()
        self._started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.should_exit = True
        self._thread.join()
        for name in _SILENT:
            logging.getLogger(name).removeFilter(_nothing)

    def wait(self) -> None:
        """Wait for it without end.

        Raises:
            InternalError: It has ended by itself.
        """
        while self._thread.is_alive():
            self._thread.join(1)  # a wait without end hears no signal on Windows
        why = "end" if self._failure is None else type(self._failure).__name__
        raise InternalError(Text("An unexpected {name}.", name=why))

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it, or says it
            self._failure = error
            if not self._started.done():
                self._started.set_exception(error)

    async def _serve(self) -> None:
        listening = self._make()
        self._servers += [uvicorn.Server(self._config(one.app)) for one in listening]
        serving = [server.serve(sockets=[one.socket]) for server, one in zip(self._servers, listening, strict=True)]
        self._started.set_result(None)  # the sockets take connections already
        await asyncio.gather(*serving)

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # else X-Forwarded-For of whoever is on this machine would say who asks
            server_header=False,
            limit_concurrency=_MOST_AT_ONCE,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_LAST_SECONDS,
            h11_max_incomplete_event_size=_HEADER_BYTES,
            ssl_context_factory=None if self._tls is None else self._context,
        )

    def _context(self, config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:  # noqa: ARG002 - uvicorn's signature
        if self._tls is None:
            raise TypeError("asked for only where there is one")
        return self._tls


def _nothing(_: logging.LogRecord) -> bool:
    return False
