"""What registers, HelseID and servers on plain HTTP answer."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from datetime import UTC, datetime
from typing import Final, Self, cast

import pytest
from joserfc.jwk import ECKey

from kpr_sender.errors import KprError
from kpr_sender.http_client import HttpAnswer, NoAnswer
from kpr_sender.registry import client, rest, soap
from kpr_sender.registry.helseid import HelseId
from kpr_sender.sandbox.register_answers import fault
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import HelseIdSettings, RegistrySettings
from kpr_sender.trust.fetch import fetch
from tests.helpers import helseid_stub, pki, registry_stub
from tests.helpers.loopback import serving
from tests.proofs.fuzz_parser import Target

_FOUND: Final = registry_stub.Facts(
    171479, 994598759, certificates=(pki.certificate(pki.Kind.ENCRYPTION), pki.certificate(pki.Kind.SIGNER))
)
_HELSEID: Final = HelseIdSettings(
    url="https://helseid",
    client_id="x",
    client_key=Secret(json.dumps(ECKey.generate_key("P-256").as_dict(private=True))),
)
_SETTINGS: Final = RegistrySettings(url="https://register", user="kommune", password=Secret("x"), helseid=_HELSEID)
_MANY: Final = 4_000


class _Answers:
    """Stands for a client of a register: answers each question alike."""

    def __init__(self) -> None:
        self.answer = HttpAnswer("https://register", 200, {}, b"")

    def __call__(self, *_: object, **__: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, *_: object, **__: object) -> HttpAnswer:
        return self.answer

    get = ask

    def say(self, data: bytes, status: int = 200) -> None:
        """Answer with this from now on; what is spoilt is in two headers, too."""
        text = data.decode("latin-1")
        headers = {"dpop-nonce": text, "www-authenticate": text}
        self.answer = HttpAnswer("https://register", status, headers, data)


def soap_answers(patch: pytest.MonkeyPatch, *, large: bool = False) -> Target:
    """The SOAP service: a party, a certificate, a fault; or a party with thousands of addresses."""
    answers = _Answers()
    patch.setattr(soap, "RegistryClient", answers)
    register = soap.SoapRegister(_SETTINGS)

    def read(data: bytes) -> None:
        answers.say(data)
        register.fetch(_FOUND.her_id)

    addresses = tuple(registry_stub.Address("E_EDI", f"mottak-{number}@kommune.test") for number in range(_MANY))
    samples = [
        registry_stub.details(registry_stub.Facts(_FOUND.her_id, _FOUND.parent, addresses if large else ())),
        registry_stub.certificate(soap.ENCRYPTION, _FOUND.certificates[0]),
        fault("InvalidHerIdSupplied", "nei"),
    ]
    return Target(samples[:1] if large else samples, read, (KprError,))


def rest_answers(patch: pytest.MonkeyPatch) -> Target:
    """The register's JSON: one object that answers all of its questions."""
    answers = _Answers()
    patch.setattr(rest, "RegistryClient", answers)
    patch.setattr(rest, "HelseId", answers)
    register = rest.RestRegister(_SETTINGS, lambda: datetime.now(UTC))

    def read(data: bytes) -> None:
        answers.say(data)
        register.fetch(_FOUND.her_id)

    whole = helseid_stub.party(_FOUND) | helseid_stub.certificate(_FOUND, "signing")
    return Target(
        [json.dumps(each).encode() for each in (whole, whole | {"displayName": "KPR \ud800"})], read, (KprError,)
    )


def helseid_answers(patch: pytest.MonkeyPatch) -> Target:
    """HelseID's JSON, with each status that it may have, and its nonce; then the interface that it guards."""
    answers = _Answers()
    now = datetime.now(UTC)
    guarded = HelseId(_HELSEID, scope=rest.SCOPE, client=cast("client.RegistryClient", answers), now=lambda: now)

    def read(data: bytes) -> None:
        answers.say(data, (200, 400, 401, 503)[len(data) % 4])
        guarded.get("https://register/x")

    token = {"access_token": "eyJ0", "token_type": "DPoP", "expires_in": 300, "scope": rest.SCOPE}
    refused = [{"error": "use_dpop_nonce"}, {"error": "invalid_client", "error_description": "nei"}]
    return Target([json.dumps(each).encode() for each in (token, *refused)], read, (KprError,))


def http_answers(stack: contextlib.ExitStack, patch: pytest.MonkeyPatch) -> Target:
    """A server's bytes, for an issuer's list and for the register's clock; each example connects twice."""
    answers: list[bytes] = []
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the machine's authorities take long to read, for plain HTTP
    patch.setattr(client, "verifying", lambda *_, **__: trusting)

    def behave(connection: socket.socket, _: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(answers[0])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    port = stack.enter_context(serving(behave))
    settings = RegistrySettings(url=f"http://127.0.0.1:{port}", user="x", password=Secret("x"), timeout=2.0)

    def read(data: bytes) -> None:
        answers[:] = [data]
        with contextlib.suppress(NoAnswer):
            fetch(f"http://127.0.0.1:{port}/a.crl", most=10_000, seconds=2.0)
        client.clock_ahead_of_us(settings, lambda: datetime.now(UTC))

    head = b"HTTP/1.1 200 OK\r\nDate: Tue, 07 Jan 2025 08:00:00 GMT\r\n"
    samples = [
        head + b"Content-Length: 4\r\nContent-Type: text/plain\r\n\r\nx509",
        head + b"Transfer-Encoding: chunked\r\n\r\n4\r\nx509\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + head + b"Connection: close\r\n\r\nx509",
    ]
    return Target(samples, read, (KprError,))
