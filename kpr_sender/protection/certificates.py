"""What a certificate must be before it is used: an RSA key that is long enough, valid now, meant for the use.

Trust comes from where the certificate was got (the register, the configuration). Where the configuration asks for more,
``chain``, ``revocation`` and ``subject`` look at who issued it, whether it still stands, and whose it is.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kpr_sender.errors import AccessRefused
from kpr_sender.protection.subject import refusal

MIN_RSA_BITS: Final = 2048
"""NSM's and every peer's least; shorter keys are broken in practice."""

_NEXT_ONE: Final = "Put the certificate that has followed it in its place; certs/README.md says where it comes from."
_OTHER_DATE: Final = "Check this machine's clock; if it is right, use the certificate that is valid now."
_OTHER_USE: Final = "Take the party's certificate for this use; certs/README.md says which one goes where."
_OTHER_KEY: Final = "A certificate with an RSA key of at least 2048 bits is needed; have one issued and registered."


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
        starts = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise _refused(certificate, f"The certificate is not valid before {starts}", name, _OTHER_DATE)
    if at > certificate.not_valid_after_utc:
        ended = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        raise _refused(certificate, f"The certificate expired on {ended}", name, _NEXT_ONE)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        what = f"The certificate has no key usage; {use.value} is needed"
        raise _refused(certificate, what, name, _OTHER_USE) from None
    except (x509.DuplicateExtension, ValueError):
        raise _refused(certificate, "The certificate's extensions cannot be read", name, _OTHER_USE) from None
    if not _HAS_USAGE[use](usage):
        raise _refused(certificate, f"The certificate's key usage does not include {use.value}", name, _OTHER_USE)


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
        raise _refused(certificate, "The certificate's key cannot be read", name, _OTHER_KEY) from None
    if not isinstance(key, RSAPublicKey):
        kind = type(key).__name__.removesuffix("PublicKey").upper().removeprefix("_")
        raise _refused(certificate, f"The certificate's key is {kind}; only RSA can be used", name, _OTHER_KEY)
    if key.key_size < MIN_RSA_BITS:
        what = f"The certificate's RSA key has {key.key_size} bits; at least {MIN_RSA_BITS} are needed"
        raise _refused(certificate, what, name, _OTHER_KEY)
    return key


def _refused(certificate: x509.Certificate, what: str, name: str, next_step: str) -> AccessRefused:
    return refusal(certificate, what, name=name, next_step=next_step)
