"""The keys, receiver and bus that a sandbox brings with it: the files it writes into its folder, the names it uses."""

from __future__ import annotations

from pathlib import Path
from typing import Final

EXCHANGE: Final = "NHNTESTServiceBus"
USERNAME: Final = "kommune"
HOST: Final = "127.0.0.1"
RECEIVER_QUEUE: Final = "171479_async"
"""KPR Validering's: that is whom the sandbox plays."""


def sandbox_defaults(folder: Path) -> dict[str, dict[str, object]]:
    """Return the sections a sandbox decides, as they would be written in a configuration.

    The bus's port is not among them: it is known when the sandbox listens.

    Args:
        folder: The sandbox's folder; the paths in the answer start with it.
    """
    pki = folder / "pki"
    passphrase = str(pki / "passphrase")
    return {
        "receiver": {
            "encryption_certificate": str(pki / "fhi-encryption.pem"),
            "signing_certificates": [str(pki / "fhi-signing.pem")],
            "queue": RECEIVER_QUEUE,
        },
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
