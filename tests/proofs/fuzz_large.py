"""Samples of a size that FHI and issuers do send: a megabyte with as many parts as a parser must go through."""

from __future__ import annotations

import datetime as dt
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.model import ReceiptError
from kpr_sender.sandbox.apprec import build
from tests.helpers import cms, pki
from tests.helpers.seid_pki import Authority
from tests.messages.parties import HODEMELDING

_ERRORS: Final = 4_000
_RECIPIENTS: Final = 400
_REVOKED: Final = 10_000


def apprec() -> bytes:
    """Return a receipt with as many errors as a large municipality's file may give."""
    text = "Ugyldig verdi i feltet startDato for tjenesten, rad {row}: verdien er utenfor rapporteringsperioden. " * 2
    errors = [
        ReceiptError(f"T{row % 100:02}", "2.16.578.1.12.4.1.1.8221", "Ugyldig verdi", text.format(row=row))
        for row in range(_ERRORS)
    ]
    return build(
        version="1.1",
        apprec_id="a1",
        generated_at=dt.datetime(2025, 1, 7, 8, tzinfo=dt.UTC),
        status_code="3",
        errors=errors,
        original=HODEMELDING,
    )


def sealed(signed: bytes, recipient: x509.Certificate) -> bytes:
    """Seal for a recipient and for hundreds of others."""
    kinds = (pki.Kind.SIGNER, pki.Kind.STRANGER, pki.Kind.NEXT_ENCRYPTION, pki.Kind.RECEIVER_ENCRYPTION)
    others = [cms.recipient_info(pki.certificate(kind), encrypted_key=bytes(256)) for kind in kinds]
    infos = [*others * (_RECIPIENTS // len(others)), cms.recipient_info(recipient)]
    return cms.enveloped_data(infos, cms.enciphered(cms.padded(signed)))


def crl(issuing: Authority) -> bytes:
    """Return a list with as many serial numbers as a large issuer's, in DER."""
    at = pki.NOW - dt.timedelta(days=1)
    revoked = [x509.RevokedCertificateBuilder(2**120 + each, at).build() for each in range(_REVOKED)]
    # Its method that adds one copies the list each time.
    builder = x509.CertificateRevocationListBuilder(
        issuing.certificate.subject, at, pki.NOW + dt.timedelta(days=1), revoked_certificates=revoked
    )
    return builder.sign(issuing.key, SHA256()).public_bytes(Encoding.DER)
