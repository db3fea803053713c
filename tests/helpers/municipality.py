"""A synthetic municipality in a folder: two small files, a test PKI and a configuration for ``lokal``."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kpr_sender.model import Environment
from kpr_sender.sandbox.pki import Pki, ensure_pki
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.settings import load
from kpr_sender.settings.sample_file import RECEIVER_QUEUE, sandbox_defaults
from kpr_sender.settings.values import Settings

SENDER_HER_ID = 900002
YEAR = 2024

Changes = Mapping[str, Mapping[str, object]]
"""Keys to set, by section; None takes a key away."""


@functools.cache
def _template() -> Path:
    """One PKI and one pair for the whole test process: RSA keys take their time."""
    folder = Path(tempfile.mkdtemp(prefix="kpr-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ensure_pki(folder, now=datetime.now(UTC))
    write_pair(folder, year=YEAR, persons=5)
    return folder


@functools.cache
def _contents() -> tuple[tuple[str, int, bytes | None], ...]:
    """Return name, mode and content of all in it; None for a folder's. To copy a tree's times, too, takes its time."""
    folder = _template()
    found = [folder, *sorted(folder.rglob("*"))]
    return tuple(
        (str(one.relative_to(folder)), stat.S_IMODE(one.stat().st_mode), None if one.is_dir() else one.read_bytes())
        for one in found
    )


@dataclass(frozen=True)
class Municipality:
    """Where everything of one municipality lies."""

    folder: Path

    @property
    def fagmelding(self) -> Path:
        return self.folder / "fagmelding.xml"

    @property
    def identmelding(self) -> Path:
        return self.folder / "identmelding.xml"

    @property
    def config(self) -> Path:
        return self.folder / "lokal.toml"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    @property
    def pki(self) -> Pki:
        return Pki(self.folder / "pki")

    def new_extract(self, lopenr: int = 2) -> None:
        """Let the EPJ make a new extract: other content, the next running number."""
        write_pair(self.folder, year=YEAR, persons=6, seed=lopenr, lopenr=lopenr)

    def corrected(self) -> None:
        """Let the EPJ correct the identmelding alone: the fagmelding stays the very same file."""
        self.identmelding.write_bytes(self.identmelding.read_bytes() + b"\n")

    def configure(self, changes: Changes | None = None, *, port: int = 1) -> Settings:
        """Write the configuration and load it."""
        self.write(changes or {}, port=port)
        return load(self.config, Environment.LOKAL, environ=os.environ)

    def write(self, changes: Changes, *, port: int) -> None:
        """Write the configuration."""
        self.config.write_text(toml(self._sections(port), changes), encoding="utf-8")

    def _sections(self, port: int) -> dict[str, dict[str, object]]:
        sections = sandbox_defaults(self.folder)
        # Files are what most tests are not about: nobody need be asked for them.
        del sections["registry"]
        sections["bus"] |= {"port": port, "reconnect_budget": "1s", "publish_timeout": "10s", "connect_timeout": "5s"}
        return {
            "files": {"fagmelding": "fagmelding.xml", "identmelding": "identmelding.xml"},
            "report": {"year": YEAR},
            "sender": {
                "name": "EKSEMPEL KOMMUNE",
                "her_id": 900001,
                "service_name": "Saksbehandling",
                "service_her_id": SENDER_HER_ID,
                "kommunenummer": "9999",
            },
            "receiver": {
                "encryption_certificate": str(self.pki.folder / "fhi-encryption.pem"),
                "signing_certificates": [str(self.pki.folder / "fhi-signing.pem")],
                "queue": RECEIVER_QUEUE,
            },
            "journal": {"path": "journal.db", "receipts_dir": "receipts"},
            **sections,
        }


def municipality(folder: Path) -> Municipality:
    """Set a municipality up in a folder."""
    for name, mode, content in _contents():
        path = os.path.join(folder, name)  # noqa: PTH118 - of texts: nearly every test makes one
        if content is None:
            os.makedirs(path, exist_ok=True)  # noqa: PTH103 - the same
        else:
            with open(path, "wb") as file:  # noqa: PTH123 - the same
                file.write(content)
        os.chmod(path, mode)  # noqa: PTH101 - the same
    (folder / "bus-password").write_text("hemmelig-i-test", encoding="ascii")
    (folder / "bus-password").chmod(0o600)
    made = Municipality(folder)
    made.write({}, port=1)
    return made


def toml(sections: dict[str, dict[str, object]], changes: Changes) -> str:
    """Write sections as TOML, with changes; ``[keys.decryption]`` is an array of tables."""
    lines = ['environment = "lokal"']
    for section in {**sections, **changes}:
        values = {**sections.get(section, {}), **changes.get(section, {})}
        if section == "":
            lines[0] = "\n".join(f"{key} = {_value(value)}" for key, value in values.items())
            continue
        lines.append(f"[[{section}]]" if section == "keys.decryption" else f"[{section}]")
        lines += [f"{key} = {_value(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return '"' + str(value) + '"'
