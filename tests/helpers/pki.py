"""A PKI of our own, made when the tests run: root, issuing CA, and certificates of every kind, good and bad.

Everything is made at first use and kept for the run. ``key_pair(Kind.SIGNER)`` is a municipality's signing key,
``key_pair(Kind.ENCRYPTION)`` its encryption key; the other kinds are what tests need to be refused.
"""

from __future__ import annotations

import datetime as dt
import enum
import functools
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from kpr_sender.keys.files import KeyPair
from kpr_sender.sandbox import pki as made

PASSPHRASE: Final = "test keys only"
NOW: Final = dt.datetime.now(dt.UTC).replace(microsecond=0)
_DAY: Final = dt.timedelta(days=1)
_VALID: Final = (NOW - 30 * _DAY, NOW + 365 * _DAY)


class Kind(enum.StrEnum):
    """What a certificate is like."""

    SIGNER = "signer"
    NEXT_SIGNER = "next-signer"
    STRANGER = "stranger"
    DIGITAL_SIGNATURE_SIGNER = "digital-signature-signer"
    ENCRYPTION = "encryption"
    NEXT_ENCRYPTION = "next-encryption"
    RECEIVER_SIGNER = "receiver-signer"
    RECEIVER_ENCRYPTION = "receiver-encryption"
    EXPIRED_SIGNER = "expired-signer"
    NOT_YET_VALID_SIGNER = "not-yet-valid-signer"
    EXPIRED_ENCRYPTION = "expired-encryption"
    NO_USAGE = "no-usage"
    RSA_1024 = "rsa-1024"
    RSA_3072 = "rsa-3072"
    EC = "ec"


@dataclass(frozen=True)
class _Recipe:
    usages: tuple[str, ...]
    valid: tuple[dt.datetime, dt.datetime] = _VALID
    key: str = "shared"


_SIGN: Final = ("content_commitment",)
_ENCIPHER: Final = ("key_encipherment", "data_encipherment")
_PAST: Final = (NOW - 400 * _DAY, NOW - _DAY)
_FUTURE: Final = (NOW + _DAY, NOW + 400 * _DAY)

_RECIPES: Final = {
    Kind.SIGNER: _Recipe(_SIGN, key="signer"),
    Kind.NEXT_SIGNER: _Recipe(_SIGN, key="next-signer"),
    Kind.STRANGER: _Recipe(_SIGN, key="stranger"),
    Kind.DIGITAL_SIGNATURE_SIGNER: _Recipe(("digital_signature",)),
    Kind.ENCRYPTION: _Recipe(_ENCIPHER, key="encryption"),
    Kind.NEXT_ENCRYPTION: _Recipe(_ENCIPHER, key="next-encryption"),
    Kind.RECEIVER_SIGNER: _Recipe(_SIGN, key="next-signer"),
    Kind.RECEIVER_ENCRYPTION: _Recipe(_ENCIPHER, key="next-encryption"),
    Kind.EXPIRED_SIGNER: _Recipe(_SIGN, _PAST),
    Kind.NOT_YET_VALID_SIGNER: _Recipe(_SIGN, _FUTURE),
    Kind.EXPIRED_ENCRYPTION: _Recipe(_ENCIPHER, _PAST),
    Kind.NO_USAGE: _Recipe(()),
    Kind.RSA_1024: _Recipe((*_SIGN, *_ENCIPHER), key="rsa-1024"),
    Kind.RSA_3072: _Recipe((*_SIGN, *_ENCIPHER), key="rsa-3072"),
    Kind.EC: _Recipe((*_SIGN, "key_agreement"), key="ec"),
}
_BITS: Final = {"rsa-1024": 1024, "rsa-3072": 3072}

PrivateKey = made.Key


@functools.cache
def _key(name: str) -> PrivateKey:
    if name == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, _BITS.get(name, 2048))


def _name(common_name: str) -> x509.Name:
    return made.name(common_name, organisation="kpr-sender tests")


def issue(
    common_name: str,
    key: PrivateKey,
    *,
    issuer: str,
    issuer_key: PrivateKey,
    usages: tuple[str, ...],
    valid: tuple[dt.datetime, dt.datetime] = _VALID,
    ca: bool = False,
    serial: int | None = None,
) -> x509.Certificate:
    """Issue a certificate; without usages it has no key usage extension."""
    by = made.Issuer(issuer_key, _name(issuer))
    return made.certificate(_name(common_name), key, by, valid, usages=usages, is_ca=ca, serial=serial)


@functools.cache
def root() -> x509.Certificate:
    """Return the root CA's certificate."""
    key = _key("root")
    return issue(
        "Test Root CA", key, issuer="Test Root CA", issuer_key=key, usages=("key_cert_sign", "crl_sign"), ca=True
    )


@functools.cache
def issuing_ca() -> x509.Certificate:
    """Return the issuing CA's certificate."""
    usages = ("key_cert_sign", "crl_sign")
    return issue("Test Issuing CA", _key("ca"), issuer="Test Root CA", issuer_key=_key("root"), usages=usages, ca=True)


@functools.cache
def certificate(kind: Kind) -> x509.Certificate:
    """Return the certificate of a kind."""
    recipe = _RECIPES[kind]
    return issue(
        f"Test {kind}",
        _key(recipe.key),
        issuer="Test Issuing CA",
        issuer_key=_key("ca"),
        usages=recipe.usages,
        valid=recipe.valid,
    )


def private_key(kind: Kind) -> PrivateKey:
    """Return the key of a kind."""
    return _key(_RECIPES[kind].key)


@functools.cache
def key_pair(kind: Kind) -> KeyPair:
    """Return key, certificate and chain of a kind, for the product."""
    key = private_key(kind)
    assert isinstance(key, rsa.RSAPrivateKey)
    return KeyPair(certificate(kind), key, (issuing_ca(),))


def impostor(kind: Kind) -> KeyPair:
    """Return a key pair with another key and the very issuer and serial number of a kind's certificate."""
    key = _key("impostor")
    assert isinstance(key, rsa.RSAPrivateKey)
    forged = issue(
        f"Test {kind}",
        key,
        issuer="Test Issuing CA",
        issuer_key=_key("root"),
        usages=_RECIPES[kind].usages,
        serial=certificate(kind).serial_number,
    )
    return KeyPair(forged, key)


def _encryption(passphrase: str | None) -> KeySerializationEncryption:
    return NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())


def p12(kind: Kind, passphrase: str | None = PASSPHRASE) -> bytes:
    """Return a kind's PKCS#12 file, with the issuing CA and the root in it as vendors deliver it."""
    return pkcs12.serialize_key_and_certificates(
        b"test", private_key(kind), certificate(kind), [root(), issuing_ca()], _encryption(passphrase)
    )


def certificate_pem(kind: Kind, *others: x509.Certificate) -> bytes:
    """Return a kind's certificate, then others, as PEM."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in (certificate(kind), *others))


def key_pem(kind: Kind, passphrase: str | None = None) -> bytes:
    """Return a kind's private key as PEM (PKCS#8)."""
    return private_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, _encryption(passphrase))
