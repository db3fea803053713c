"""A PKI like those behind Norwegian virksomhetssertifikater (SEID), with CRLs and OCSP, good and bad, on request.

Keys are those of ``tests.helpers.pki``; nothing but signatures is made here, so that a case costs a few milliseconds.
"""

from __future__ import annotations

import datetime as dt
import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from kpr_sender.cms import asn1
from kpr_sender.sandbox import pki as made
from tests.helpers import pki
from tests.helpers.pki import NOW, Kind, PrivateKey

DAY: Final = dt.timedelta(days=1)
VALID: Final = (NOW - 30 * DAY, NOW + 365 * DAY)
ORGANISATION: Final = "310000000"
"""A number with a right check digit that Brønnøysundregistrene gives to nobody."""
OTHER_ORGANISATION: Final = "310000019"
SIGN: Final = ("content_commitment",)
ENCIPHER: Final = ("digital_signature", "key_encipherment", "data_encipherment")
_CA: Final = ("key_cert_sign", "crl_sign")
UNKNOWN_CRITICAL: Final = x509.Extension(
    x509.ObjectIdentifier("2.5.29.99"), True, x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.99"), b"\5\0")
)


@functools.cache
def key(name: str) -> PrivateKey:
    """Return one of the run's keys."""
    named = {"leaf": Kind.SIGNER, "other": Kind.STRANGER, "rsa-1024": Kind.RSA_1024, "ec": Kind.EC}
    return pki.private_key(named[name]) if name in named else pki._key(name)


def seid_1(number: str = ORGANISATION, common_name: str = "EKSEMPEL KOMMUNE") -> x509.Name:
    """The older way: the subject's serialNumber is the organisation number."""
    return _name(common_name, x509.NameAttribute(NameOID.SERIAL_NUMBER, number))


def seid_2(number: str = ORGANISATION, scheme: str = "NTRNO-") -> x509.Name:
    """The newer way: organizationIdentifier, with the register's name before the number."""
    return _name("EKSEMPEL KOMMUNE", x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, scheme + number))


def nameless() -> x509.Name:
    """A subject without organisation number."""
    return _name("EKSEMPEL KOMMUNE")


def person(number: str) -> x509.Name:
    """A person's certificate, as nobody should put it there."""
    attributes = [(NameOID.COMMON_NAME, "Ola Privat"), (NameOID.SERIAL_NUMBER, number)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def _name(common_name: str, *more: x509.NameAttribute[str]) -> x509.Name:
    return x509.Name([*made.name(common_name, organisation="EKSEMPEL KOMMUNE TEST"), *more])


@dataclass(frozen=True)
class Authority:
    """Somebody who issues: certificate and key."""

    certificate: x509.Certificate
    key: PrivateKey

    def issue(  # noqa: PLR0913 - a row of a table names the few that it is about
        self,
        subject: x509.Name | None = None,
        *,
        usages: Sequence[str] = SIGN,
        valid: tuple[dt.datetime, dt.datetime] = VALID,
        leaf_key: str = "leaf",
        ca: bool | None = False,
        path_length: int | None = None,
        crl: str = "",
        ocsp_at: str = "",
        purposes: Sequence[x509.ObjectIdentifier] = (),
        more: Sequence[x509.Extension[x509.ExtensionType]] = (),
        serial: int | None = None,
    ) -> x509.Certificate:
        """Issue a certificate; ``crl`` and ``ocsp_at`` are the addresses that it names."""
        extensions: list[x509.Extension[x509.ExtensionType]] = []
        if crl:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
            ldap = x509.UniformResourceIdentifier("ldap://ldap.example.test/cn=CA?certificateRevocationList")
            other = x509.DistributionPoint([ldap], None, None, None)
            extensions.append(_extension(x509.CRLDistributionPoints([point, other])))
        if ocsp_at:
            responder = x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp_at)
            )
            extensions.append(_extension(x509.AuthorityInformationAccess([responder])))
        if purposes:
            extensions.append(_extension(x509.ExtendedKeyUsage(purposes)))
        return made.certificate(
            subject or seid_1(),
            key(leaf_key),
            made.Issuer(self.key, self.certificate.subject),
            valid,
            usages=usages,
            is_ca=ca,
            path_length=path_length if ca else None,
            serial=serial,
            extensions=[*extensions, *more],
        )

    def authority(self, name: str, key_name: str, **changes: object) -> Authority:
        """Issue an authority below this one."""
        wanted: dict[str, object] = {"usages": _CA, "ca": True, "leaf_key": key_name} | changes
        return Authority(self.issue(_name(name), **wanted), key(key_name))  # type: ignore[arg-type]  # named freely

    def crl(
        self,
        *gone: x509.Certificate,
        made: dt.datetime = NOW - DAY,
        until: dt.datetime = NOW + DAY,
        reason: x509.ReasonFlags | None = None,
        more: Sequence[x509.Extension[x509.ExtensionType]] = (),
        signed_by: PrivateKey | None = None,
    ) -> x509.CertificateRevocationList:
        """Publish a CRL on which these certificates are."""
        builder = x509.CertificateRevocationListBuilder(self.certificate.subject, made, until)
        for each in gone:
            entry = x509.RevokedCertificateBuilder(each.serial_number, NOW - DAY)
            if reason is not None:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        for extension in more:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        return builder.sign(signed_by or self.key, SHA256())

    def answer(
        self,
        certificate: x509.Certificate,
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        *,
        made: dt.datetime = NOW - DAY,
        until: dt.datetime | None = NOW + DAY,
        responder: Authority | None = None,
        by_key: bool = False,
        more: Sequence[x509.Extension[x509.ExtensionType]] = (),
    ) -> bytes:
        """Answer by OCSP, as issuer or with a delegated responder."""
        gone = status is ocsp.OCSPCertStatus.REVOKED
        who = responder or self
        encoding = ocsp.OCSPResponderEncoding.HASH if by_key else ocsp.OCSPResponderEncoding.NAME
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=certificate,
                issuer=self.certificate,
                algorithm=SHA1(),  # noqa: S303 - as all responders do
                cert_status=status,
                this_update=made,
                next_update=until,
                revocation_time=NOW - DAY if gone else None,
                revocation_reason=x509.ReasonFlags.key_compromise if gone else None,
            )
            .responder_id(encoding, who.certificate)
        )
        if responder is not None:
            builder = builder.certificates([responder.certificate])
        for extension in more:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        return builder.sign(who.key, SHA256()).public_bytes(Encoding.DER)

    def responder(self, **changes: object) -> Authority:
        """Issue a delegated OCSP responder; EC, so that both kinds of signature are met."""
        wanted: dict[str, object] = {
            "usages": ("digital_signature",),
            "leaf_key": "ec",
            "purposes": [ExtendedKeyUsageOID.OCSP_SIGNING],
        }
        return Authority(self.issue(_name("OCSP"), **wanted | changes), key("ec"))  # type: ignore[arg-type]


def new_root(name: str = "Test SEID Root", key_name: str = "root") -> Authority:
    """Make a root."""
    own = key(key_name)
    return Authority(
        made.certificate(_name(name), own, made.Issuer(own, _name(name)), VALID, usages=_CA, is_ca=True), own
    )


def _extension(value: x509.ExtensionType) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, False, value)


@dataclass(frozen=True)
class SeidPki:
    """A root and the issuing authority below it, whose own CRL lies at an address."""

    root_crl: str
    root: Authority = field(default_factory=new_root)

    @functools.cached_property
    def issuing(self) -> Authority:
        return self.root.authority("Test SEID CA 3", "ca", crl=self.root_crl)


def with_sha1(certificate: x509.Certificate, by: PrivateKey) -> x509.Certificate:
    """Sign anew with SHA-1, which no library does any more."""
    oid_sha256, oid_sha1 = asn1.oid("1.2.840.113549.1.1.11"), asn1.oid("1.2.840.113549.1.1.5")
    tbs = certificate.tbs_certificate_bytes.replace(oid_sha256, oid_sha1)
    return _signed_anew(tbs, oid_sha1, SHA1(), by)  # noqa: S303


def crl_with_sha1(crl: x509.CertificateRevocationList, by: PrivateKey) -> bytes:
    """Sign a CRL anew with SHA-1."""
    assert isinstance(by, rsa.RSAPrivateKey)
    oid_sha256, oid_sha1 = asn1.oid("1.2.840.113549.1.1.11"), asn1.oid("1.2.840.113549.1.1.5")
    tbs = crl.tbs_certlist_bytes.replace(oid_sha256, oid_sha1)
    signature = by.sign(tbs, padding.PKCS1v15(), SHA1())  # noqa: S303
    return asn1.wrap(
        asn1.SEQUENCE, tbs, asn1.wrap(asn1.SEQUENCE, oid_sha1, asn1.NULL), asn1.wrap(0x03, b"\0", signature)
    )


def with_serial(certificate: x509.Certificate, first: int, by: PrivateKey) -> x509.Certificate:
    """Sign anew with another first byte of the serial number: from 0x80 on it is below zero."""
    serial = certificate.serial_number.to_bytes(16, "big")
    tbs = certificate.tbs_certificate_bytes.replace(serial, bytes([first]) + serial[1:], 1)
    return _signed_anew(tbs, asn1.oid("1.2.840.113549.1.1.11"), SHA256(), by)


def _signed_anew(tbs: bytes, algorithm: bytes, digest: SHA1 | SHA256, by: PrivateKey) -> x509.Certificate:
    assert isinstance(by, rsa.RSAPrivateKey)
    signature = by.sign(tbs, padding.PKCS1v15(), digest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of serial numbers below zero
        return x509.load_der_x509_certificate(
            asn1.wrap(
                asn1.SEQUENCE, tbs, asn1.wrap(asn1.SEQUENCE, algorithm, asn1.NULL), asn1.wrap(0x03, b"\0", signature)
            )
        )
