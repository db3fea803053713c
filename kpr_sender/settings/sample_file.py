"""What stands in a configuration file: every key with its explanation, and what a sandbox decides by itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.settings.keys import Key, toml_value
from kpr_sender.settings.values import SECTIONS, TOP

EXCHANGE: Final = "NHNTESTServiceBus"
USERNAME: Final = "kommune"
HOST: Final = "127.0.0.1"
RECEIVER_QUEUE: Final = "171479_async"
"""KPR Validering's: that is whom the sandbox plays."""
REGISTER_PATH: Final = "/v1/AR/Basic"

_WIDTH: Final = 110


def render(environment: Environment, values: Mapping[str, Mapping[str, object]], *, intro: str) -> str:
    """Return the text of a configuration.

    Args:
        environment: Decides which keys there are.
        values: By section, what is written; every other key is named in a comment, with its default or an example.
        intro: Who the file is for and how to begin; may have several lines.

    Raises:
        KeyError: A value has no key.
    """
    lines = [f"# {line}".rstrip() for line in intro.strip().splitlines()]
    left = {(section, name) for section, table in values.items() for name in table}
    for section in (TOP, *SECTIONS.values()):
        keys = section.keys_in(environment)
        if not keys:
            continue
        written = values.get(section.name, {})
        lines.append("")
        if section.name:
            lines += _comment(section.purpose)
            # A heading of a key with nothing below it would mean one that is empty.
            lines.append(section.heading if written or not section.name.startswith("keys.") else f"# {section.heading}")
        for key in keys:
            lines += _entry(key, written)
            left.discard((section.name, key.name))
    if left:
        raise KeyError(min(left))
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False)]


def _entry(key: Key, written: Mapping[str, object]) -> Iterator[str]:
    notes = [] if key.kind.evident else [key.kind.expected]
    notes += [] if key.required else [key.absence]
    yield from _comment(f"{key.help} ({'; '.join(notes)})" if notes else key.help)
    if key.name in written:
        yield f"{key.name} = {toml_value(written[key.name])}"
    else:
        yield f"# {key.name} = {key.shown}"


def register_url(port: int) -> str:
    """Return the address of a sandbox's Adresseregister."""
    return f"https://{HOST}:{port}{REGISTER_PATH}"


def sandbox_defaults(folder: Path, *, register_port: int = 0) -> dict[str, dict[str, object]]:
    """Return the sections a sandbox decides, as they would be written in a configuration.

    FHI's queue and certificates are not among them: its Adresseregister has them. Nor is the bus's port, which is
    known when the sandbox listens.
    """
    pki = folder / "pki"
    passphrase = str(pki / "passphrase")
    return {
        "registry": {"kind": "soap", "url": register_url(register_port), "ca_file": str(pki / "ca.pem")},
        "keys.signing": {"pkcs12": str(pki / "kommune-signing.p12"), "passphrase_file": passphrase},
        "keys.decryption": {"pkcs12": str(pki / "kommune-encryption.p12"), "passphrase_file": passphrase},
        "bus": {
            "host": HOST,
            "ca_file": str(pki / "ca.pem"),
            "username": USERNAME,
            "password_file": str(folder / "bus-password"),
            "exchange": EXCHANGE,
        },
    }
