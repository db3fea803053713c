"""Certificates: read from files, checked before use, described for people, and matched with CMS identifiers.

What every certificate must have before it is used: an RSA key that is long enough, dates that hold, the key usage.
Trust comes from where the certificate was got (the register, the configuration); where the configuration requires
more, ``trust`` checks who issued it, whether it is revoked, and whose it is.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kpr_sender.cms import asn1
from kpr_sender.errors import AccessRefused, foreign_bytes
from kpr_sender.model import CertificateName
from kpr_sender.privacy import redact_name
from kpr_sender.texts import Text

E = TypeVar("E", bound=x509.ExtensionType)

MIN_RSA_BITS: Final = 2048
"""The least that NSM and every peer accept; shorter keys are broken in practice."""

_PEM: Final = b"-----BEGIN "
_NEXT_ONE: Final = Text(
    "Put the certificate that has followed it in its place; certs/README.md says where it comes from."
)
_OTHER_DATE: Final = Text("Check this machine's clock; if it is right, use the certificate that is valid now.")
_OTHER_USE: Final = Text("Take the party's certificate for this use; certs/README.md says which one goes where.")
_OTHER_KEY: Final = Text(
    "A certificate with an RSA key of at least 2048 bits is needed; have one issued and registered."
)


def load_certificates(data: bytes, name: str) -> list[x509.Certificate]:
    """Read all certificates of a file, at least one: any number in PEM, or one in DER. ``name`` says which file.

    Raises:
        AccessRefused: There is none, or one is damaged.
    """
    with foreign_bytes(AccessRefused(Text("There is no certificate in the file, or one is damaged."), where=name)):
        return [_complete(each) for each in x509.load_pem_x509_certificates(data)] if _PEM in data else [read_der(data)]


def read_der(data: bytes) -> x509.Certificate:
    """Read a certificate, DER.

    Raises:
        ValueError: It is none, or whose it is cannot be read.
    """
    with foreign_bytes(ValueError("no certificate")):
        return _complete(x509.load_der_x509_certificate(data))


def _complete(certificate: x509.Certificate) -> x509.Certificate:
    """Return a certificate after reading what the library reads only when it is asked for, and everybody asks for."""
    _ = certificate.subject, certificate.issuer, certificate.not_valid_before_utc, certificate.not_valid_after_utc
    CertificateIdentity.of(certificate)
    return certificate


def load_certificate(data: bytes, name: str) -> x509.Certificate:
    """Read a file's certificate, its first where it has several. Otherwise as ``load_certificates``."""
    return load_certificates(data, name)[0]


class CertificateUse(enum.StrEnum):
    """What a certificate is used for, by the key usage that it must have (RFC 5280 4.2.1.3)."""

    SIGNING_NON_REPUDIATION = "nonRepudiation"
    SIGNING_DIGITAL_SIGNATURE = "digitalSignature"
    ENCRYPTION = "keyEncipherment"


_HAS_USAGE: Final = {
    CertificateUse.SIGNING_NON_REPUDIATION: lambda usage: usage.content_commitment,
    CertificateUse.SIGNING_DIGITAL_SIGNATURE: lambda usage: usage.digital_signature,
    CertificateUse.ENCRYPTION: lambda usage: usage.key_encipherment,
}


def check(certificate: x509.Certificate, use: CertificateUse, *, at: datetime, name: str) -> None:
    """Refuse a certificate that must not be used; ``name`` says where it came from: a configuration key or a file.

    Raises:
        AccessRefused: Not an RSA key of at least 2048 bits; expired; not yet valid; without the key usage, or without
            the key usage extension at all (the reference client refuses that, too).
    """
    rsa_public_key(certificate, name=name)
    if at < certificate.not_valid_before_utc:
        what = Text(
            "The certificate is not valid before {not_valid_before_utc} UTC",
            not_valid_before_utc=format(certificate.not_valid_before_utc, "%Y-%m-%d %H:%M"),
        )
        raise refusal(certificate, what, name=name, next_step=_OTHER_DATE)
    if at > certificate.not_valid_after_utc:
        what = Text(
            "The certificate expired on {not_valid_after_utc} UTC",
            not_valid_after_utc=format(certificate.not_valid_after_utc, "%Y-%m-%d %H:%M"),
        )
        raise refusal(certificate, what, name=name, next_step=_NEXT_ONE)
    unreadable = Text("The certificate's extensions cannot be read")
    with foreign_bytes(partial(refusal, certificate, unreadable, name=name, next_step=_OTHER_USE)):
        usage = next((each.value for each in certificate.extensions if isinstance(each.value, x509.KeyUsage)), None)
        if usage is None:
            what = Text("The certificate has no key usage; {use} is needed", use=use.value)
        elif not _HAS_USAGE[use](usage):
            what = Text("The certificate's key usage does not include {use}", use=use.value)
        else:
            return
    raise refusal(certificate, what, name=name, next_step=_OTHER_USE)


def rsa_public_key(certificate: x509.Certificate, *, name: str) -> RSAPublicKey:
    """Return the certificate's key; ``name`` says in messages where the certificate came from.

    Raises:
        AccessRefused: Not an RSA key of at least 2048 bits. .NET peers cannot take elliptic curve recipients.
    """
    unreadable = Text("The certificate's key cannot be read")
    with foreign_bytes(partial(refusal, certificate, unreadable, name=name, next_step=_OTHER_KEY)):
        key = certificate.public_key()
    if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return key
    if isinstance(key, RSAPublicKey):
        what = Text(
            "The certificate's RSA key has {key_size} bits; at least {min_rsa_bits} are needed",
            key_size=key.key_size,
            min_rsa_bits=MIN_RSA_BITS,
        )
    else:
        kind = type(key).__name__.removesuffix("PublicKey").upper().removeprefix("_")
        what = Text("The certificate's key is {kind}; only RSA can be used", kind=kind)
    raise refusal(certificate, what, name=name, next_step=_OTHER_KEY)


def refusal(certificate: x509.Certificate, what: Text, *, name: str, next_step: Text) -> AccessRefused:
    """Return the refusal of a certificate: the rule it breaks (no full stop), which one it is, what to do."""
    return AccessRefused(
        Text("{what}. It is {describe}.", what=what, describe=describe(certificate)), where=name, next_step=next_step
    )


_LONGEST: Final = 64


def describe(certificate: x509.Certificate) -> str:
    """Name a certificate so that a person finds it again: whose it is, serial number, SHA-1 thumbprint.

    No person's name is in it: where the subject has no organisation, its owner is left out.
    """
    identity = named(certificate)
    return Text(
        "{owner}, serial number {colons}, SHA-1 thumbprint {colons_2}",
        owner=owner(certificate),
        colons=_colons(identity.serial),
        colons_2=_colons(identity.sha1),
    )


def named(certificate: x509.Certificate) -> CertificateName:
    """Return which certificate it is, as the journal stores it: nothing in it says whose."""
    # The thumbprint that Windows and Adresseregisteret show; it names, it protects nothing.
    thumbprint = certificate.fingerprint(SHA1()).hex()  # noqa: S303
    return CertificateName(thumbprint, CertificateIdentity.of(certificate).serial_number)


def owner(certificate: x509.Certificate) -> str:
    """Return common name and organisation of the subject, for people."""
    organisation = _shown(certificate.subject, NameOID.ORGANIZATION_NAME)
    if not organisation:
        return Text("a certificate of no organisation")
    common_name = _shown(certificate.subject, NameOID.COMMON_NAME)
    return f"{common_name} ({organisation})" if common_name and common_name != organisation else organisation


# A virksomhetssertifikat has the organisation number in one of two ways. SEID 1 (until 2022, still met): subject
# ``serialNumber`` is the nine digits. SEID 2 (ETSI EN 319 412-1): ``organizationIdentifier`` is ``NTRNO-`` and the nine
# digits.
_SEID_1: Final = re.compile(r"\d{9}", re.ASCII)
_SEID_2: Final = re.compile(r"NTRNO-(\d{9})", re.ASCII)


def organisation_number(certificate: x509.Certificate) -> str | None:
    """Return the organisation number in the subject, in either SEID encoding; None where there is none."""
    for text in _values(certificate.subject, NameOID.ORGANIZATION_IDENTIFIER):
        if found := _SEID_2.fullmatch(text):
            return found.group(1)
    return next((text for text in _values(certificate.subject, NameOID.SERIAL_NUMBER) if _SEID_1.fullmatch(text)), None)


def check_organisation(certificate: x509.Certificate, wanted: str, *, name: str) -> None:
    """Refuse the certificate of another organisation than that of the wanted number, nine digits.

    Raises:
        AccessRefused: The subject has another number, or none.
    """
    found = organisation_number(certificate)
    if found == wanted:
        return
    has = Text("no organisation number") if found is None else Text("organisation number {found}", found=found)
    raise refusal(
        certificate,
        Text("The certificate's subject has {has}; it must be {wanted}", has=has, wanted=wanted),
        name=name,
        next_step=Text("Take the party's own certificate, or correct its organisation number in the configuration."),
    )


def _values(subject: x509.Name, attribute: x509.ObjectIdentifier) -> list[str]:
    return [str(found.value).strip() for found in subject.get_attributes_for_oid(attribute)]


def _shown(subject: x509.Name, attribute: x509.ObjectIdentifier) -> str:
    """One attribute as a message may show it: one line, not long, no person's number in it."""
    return redact_name(next(iter(_values(subject, attribute)), ""), _LONGEST)


def _colons(hexadecimal: str) -> str:
    """Two digits at a time, as openssl and the browsers write it; a serial number is whole bytes."""
    return bytes.fromhex(hexadecimal).hex(":").upper()


_LONGEST_SERIAL: Final = 21  # octets: 20 (RFC 5280 4.1.2.2) and a sign
_MAX_ELEMENTS: Final = 1000
_MAX_DEPTH: Final = 10


@dataclass(frozen=True, slots=True)
class CertificateIdentity:
    """A certificate's own bytes for its names, number and key, which CMS identifiers are compared with.

    They are taken from the certificate as it is, never encoded anew: another string type in the issuer's name, or a
    negative serial number, would make another identifier of it.

    Attributes:
        issuer: The issuer's Name, DER.
        serial: The serialNumber INTEGER, DER.
        subject: The subject's Name, DER.
        public_key: The SubjectPublicKeyInfo, DER.
        key_identifier: The subject key identifier; None where it has none, and for one that is embedded.
    """

    issuer: bytes
    serial: bytes
    subject: bytes
    public_key: bytes
    key_identifier: bytes | None = None

    @staticmethod
    @lru_cache(maxsize=64)  # a message may name thousands of recipients, and each is compared with each of ours
    def of(certificate: x509.Certificate) -> CertificateIdentity:
        """Read a certificate's identity."""
        encoded = memoryview(certificate.public_bytes(Encoding.DER))
        found = CertificateIdentity.read(asn1.read(encoded, max_elements=_MAX_ELEMENTS, max_depth=_MAX_DEPTH))
        key_identifier = extension(certificate, x509.SubjectKeyIdentifier)
        return found if key_identifier is None else replace(found, key_identifier=key_identifier.digest)

    @classmethod
    def read(cls, certificate: asn1.BerElement) -> CertificateIdentity:
        """Read the identity of an embedded certificate (RFC 5280 4.1).

        Raises:
            BerError: It is no certificate.
        """
        tbs = asn1.Fields(asn1.Fields(certificate).take(asn1.SEQUENCE))
        tbs.optional(asn1.CONTEXT_0_CONSTRUCTED)  # version
        serial = tbs.take(asn1.INTEGER)
        tbs.take(asn1.SEQUENCE)  # signature algorithm
        issuer = tbs.take(asn1.SEQUENCE)
        tbs.take(asn1.SEQUENCE)  # validity
        subject = tbs.take(asn1.SEQUENCE)
        public_key = tbs.take(asn1.SEQUENCE)
        return cls(bytes(issuer.raw), bytes(serial.raw), bytes(subject.raw), bytes(public_key.raw))

    @property
    def issuer_and_serial(self) -> bytes:
        """IssuerAndSerialNumber, DER."""
        return asn1.wrap(asn1.SEQUENCE, self.issuer, self.serial)

    @property
    def serial_number(self) -> str:
        """The serial number in hexadecimal, for people; the beginning of one that is longer than a serial number is."""
        number = asn1.read(memoryview(self.serial), max_elements=1, max_depth=1).content
        return number[:_LONGEST_SERIAL].hex()

    def is_named_by(self, identifier: asn1.BerElement) -> bool:
        """Whether a RecipientIdentifier or SignerIdentifier (RFC 5652 5.3), in DER or BER, names this certificate."""
        if identifier.tag == asn1.CONTEXT_0:
            return self.key_identifier is not None and bytes(identifier.content) == self.key_identifier
        return [bytes(part.raw) for part in identifier.children()] == [self.issuer, self.serial]


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """Return what an extension of a certificate says; None where it is not there or cannot be read."""
    try:
        with foreign_bytes(ValueError()):
            return certificate.extensions.get_extension_for_class(kind).value
    except ValueError:
        return None


def names(identifier: asn1.BerElement, certificate: x509.Certificate) -> bool:
    """Whether a RecipientIdentifier or SignerIdentifier (RFC 5652 5.3) names this certificate."""
    return CertificateIdentity.of(certificate).is_named_by(identifier)
