"""What a certificate must be before it is used: an RSA key that is long enough, valid now, meant for the use.

Trust comes from where the certificate was got (the register, the configuration), not from its chain.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kpr_sender.errors import AccessRefused

MIN_RSA_BITS: Final = 2048
"""NSM's and every peer's least; shorter keys are broken in practice."""


class CertificateUse(enum.Enum):
    """What a certificate is to be used for, by the key usage that it must have (RFC 5280 4.2.1.3)."""

    SIGNING_NON_REPUDIATION = "nonRepudiation"
    SIGNING_DIGITAL_SIGNATURE = "digitalSignature"
    ENCRYPTION = "keyEncipherment"


_HAS_USAGE: Final = {
    CertificateUse.SIGNING_NON_REPUDIATION: lambda usage: usage.content_commitment,
    CertificateUse.SIGNING_DIGITAL_SIGNATURE: lambda usage: usage.digital_signature,
    CertificateUse.ENCRYPTION: lambda usage: usage.key_encipherment,
}


def check(certificate: x509.Certificate, use: CertificateUse, *, at: datetime, name: str) -> None:
    """Refuse a certificate that must not be used.

    Args:
        certificate: Ours or a counterpart's.
        use: What for.
        at: When, with time zone.
        name: Where it came from, for the message: a configuration key or a file.

    Raises:
        AccessRefused: Not an RSA key of at least 2048 bits; expired; not yet valid; without the key usage, or without
            the key usage extension at all (the reference client refuses that, too).
    """
    rsa_public_key(certificate, name=name)
    if at < certificate.not_valid_before_utc:
        raise AccessRefused(
            f"The certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.", where=name
        )
    if at > certificate.not_valid_after_utc:
        raise AccessRefused(
            f"The certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC.", where=name
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise AccessRefused(f"The certificate has no key usage; {use.value} is needed.", where=name) from None
    except (x509.DuplicateExtension, ValueError):
        raise AccessRefused("The certificate's extensions cannot be read.", where=name) from None
    if not _HAS_USAGE[use](usage):
        raise AccessRefused(f"The certificate's key usage does not include {use.value}.", where=name)


def rsa_public_key(certificate: x509.Certificate, *, name: str) -> RSAPublicKey:
    """Return the certificate's key.

    Args:
        certificate: Ours or a counterpart's.
        name: Where it came from, for the message.

    Raises:
        AccessRefused: Not an RSA key of at least 2048 bits. .NET peers cannot take elliptic curve recipients.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise AccessRefused("The certificate's key cannot be read.", where=name) from None
    if not isinstance(key, RSAPublicKey):
        kind = type(key).__name__.removesuffix("PublicKey").upper().removeprefix("_")
        raise AccessRefused(f"The certificate's key is {kind}; only RSA can be used.", where=name)
    if key.key_size < MIN_RSA_BITS:
        raise AccessRefused(
            f"The certificate's RSA key has {key.key_size} bits; at least {MIN_RSA_BITS} are needed.", where=name
        )
    return key
