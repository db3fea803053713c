"""The register, keys and bus that a sandbox brings with it: the files it writes into its folder, the names it uses."""

from __future__ import annotations

from pathlib import Path
from typing import Final

EXCHANGE: Final = "NHNTESTServiceBus"
USERNAME: Final = "kommune"
HOST: Final = "127.0.0.1"
RECEIVER_QUEUE: Final = "171479_async"
"""KPR Validering's: that is whom the sandbox plays."""
REGISTER_PATH: Final = "/v1/AR/Basic"


def register_url(port: int) -> str:
    """Return the address of a sandbox's Adresseregister."""
    return f"https://{HOST}:{port}{REGISTER_PATH}"


def sandbox_defaults(folder: Path, *, register_port: int = 0) -> dict[str, dict[str, object]]:
    """Return the sections a sandbox decides, as they would be written in a configuration.

    FHI's queue and certificates are not among them: its Adresseregister tells them. Nor is the bus's port, which is
    known when the sandbox listens.

    Args:
        folder: The sandbox's folder; the paths in the answer start with it.
        register_port: Where its Adresseregister listens; 0 as long as that is not known.
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
