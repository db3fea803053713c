"""The sandbox's Adresseregister: CommunicationPartyService over HTTPS with basic authentication, on loopback."""

from __future__ import annotations

import base64
import binascii
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Final, Protocol

from lxml import etree

from kpr_sender.messages import safe_xml
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.registry.soap import PARTY
from kpr_sender.sandbox.register_answers import answer, fault, not_supported
from kpr_sender.sandbox.registered import Level
from kpr_sender.settings.sample_file import HOST, REGISTER_PATH, register_url

_MAX_QUESTION: Final = 65_536  # bytes
_SECONDS: Final = 10.0  # for one client's next bytes
_CHALLENGE: Final = 'Basic realm="kpr-sender sandbox"'
"""Without it .NET's client never sends its user and password."""
_NOT_UNDERSTOOD: Final = "The message is not a question to this service."
_DOWN: Final = b"<html><body><h1>503 Service Unavailable</h1></body></html>"
_XML: Final = "text/xml; charset=utf-8"


class Entries(Protocol):
    """What the register asks the sandbox."""

    def knows(self, user: str, password: bytes) -> bool:
        """Tell whether a login is valid."""

    def level(self, her_id: int) -> Level | None:
        """Return who has a HER-id; None when nobody has."""

    def register_is_down(self) -> bool:
        """Tell whether nothing is answered now."""


class Register:
    """Answers questions about the sandbox's parties, from ``start`` to ``close``.

    Args:
        entries: Who is registered, and who may ask.
        tls: With the server's certificate.
        port: 0 for any free one.
        now: The clock; aware.
    """

    def __init__(self, entries: Entries, *, tls: ssl.SSLContext, port: int, now: Callable[[], datetime]) -> None:
        self._entries = entries
        self._now = now
        self._server = _Server(self, tls, port)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kpr-sandbox-register", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address."""
        return register_url(self.port)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Free the port."""
        self._closing.set()
        # Whoever waits for a connection wakes up by one.
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, self.port), timeout=_SECONDS).close()
        self._thread.join()
        self._server.server_close()

    def reply(self, authorization: str, body: bytes) -> tuple[HTTPStatus, bytes]:
        """Answer one question.

        Args:
            authorization: The header of that name.
            body: The envelope.
        """
        if self._entries.register_is_down():
            return HTTPStatus.SERVICE_UNAVAILABLE, _DOWN
        if not self._entries.knows(*_login(authorization)):
            return HTTPStatus.UNAUTHORIZED, b""
        asked = _asked(body)
        if asked is None:
            return HTTPStatus.INTERNAL_SERVER_ERROR, not_supported(_NOT_UNDERSTOOD)
        operation, her_id = asked
        level = self._entries.level(her_id)
        if level is None:
            return HTTPStatus.INTERNAL_SERVER_ERROR, fault("InvalidHerIdSupplied", "Nobody here has this HER-id.")
        written = answer(operation, level, at=self._now())
        if written is None:
            return HTTPStatus.INTERNAL_SERVER_ERROR, not_supported(f"The sandbox does not answer {operation}.")
        return HTTPStatus.OK, written

    def _run(self) -> None:
        while not self._closing.is_set():
            self._server.handle_request()


def _login(authorization: str) -> tuple[str, bytes]:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", b""
    try:
        user, _, password = base64.b64decode(credentials, validate=True).partition(b":")
        return user.decode("utf-8"), password
    except (binascii.Error, ValueError):
        return "", b""


def _asked(body: bytes) -> tuple[str, int] | None:
    """Return the operation and whom it is about, -1 where it names nobody; None where it is no question to us."""
    try:
        envelope = safe_xml.parse(body, max_bytes=_MAX_QUESTION)
    except MessageRefused:
        return None
    question = envelope.find("{http://schemas.xmlsoap.org/soap/envelope/}Body/*")
    if question is None or etree.QName(question).namespace != PARTY:
        return None
    her_id = question.findtext(f"{{{PARTY}}}herId") or ""
    return etree.QName(question).localname, int(her_id) if her_id.isdecimal() else -1


class _Server(ThreadingTCPServer):
    """Serves each connection on a thread of its own: a slow handshake delays nobody else."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, register: Register, tls: ssl.SSLContext, port: int) -> None:
        self.register = register
        self._tls = tls
        super().__init__((HOST, port), _Handler)

    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)  # noqa: S101 - a TCP server's requests are
        request.settimeout(_SECONDS)
        with self._tls.wrap_socket(request, server_side=True) as secured:
            _Handler(secured, client_address, self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that hangs up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one piece: a second one would wait for the first one's acknowledgement
    server: _Server

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_QUESTION:
            self._send(HTTPStatus.BAD_REQUEST, not_supported(_NOT_UNDERSTOOD))
            return
        # Whoever is answered before all is read may never see the answer.
        body = self.rfile.read(int(length))
        if self.path == REGISTER_PATH:
            self._send(*self.server.register.reply(self.headers.get("Authorization", ""), body))
        else:
            self._send(HTTPStatus.NOT_FOUND, b"")

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        if status is not HTTPStatus.OK:
            # What was not read of a refused question must not be taken for the next one.
            self.send_header("Connection", "close")
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", _CHALLENGE)
        self.send_header("Content-Type", _XML)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing: the ledger lists what came."""
