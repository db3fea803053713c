"""Small servers on loopback that behave badly, and name servers that say where they are."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.helpers.tls_certificates import Authority

Behaviour = Callable[[socket.socket, threading.Event], None]
"""What is done with an accepted connection; the event is set at the end of the test."""


@contextlib.contextmanager
def serving(behave: Behaviour, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve each connection on a thread of its own; yield the port."""
    ended = threading.Event()
    threads: list[threading.Thread] = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def serve(accepted: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(accepted):
            accepted.settimeout(10)
            connected = accepted if context is None else context.wrap_socket(accepted, server_side=True)
            with contextlib.closing(connected):
                behave(connected, ended)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True)
                threads.append(thread)
                thread.start()

    with socket.create_server((host, 0), family=family) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
    for thread in (accepting, *threads):
        thread.join(10)


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port of 127.0.0.1 that answers no attempt to connect: its queue is full."""
    with contextlib.ExitStack() as kept:
        listener = kept.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filling = kept.enter_context(socket.socket())
            filling.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filling.connect(listener.getsockname())
        yield listener.getsockname()[1]


def resolve(monkeypatch: pytest.MonkeyPatch, addresses: Sequence[tuple[str, int]]) -> None:
    """Let every name have these addresses and ports, in this order."""
    answer = [
        (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))
        for host, port in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)


def server_context(authority: Authority, folder: Path, *names: str) -> ssl.SSLContext:
    """Return a server's context with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(folder, *names))
    return context
