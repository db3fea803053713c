"""A configuration file that is right, and ways to make it wrong."""

from __future__ import annotations

from pathlib import Path

from kpr_sender.model import Environment
from kpr_sender.settings import load
from kpr_sender.settings.values import Settings

VALID = """\
environment = "validering"

[files]
fagmelding = "fagmelding.xml"
identmelding = "/extract/identmelding.xml"

[report]
year = 2024

[sender]
name = "EKSEMPEL KOMMUNE"
her_id = 900001
service_her_id = 900002
kommunenummer = "9999"

[receiver]
encryption_certificate = "fhi-encryption.pem"
signing_certificates = ["fhi-signing.pem"]
queue = "tb.nhn.no/NHNPRODServiceBus/171479_async"

[keys.signing]
pkcs12 = "signing.p12"
passphrase_env = "SIGNING"

[[keys.decryption]]
certificate = "encryption.pem"
key = "encryption.key"

[bus]
host = "tb.nhn.no"
username = "kommune"
password_env = "BUS"
exchange = "NHNPRODServiceBus"

[journal]
path = "journal.db"
"""


LOKAL = """\
environment = "lokal"
[files]
fagmelding = "fagmelding.xml"
identmelding = "identmelding.xml"
[report]
year = 2024
[sender]
name = "EKSEMPEL KOMMUNE"
her_id = 900001
service_her_id = 900002
kommunenummer = "9999"
[journal]
path = "journal.db"
[sandbox]
embedded = true
dir = "."
"""
"""With the sandbox inside, and all of it in one folder."""


def load_text(
    folder: Path,
    text: str,
    environment: Environment = Environment.VALIDERING,
    environ: dict[str, str] | None = None,
) -> Settings:
    """Write the text to a file in the folder and load it."""
    path = folder / "kpr.toml"
    path.write_text(text, "utf-8")
    return load(path, environment, environ=environ or {})


def changed(line: str, replacement: str) -> str:
    """Return the valid text with the one line that begins so replaced; an empty replacement takes it away."""
    lines = VALID.splitlines()
    (index,) = [number for number, text in enumerate(lines) if text.startswith(line)]
    lines[index] = replacement
    return "\n".join(lines)
