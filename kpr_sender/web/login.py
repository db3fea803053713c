"""Who may read: whoever an identity provider or a proxy lets in; where neither is asked, this machine alone.

The only module that knows authlib and httpx2. No answer and no log has what others say: neither a token nor a name.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError  # type: ignore[import-untyped]  # it has no types
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from kpr_sender.errors import ConfigInvalid
from kpr_sender.net import verifying
from kpr_sender.settings.web import Allowed, WebSettings
from kpr_sender.texts import Text

SESSION: Final = timedelta(hours=8)
BACK: Final = "/login/back"
_LEAST_SECRET: Final = 32
"""Characters. At random, in whatever alphabet, that is more than anybody guesses."""
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""What an ID token may be signed with; an identity provider may offer others, *none* among them."""
_USUAL: Final = "RS256"  # OpenID Connect Core 3.1.3.7
_SECONDS: Final = 10.0
_LEEWAY: Final = 60  # seconds that the identity provider's clock may differ from ours
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_UNTIL, _ID = "until", "id"


class NotAdmitted(Exception):
    """Somebody is not let in.

    Attributes:
        status: The answer's status.
        what: Why, in a sentence for whoever tried.
    """

    def __init__(self, status: int, what: Text) -> None:
        self.status, self.what = status, what
        super().__init__(what)


class Everybody:
    """Whoever reaches the page: on loopback, the people of this machine."""

    has_login = False

    def admits(self, request: Request) -> bool:  # noqa: ARG002 - the protocol's
        """Tell that anybody may read."""
        return True

    def protected(self, app: ASGIApp) -> ASGIApp:
        """Return it as it is."""
        return app


class BehindProxy:
    """Whoever a proxy has logged in: it connects from its address, and names the person in its header.

    Args:
        header: The header's name.
        address: The proxy's address.
    """

    has_login = False

    def __init__(self, header: str, address: str) -> None:
        self._header, self._address = header, _address(address)

    def admits(self, request: Request) -> bool:
        """Tell whether it came from the proxy and names somebody, once."""
        named = request.headers.getlist(self._header)
        from_proxy = request.client is not None and _address(request.client.host) == self._address
        return from_proxy and len(named) == 1 and bool(named[0].strip())

    def protected(self, app: ASGIApp) -> ASGIApp:
        """Return it as it is."""
        return app


def _address(written: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class OpenIdLogin:
    """Whoever an identity provider says has the claim that is allowed: OpenID Connect with PKCE, state and nonce.

    The session is in a signed cookie, with its end and a number drawn by lot: nothing of the person.

    Args:
        web: The configuration.
        environment: Whose page it is: a cookie of another page with the same secret is none of this one.
        address: The page's own, without a path.
        now: The clock.

    Raises:
        ConfigInvalid: A secret or the authorities cannot be read, or the secret is too short.
    """

    has_login = True

    def __init__(self, web: WebSettings, *, environment: str, address: str, now: Callable[[], datetime]) -> None:
        if web.allow is None or web.session_secret is None:
            raise ValueError("required with issuer")
        self._issuer, self._allowed, self._now = web.issuer, web.allow, now
        self._address, self._secure_name = address, address.startswith("https://")
        self._ended: dict[str, float] = {}
        self._known = False
        secret = web.session_secret.reveal()
        if len(secret) < _LEAST_SECRET:
            raise ConfigInvalid(
                Text("The secret is too short: expected at least {least} characters.", least=_LEAST_SECRET),
                where="web.session_secret",
                next_step=Text("Make one at random, for example with: openssl rand -base64 48"),
            )
        # Whoever changes who is let in ends the sessions of whom he let in before.
        about = (secret, environment, address, web.issuer, web.client_id, web.allow.claim, *sorted(web.allow.values))
        self._signed_with = hashlib.sha256("\0".join(about).encode()).hexdigest()
        self._client = OAuth().register(
            "login",
            client_id=web.client_id,
            client_secret=web.client_secret.reveal() if web.client_secret else None,
            server_metadata_url=f"{web.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": web.scope,
                "code_challenge_method": "S256",
                "token_endpoint_auth_method": "client_secret_basic" if web.client_secret else "none",
                "timeout": _SECONDS,
                "trust_env": False,
                "verify": _tls(web.ca_file),
            },
        )

    def protected(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose requests have their session."""
        return SessionMiddleware(
            app,
            self._signed_with,
            session_cookie="__Host-kpr" if self._secure_name else "kpr",
            max_age=int(SESSION.total_seconds()),
            same_site="lax",  # the identity provider leads back here from its own site
            https_only=True,  # browsers take loopback for secure, too
        )

    def admits(self, request: Request) -> bool:
        """Tell whether there is a session that has not ended."""
        until, number = request.session.get(_UNTIL), request.session.get(_ID)
        now = self._now().timestamp()
        return isinstance(until, int | float) and now < until and isinstance(number, str) and number not in self._ended

    async def begin(self, request: Request) -> Response:
        """Lead to the identity provider.

        Raises:
            NotAdmitted: It cannot be asked, or is not the one that is configured.
        """
        await self._metadata()
        answer: Response = await self._client.authorize_redirect(request, f"{self._address}{BACK}")
        return answer

    async def end(self, request: Request) -> None:
        """Begin a session for whom the identity provider leads back.

        Raises:
            NotAdmitted: Who that is it does not say, or it is nobody who is let in.
        """
        await self._metadata()
        try:
            token = await self._client.authorize_access_token(request, leeway=_LEEWAY)
        except OAuthError:
            raise NotAdmitted(400, _NOT_BEGUN_HERE) from None
        except httpx2.HTTPError:
            raise NotAdmitted(502, _UNREACHABLE) from None
        except Exception:  # noqa: BLE001 - whatever a library raises over a token that is not valid
            raise NotAdmitted(403, _NOT_VALID) from None
        claims = token.get("userinfo")
        if claims is None:  # an answer without ID token says nothing of a person
            raise NotAdmitted(403, _NOT_VALID)
        request.session.clear()
        if not _has(claims, self._allowed):
            raise NotAdmitted(403, _NOT_ALLOWED)
        request.session[_UNTIL] = (self._now() + SESSION).timestamp()
        request.session[_ID] = secrets.token_urlsafe(16)

    def leave(self, request: Request) -> None:
        """End the session; its cookie is worth nothing from here on, wherever it is."""
        now = self._now().timestamp()
        self._ended = {one: end for one, end in self._ended.items() if end > now}
        if self.admits(request):
            self._ended[request.session[_ID]] = request.session[_UNTIL]
        request.session.clear()

    async def _metadata(self) -> None:
        """Have what the identity provider says of itself, and hold it to what it must say.

        Raises:
            NotAdmitted: It cannot be asked, or is not the one that is configured.
        """
        if self._known:
            return
        try:
            said: dict[str, Any] = dict(await self._client.load_server_metadata())
        except (httpx2.HTTPError, ValueError):  # a ValueError where its answer is no JSON
            raise NotAdmitted(502, _UNREACHABLE) from None
        self._client.server_metadata.clear()
        ends = {name: said.get(name) for name in _ENDPOINTS}
        if said.get("issuer") != self._issuer or not all(map(_is_https, ends.values())):
            raise NotAdmitted(502, _ANOTHER)
        offered = said.get("id_token_signing_alg_values_supported")
        signed_by = [one for one in _ALGORITHMS if isinstance(offered, list) and one in offered] or [_USUAL]
        # Nothing else of it: authlib hands all that is there to httpx2, where it would count before what is ours.
        self._client.server_metadata.update(
            ends, issuer=self._issuer, id_token_signing_alg_values_supported=signed_by, _loaded_at=said["_loaded_at"]
        )
        self._known = True


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    return verifying(ca_file, key="web.ca_file")


def _is_https(url: object) -> bool:
    return isinstance(url, str) and url.startswith("https://")


def _has(claims: Mapping[str, Any], allowed: Allowed) -> bool:
    """Tell whether one of the values is in the claim; a claim's name may lead into it: ``realm_access.roles``."""
    found: object = claims.get(allowed.claim)
    if found is None:
        found = claims
        for part in allowed.claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    values = found if isinstance(found, list) else [found]
    return any(isinstance(one, str) and one in allowed.values for one in values)


_UNREACHABLE: Final = Text("The identity provider cannot be reached, or gives no answer that can be read. Try again.")
_ANOTHER: Final = Text(
    "What answers is not the identity provider that is configured: it names another issuer, or addresses without TLS. "
    "The one who runs this page corrects web.issuer."
)
_NOT_BEGUN_HERE: Final = Text(
    "This login was not begun in this browser, has been used already, or was broken off. Log in again."
)
_NOT_VALID: Final = Text("What the identity provider says of you cannot be verified. Log in again.")
_NOT_ALLOWED: Final = Text(
    "You are logged in, and not among those who may read this page. Who may the one who runs it decides (web.allow)."
)
