"""An issuer's HTTP server on loopback: serves CRLs and OCSP answers, or does what servers should not do."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import IPPROTO_TCP, TCP_NODELAY, socket

Misbehaviour = Callable[[socket], None]
"""What is done with the connection after the question has been read."""


class IssuersServer:
    """What lies at each path, and how often it was asked for."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: dict[str, bytes | int | Misbehaviour] = {}
        self.asked: Counter[str] = Counter()
        self.questions: dict[str, bytes] = {}
        self.ended = threading.Event()

    def at(self, path: str) -> str:
        """The address of a path."""
        return f"{self.address}/{path}"

    def drip(self, connection: socket) -> None:
        """Send a byte now and then, and never come to an end."""
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not self.ended.wait(0.02):
                connection.sendall(b"x")


@contextlib.contextmanager
def issuers_server() -> Iterator[IssuersServer]:
    """Run one on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(b"")

        def do_POST(self) -> None:
            self.reply(self.rfile.read(int(self.headers["Content-Length"])))

        def reply(self, question: bytes) -> None:
            path = self.path.removeprefix("/")
            served.asked[path] += 1
            served.questions[path] = question
            answer = served.answers.get(path, 404)
            if callable(answer):
                self.close_connection = True
                answer(self.connection)
                return
            status, body = (answer, b"") if isinstance(answer, int) else (200, answer)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", served.at("elsewhere"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # as the register's stub
    served = IssuersServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
