"""A test PKI for one folder: two CAs, the municipality's keys, FHI's keys and the bus's TLS certificate.

The rules:

1. Everything is made here and now; no key is shipped. Key files have mode 0600.
2. The folder ``pki`` appears whole or not at all: it is written beside its place and renamed into it.
3. What is complete and valid is kept; anything missing, expired or not yet valid makes the whole set anew.

Signers and recipients are RSA, as virksomhetssertifikater are; the CAs and TLS use EC, which is made in no time.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

VALIDITY: Final = timedelta(days=365)
_CLOCK_SKEW: Final = timedelta(minutes=5)
_RSA_BITS: Final = 2048
_KDF_ROUNDS: Final = 2048
KOMMUNE_NUMBER: Final = "310000019"
FHI_NUMBER: Final = "310000027"
"""Organisation numbers in the certificates, made up."""
SUCCESSOR: Final = "fhi-encryption-next"
"""Name of FHI's next key for encryption, as for ``Pki.pkcs12``."""
_CERTIFICATES: Final = (
    "ca.pem",
    "issuing.pem",
    "tls.pem",
    "kommune-signing.pem",
    "kommune-encryption.pem",
    "fhi-signing.pem",
    "fhi-encryption.pem",
)
_SECRET_FILES: Final = (
    "passphrase",
    "issuing.key",
    "tls.key",
    "kommune-signing.p12",
    "kommune-encryption.p12",
    "fhi-signing.p12",
    "fhi-encryption.p12",
)


@dataclass(frozen=True, slots=True)
class Pki:
    """Where everything lies. The passphrase opens every PKCS#12 file of the folder."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The root, PEM: what a client of the bus trusts."""
        return self.folder / "ca.pem"

    @property
    def tls_certificate(self) -> Path:
        """The bus's certificate for 127.0.0.1, ::1 and localhost with its issuing CA, PEM."""
        return self.folder / "tls.pem"

    @property
    def tls_key(self) -> Path:
        """The bus's key, PEM."""
        return self.folder / "tls.key"

    def pkcs12(self, owner_and_use: str) -> bytes:
        """Return a PKCS#12 file's bytes.

        Args:
            owner_and_use: ``kommune-signing``, ``kommune-encryption``, ``fhi-signing`` or ``fhi-encryption``;
                ``SUCCESSOR`` once it is made.
        """
        return (self.folder / f"{owner_and_use}.p12").read_bytes()

    def certificate(self, owner_and_use: str) -> x509.Certificate:
        """Return a certificate, named as for ``pkcs12``."""
        return x509.load_pem_x509_certificate((self.folder / f"{owner_and_use}.pem").read_bytes())

    def passphrase(self) -> str:
        """Return the passphrase of the PKCS#12 files."""
        return (self.folder / "passphrase").read_text(encoding="ascii").strip()


def ensure_pki(directory: Path, *, now: datetime) -> Pki:
    """Return the PKI in ``directory/pki``; make it where it is missing, damaged or not valid now.

    Args:
        directory: The sandbox's folder; made where missing, with mode 0700.
        now: Aware.

    Raises:
        OSError: The folder cannot be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    pki = Pki(directory / "pki")
    if _is_good(pki, now):
        return pki
    fresh = Path(tempfile.mkdtemp(prefix=".pki-", dir=directory))
    try:
        _write_all(fresh, now)
        if pki.folder.exists():
            shutil.rmtree(pki.folder)
        fresh.rename(pki.folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return pki


def ensure_successor(pki: Pki, *, now: datetime) -> None:
    """Make FHI's next key for encryption where the folder has none that is valid now.

    Args:
        pki: A complete one.
        now: Aware.

    Raises:
        OSError: The folder cannot be written.
    """
    bundle = pki.folder / f"{SUCCESSOR}.p12"
    if bundle.exists() and pki.certificate(SUCCESSOR).not_valid_after_utc >= now:
        return
    bundle.unlink(missing_ok=True)
    key = load_pem_private_key((pki.folder / "issuing.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - it was written here
    issuing = _Authority(key, pki.certificate("issuing"))
    _write_pair(pki.folder, SUCCESSOR, issuing, pki.passphrase(), now)


def impostor(original: x509.Certificate, now: datetime) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """Return a key and a self-signed certificate that names its owner as ``original`` does, and is not it.

    Args:
        original: Whose name is taken.
        now: Aware.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    builder = _builder(original.subject, original.subject, key, now)
    usage = _key_usage(content_commitment=True)
    return key, builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())


def _is_good(pki: Pki, now: datetime) -> bool:
    if not all((pki.folder / name).is_file() for name in (*_CERTIFICATES, *_SECRET_FILES)):
        return False
    try:
        certificates = [x509.load_pem_x509_certificate((pki.folder / name).read_bytes()) for name in _CERTIFICATES]
    except ValueError:
        return False
    return all(
        certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc for certificate in certificates
    )


@dataclass(frozen=True, slots=True)
class _Authority:
    """A CA that can issue."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def _write_all(folder: Path, now: datetime) -> None:
    root = _authority("Sandbox Root CA", now, issuer=None)
    issuing = _authority("Sandbox Class 3 CA", now, issuer=root)
    (folder / "ca.pem").write_bytes(_pem(root.certificate))
    (folder / "issuing.pem").write_bytes(_pem(issuing.certificate))
    _write_secret(folder / "issuing.key", _key_pem(issuing.key))
    passphrase = secrets.token_urlsafe(24)
    _write_secret(folder / "passphrase", passphrase.encode("ascii"))
    _write_tls(folder, issuing, now)
    for name in ("kommune-signing", "kommune-encryption", "fhi-signing", "fhi-encryption"):
        _write_pair(folder, name, issuing, passphrase, now)


def _write_pair(folder: Path, name: str, issuing: _Authority, passphrase: str, now: datetime) -> None:
    """Write key and certificate of ``<owner>-<use>`` (and whatever follows)."""
    owner, use = name.split("-")[:2]
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    common_name, number = _OWNERS[owner]
    certificate = _issue(issuing, _name(common_name, organisation_number=number), key, now, (_USAGES[use],))
    (folder / f"{name}.pem").write_bytes(_pem(certificate))
    # OpenSSL's own number of rounds: the passphrase is random, so that more would only make every start slower.
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(_KDF_ROUNDS)
    encryption = builder.build(passphrase.encode("ascii"))
    bundle = pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, [issuing.certificate], encryption)
    _write_secret(folder / f"{name}.p12", bundle)


def _write_tls(folder: Path, issuing: _Authority, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ],
    )
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = _issue(issuing, _name("localhost"), key, now, (_key_usage(digital_signature=True), names, server))
    (folder / "tls.pem").write_bytes(_pem(certificate) + _pem(issuing.certificate))
    _write_secret(folder / "tls.key", _key_pem(key))


def _authority(name: str, now: datetime, issuer: _Authority | None) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(subject, issuer.certificate.subject if issuer else subject, key, now)
    signing_key = issuer.key if issuer else key
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    return _Authority(key, builder.sign(signing_key, hashes.SHA256()))


def _issue(
    issuing: _Authority,
    subject: x509.Name,
    key: _Key,
    now: datetime,
    extensions: Iterable[x509.ExtensionType],
) -> x509.Certificate:
    builder = (
        _builder(subject, issuing.certificate.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.key.public_key()), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.KeyUsage))
    return builder.sign(issuing.key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: _Key, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str, organisation_number: str = "") -> x509.Name:
    """A virksomhetssertifikat carries the organisasjonsnummer as the subject's serialNumber."""
    number = [x509.NameAttribute(NameOID.SERIAL_NUMBER, organisation_number)] if organisation_number else []
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "NO"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "kpr-sender sandbox"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            *number,
        ],
    )


def _key_usage(**wanted: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in names})


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _write_secret(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


_OWNERS: Final = {"kommune": ("EKSEMPEL KOMMUNE", KOMMUNE_NUMBER), "fhi": ("SANDKASSE KPR VALIDERING", FHI_NUMBER)}
_USAGES: Final = {
    "signing": _key_usage(content_commitment=True),
    "encryption": _key_usage(key_encipherment=True, data_encipherment=True),
}
