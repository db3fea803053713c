"""The configuration of ``--env lokal`` where there is no file: the embedded sandbox, with all state in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from kpr_sender.model import Environment, Transport
from kpr_sender.settings.locations import absolute, state_folder
from kpr_sender.settings.read import from_document
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

YEAR: Final = 2024
"""The first whose values FHI's letter confirms."""
SENDER: Final = {
    "name": "EKSEMPEL KOMMUNE",
    "her_id": 900001,
    "service_name": "Saksbehandling",
    "service_her_id": 900002,
    "kommunenummer": "9999",
}
"""The municipality that the sandbox knows."""
FILES: Final = {"fagmelding": "fagmelding.xml", "identmelding": "identmelding.xml"}
"""As ``kpr-send sample`` names them."""
BUILT_IN: Final = Text("kpr-send's built-in configuration")
"""What such a configuration is called in place of a file."""


def values(
    folder: str, *, with_files: bool = True, transport: Transport = Transport.AMQP
) -> dict[str, dict[str, object]]:
    """Return what such a configuration says, by section.

    Args:
        folder: Begins every path.
        with_files: Whether it names the two files.
        transport: What the sandbox speaks.
    """
    top: dict[str, object] = {"environment": Environment.LOKAL.value}
    if transport is Transport.EDI:
        top["transport"] = transport.value
    return {
        "": top,
        "files": {name: f"{folder}/{file}" for name, file in FILES.items()} if with_files else {},
        "report": {"year": YEAR},
        "sender": {**SENDER},
        "journal": {"path": f"{folder}/journal.db"},
        "sandbox": {"embedded": True, "dir": f"{folder}/sandbox"},
    }


def rehearsal(environ: Mapping[str, str], folder: Path | None = None) -> Settings:
    """Return the settings of ``--env lokal`` without a file; they name the two files where they are there.

    Args:
        environ: Says where the user's state lies.
        folder: Where all of it is, instead.

    Raises:
        ConfigInvalid: Nobody knows where the user's state lies.
    """
    place = absolute(folder or state_folder(Environment.LOKAL, environ))
    there = all((place / file).exists() for file in FILES.values())
    document = values(str(place), with_files=there)
    settings = from_document(document | document.pop(""), Environment.LOKAL, path=place / "lokal.toml", environ=environ)
    return replace(settings, origin=BUILT_IN)
