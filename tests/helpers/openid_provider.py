"""A small OpenID provider: logs in whoever comes, over TLS on loopback, as the specification has it or wrongly.

OpenID Connect Core 1.0, PKCE by RFC 7636. What it is asked it checks as a provider must: client, secret, address to
come back to, code once, verifier.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from joserfc import jwk, jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from kpr_sender.settings.web import ListenAddress
from kpr_sender.web.server import Listening, Serving, bind, endpoint_of, own_tls
from tests.helpers.tls_certificates import Authority

CLIENT, SECRET = "kpr-page", "a-test-secret-of-the-client"


@dataclass
class Provider:
    """What it is, and how it answers; a test changes it.

    Attributes:
        issuer: Its address.
        back: The address that it may lead back to.
        claims: Of whoever logs in.
        token: What its ID token says in place of what it must.
        metadata: The same of what it says of itself.
        signs_with: Another key signs where it is given.
        unsigned: Whether its ID token is signed by nobody (``alg`` none).
        without_token: Whether it gives no ID token.
        asked: The parameters that logins were begun with.
    """

    issuer: str = ""
    back: str = ""
    claims: dict[str, Any] = field(default_factory=lambda: {"groups": ["kpr-drift"], "name": "KARI NORDMANN"})
    token: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    signs_with: jwk.RSAKey | None = None
    unsigned: bool = False
    without_token: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key: jwk.RSAKey = field(default_factory=lambda: jwk.RSAKey.generate_key(2048, {"kid": "1"}, auto_kid=False))

    def application(self) -> Starlette:
        """Return it as a server takes it."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._about),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )

    async def _about(self, _: Request) -> Response:
        known = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"],
            "verify": False,  # no client may be told so
        }
        return JSONResponse(known | self.metadata)

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        if asked["client_id"] != CLIENT or asked["redirect_uri"] != self.back or asked["response_type"] != "code":
            return Response("not a client of mine", 400)
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return RedirectResponse(f"{self.back}?code={code}&state={asked['state']}", 302)

    async def _token(self, request: Request) -> Response:
        sent = dict(parse_qsl((await request.body()).decode()))
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = self.codes.pop(sent.get("code", ""), None)
        verifier = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        proven = asked is not None and asked["code_challenge"] == base64.urlsafe_b64encode(verifier).decode().rstrip(
            "="
        )
        known = request.headers.get("authorization") == f"Basic {basic}" and sent.get("redirect_uri") == self.back
        if asked is None or not (known and proven and asked["code_challenge_method"] == "S256"):
            return JSONResponse({"error": "invalid_grant", "error_description": "KARI NORDMANN"}, 400)
        answer = {"access_token": secrets.token_urlsafe(8), "token_type": "Bearer", "expires_in": 60}
        if not self.without_token:
            answer["id_token"] = self._id_token(asked)
        return JSONResponse(answer)

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        said = {"iss": self.issuer, "sub": "1", "aud": CLIENT, "exp": now + 60, "iat": now, "nonce": asked.get("nonce")}
        claims = said | self.claims | self.token
        if self.unsigned:
            parts = (b'{"alg":"none"}', json.dumps(claims).encode(), b"")
            return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
        return jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.signs_with or self.key)

    async def _keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})


@contextmanager
def provider(authority: Authority, folder: Path) -> Iterator[Provider]:
    """Serve one until the block ends."""
    certificate, key = authority.issue(folder, "127.0.0.1")
    listening = bind(ListenAddress("127.0.0.1", 0), key="provider")
    made = Provider(issuer=f"https://{endpoint_of(listening)}")
    with Serving(lambda: (Listening(made.application(), listening),), own_tls(certificate, key)):
        yield made
