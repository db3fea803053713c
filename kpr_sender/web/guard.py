"""What every request passes before anything else looks at it, and what no answer lacks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kpr_sender.render.html import policy
from kpr_sender.render.language import say
from kpr_sender.texts import Text

_MISDIRECTED: Final = 421  # RFC 9110, 15.5.20
_FAILED: Final = 500
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_POLICY: Final = policy("'self'")
_ALWAYS: Final = {
    "cache-control": "no-store",
    "content-security-policy": f"{_POLICY}; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
}
_ONE_YEAR: Final = 31_536_000
_OTHER_HOST: Final = Text("This is not the address of this page: its operator knows that (web.address).")
_ERROR: Final = Text("An error in kpr-sender. The one who runs this page sees it where it was started.")


class Guard:
    """Refuses what was asked of another host, and adds to each answer what none may lack.

    A page that this machine's browser opens from elsewhere can give its own name this machine's address (DNS
    rebinding): then it asks under its own name.

    Args:
        app: What answers.
        hosts: The hosts that are this page's, as browsers write them.
        scheme: ``http`` or ``https``: how browsers reach it.
        unexpected: Told of whatever goes wrong in the program.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], scheme: str, unexpected: Callable[[Exception], object]
    ) -> None:
        self._app, self._scheme, self._unexpected = app, scheme, unexpected
        self._hosts = frozenset(map(self._bare, hosts))
        only_https = {"strict-transport-security": f"max-age={_ONE_YEAR}"} if scheme == "https" else {}
        self._headers = _ALWAYS | only_https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":  # a start, which nobody here waits for; no sockets are served
            await self._app(scope, receive, send)
            return
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        try:
            if self._is_ours(Headers(scope=scope)):
                await self._app(scope, receive, guarded)
            else:
                await PlainTextResponse(say(_OTHER_HOST), _MISDIRECTED)(scope, receive, guarded)
        except Exception as error:  # noqa: BLE001 - the boundary: what it says must not reach a browser or a log
            self._unexpected(error)
            if not begun:
                await PlainTextResponse(say(_ERROR), _FAILED)(scope, receive, guarded)

    def _is_ours(self, headers: Headers) -> bool:
        named = headers.getlist("host")
        return len(named) == 1 and self._bare(named[0]) in self._hosts

    def _bare(self, host: str) -> str:
        return host.lower().removesuffix(_DEFAULT_PORTS[self._scheme])
