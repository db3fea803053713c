"""``kpr-send fleet serve``: the page of all municipalities, until it is interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from kpr_sender.app import utc_now
from kpr_sender.cli import output
from kpr_sender.cli.fleet_lines import called
from kpr_sender.cli.invocation import Invocation
from kpr_sender.errors import EXIT_OK, ConfigInvalid
from kpr_sender.fleet.file import FleetFile
from kpr_sender.render import json
from kpr_sender.render.language import spoken
from kpr_sender.settings.values import Settings
from kpr_sender.settings.web import ListenAddress, WebSettings, require_sound, require_unexposed
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.web.serve import Addresses


def serve_page(invocation: Invocation, fleet: FleetFile, listen: ListenAddress | None) -> int:
    """Serve until Ctrl-C or SIGTERM, and return 0.

    Args:
        invocation: The options that every command shares.
        fleet: Whose municipalities are shown.
        listen: Counts before what the file says; None for nothing.

    Raises:
        ConfigInvalid: [web] would let somebody read who must not, or cannot be used; or what serves is not installed.
    """
    web = fleet.web if listen is None else replace(fleet.web, listen=listen)
    require_sound(web, where=str(fleet.path))
    require_unexposed(web, fleet.environment, where=str(fleet.path))
    try:
        from kpr_sender.web.municipalities import FleetMunicipalities  # noqa: PLC0415 - an extra
        from kpr_sender.web.serve import prepare  # noqa: PLC0415 - the same
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kpr_sender"):
            raise
        raise ConfigInvalid(
            Text("The page needs Starlette, uvicorn and more, which are not installed."),
            where=f"{fleet.path}: web",
            next_step=Text("Install them: pip install 'kpr-sender[web]'."),
        ) from None
    municipalities = FleetMunicipalities(fleet, now=utc_now)
    known = [one.known for one in fleet.municipalities]
    configured = next((one.language for one in known if isinstance(one, Settings) and one.language), spoken())
    serving, addresses = prepare(
        web,
        municipalities,
        language=invocation.language or configured,
        now=utc_now,
        completed=_completed(fleet),
        unexpected=_unexpected,
    )
    with suppress(KeyboardInterrupt), serving:
        _announce(invocation, web, addresses)
        serving.wait()
    return invocation.ending.known(EXIT_OK)


def _completed(fleet: FleetFile) -> Callable[[str, str, str], str]:
    calls = {one.name: called(one) for one in fleet.municipalities}
    return lambda text, key, msg_id: (calls[key].about(msg_id) if msg_id else calls[key]).completed(text)


def _unexpected(error: Exception) -> None:
    """Say that something unexpected was raised, by its type alone: its text may hold anything."""
    click.echo(f"kpr-send: an unexpected {type(error).__name__} in the page", err=True)


def _announce(invocation: Invocation, web: WebSettings, addresses: Addresses) -> None:
    value = json.envelope(None, page=addresses.page, figures=addresses.figures, pid=os.getpid())
    screen = [
        Text("The page of all municipalities is {page}.", page=addresses.page),
        Text("For programs: {figures}/metrics and {figures}/health.", figures=addresses.figures),
        _WHO[bool(web.issuer), bool(web.proxy_header)],
        Text("Ctrl-C ends it."),
    ]
    output.show(invocation, value, screen)


_WHO = {
    (False, False): Text("Whoever is on this machine may read it: nobody is asked to log in."),
    (True, False): Text("Whoever has the claim that web.allow names may read it."),
    (False, True): Text("Whoever the proxy has logged in may read it."),
}
