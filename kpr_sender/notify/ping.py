"""Pings a watcher at a run's start and end, as healthchecks has it (https://healthchecks.io/docs/http_api/).

``/start``, the address itself for success, ``/{exit code}`` for a failure, each with the run's own ``rid``. The address
is a secret: it is in no message.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kpr_sender.deadline import Stopped, never, wait_for
from kpr_sender.errors import ConfigInvalid
from kpr_sender.http_client import HttpClient, NoAnswer
from kpr_sender.net import is_loopback, verifying
from kpr_sender.settings.secrets import Secret
from kpr_sender.texts import Text, said

KEY: Final = "monitor.ping_url"
SECONDS: Final = 10.0
START_SECONDS: Final = 3.0
"""The start is said beside the run, which does not wait for it."""
_LEAST_SECONDS: Final = 0.1
_MOST_BYTES: Final = 65_536
_URL: Final = re.compile(r"[!-~]+")
"""What no request can have in its first line is no address, either: blanks, other invisible signs, other letters."""
_GOOD: Final = range(200, 300)


class HttpPinger:
    """A ``Pinger``.

    Args:
        url: The address.
        new_id: Makes the run's own id.

    Raises:
        ConfigInvalid: The secret is not there or is no address, or TLS cannot be set up.
    """

    def __init__(self, url: Secret, new_id: Callable[[], str]) -> None:
        self._url = url.reveal()
        self._tls = _tls(self._url)
        self._rid = new_id()
        self._started: Future[str] = Future()
        self._started.set_result("")

    def begin(self) -> None:
        """Say that it begins, on a thread of its own."""
        started: Future[str] = Future()

        def start() -> None:
            why = "it could not be asked"
            try:
                why = self._ask("/start", "", seconds=START_SECONDS, stopped=never)
            finally:
                started.set_result(why)

        threading.Thread(target=start, name="kpr-ping", daemon=True).start()
        self._started = started  # only now: nobody waits for a thread that could not be started

    def end(self, *, failure: int | None, text: str, stopped: Stopped = never) -> str:
        """Say that it has ended; after the start, or a watcher would take the run for one that goes on."""
        ends = time.monotonic() + SECONDS
        with suppress(TimeoutError):
            wait_for(self._started, ends, stopped)
        suffix = "" if failure is None else f"/{failure}"
        left = round(max(ends - time.monotonic(), _LEAST_SECONDS), 1)
        return self._ask(suffix, text, seconds=left, stopped=stopped)

    def _ask(self, suffix: str, text: str, *, seconds: float, stopped: Stopped) -> str:
        split = urlsplit(self._url)
        query = urlencode([*parse_qsl(split.query, keep_blank_values=True), ("rid", self._rid)])
        url = urlunsplit((split.scheme, split.netloc, split.path.rstrip("/") + suffix, query, ""))
        try:
            with HttpClient(seconds=seconds, max_bytes=_MOST_BYTES, tls=self._tls, stopped=stopped) as client:
                status = client.ask(url, text.encode()).status
        except NoAnswer as error:
            return said(error)
        return "" if status in _GOOD else f"HTTP {status}"


def _tls(url: str) -> ssl.SSLContext | None:
    """Return what the address is asked with; only on this machine may it be without TLS.

    Raises:
        ConfigInvalid: It is no address to ping.
    """
    try:
        split = urlsplit(url)
        host, port = split.hostname or "", split.port
    except ValueError:
        host, port, split = "", None, urlsplit("")
    plain = split.scheme == "http" and is_loopback(host)
    if (
        not host
        or port == 0
        or "@" in split.netloc
        or not (plain or split.scheme == "https")
        or not _URL.fullmatch(url)
    ):
        raise ConfigInvalid(
            Text("Expected an address that begins with https://, without user and password."), where=KEY
        )
    return None if plain else verifying(None, key=KEY)
