"""The page's application: which address leads to which page, for whom it does, and in which language."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kpr_sender.model import Language
from kpr_sender.texts import Text
from kpr_sender.web.guard import Guard
from kpr_sender.web.login import BACK, NotAdmitted, OpenIdLogin
from kpr_sender.web.pages import MUNICIPALITY, PageLook, message_page, municipality_page, overview_page
from kpr_sender.web.port import Access, Municipalities
from kpr_sender.web.query import RELOAD_SECONDS, Query, preferred
from kpr_sender.web.snapshot import Snapshots

_LOGIN: Final = "/login"
_LOGOUT: Final = "/logout"
_WITHOUT_LOGIN: Final = frozenset({_LOGIN, BACK})
_KEY: Final = re.compile(r"[0-9]{4}(?:-[0-9]{2})?")
_WANTED: Final = "to"
_OWN_PATH: Final = re.compile(rf"/(?:m/{_KEY.pattern})?")
_MOST_PAGES: Final = 64
_AT_ONCE: Final = 2
"""How many journals are read at once for pages of one municipality."""
_SEE_OTHER: Final = 303

_LOGGED_OUT: Final = Text("Not logged in")
_NOT_ADMITTED: Final = Text("Not admitted")
_BY_STATUS: Final = {
    404: (Text("There is no such page"), Text("The address leads nowhere here.")),
    405: (Text("This page is for reading"), Text("It takes no other request.")),
}
_OTHER_FAULT: Final = (Text("This cannot be answered"), Text("The request is not what this page takes."))


class Pages:
    """Answers requests. For one event loop.

    Args:
        municipalities: Who knows them.
        snapshots: What is known of all of them.
        access: Who may read.
        language: Of whose browser says nothing of a language.
        now: The clock.
        completed: Completes the commands that a text names, for one municipality and MsgId.
    """

    def __init__(
        self,
        municipalities: Municipalities,
        snapshots: Snapshots,
        *,
        access: Access,
        language: Language,
        now: Callable[[], datetime],
        completed: Callable[[str, str, str], str],
    ) -> None:
        self._municipalities, self._snapshots, self._access = municipalities, snapshots, access
        self._language, self._now, self._completed = language, now, completed
        self._made: dict[tuple[int, Language, Query], str] = {}
        self._reading = asyncio.Semaphore(_AT_ONCE)

    def application(self, *, hosts: Collection[str], scheme: str, unexpected: Callable[[Exception], object]) -> ASGIApp:
        """Return all of it, as a server takes it; the arguments are ``Guard``'s."""
        routes = [Route("/", self._overview), Route(f"{MUNICIPALITY}{{key}}", self._municipality)]
        if isinstance(self._access, OpenIdLogin):
            routes += [
                Route(_LOGIN, self._begin_login),
                Route(BACK, self._end_login),
                Route(_LOGOUT, self._leave, methods=["POST"]),
            ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: self._fault, NotAdmitted: self._refused})
        app.router.redirect_slashes = False
        gated = self._access.protected(_Gate(app, self._access, self._not_admitted))
        return Guard(gated, hosts=hosts, scheme=scheme, unexpected=unexpected)

    async def _overview(self, request: Request) -> Response:
        look, snapshot = self._look(request), await self._snapshots.latest()
        key = (snapshot.number, look.language, look.query)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _MOST_PAGES or all(number != snapshot.number for number, _, _ in self._made):
                self._made.clear()
            made = self._made[key] = overview_page(look, snapshot)
        return _html(look, made)

    async def _municipality(self, request: Request) -> Response:
        key = request.path_params["key"]
        if _KEY.fullmatch(key) is None:
            raise HTTPException(404)
        async with self._reading:
            details = await asyncio.to_thread(self._municipalities.details, key)
        if details is None:
            raise HTTPException(404)
        look = self._look(request)
        return _html(look, municipality_page(look, details))

    async def _begin_login(self, request: Request) -> Response:
        wanted = request.query_params.get(_WANTED, "")
        answer = await self._login.begin(request)
        request.session[_WANTED] = wanted if _OWN_PATH.fullmatch(wanted) else "/"
        return answer

    async def _end_login(self, request: Request) -> Response:
        wanted = request.session.get(_WANTED, "/")
        await self._login.end(request)
        return RedirectResponse(wanted, _SEE_OTHER)

    async def _leave(self, request: Request) -> Response:
        self._login.leave(request)
        return RedirectResponse("/", _SEE_OTHER)

    @property
    def _login(self) -> OpenIdLogin:
        if not isinstance(self._access, OpenIdLogin):
            raise TypeError("its routes are there only where it is")
        return self._access

    def _not_admitted(self, request: Request) -> Response:
        look = self._look(request, admitted=False)
        if not self._access.has_login:
            what = Text("Nobody is logged in by the proxy, or this does not come from it.")
            return HTMLResponse(message_page(look, _NOT_ADMITTED, what), 403)
        what = Text("Log in to see this page. A session lasts 8 hours.")
        log_in = _LOGIN if look.path == "/" else f"{_LOGIN}?{urlencode({_WANTED: look.path})}"
        return HTMLResponse(message_page(look, _LOGGED_OUT, what, log_in=log_in), 401)

    async def _fault(self, request: Request, fault: Exception) -> Response:
        status = fault.status_code if isinstance(fault, HTTPException) else 400
        headers = fault.headers if isinstance(fault, HTTPException) else None
        title, what = _BY_STATUS.get(status, _OTHER_FAULT)
        return HTMLResponse(message_page(self._look(request), title, what), status, headers)

    async def _refused(self, request: Request, refused: Exception) -> Response:
        look = self._look(request, admitted=False)
        status, what = (refused.status, refused.what) if isinstance(refused, NotAdmitted) else (400, _OTHER_FAULT[1])
        return HTMLResponse(message_page(look, _NOT_ADMITTED, what, log_in=_LOGIN), status)

    def _look(self, request: Request, *, admitted: bool = True) -> PageLook:
        query = Query.of(request.query_params)
        language = query.language or preferred(request.headers.get("accept-language", ""), self._language)
        return PageLook(
            environment=self._municipalities.environment,
            language=language,
            query=query,
            now=self._now(),
            path=request.url.path if _OWN_PATH.fullmatch(request.url.path) else "/",
            has_login=admitted and self._access.has_login,
            completed=self._completed,
        )


class _Gate:
    """Lets nobody in who may not read, whatever the address: each that is added later, too."""

    def __init__(self, app: ASGIApp, access: Access, refuse: Callable[[Request], Response]) -> None:
        self._app, self._access, self._refuse = app, access, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            logs_in = self._access.has_login and scope["path"] in _WITHOUT_LOGIN
            if not logs_in and not self._access.admits(request):
                await self._refuse(request)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _html(look: PageLook, page: str) -> Response:
    # The header and not its twin in the page: WCAG 2.2.1 has a reader stop it, which the page's link does.
    reload = {"refresh": str(RELOAD_SECONDS)} if look.query.reloads else {}
    return HTMLResponse(page, headers={**reload, "vary": "Accept-Language"})
