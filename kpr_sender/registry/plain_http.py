"""One question over plain HTTP, within a size and a time. For what is signed itself: CRLs and OCSP answers.

No redirect is followed, no proxy is taken from the environment, no connection is kept.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Final
from urllib.parse import SplitResult, urlsplit

_PORT: Final = 80
_PIECE: Final = 1 << 16
_MOST_HEAD: Final = 1 << 16


class Unreachable(Exception):
    """No answer that can be used; the text says why."""


def fetch(address: str, *, most: int, seconds: float, question: bytes | None = None, content_type: str = "") -> bytes:
    """Return what lies at an address.

    Args:
        address: ``http://host[:port]/path``.
        most: The most bytes that are taken.
        seconds: The longest time for all of it, but for the name's look-up.
        question: What to POST; a GET without it.
        content_type: The question's.

    Raises:
        Unreachable: No connection, no answer in time, too large, cut off, or another status than 200.
    """
    split = _split(address)
    try:
        answer = _exchange(split, _request(split, question, content_type), most + _MOST_HEAD, seconds)
    except TimeoutError:
        raise Unreachable(f"no answer in {seconds:g} seconds") from None
    except OSError as error:
        raise Unreachable(f"no connection: {error.strerror or 'the host is not known'}") from None
    response = http.client.HTTPResponse(_Received(answer))  # type: ignore[arg-type]  # makefile is all it asks for
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError):
        raise Unreachable("the answer is cut off or no HTTP") from None
    if response.status != http.client.OK:
        raise Unreachable(f"the server says {response.status}")
    if len(body) > most:
        raise Unreachable(f"the answer is larger than {most:,} bytes")
    return body


class _Received:
    """An answer that is here already, for the standard library's reader."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _split(address: str) -> SplitResult:
    try:
        split = urlsplit(address)
        port = split.port
    except ValueError:
        raise Unreachable("the address cannot be read") from None
    if split.scheme != "http" or not split.hostname or split.username is not None or port == 0:
        raise Unreachable("the address is not plain http")
    if not all("!" <= letter <= "~" for letter in address):
        raise Unreachable("the address cannot be read")
    return split


def _request(split: SplitResult, question: bytes | None, content_type: str) -> bytes:
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    lines = [f"{'GET' if question is None else 'POST'} {target} HTTP/1.1", f"Host: {split.netloc}", "Connection: close"]
    if question is not None:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(question)}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (question or b"")


def _exchange(split: SplitResult, request: bytes, most: int, seconds: float) -> bytes:
    """Send and read to the end. The time is for all of it: a server that drips gets no more."""
    ends = time.monotonic() + seconds

    def left() -> float:
        remaining = ends - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining

    pieces: list[bytes] = []
    with socket.create_connection((split.hostname, split.port or _PORT), timeout=left()) as connection:
        connection.settimeout(left())
        connection.sendall(request)
        size = 0
        while size <= most:
            connection.settimeout(left())
            piece = connection.recv(_PIECE)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
    raise Unreachable("the answer is too large")
