"""An Adresseregister on a loopback port: HTTPS with basic authentication, answers made from the official samples.

What it says of a party, and what goes wrong, is set on the running stub.
"""

from __future__ import annotations

import base64
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from lxml import etree

from tests.helpers.shared import SHARED
from tests.helpers.tls_certificates import Authority

USER, PASSWORD = "kommune", "hemmelig-i-registeret"
KPR_VALIDERING, FHI = 171479, 85217
ADDRESS: Final = "127.0.0.1/NHNTESTServiceBus/171479_async"

_PARTY: Final = "http://register.nhn.no/CommunicationParty"
_COMMON: Final = "http://register.nhn.no/Common"
_SOAP_11: Final = b"http://schemas.xmlsoap.org/soap/envelope/"
_SOAP_12: Final = b"http://www.w3.org/2003/05/soap-envelope"
_DETAILS: Final = "GetCommunicationPartyDetails"
_CERTIFICATES: Final = {"GetCertificateForEncryption": 0, "GetCertificateForValidatingSignature": 1}


@dataclass(frozen=True)
class Address:
    """One electronic address, with the white space that the register has around some."""

    type: str
    text: str
    inherited: bool = False


@dataclass(frozen=True)
class Facts:
    """What the register says of a party.

    Attributes:
        changes: Other values of the sample's elements, by local name.
        certificates: For encryption, and for validating signatures; None where none is registered.
    """

    her_id: int = KPR_VALIDERING
    parent: int = FHI
    addresses: tuple[Address, ...] = (Address("E_SB_ASYNC", f"\n   {ADDRESS}  "), Address("E_SB_ERROR", "a/b/c_error"))
    changes: Mapping[str, str] = field(default_factory=dict)
    certificates: tuple[Certificate | None, Certificate | None] = (None, None)


Mishap = Callable[["_Handler", str], None]
"""Answers a question about an operation in some wrong way."""


def _sample(name: str) -> bytes:
    return (
        SHARED / "registries" / "soap-samples" / f"get-communication-party-details-{name}-response.xml"
    ).read_bytes()


def details(facts: Facts) -> bytes:
    """Return the sample of a service, made this party's."""
    root = etree.fromstring(_sample("service"))
    (result,) = root.iter(f"{{{_PARTY}}}{_DETAILS}Result")
    for name, text in {"HerId": str(facts.her_id), "ParentHerId": str(facts.parent), **facts.changes}.items():
        found = result.find(f"{{{_PARTY}}}{name}")
        (element,) = [found] if found is not None else list(result.iterfind(f"*/{{{_COMMON}}}{name}"))
        element.text = text
    (addresses,) = result.iterfind(f"{{{_PARTY}}}ElectronicAddresses")
    given = {address.type for address in facts.addresses}
    for element in addresses.findall(f"{{{_COMMON}}}ElectronicAddress"):
        if element.findtext(f"{{{_COMMON}}}TypeCodeValue") in given:
            addresses.remove(element)
    for address in facts.addresses:
        one = etree.SubElement(addresses, f"{{{_COMMON}}}ElectronicAddress")
        for name, text in (
            ("Address", address.text),
            ("Inherited", str(address.inherited).lower()),
            ("TypeCodeValue", address.type),
        ):
            etree.SubElement(one, f"{{{_COMMON}}}{name}").text = text
    return etree.tostring(root)


def certificate(operation: str, found: Certificate | None) -> bytes:
    """Return the answer to a question for a certificate."""
    content = b"" if found is None else base64.encodebytes(found.public_bytes(Encoding.DER))
    name = operation.encode()
    return (
        b'<s:Envelope xmlns:s="%s"><s:Body><%sResponse xmlns="%s"><%sResult>%s</%sResult></%sResponse></s:Body>'
        b"</s:Envelope>"
    ) % (_SOAP_12, name, _PARTY.encode(), name, content, name, name)


def fault(*, soap_11: bool = True, code: str = "InvalidHerIdSupplied") -> bytes:
    """Return the register's fault as SOAP 1.2 has it (the sample), or as SOAP 1.1 wraps the same detail."""
    sample = _sample("not-found").replace(b"InvalidHerIdSupplied", code.encode())
    if not soap_11:
        return sample
    detail = re.search(rb"<GenericFault.*</GenericFault>", sample, re.DOTALL)
    assert detail is not None
    return (
        b'<s:Envelope xmlns:s="%s"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>nei</faultstring>'
        b"<detail>%s</detail></s:Fault></s:Body></s:Envelope>"
    ) % (_SOAP_11, detail[0])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        stub = self.server.stub
        body = self.rfile.read(int(self.headers["Content-Length"]))
        root = etree.fromstring(body)
        assert root.tag == f"{{{_SOAP_11.decode()}}}Envelope"
        (question,) = root[0]
        operation = etree.QName(question).localname
        her_id = int(question.findtext(f"{{{_PARTY}}}herId") or 0)
        assert self.headers["SOAPAction"] == f'"{_PARTY}/ICommunicationPartyService/{operation}"'
        assert self.headers["Content-Type"] == "text/xml; charset=utf-8"
        stub.questions.append((operation, her_id))
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers["Authorization"] != f"Basic {expected}":
            self.reply(401, b"nei")
        elif stub.mishap is not None:
            stub.mishap(self, operation)
        else:
            self.reply(*stub.answer(operation, her_id))

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: Any  # the one whose handler it runs

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""


class HttpsStub:
    """A server with TLS on a loopback port, from ``with`` to its end.

    Args:
        folder: Where its TLS key is written.
        authority: Who signs its TLS certificate.
        names: What the certificate is made out to.

    Attributes:
        parties: What it knows.
        closing: Set at the end: a mishap that keeps a client waiting waits for it.
    """

    handler: type[BaseHTTPRequestHandler]

    def __init__(self, folder: Path, authority: Authority, *names: str) -> None:
        self.parties: dict[int, Facts] = {}
        self.closing = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(folder, *(names or ("127.0.0.1",))))
        self._server = _Server(("127.0.0.1", 0), self.handler)
        self._server.stub = self
        # Head and body of an answer are two packets: the second would wait 40 ms for the first one's acknowledgement.
        # Connections have it from the socket that they come in by.
        self._server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Be gone: whoever connects now is refused."""
        if not self.closing.is_set():
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class RegistryStub(HttpsStub):
    """The register's SOAP service.

    Attributes:
        mishap: How it answers instead, if so.
        questions: What it was asked, in order.
        dripped: How many bytes ``drips`` has sent.
    """

    handler = _Handler

    def __init__(self, folder: Path, authority: Authority, *names: str) -> None:
        _sample("service")  # where there is none, a test is skipped here, not in the server's thread
        super().__init__(folder, authority, *names)
        self.mishap: Mishap | None = None
        self.soap_11 = True
        self.questions: list[tuple[str, int]] = []
        self.dripped = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self.origin}/v1/AR/Basic"

    def answer(self, operation: str, her_id: int) -> tuple[int, bytes]:
        """Return status and body of the right answer."""
        facts = self.parties.get(her_id)
        if facts is None:
            return 500, fault(soap_11=self.soap_11)
        if operation == _DETAILS:
            body = details(facts)
        else:
            body = certificate(operation, facts.certificates[_CERTIFICATES[operation]])
        return 200, body.replace(_SOAP_12, _SOAP_11) if self.soap_11 else body


def says(status: int, body: bytes, **headers: str) -> Mishap:
    """Answer everything with the same."""
    return lambda handler, _operation: handler.reply(status, body, headers)


def spoils(change: Callable[[bytes], bytes]) -> Mishap:
    """Change the right answer's bytes."""

    def mishap(handler: _Handler, _operation: str) -> None:
        status, body = handler.server.stub.answer(*handler.server.stub.questions[-1])
        handler.reply(status, change(body))

    return mishap


def keeps_silent(handler: _Handler, _operation: str) -> None:
    """Take the question and answer nothing."""
    handler.server.stub.closing.wait(10)
    handler.close_connection = True


def drips(handler: _Handler, _operation: str) -> None:
    """Send an answer that never ends, a blank now and then: no single wait is ever long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.server.stub.closing.wait(0.02):
        handler.wfile.write(b" ")
        handler.server.stub.dripped += 1


def grows(handler: _Handler, _operation: str) -> None:
    """Send more than anybody reads."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000000")
    handler.end_headers()
    while not handler.server.stub.closing.is_set():
        handler.wfile.write(b" " * 65536)


def hangs_up(handler: _Handler, _operation: str) -> None:
    """Announce an answer and end in the middle of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"<s:Envelope")
    handler.close_connection = True
