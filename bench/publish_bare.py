"""``python -m bench.publish_bare BROKER FILE ...``: their side: proton's engine, bare, publishing sealed bytes.

Nothing is checked, built, journaled or waited for beyond the broker's *accepted*; TLS is Python's, as on our side.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proton import Collector, Connection, Delivery, Event, Message, Transport

from bench.memory import Growth

_READ = 1 << 16


class Publisher:
    """One connection, one link, one message after the other."""

    def __init__(self, broker: dict[str, Any]) -> None:
        context = ssl.create_default_context(cafile=broker["ca_file"])
        plain = socket.create_connection((broker["host"], broker["port"]))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(plain, server_hostname=broker["host"])
        self._collector = Collector()
        self._connection = Connection()
        self._connection.collect(self._collector)
        self._connection.container = "bare"
        self._connection.hostname = broker["host"]
        self._connection.user, self._connection.password = broker["username"], broker["password"]
        self._transport = Transport()
        sasl = self._transport.sasl()
        sasl.allow_insecure_mechs = True
        sasl.allowed_mechs("PLAIN")
        self._transport.bind(self._connection)
        self._connection.open()
        session = self._connection.session()
        session.open()
        self._sender = session.sender("bare")
        self._sender.target.address = f"/exchange/{broker['exchange']}/{broker['queue']}"
        self._sender.open()
        self._number = 0

    def publish(self, body: bytes) -> None:
        """Send one message and wait until it is accepted."""
        self._run(lambda: self._sender.credit > 0)
        self._number += 1
        delivery = self._sender.delivery(str(self._number))
        self._sender.stream(Message(body=body, id=str(self._number), durable=True, inferred=True).encode())
        self._sender.advance()
        self._run(lambda: bool(delivery.remote_state))
        if delivery.remote_state != Delivery.ACCEPTED:
            raise RuntimeError(f"not accepted: {delivery.remote_state}")
        delivery.settle()

    def close(self) -> None:
        """Close the connection, then the socket."""
        self._connection.close()
        self._push()
        self._socket.close()

    def _run(self, done: Callable[[], bool]) -> None:
        while True:
            self._push()
            while (event := self._collector.peek()) is not None:
                if event.type in {Event.CONNECTION_REMOTE_CLOSE, Event.SESSION_REMOTE_CLOSE, Event.TRANSPORT_ERROR}:
                    raise RuntimeError(f"{event.type}: {self._transport.condition}")
                self._collector.pop()
            if done():
                return
            if self._transport.pending() <= 0:
                self._transport.push(self._socket.recv(min(self._transport.capacity(), _READ)))

    def _push(self) -> None:
        while (pending := self._transport.pending()) > 0:
            self._socket.sendall(self._transport.peek(pending) or b"")
            self._transport.pop(pending)


def main(broker: dict[str, Any], files: list[Path]) -> None:
    """Publish the files; print seconds and memory from the connection to the last *accepted*."""
    grown = Growth()
    began = time.perf_counter()
    publisher = Publisher(broker)
    for path in files:
        publisher.publish(path.read_bytes())
    seconds = time.perf_counter() - began
    publisher.close()
    print(json.dumps({"seconds": seconds, "peak_mb": grown.mb()}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
