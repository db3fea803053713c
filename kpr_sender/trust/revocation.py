"""Whether a certificate is revoked, by what its issuer says: a CRL (RFC 5280 5, 6.3) or an OCSP answer (RFC 6960).

An answer counts only when it is the issuer's, its signature holds, it is not older than it says it may be, and nothing
critical stands in it that we do not know. Anything else is no answer: never "good", never "revoked". OCSP is asked
without a nonce, as big authorities make answers beforehand; what keeps an old one from being shown to us is nextUpdate.
Pure: the bytes are handed in.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID

from kpr_sender.cms.certificates import extension
from kpr_sender.errors import foreign_bytes
from kpr_sender.texts import Text

CLOCK_SKEW: Final = timedelta(minutes=5)
"""What an issuer's clock may be ahead of ours."""

_FRESH: Final = timedelta(hours=1)
"""How old an answer without nextUpdate may be: such a responder answers each question anew."""

_MOST_ADDRESSES: Final = 3
"""Of each kind: real certificates name one or two, and each that is silent costs its time."""
_WEAK: Final = frozenset({"md5", "sha1"})
_KNOWN_IN_A_CRL: Final = frozenset(
    {ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER, ExtensionOID.ISSUING_DISTRIBUTION_POINT}
)


class RevocationStatus(enum.Enum):
    """What the issuer says of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RevocationAnswer:
    """What one answer says, as far as it counts.

    Attributes:
        why: When it was revoked, or why the answer does not count.
        until: How long the answer counts; None where it must not be used again.
    """

    status: RevocationStatus
    why: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a certificate says that answers are to be had; http only."""

    crls: tuple[str, ...]
    ocsp: tuple[str, ...]


def no_answer(why: str) -> RevocationAnswer:
    """Return *unknown*: there is no answer that counts, and why."""
    return RevocationAnswer(RevocationStatus.UNKNOWN, why)


def _revoked(when: datetime, reason: x509.ReasonFlags | None, until: datetime | None) -> RevocationAnswer:
    """Return the answer about a revoked certificate."""
    said = "" if reason is None or reason is x509.ReasonFlags.unspecified else f" ({reason.value})"
    return RevocationAnswer(
        RevocationStatus.REVOKED,
        Text("revoked on {when} UTC{said}", when=format(when, "%Y-%m-%d %H:%M"), said=said),
        until,
    )


def sources(certificate: x509.Certificate) -> Sources:
    """Read where a certificate's issuer publishes answers.

    Addresses of other kinds (ldap) are passed over, and https, too: to trust its certificate, another one would have
    to be asked about. What is fetched is signed.
    """
    return Sources(_crl_addresses(certificate)[:_MOST_ADDRESSES], _ocsp_addresses(certificate)[:_MOST_ADDRESSES])


def evaluate_crl(
    data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, *, at: datetime
) -> RevocationAnswer:
    """Read from a CRL, DER or PEM, whether a certificate is revoked; the issuer's path is valid."""
    try:
        with foreign_bytes(ValueError()):
            return _read_crl(data, certificate, issuer, at)
    except ValueError:
        return no_answer(Text("the CRL cannot be read"))


def _read_crl(data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> RevocationAnswer:
    load = x509.load_pem_x509_crl if b"-----BEGIN " in data[:1000] else x509.load_der_x509_crl
    crl = load(data)
    if why := _crl_flaw(crl, certificate, issuer, at):
        return no_answer(why)
    until = crl.next_update_utc
    entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is None:
        return RevocationAnswer(RevocationStatus.GOOD, until=until)
    return _revoked(entry.revocation_date_utc, _entry_reason(entry), until)


def _is_weak(algorithm: object) -> bool:
    """Tell whether a signature with this hash proves nothing."""
    return algorithm is None or getattr(algorithm, "name", "") in _WEAK


def _out_of_date(this_update: datetime, next_update: datetime | None, at: datetime) -> str:
    """Why an answer does not count at this time; empty when it does."""
    if this_update > at + CLOCK_SKEW:
        return Text("it is only made on {this_update} UTC", this_update=format(this_update, "%Y-%m-%d %H:%M"))
    if next_update is not None and next_update < at:
        return Text("it is stale since {next_update} UTC", next_update=format(next_update, "%Y-%m-%d %H:%M"))
    return ""


def _crl_flaw(
    crl: x509.CertificateRevocationList, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
) -> str:
    if crl.issuer != issuer.subject:
        return Text("the CRL is another issuer's")
    if _is_weak(crl.signature_hash_algorithm):
        return Text("the CRL's signature algorithm is too weak")
    if not (_may_sign_crls(issuer) and _is_signed_by(issuer, crl)):
        return Text("the CRL's signature is not the issuer's")
    if crl.next_update_utc is None:
        return Text("the CRL does not say how long it counts")
    if concern := _out_of_date(crl.last_update_utc, crl.next_update_utc, at):
        return Text("the CRL does not count: {concern}", concern=concern)
    return _scope_flaw(crl, certificate)


def _scope_flaw(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> str:
    """Why a CRL does not speak of all that its issuer revoked; empty when it does."""
    unknown = [each.oid.dotted_string for each in crl.extensions if each.critical and each.oid not in _KNOWN_IN_A_CRL]
    if unknown:
        return Text("the CRL has a critical extension that is not known here ({unknown})", unknown=unknown[0])
    try:
        point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return ""
    if point.indirect_crl or point.only_some_reasons or point.only_contains_attribute_certs:
        return Text("the CRL is indirect or partial")
    an_authority = is_authority(certificate)
    if (point.only_contains_ca_certs and not an_authority) or (point.only_contains_user_certs and an_authority):
        return Text("the CRL is for other certificates of this issuer")
    names = {name.value for name in point.full_name or () if isinstance(name, x509.UniformResourceIdentifier)}
    if point.relative_name is not None or (names and not names & set(_crl_addresses(certificate, schemes=()))):
        return Text("the CRL is of another distribution point")
    return ""


def _entry_reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    reasons = (each.value.reason for each in entry.extensions if isinstance(each.value, x509.CRLReason))
    return next(reasons, None)


def _is_signed_by(issuer: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    try:
        with foreign_bytes(ValueError()):
            return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # other kinds of keys raise
    except ValueError:
        return False


def _may_sign_crls(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate is for issuing others."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


_HTTP: Final = ("http://",)


def _crl_addresses(certificate: x509.Certificate, schemes: tuple[str, ...] = _HTTP) -> tuple[str, ...]:
    points = extension(certificate, x509.CRLDistributionPoints) or ()
    return _addresses((name for point in points for name in point.full_name or ()), schemes)


def _ocsp_addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    access = extension(certificate, x509.AuthorityInformationAccess) or ()
    names = (each.access_location for each in access if each.access_method == AuthorityInformationAccessOID.OCSP)
    return _addresses(names, _HTTP)


def _addresses(names: Iterable[x509.GeneralName], schemes: tuple[str, ...]) -> tuple[str, ...]:
    found = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return tuple(address for address in found if not schemes or address.lower().startswith(schemes))


def ocsp_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Return the question about a certificate, DER.

    The names are hashed with SHA-1, which is all that every responder takes (RFC 5019 2.1.1); no trust rests on it.

    Raises:
        ValueError: The certificate is not one to ask about.
    """
    with foreign_bytes(ValueError()):
        builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1())  # noqa: S303 - see above
        return builder.build().public_bytes(Encoding.DER)


def evaluate_ocsp(
    data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, *, at: datetime
) -> RevocationAnswer:
    """Read from an OCSP answer, DER, whether a certificate is revoked; the issuer's path is valid."""
    try:
        with foreign_bytes(ValueError()):
            return _read_ocsp(data, certificate, issuer, at)
    except ValueError:
        return no_answer(Text("the OCSP answer cannot be read"))


def _read_ocsp(data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> RevocationAnswer:
    response = ocsp.load_der_ocsp_response(data)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return no_answer(
            Text("the OCSP responder says {response_status}", response_status=response.response_status.name.lower())
        )
    flaw = (
        _signature_flaw(response, issuer, at)
        or _unknown_critical(response.extensions)
        or _subject_flaw(response, certificate, issuer)
    )
    return no_answer(flaw) if flaw else _ocsp_status(response, at)


def _ocsp_status(response: ocsp.OCSPResponse, at: datetime) -> RevocationAnswer:
    this_update, next_update = response.this_update_utc, response.next_update_utc
    concern = _out_of_date(this_update, next_update or this_update + _FRESH, at)
    if concern:
        return no_answer(Text("the OCSP answer does not count: {concern}", concern=concern))
    if response.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return RevocationAnswer(RevocationStatus.GOOD, until=next_update)
    if response.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        return _revoked(response.revocation_time_utc or this_update, response.revocation_reason, next_update)
    return no_answer(Text("the OCSP responder does not know the certificate"))


def _subject_flaw(response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> str:
    """Why an answer is not the one that was asked for; empty when it is. One question has one answer."""
    if len(list(response.responses)) != 1:
        return Text("the OCSP answer is about several certificates")
    algorithm = response.hash_algorithm
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm).build()
    wanted = asked.serial_number, asked.issuer_name_hash, asked.issuer_key_hash
    if (response.serial_number, response.issuer_name_hash, response.issuer_key_hash) != wanted:
        return Text("the OCSP answer is about another certificate")
    return _unknown_critical(response.single_extensions)


def _signature_flaw(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> str:
    responder = next((each for each in (issuer, *response.certificates) if _is_responder(response, each)), None)
    if responder is None:
        return Text("the OCSP responder is neither the issuer nor in the answer")
    if responder != issuer and (flaw := _delegation_flaw(responder, issuer, at)):
        return flaw
    if _is_weak(response.signature_hash_algorithm):
        return Text("the OCSP answer's signature algorithm is too weak")
    return "" if _signed_by(response, responder) else Text("the OCSP answer's signature does not hold")


def _delegation_flaw(responder: x509.Certificate, issuer: x509.Certificate, at: datetime) -> str:
    """RFC 6960 4.2.2.2. Whether the responder itself is revoked is not asked: its certificate lives for days."""
    try:
        with foreign_bytes(ValueError()):
            responder.verify_directly_issued_by(issuer)
    except ValueError:
        return Text("the OCSP responder's certificate is not this issuer's")
    if _is_weak(responder.signature_hash_algorithm):
        return Text("the OCSP responder's certificate is signed too weakly")
    if ExtendedKeyUsageOID.OCSP_SIGNING not in (extension(responder, x509.ExtendedKeyUsage) or ()):
        return Text("the OCSP responder may not answer for its issuer (no id-kp-OCSPSigning)")
    if not responder.not_valid_before_utc <= at <= responder.not_valid_after_utc:
        return Text("the OCSP responder's certificate is not valid now")
    return ""


def _is_responder(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    # Both are the SHA-1 of the key's bits (RFC 6960 4.2.1, RFC 5280 4.2.1.2).
    return response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _signed_by(response: ocsp.OCSPResponse, responder: x509.Certificate) -> bool:
    key = responder.public_key()
    algorithm = response.signature_hash_algorithm or SHA256()
    signature, signed = response.signature, response.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _unknown_critical(extensions: x509.Extensions) -> str:
    unknown = (each for each in extensions if each.critical and not isinstance(each.value, x509.OCSPNonce))
    found = next((each.oid.dotted_string for each in unknown), "")
    return (
        Text("the OCSP answer has a critical extension that is not known here ({found})", found=found) if found else ""
    )
