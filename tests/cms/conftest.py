"""Who seals, who opens, and openssl with the same keys in files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.keys.files import KeyPair
from tests.helpers import pki
from tests.helpers.pki import Kind

OpenSsl = Callable[..., bytes]


@pytest.fixture(scope="session")
def signer() -> KeyPair:
    return pki.key_pair(Kind.SIGNER)


@pytest.fixture(scope="session")
def decrypter() -> KeyPair:
    return pki.key_pair(Kind.ENCRYPTION)


@pytest.fixture(scope="session")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSsl:
    """Return what runs ``openssl cms`` in a folder that has every kind's KIND.pem and KIND.key, ca.pem and root.pem."""
    folder = tmp_path_factory.mktemp("openssl")
    for kind in (Kind.SIGNER, Kind.STRANGER, Kind.NEXT_SIGNER, Kind.ENCRYPTION, Kind.NEXT_ENCRYPTION):
        (folder / f"{kind}.pem").write_bytes(pki.certificate_pem(kind))
        (folder / f"{kind}.key").write_bytes(pki.key_pem(kind))
    for name, authority in (("root", pki.root()), ("ca", pki.issuing_ca())):
        (folder / f"{name}.pem").write_bytes(authority.public_bytes(Encoding.PEM))

    def run(*arguments: str | Path, stdin: bytes) -> bytes:
        done = subprocess.run(
            ["openssl", "cms", *map(str, arguments)], input=stdin, capture_output=True, cwd=folder, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run
