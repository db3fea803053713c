"""A relay that can stop bringing the broker's answers: what the broker knows, and the sender does not."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Final, Self

_PIECE: Final = 64 * 1024  # bytes


class OneWayRelay:
    """Passes everything on between one client and the broker's port; after ``deaf`` is set, no answer any more."""

    def __init__(self, port: int) -> None:
        self.deaf = threading.Event()
        self._broker_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in self._ends:
            end.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # nobody came
            client = self._listener.accept()[0]
            broker = socket.create_connection(("127.0.0.1", self._broker_port), timeout=10)
            broker.settimeout(None)
            self._ends += [client, broker]
            answers = threading.Thread(target=self._pass_on, args=(broker, client), daemon=True)
            self._threads.append(answers)
            answers.start()
            _copy(client, broker)

    def _pass_on(self, broker: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := broker.recv(_PIECE):
                if not self.deaf.is_set():
                    client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
