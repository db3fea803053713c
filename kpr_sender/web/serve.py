"""The page put together: settings and municipalities in, something that listens out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kpr_sender.model import Language
from kpr_sender.net import is_loopback
from kpr_sender.settings.web import ListenAddress, WebSettings, parts_of
from kpr_sender.web.application import Pages
from kpr_sender.web.figures import Figures
from kpr_sender.web.login import BehindProxy, Everybody, OpenIdLogin
from kpr_sender.web.port import Access, Municipalities
from kpr_sender.web.server import Listening, Serving, bind, endpoint_of, own_tls
from kpr_sender.web.snapshot import Snapshots

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the page and the figures are.

    Attributes:
        page: As people open it.
        figures: Without a path.
    """

    page: str
    figures: str


def prepare(
    web: WebSettings,
    municipalities: Municipalities,
    *,
    language: Language,
    now: Callable[[], datetime],
    completed: Callable[[str, str, str], str],
    unexpected: Callable[[Exception], object],
) -> tuple[Serving, Addresses]:
    """Return what serves the page once it is entered, and where; its sockets listen already.

    Args:
        web: The configuration; ``settings.web.require_sound`` has let it pass.
        municipalities: Who knows them.
        language: Of whose browser says nothing of a language.
        now: The clock.
        completed: Completes the commands that a text names, for one municipality and MsgId.
        unexpected: Told of whatever goes wrong in the program; called on any thread.

    Raises:
        ConfigInvalid: A secret, certificate or address cannot be used.
    """
    tls = None if web.certificate is None or web.key is None else own_tls(web.certificate, web.key)
    scheme = "http" if tls is None else "https"
    page = bind(web.listen, key="web.listen")
    try:
        figures = bind(web.metrics_listen, key="web.metrics_listen")
        try:
            at, beside = endpoint_of(page), endpoint_of(figures)
            address = web.address or f"{scheme}://{at}"
            access = _access(web, municipalities, address, now)
        except BaseException:
            figures.close()
            raise
    except BaseException:
        page.close()
        raise
    page_hosts = {address.partition("://")[2], *_local_names(at)}
    page_scheme, own_name = parts_of(address)
    figure_hosts = {str(beside), str(ListenAddress(own_name, beside.port)), *_local_names(beside)}

    def make() -> tuple[Listening, ...]:
        snapshots = Snapshots(municipalities, now=now, unexpected=unexpected)
        pages = Pages(municipalities, snapshots, access=access, language=language, now=now, completed=completed)
        about = Figures(municipalities.environment, snapshots, now=now, runs_within=timedelta(seconds=web.runs_within))
        shown = pages.application(hosts=page_hosts, scheme=page_scheme, unexpected=unexpected)
        counted = about.application(hosts=figure_hosts, scheme=scheme, unexpected=unexpected)
        return Listening(shown, page), Listening(counted, figures)

    return Serving(make, tls), Addresses(f"{address}/", f"{scheme}://{beside}")


def _access(web: WebSettings, municipalities: Municipalities, address: str, now: Callable[[], datetime]) -> Access:
    if web.issuer:
        return OpenIdLogin(web, environment=municipalities.environment.value, address=address, now=now)
    if web.proxy_header:
        return BehindProxy(web.proxy_header, web.proxy_address)
    return Everybody()


def _local_names(at: ListenAddress) -> set[str]:
    """Return how this machine's browsers may write where it listens; none where that is not on loopback."""
    return {f"{name}:{at.port}" for name in _LOOPBACK} if is_loopback(at.host) else set()
