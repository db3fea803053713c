"""A test PKI for one folder: two CAs, the municipality's keys, FHI's keys and the bus's TLS certificate.

The rules:

1. Everything is made here and now; no key is shipped. Key files have mode 0600.
2. The folder ``pki`` appears complete or not at all: it is written beside its place and renamed into it.
3. What is complete and valid stays; where anything is missing, expired or not yet valid, all is made anew.

Signers and recipients are RSA, as virksomhetssertifikater are; the CAs and TLS use EC, which is made in no time.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, get_args

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

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

VALIDITY: Final = timedelta(days=365)
_CLOCK_SKEW: Final = timedelta(minutes=5)
_RSA_BITS: Final = 2048
_KDF_ROUNDS: Final = 2048
_SIGNING: Final = ("content_commitment",)
KOMMUNE_NUMBER: Final = "310000019"
FHI_NUMBER: Final = "310000027"
"""Organisation numbers in the certificates, made up."""
SUCCESSOR: Final = "fhi-encryption-next"
"""Name of FHI's next key for encryption, as for ``Pki.pkcs12``; other keys' next ones are named in the same way."""
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
    """Where the files are. The passphrase opens every PKCS#12 file of the folder."""

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
                with ``-next`` once that is made.
        """
        return (self.folder / f"{owner_and_use}.p12").read_bytes()

    def certificate(self, owner_and_use: str) -> x509.Certificate:
        """Return a certificate, named as for ``pkcs12``."""
        return x509.load_pem_x509_certificate((self.folder / f"{owner_and_use}.pem").read_bytes())

    def has(self, owner_and_use: str) -> bool:
        """Tell whether there is a certificate of that name."""
        return (self.folder / f"{owner_and_use}.pem").exists()

    def server_context(self) -> ssl.SSLContext:
        """Return how the sandbox's servers speak TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.tls_certificate, self.tls_key)
        return context

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


def ensure_successor(pki: Pki, owner_and_use: str, *, now: datetime) -> str:
    """Make the next key for a use where the folder has none that is valid now; return its name.

    Args:
        pki: A complete one.
        owner_and_use: The present key's name, as for ``Pki.pkcs12``.
        now: Aware.

    Raises:
        OSError: The folder cannot be written.
    """
    name = f"{owner_and_use}-next"
    bundle = pki.folder / f"{name}.p12"
    if bundle.exists() and pki.certificate(name).not_valid_after_utc >= now:
        return name
    bundle.unlink(missing_ok=True)
    key = load_pem_private_key((pki.folder / "issuing.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - it was written here
    issuing = Authority(key, pki.certificate("issuing"))
    _write_pair(pki.folder, name, issuing, pki.passphrase(), now)
    return name


def impostor(original: x509.Certificate, now: datetime) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """Return a key and a self-signed certificate that names its owner as ``original`` does, and is not it.

    Args:
        original: Whose name is taken.
        now: Aware.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    return key, certificate(original.subject, key, Issuer(key, original.subject), valid_from(now), usages=_SIGNING)


Usage = Literal[
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
]
"""A bit of the key usage extension (RFC 5280 4.2.1.3), as ``cryptography`` calls it."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whoever signs certificates: a key, and the name that they bear as their issuer's."""

    key: Key
    name: x509.Name


def certificate(  # noqa: PLR0913 - a certificate is that many things
    subject: x509.Name,
    key: Key,
    issuer: Issuer,
    valid: tuple[datetime, datetime],
    *,
    usages: Iterable[str] = (),
    is_ca: bool | None = False,
    path_length: int | None = None,
    serial: int | None = None,
    extensions: Iterable[x509.Extension[x509.ExtensionType]] = (),
) -> x509.Certificate:
    """Issue a certificate.

    Args:
        subject: Whose it is.
        key: The key it is for.
        issuer: Who signs it; the owner's own key and name for a self-signed one.
        valid: First and last moment, aware.
        usages: Bits of the key usage extension (``Usage``); without any there is no such extension.
        is_ca: What BasicConstraints says; None leaves the extension out.
        path_length: How many authorities may stand below it.
        serial: Serial number; a random one when not given.
        extensions: Others, with whether they are critical.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(is_ca, path_length), critical=True)
    wanted = frozenset(usages)
    if wanted:
        usage = x509.KeyUsage(**{each: each in wanted for each in get_args(Usage)})
        builder = builder.add_extension(usage, critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(issuer.key, hashes.SHA256())


def valid_from(now: datetime) -> tuple[datetime, datetime]:
    """Return the validity of what is made now: a year, and what a clock may be behind."""
    return now - _CLOCK_SKEW, now + VALIDITY


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: what signs, its certificate, and the chain below its root in PEM."""

    key: Key
    certificate: x509.Certificate

    @property
    def issuer(self) -> Issuer:
        """Who signs what it issues."""
        return Issuer(self.key, self.certificate.subject)

    def server(
        self, folder: Path, *names: str, valid: tuple[datetime, datetime] | None = None, stem: str = "server"
    ) -> tuple[Path, Path]:
        """Write a TLS server's certificate, with this authority's below it, and its key.

        Args:
            folder: Where to; made where missing.
            names: Host names and addresses that it is for.
            valid: First and last moment; a year from now when not given.
            stem: The files are ``<stem>.pem`` and ``<stem>.key``.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        extensions: list[x509.Extension[x509.ExtensionType]] = [
            _extension(x509.SubjectAlternativeName([_general_name(each) for each in names])),
            _extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
        ]
        made = certificate(
            name(names[0]),
            key,
            self.issuer,
            valid or valid_from(datetime.now(UTC)),
            usages=("digital_signature",),
            extensions=extensions,
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{stem}.pem").write_bytes(_pem(made) + _pem(self.certificate))
        (folder / f"{stem}.key").unlink(missing_ok=True)
        _write_secret(folder / f"{stem}.key", _key_pem(key))
        return folder / f"{stem}.pem", folder / f"{stem}.key"


def authority(common_name: str, now: datetime, above: Authority | None = None) -> Authority:
    """Make an authority: a root, or one that ``above`` issues."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = name(common_name)
    issuer = above.issuer if above else Issuer(key, subject)
    made = certificate(subject, key, issuer, valid_from(now), usages=("key_cert_sign", "crl_sign"), is_ca=True)
    return Authority(key, made)


def name(common_name: str, organisation_number: str = "", *, organisation: str = "kpr-sender sandbox") -> x509.Name:
    """Return a subject as a virksomhetssertifikat has it: the organisasjonsnummer as serialNumber (SEID 1)."""
    number = [x509.NameAttribute(NameOID.SERIAL_NUMBER, organisation_number)] if organisation_number else []
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "NO"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            *number,
        ],
    )


def _is_good(pki: Pki, now: datetime) -> bool:
    if not all((pki.folder / file).is_file() for file in (*_CERTIFICATES, *_SECRET_FILES)):
        return False
    try:
        certificates = [x509.load_pem_x509_certificate((pki.folder / file).read_bytes()) for file in _CERTIFICATES]
    except ValueError:
        return False
    return all(one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in certificates)


def _write_all(folder: Path, now: datetime) -> None:
    root = authority("Sandbox Root CA", now)
    issuing = authority("Sandbox Class 3 CA", now, root)
    (folder / "ca.pem").write_bytes(_pem(root.certificate))
    (folder / "issuing.pem").write_bytes(_pem(issuing.certificate))
    _write_secret(folder / "issuing.key", _key_pem(issuing.key))
    passphrase = secrets.token_urlsafe(24)
    _write_secret(folder / "passphrase", passphrase.encode("ascii"))
    issuing.server(folder, "localhost", "127.0.0.1", "::1", valid=valid_from(now), stem="tls")
    for owner_and_use in ("kommune-signing", "kommune-encryption", "fhi-signing", "fhi-encryption"):
        _write_pair(folder, owner_and_use, issuing, passphrase, now)


def _write_pair(folder: Path, owner_and_use: str, issuing: Authority, passphrase: str, now: datetime) -> None:
    """Write key and certificate of ``<owner>-<use>`` (and whatever follows)."""
    owner, use = owner_and_use.split("-")[:2]
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    common_name, number = _OWNERS[owner]
    made = certificate(name(common_name, number), key, issuing.issuer, valid_from(now), usages=_USAGES[use])
    (folder / f"{owner_and_use}.pem").write_bytes(_pem(made))
    # OpenSSL's own number of rounds: the passphrase is random, so that more would only make every start slower.
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(_KDF_ROUNDS)
    encryption = builder.build(passphrase.encode("ascii"))
    bundle = pkcs12.serialize_key_and_certificates(owner_and_use.encode(), key, made, [issuing.certificate], encryption)
    _write_secret(folder / f"{owner_and_use}.p12", bundle)


def _general_name(written: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(written))
    except ValueError:
        return x509.DNSName(written)


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def _key_pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _write_secret(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


_OWNERS: Final = {"kommune": ("EKSEMPEL KOMMUNE", KOMMUNE_NUMBER), "fhi": ("SANDKASSE KPR VALIDERING", FHI_NUMBER)}
_USAGES: Final = {
    "signing": _SIGNING,
    "encryption": ("key_encipherment", "data_encipherment"),
}
