"""SoftHSM: a PKCS#11 token in a folder, filled with keys of our making.

The library keeps slots and logins for the whole process, so each test has it look anew.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import Certificate
from pkcs11 import Attribute, CertificateType, ObjectClass

from kpr_sender.keys import pkcs11 as product

NO_SOFTHSM: Final = "no SoftHSM here: apt-get install softhsm2"
"""Begins as tests/conftest.py knows it, which sees to it that the run says so aloud."""

PIN: Final = "481516"
LABEL: Final = "kommune"
_SO_PIN: Final = "2342"
_MODULES: Final = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/pkcs11/libsofthsm2.so")


@dataclass(frozen=True)
class SoftHsm:
    """One token, labelled ``LABEL``.

    Attributes:
        folder: Where everything of it lies.
        module: The PKCS#11 library.
    """

    folder: Path
    module: str

    def put(self, key: RSAPrivateKey, *, label: str, key_id: str) -> None:
        """Put a private key on the token; its file is gone afterwards."""
        file = self.folder / "import.pem"
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        try:
            self._util("--import", str(file), "--token", LABEL, "--label", label, "--id", key_id, "--pin", PIN)
        finally:
            file.unlink()
        refresh(self.module)

    def put_certificate(self, certificate: Certificate, *, key_id: str) -> None:
        """Put a certificate on the token."""
        refresh(self.module)
        with pkcs11.lib(self.module).get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.CERTIFICATE,
                    Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                    Attribute.TOKEN: True,
                    Attribute.ID: bytes.fromhex(key_id),
                    Attribute.SUBJECT: certificate.subject.public_bytes(),
                    Attribute.VALUE: certificate.public_bytes(Encoding.DER),
                }
            )
        refresh(self.module)

    def unplug(self) -> None:
        """Take the token out of its slot."""
        (self.folder / "tokens").rename(self.folder / "unplugged")
        (self.folder / "tokens").mkdir()
        refresh(self.module, forget=False)

    def plug_in(self) -> None:
        """Put it back."""
        (self.folder / "tokens").rmdir()
        (self.folder / "unplugged").rename(self.folder / "tokens")

    def make_other_token(self) -> None:
        """Put an empty token with the same label and PIN in its place."""
        self._util("--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", _SO_PIN)

    def make_token(self) -> None:
        """Make the folder, and the token in it."""
        (self.folder / "tokens").mkdir()
        conf = self.folder / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {self.folder / 'tokens'}\nlog.level = ERROR\n", encoding="utf-8")
        self.make_other_token()

    def _util(self, *arguments: str) -> None:
        subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)


def refresh(module: str, *, forget: bool = True) -> None:
    """Let the library look at its slots anew: every session is gone and nobody is logged in."""
    pkcs11.lib(module).reinitialize()
    if forget:
        product._sessions.clear()


@pytest.fixture
def softhsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """An empty token; skips loudly where there is no SoftHSM."""
    module = next((path for path in _MODULES if Path(path).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip(NO_SOFTHSM)
    folder = tmp_path / "softhsm"
    folder.mkdir()
    monkeypatch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
    token = SoftHsm(folder, module)
    token.make_token()
    refresh(module)
    yield token
    pkcs11.lib(module).finalize()
    product._sessions.clear()
