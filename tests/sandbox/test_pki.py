"""The sandbox's PKI: complete, fit for its use, private, kept while valid and renewed when not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from kpr_sender.cms.certificates import CertificateUse, check
from kpr_sender.keys.files import load_pkcs12
from kpr_sender.sandbox.pki import VALIDITY, Pki, ensure_pki, impostor

NOW = datetime(2024, 11, 1, tzinfo=UTC)
SECRET = ("passphrase", "tls.key", *(f"{o}-{u}.p12" for o in ("kommune", "fhi") for u in ("signing", "encryption")))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    began = time.process_time()
    made = ensure_pki(tmp_path_factory.mktemp("made") / "sandbox", now=NOW)
    assert time.process_time() - began < 5
    return made


def _everything(pki: Pki) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in pki.folder.iterdir()}


@pytest.mark.parametrize("owner", ["kommune", "fhi"])
@pytest.mark.parametrize(
    ("use", "usage"),
    [("signing", CertificateUse.SIGNING_NON_REPUDIATION), ("encryption", CertificateUse.ENCRYPTION)],
)
def test_every_key_fits_its_certificate_and_its_use(pki: Pki, owner: str, use: str, usage: CertificateUse) -> None:
    pair = load_pkcs12(pki.pkcs12(f"{owner}-{use}"), pki.passphrase(), name="test")
    check(pair.certificate, usage, at=NOW, name="test")
    assert pair.certificate == pki.certificate(f"{owner}-{use}")
    (issuing,) = pair.chain
    root = x509.load_pem_x509_certificate(pki.ca.read_bytes())
    pair.certificate.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)


def test_secrets_are_for_the_owner_only(pki: Pki) -> None:
    for name in SECRET:
        assert (pki.folder / name).stat().st_mode & 0o777 == 0o600, name
    assert pki.folder.stat().st_mode & 0o777 == 0o700


def test_it_is_kept_while_it_is_valid_and_made_anew_when_not(pki: Pki) -> None:
    directory, before = pki.folder.parent, _everything(pki)
    ensure_pki(directory, now=NOW + VALIDITY - timedelta(days=1))
    assert _everything(pki) == before
    later = NOW + VALIDITY + timedelta(days=1)
    ensure_pki(directory, now=later)
    renewed = _everything(pki)
    assert renewed.keys() == before.keys()
    assert not set(renewed.values()) & set(before.values())
    check(pki.certificate("fhi-signing"), CertificateUse.SIGNING_NON_REPUDIATION, at=later, name="test")
    ensure_pki(directory, now=NOW)
    assert _everything(pki) != renewed, "not yet valid is as bad as expired"


@pytest.mark.parametrize("damage", ["a file is missing", "a certificate is none"])
def test_what_is_damaged_is_made_anew(tmp_path: Path, damage: str) -> None:
    pki = ensure_pki(tmp_path, now=NOW)
    if damage == "a file is missing":
        (pki.folder / "fhi-signing.p12").unlink()
    else:
        (pki.folder / "tls.pem").write_bytes(b"-----BEGIN")
    ensure_pki(tmp_path, now=NOW)
    load_pkcs12(pki.pkcs12("fhi-signing"), pki.passphrase(), name="test")
    assert [path.name for path in tmp_path.iterdir()] == ["pki"], "nothing half-made is left"


def test_an_impostor_bears_the_name_and_not_the_key(pki: Pki) -> None:
    right = pki.certificate("fhi-signing")
    key, certificate = impostor(right, NOW)
    assert certificate.subject == right.subject
    assert certificate.public_key() == key.public_key()
    assert certificate.public_key() != right.public_key()
