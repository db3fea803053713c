"""Which certificate a CMS identifier names: by issuer and serial number, or by subject key identifier (RFC 5652 5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509

from kpr_sender.protection import ber, der

_VERSION: Final = der.CONTEXT_0_CONSTRUCTED
_BOUNDS: Final = {"max_elements": 1000, "max_depth": 4}


@dataclass(frozen=True, slots=True)
class CertificateIdentity:
    """A certificate's own bytes for its names and number.

    They are taken from the certificate as it is, never encoded anew: another string type in the issuer's name, or a
    negative serial number, would make another identifier of it.

    Attributes:
        issuer: The issuer's Name, DER.
        serial: The serialNumber INTEGER, DER.
        subject: The subject's Name, DER.
    """

    issuer: bytes
    serial: bytes
    subject: bytes

    @classmethod
    def of(cls, certificate: x509.Certificate) -> CertificateIdentity:
        """Read a certificate's identity (RFC 5280 4.1: TBSCertificate)."""
        tbs = ber.Fields(ber.read(memoryview(certificate.tbs_certificate_bytes), **_BOUNDS))
        tbs.optional(_VERSION)
        serial = tbs.take(der.INTEGER)
        tbs.take(der.SEQUENCE)
        issuer = tbs.take(der.SEQUENCE)
        tbs.take(der.SEQUENCE)
        subject = tbs.take(der.SEQUENCE)
        return cls(bytes(issuer.raw), bytes(serial.raw), bytes(subject.raw))

    @property
    def issuer_and_serial(self) -> bytes:
        """IssuerAndSerialNumber, DER."""
        return der.wrap(der.SEQUENCE, self.issuer, self.serial)


def names(identifier: ber.Element, certificate: x509.Certificate) -> bool:
    """Whether a RecipientIdentifier or SignerIdentifier names this certificate."""
    if identifier.tag == der.CONTEXT_0:
        return identifier.content == key_identifier(certificate)
    if identifier.tag != der.SEQUENCE:
        return False
    identity = CertificateIdentity.of(certificate)
    return [bytes(part.raw) for part in identifier.children()] == [identity.issuer, identity.serial]


def key_identifier(certificate: x509.Certificate) -> bytes | None:
    """Return the subject key identifier extension's value; None where there is none that can be read."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
