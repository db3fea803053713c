"""Whether a certificate is revoked, by an OCSP answer (RFC 6960). Pure: the bytes are handed in.

Answers are asked for without a nonce, as big authorities make them beforehand; what keeps an old one from being shown
to us is nextUpdate.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from kpr_sender.trust.revocation import (
    RevocationAnswer,
    RevocationStatus,
    hash_is_weak,
    is_out_of_date,
    no_answer,
    revoked,
)

_FRESH: Final = timedelta(hours=1)
"""How old an answer without nextUpdate may be: such a responder answers each question anew."""


def request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Return the question about a certificate, DER.

    The names are hashed with SHA-1, which is all that every responder takes (RFC 5019 2.1.1); no trust rests on it.
    """
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1())  # noqa: S303 - see above
    return builder.build().public_bytes(Encoding.DER)


def evaluate(data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, *, at: datetime) -> RevocationAnswer:
    """Read from an OCSP answer whether a certificate is revoked.

    Args:
        data: The answer, DER.
        certificate: Which one is asked about.
        issuer: The certificate of who issued it; its path is valid.
        at: When, with time zone.
    """
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return no_answer(f"the OCSP responder says {response.response_status.name.lower()}")
        flaw = (
            _signature_flaw(response, issuer, at)
            or _unknown_critical(response.extensions)
            or _subject_flaw(response, certificate, issuer)
        )
        if flaw:
            return no_answer(flaw)
        return _status(response, at)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return no_answer("the OCSP answer cannot be read")


def _status(response: ocsp.OCSPResponse, at: datetime) -> RevocationAnswer:
    this_update, next_update = response.this_update_utc, response.next_update_utc
    concern = is_out_of_date(this_update, next_update or this_update + _FRESH, at)
    if concern:
        return no_answer(f"the OCSP answer does not count: {concern}")
    if response.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return RevocationAnswer(RevocationStatus.GOOD, until=next_update)
    if response.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        return revoked(response.revocation_time_utc or this_update, response.revocation_reason, next_update)
    return no_answer("the OCSP responder does not know the certificate")


def _subject_flaw(response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> str:
    """Why an answer is not the one that was asked for; empty when it is. One question has one answer."""
    if len(list(response.responses)) != 1:
        return "the OCSP answer is about several certificates"
    algorithm = response.hash_algorithm
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm).build()
    wanted = asked.serial_number, asked.issuer_name_hash, asked.issuer_key_hash
    if (response.serial_number, response.issuer_name_hash, response.issuer_key_hash) != wanted:
        return "the OCSP answer is about another certificate"
    return _unknown_critical(response.single_extensions)


def _signature_flaw(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> str:
    responder = next((each for each in (issuer, *response.certificates) if _is_responder(response, each)), None)
    if responder is None:
        return "the OCSP responder is neither the issuer nor in the answer"
    if responder != issuer and (flaw := _delegation_flaw(responder, issuer, at)):
        return flaw
    if hash_is_weak(response.signature_hash_algorithm):
        return "the OCSP answer's signature algorithm is too weak"
    return "" if _signed_by(response, responder) else "the OCSP answer's signature does not hold"


def _delegation_flaw(responder: x509.Certificate, issuer: x509.Certificate, at: datetime) -> str:
    """RFC 6960 4.2.2.2. Whether the responder itself is revoked is not asked: its certificate lives for days."""
    try:
        responder.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return "the OCSP responder's certificate is not this issuer's"
    if hash_is_weak(responder.signature_hash_algorithm):
        return "the OCSP responder's certificate is signed too weakly"
    try:
        purposes = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "the OCSP responder may not answer for its issuer (no id-kp-OCSPSigning)"
    if ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
        return "the OCSP responder may not answer for its issuer (no id-kp-OCSPSigning)"
    if not responder.not_valid_before_utc <= at <= responder.not_valid_after_utc:
        return "the OCSP responder's certificate is not valid now"
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
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _unknown_critical(extensions: x509.Extensions) -> str:
    unknown = (each for each in extensions if each.critical and not isinstance(each.value, x509.OCSPNonce))
    found = next((each.oid.dotted_string for each in unknown), "")
    return f"the OCSP answer has a critical extension that is not known here ({found})" if found else ""
