"""HelseID and the register's REST interface on one loopback port, as strict as the real ones are said to be."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, import_key

from tests.helpers.registry_stub import Facts, HttpsStub
from tests.helpers.tls_certificates import Authority

CLIENT_ID: Final = "3e2f8a10-0000-4000-8000-000000000000"
SCOPE: Final = "nhn:cp-api/access-v2-dpop"
_ALGORITHMS: Final = ["PS256", "ES256", "ES384", "ES512"]
_CLOCK: Final = 60


@dataclass
class Token:
    """An access token that was given out: whose key it is bound to, and what it opens."""

    thumbprint: str
    audience: str
    expired: bool = False


class RefusedError(Exception):
    """The stub says no."""

    def __init__(self, error: str, status: int = 400, **headers: str) -> None:
        super().__init__(error)
        self.error = error
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        stub = self._stub()
        form = {
            name: one
            for name, (one,) in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()
        }
        self._answer(lambda: stub.give_token(self.path, self.headers["DPoP"], form))

    def do_GET(self) -> None:
        stub = self._stub()
        self._answer(lambda: stub.tell(self.path, self.headers["DPoP"], self.headers["Authorization"]))

    def _stub(self) -> HelseIdStub:
        stub: HelseIdStub = cast("Any", self.server).stub
        return stub

    def _answer(self, tell: Callable[[], object]) -> None:
        stub = self._stub()
        headers: Mapping[str, str] = {}
        try:
            status, body = 200, json.dumps(tell()).encode()
        except RefusedError as refused:
            stub.refusals.append(refused.error)
            status, headers = refused.status, refused.headers
            body = json.dumps({"error": refused.error}).encode()
        if stub.instead is not None and (wrong := stub.instead(self.path)) is not None:
            status, body = wrong
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


class HelseIdStub(HttpsStub):
    """Issues tokens and answers whoever has one.

    Args:
        folder: Where its TLS key is written.
        authority: Who signs its TLS certificate.
        client_key: The client's public key.

    Attributes:
        nonces: The nonce that proofs must have, at each path's beginning; none where it is not asked for.
        renews_nonce: Ask for another nonce each time: a loop without end.
        audience: What the tokens are for.
        expires_first: Give out a first token that is expired already.
        instead: Another answer, by path; None lets the right one through.
        refusals: What was refused, in order.
    """

    handler = _Handler

    def __init__(self, folder: Path, authority: Authority, client_key: RSAKey | ECKey) -> None:
        super().__init__(folder, authority)
        self.client_key = client_key
        self.nonces: dict[str, str] = {}
        self.renews_nonce = False
        self.audience = "nhn:cp-api"
        self.expires_first = False
        self.instead: Callable[[str], tuple[int, bytes] | None] | None = None
        self.refusals: list[str] = []
        self.token_type = "DPoP"
        self._tokens: dict[str, Token] = {}
        self._jtis: set[str] = set()

    def give_token(self, path: str, proof: str, form: Mapping[str, str]) -> object:
        """Answer a token request."""
        if path != "/connect/token" or form["grant_type"] != "client_credentials" or form["scope"] != SCOPE:
            raise RefusedError("invalid_request")
        try:
            assertion = jwt.decode(form["client_assertion"], self.client_key, algorithms=_ALGORITHMS)
        except JoseError:
            raise RefusedError("invalid_client") from None
        claims = assertion.claims
        right = (
            assertion.header["typ"] == "client-authentication+jwt"
            and form["client_assertion_type"].endswith("jwt-bearer")
            and claims["iss"] == claims["sub"] == form["client_id"] == CLIENT_ID
            and claims["aud"] == self.origin
            and 0 < claims["exp"] - claims["iat"] <= _CLOCK
            and abs(claims["iat"] - time.time()) < _CLOCK
        )
        if not right or not self._is_new(claims["jti"]):
            raise RefusedError("invalid_client")
        key = self._proven(proof, "POST", path, refused="invalid_dpop_proof", status=400)
        token = uuid.uuid4().hex
        self._tokens[token] = Token(key, self.audience, expired=self.expires_first and not self._tokens)
        return {"access_token": token, "token_type": self.token_type, "expires_in": 600}

    def tell(self, path: str, proof: str, authorization: str) -> object:
        """Answer a question about a party, as the interface's description has it."""
        scheme, _, text = authorization.partition(" ")
        token = self._tokens.get(text)
        if scheme != "DPoP" or token is None or token.expired or token.audience != "nhn:cp-api":
            raise RefusedError("invalid_token", 401, WWW_Authenticate='DPoP error="invalid_token"')
        ath = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        if self._proven(proof, "GET", path, refused="invalid_dpop_proof", status=401, ath=ath) != token.thumbprint:
            raise RefusedError("invalid_dpop_proof", 401, WWW_Authenticate='DPoP error="invalid_dpop_proof"')
        what, _, rest = path.removeprefix("/api/v1/").partition("/")
        her_id, _, use = rest.partition("/")
        facts = self.parties.get(int(her_id))
        if facts is None:
            raise RefusedError("not_found", 404)
        return party(facts) if what == "communicationparty" else certificate(facts, use)

    def _proven(self, proof: str, method: str, path: str, *, refused: str, status: int, ath: str | None = None) -> str:
        """Check a proof and return its key's thumbprint."""
        header = json.loads(base64.urlsafe_b64decode(proof.partition(".")[0] + "=="))
        assert "d" not in header["jwk"], "a private key was sent"
        key = import_key(header["jwk"])
        claims = jwt.decode(proof, key, algorithms=_ALGORITHMS).claims
        right = (
            header["typ"] == "dpop+jwt"
            and (claims["htm"], claims["htu"]) == (method, self.origin + path)
            and claims.get("ath") == ath
            and abs(claims["iat"] - time.time()) < _CLOCK
        )
        if not right or not self._is_new(claims["jti"]):
            raise RefusedError(refused, status)
        wanted = next((nonce for beginning, nonce in self.nonces.items() if path.startswith(beginning)), None)
        if self.renews_nonce or (wanted is not None and claims.get("nonce") != wanted):
            nonce = uuid.uuid4().hex if self.renews_nonce else str(wanted)
            raise RefusedError(
                "use_dpop_nonce", status, DPoP_Nonce=nonce, WWW_Authenticate='DPoP error="use_dpop_nonce"'
            )
        return key.thumbprint()

    def _is_new(self, jti: str) -> bool:
        """Whether it was never used before: a replayed one is refused."""
        new = jti not in self._jtis
        self._jtis.add(jti)
        return new


def party(facts: Facts) -> dict[str, Any]:
    """Return a party as ``CommunicationParty`` of the interface's description."""
    addresses = {address.type: address.text for address in facts.addresses}
    return {
        "herId": facts.her_id,
        "name": "KPR Validering",
        "type": "Service",
        "ediAddress": addresses.get("E_EDI"),
        "amqpTransportStatus": facts.changes.get("amqpTransportStatus", "Enabled"),
        "amqpAddress": {
            "amqpAsyncQueue": addresses.get("E_SB_ASYNC"),
            "amqpErrorQueue": addresses.get("E_SB_ERROR"),
        },
        "serviceDetails": {
            "parentOrganization": {
                "herId": facts.parent, "name": "Folkehelseinstituttet", "organizationNumber": "310000000",
            },
        },
        "validFrom": "2020-01-01T00:00:00Z",
        "validTo": facts.changes.get("To", "2120-01-01T00:00:00Z"),
    }  # fmt: skip


def certificate(facts: Facts, use: str) -> dict[str, Any]:
    """Return a certificate as ``Certificate`` of the interface's description."""
    found = facts.certificates[("encryption", "signing").index(use)]
    if found is None:
        raise RefusedError("not_found", 404)
    return {"thumbprint": "x", "certificateValue": base64.b64encode(found.public_bytes(Encoding.DER)).decode()}
