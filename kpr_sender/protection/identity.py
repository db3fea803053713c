"""Which certificate a CMS identifier names: by issuer and serial number, or subject key identifier (RFC 5652 5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.protection import ber, der

_VERSION: Final = der.CONTEXT_0_CONSTRUCTED
_MAX_ELEMENTS: Final = 1000
_MAX_DEPTH: Final = 10


@dataclass(frozen=True, slots=True)
class CertificateIdentity:
    """A certificate's own bytes for its names, number and key.

    They are taken from the certificate as it is, never encoded anew: another string type in the issuer's name, or a
    negative serial number, would make another identifier of it.

    Attributes:
        issuer: The issuer's Name, DER.
        serial: The serialNumber INTEGER, DER.
        subject: The subject's Name, DER.
        public_key: The SubjectPublicKeyInfo, DER.
    """

    issuer: bytes
    serial: bytes
    subject: bytes
    public_key: bytes

    @classmethod
    def of(cls, certificate: x509.Certificate) -> CertificateIdentity:
        """Read a certificate's identity."""
        encoded = memoryview(certificate.public_bytes(Encoding.DER))
        return cls.read(ber.read(encoded, max_elements=_MAX_ELEMENTS, max_depth=_MAX_DEPTH))

    @classmethod
    def read(cls, certificate: ber.Element) -> CertificateIdentity:
        """Read the identity of an embedded certificate (RFC 5280 4.1).

        Raises:
            BerError: It is no certificate.
        """
        tbs = ber.Fields(ber.Fields(certificate).take(der.SEQUENCE))
        tbs.optional(_VERSION)
        serial = tbs.take(der.INTEGER)
        tbs.take(der.SEQUENCE)
        issuer = tbs.take(der.SEQUENCE)
        tbs.take(der.SEQUENCE)
        subject = tbs.take(der.SEQUENCE)
        public_key = tbs.take(der.SEQUENCE)
        return cls(bytes(issuer.raw), bytes(serial.raw), bytes(subject.raw), bytes(public_key.raw))

    @property
    def issuer_and_serial(self) -> bytes:
        """IssuerAndSerialNumber, DER."""
        return der.wrap(der.SEQUENCE, self.issuer, self.serial)

    @property
    def serial_number(self) -> str:
        """The serial number in hexadecimal, for people."""
        return self.serial[2:].hex()

    def is_named_by(self, identifier: ber.Element) -> bool:
        """Whether an IssuerAndSerialNumber, in DER or BER, names this certificate."""
        return identifier.tag == der.SEQUENCE and [bytes(part.raw) for part in identifier.children()] == [
            self.issuer,
            self.serial,
        ]


def names(identifier: ber.Element, certificate: x509.Certificate) -> bool:
    """Whether a RecipientIdentifier or SignerIdentifier names this certificate."""
    if identifier.tag == der.CONTEXT_0:
        return bytes(identifier.content) == key_identifier(certificate)
    return CertificateIdentity.of(certificate).is_named_by(identifier)


def key_identifier(certificate: x509.Certificate) -> bytes | None:
    """Return the subject key identifier extension's value; None where there is none that can be read."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
