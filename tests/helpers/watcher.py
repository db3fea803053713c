"""Who is told of a run, on loopback: takes notices (apprise's json://) and pings, and remembers them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

SECRET = "hemmelig-token-i-test"
"""A part of every address that must be nowhere else."""


class Watcher:
    """What was sent to it, in order."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, int] = {}
        self.notices: list[tuple[str, str, str]] = []
        self.pings: list[tuple[str, str]] = []
        self.rids: list[str] = []

    def notify_url(self, name: str = "a") -> str:
        """An address as apprise writes it; each name is another one."""
        return f"json://bruker:{SECRET}@127.0.0.1:{self.port}/notice/{name}"

    @property
    def ping_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ping/{SECRET}"

    def write(self, folder: Path, *names: str) -> dict[str, dict[str, object]]:
        """Write the files with the addresses, and return what a configuration says of them."""
        for name, text in (
            ("notify-urls", "\n".join(["# Who is told", "", *map(self.notify_url, names or ("a",))])),
            ("ping-url", self.ping_url),
        ):
            (folder / name).write_text(f"{text}\n", encoding="utf-8")
            (folder / name).chmod(0o600)
        return {
            "notify": {"urls_file": "notify-urls"},
            "monitor": {"ping_url_file": "ping-url", "metrics_file": "kpr.prom"},
        }

    def taken(self, path: str, body: bytes) -> int:
        """Remember a request; return the status to answer with."""
        split = urlsplit(path)
        status = self.answers.get(split.path, 200)
        if split.path.startswith("/notice/"):
            sent = json.loads(body)
            if status == 200:
                self.notices.append((split.path.rpartition("/")[2], sent["title"], sent["message"]))
        else:
            self.pings.append((split.path.removeprefix(f"/ping/{SECRET}"), body.decode()))
            self.rids += parse_qs(split.query)["rid"]
        return status


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    """Run one on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(made.taken(self.path, body))
            self.send_header("Content-Length", "2")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b"OK")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Watcher(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
