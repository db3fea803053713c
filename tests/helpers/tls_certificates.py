"""TLS certificates made when the tests run, by the sandbox's PKI: an authority in a file, and servers under it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.sandbox import pki

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority: the file a client trusts, and what signs below it."""

    ca_file: Path
    authority: pki.Authority

    def issue(self, folder: Path, *names: str, expired: bool = False) -> tuple[Path, Path]:
        """Return the files (certificate with its authority, key) of a server that bears these names or addresses."""
        now = dt.datetime.now(dt.UTC)
        valid = (now - 30 * _DAY, now + (-1 if expired else 30) * _DAY)
        return self.authority.server(folder, *names, valid=valid)


def make_authority(folder: Path, name: str = "kpr-sender test authority") -> Authority:
    """Make an authority; its certificate is written to ``folder``/ca.pem."""
    made = pki.authority(name, dt.datetime.now(dt.UTC))
    folder.mkdir(parents=True, exist_ok=True)
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(made.certificate.public_bytes(Encoding.PEM))
    return Authority(ca_file, made)
