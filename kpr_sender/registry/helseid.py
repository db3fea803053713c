"""HelseID: an access token for our own key alone, and the proof that goes with each use of it.

Client credentials with ``private_key_jwt`` (RFC 7523) and DPoP (RFC 9449), as HelseID's security profile asks. The only
module that knows joserfc.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from kpr_sender.errors import AccessRefused, LoginRefused, RegistryUnreachable
from kpr_sender.http_client import HttpAnswer
from kpr_sender.keys.native import shielded
from kpr_sender.registry.client import RegistryClient, unreadable
from kpr_sender.settings.values import HelseIdSettings
from kpr_sender.texts import Text

TOKEN_PATH: Final = "/connect/token"  # noqa: S105 - a path
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS: Final = 30
"""HelseID takes 60 at most; clocks differ."""

_DPOP_ALGORITHM: Final = "ES384"
_CURVE: Final = "P-384"
_ALGORITHMS: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_RSA_ALGORITHM: Final = "PS256"
_ATTEMPTS: Final = 3  # the first, one with a nonce, one with a new token
_OK, _UNAUTHORIZED, _REFUSALS = 200, 401, range(400, 500)
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}", re.ASCII)
_NONCE: Final = "use_dpop_nonce"
_NOT_OUR_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client"})  # RFC 6749 5.2


class HelseId:
    """Asks an interface that HelseID guards.

    Raises:
        AccessRefused: Our key cannot be read.
        ConfigInvalid: It is not where the configuration says.
    """

    def __init__(
        self, settings: HelseIdSettings, *, scope: str, client: RegistryClient, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._scope = scope
        self._client = client
        self._now = now
        self._key = _load(settings.client_key.reveal())
        # The token is bound to a key that lives as long as this object: what is stolen of it opens nothing.
        self._proof_key = ECKey.generate_key(_CURVE)
        self._nonce = ""

    def get(self, url: str) -> HttpAnswer:
        """Ask for what is at an address.

        Raises:
            RegistryUnreachable: HelseID or the interface does not answer, or nothing that can be read.
            AccessRefused: HelseID refuses us, or the interface refuses HelseID's token.
        """
        token, nonce = self._token(), ""
        for _ in range(_ATTEMPTS):
            ath = _base64url(hashlib.sha256(token.encode("ascii")).digest())
            headers = {
                "Authorization": f"DPoP {token}",
                "DPoP": self._proof("GET", url, nonce=nonce, ath=ath),
                "Accept": "application/json",
            }
            answer = self._client.ask(url, headers=headers)
            if answer.status != _UNAUTHORIZED:
                return answer
            wanted = answer.headers.get("dpop-nonce", "")
            if _NONCE in answer.headers.get("www-authenticate", "") and wanted != nonce:
                nonce = wanted
            else:
                token = self._token()
        raise AccessRefused(
            Text("The register refuses the token that HelseID gave us."),
            where=url,
            next_step=Text("Check in HelseID Selvbetjening that the client may use the register's interface."),
        )

    def _token(self) -> str:
        url = self._settings.url.rstrip("/") + TOKEN_PATH
        for _ in range(2):
            answer = self._ask_for_token(url)
            found = _object(answer)
            if answer.status == _OK:
                return _access_token(answer, found)
            nonce = answer.headers.get("dpop-nonce", "")
            if found.get("error") != _NONCE or not nonce:
                raise _refusal(answer, found)
            self._nonce = nonce
        raise RegistryUnreachable(Text("HelseID asks for another nonce again and again."), where=url)

    def _ask_for_token(self, url: str) -> HttpAnswer:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "scope": self._scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(),
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "DPoP": self._proof("POST", url, nonce=self._nonce),
        }
        return self._client.ask(url, urlencode(form).encode("ascii"), headers)

    def _assertion(self) -> str:
        now = int(self._now().timestamp())
        algorithm = _algorithm(self._key)
        header = {"alg": algorithm, "typ": "client-authentication+jwt"}
        if self._key.get("kid"):
            header["kid"] = str(self._key.get("kid"))
        claims = {
            "iss": self._settings.client_id,
            "sub": self._settings.client_id,
            "aud": self._settings.url.rstrip("/"),
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + ASSERTION_SECONDS,
        }
        return jwt.encode(header, claims, self._key, algorithms=[algorithm])

    def _proof(self, method: str, url: str, *, nonce: str, ath: str = "") -> str:
        header = {"alg": _DPOP_ALGORITHM, "typ": "dpop+jwt", "jwk": self._proof_key.as_dict(private=False)}
        claims: dict[str, object] = {
            "jti": str(uuid.uuid4()),
            "htm": method,
            "htu": url.partition("?")[0],
            "iat": int(self._now().timestamp()),
        }
        claims |= {name: value for name, value in (("nonce", nonce), ("ath", ath)) if value}
        return jwt.encode(header, claims, self._proof_key, algorithms=[_DPOP_ALGORITHM])


def _load(text: str) -> RSAKey | ECKey:
    """Read a private key: a JWK as HelseID Selvbetjening gives it, or PEM."""
    try:
        key = shielded(lambda: _read_key(text), name="registry.client_key_file")
        if key.is_private:
            return key
    except Exception:  # noqa: BLE001, S110 - whatever a library raises at a key: its own text may quote the key
        pass
    raise AccessRefused(
        Text("There is no private key in it that can be used."),
        where="registry.client_key_file",
        next_step=Text("Expected is a private key, RSA or elliptic curve, as JWK or PEM without passphrase."),
    )


def _read_key(text: str) -> RSAKey | ECKey:
    return _from_jwk(json.loads(text)) if text.lstrip().startswith("{") else _from_pem(text)


def _from_jwk(written: dict[str, Any]) -> RSAKey | ECKey:
    kinds: dict[str, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
    return kinds[written["kty"]].import_key(written)


def _from_pem(text: str) -> RSAKey | ECKey:
    try:
        return RSAKey.import_key(text)
    except (JoseError, ValueError, TypeError):
        return ECKey.import_key(text)


def _algorithm(key: RSAKey | ECKey) -> str:
    named = key.get("alg")
    if named:
        return str(named)
    return _RSA_ALGORITHM if isinstance(key, RSAKey) else _ALGORITHMS[str(key.curve_name)]


def _object(answer: HttpAnswer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise unreadable(answer, Text("it is no JSON object"))
    return found


def _access_token(answer: HttpAnswer, found: dict[str, Any]) -> str:
    token = found.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise unreadable(answer, Text("there is no access token in it"))
    if str(found.get("token_type", "")).lower() != "dpop":
        raise unreadable(answer, Text("its token is not bound to our key"))
    return token


def _refusal(answer: HttpAnswer, found: dict[str, Any]) -> AccessRefused | RegistryUnreachable:
    if answer.status not in _REFUSALS:
        return unreadable(answer, Text("HelseID gives no token"))
    code = str(found.get("error", ""))
    if not _CODE.fullmatch(code):
        code = f"HTTP {answer.status}"
    refused = LoginRefused if answer.status == _UNAUTHORIZED or code in _NOT_OUR_CLIENT else AccessRefused
    return refused(
        Text("HelseID refuses our client ({code}).", code=code),
        where=answer.url,
        next_step=Text("Check registry.client_id and its key in HelseID Selvbetjening, and this machine's clock."),
    )


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
