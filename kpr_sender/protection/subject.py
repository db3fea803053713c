"""Whose certificate it is: how messages name one, and the organisation number that its subject carries.

A virksomhetssertifikat carries the number in one of two ways. SEID 1 (until 2022, still met): subject ``serialNumber``
holds the nine digits. SEID 2 (ETSI EN 319 412-1): ``organizationIdentifier`` holds ``NTRNO-`` and the nine digits.
"""

from __future__ import annotations

import re
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.x509.oid import NameOID

from kpr_sender.errors import AccessRefused
from kpr_sender.model import CertificateName
from kpr_sender.protection.identity import CertificateIdentity

_SEID_1: Final = re.compile(r"\d{9}", re.ASCII)
_SEID_2: Final = re.compile(r"NTRNO-(\d{9})", re.ASCII)
_LONGEST: Final = 64
_PERSONAL: Final = re.compile(r"\d(?:\W?\d){10,}", re.ASCII)
"""A national id, or a person's number with the issuer: no organisation has eleven digits."""


def describe(certificate: x509.Certificate) -> str:
    """Name a certificate so that a person finds it again: whose it is, serial number, SHA-1 thumbprint.

    A person's name never stands in it: where the subject has no organisation, it is not said whose it is.

    Args:
        certificate: Any; its dates and extensions need not make sense.
    """
    serial = _colons(CertificateIdentity.of(certificate).serial_number)
    # The thumbprint that Windows and Adresseregisteret show; it names, it protects nothing.
    thumbprint = _colons(certificate.fingerprint(SHA1()).hex())  # noqa: S303
    return f"{owner(certificate)}, serial number {serial}, SHA-1 thumbprint {thumbprint}"


def named(certificate: x509.Certificate) -> CertificateName:
    """Return which certificate it is, as the journal keeps it: nothing in it says whose."""
    thumbprint = certificate.fingerprint(SHA1()).hex()  # noqa: S303 - it names, it protects nothing
    return CertificateName(thumbprint, CertificateIdentity.of(certificate).serial_number)


def refusal(certificate: x509.Certificate, what: str, *, name: str, next_step: str) -> AccessRefused:
    """Return the refusal of a certificate: the rule it breaks, which one it is, what to do.

    Args:
        certificate: Ours or a counterpart's.
        what: The rule that it breaks, without full stop.
        name: Where the certificate came from: a configuration key or a file.
        next_step: What to do.
    """
    return AccessRefused(f"{what}. It is {describe(certificate)}.", where=name, next_step=next_step)


def owner(certificate: x509.Certificate) -> str:
    """Return common name and organisation of the subject, for people."""
    organisation = _shown(certificate.subject, NameOID.ORGANIZATION_NAME)
    if not organisation:
        return "a certificate of no organisation"
    common_name = _shown(certificate.subject, NameOID.COMMON_NAME)
    return f"{common_name} ({organisation})" if common_name and common_name != organisation else organisation


def organisation_number(certificate: x509.Certificate) -> str | None:
    """Return the organisation number in the subject, in either SEID encoding; None where there is none."""
    for text in _values(certificate.subject, NameOID.ORGANIZATION_IDENTIFIER):
        if found := _SEID_2.fullmatch(text):
            return found.group(1)
    return next((text for text in _values(certificate.subject, NameOID.SERIAL_NUMBER) if _SEID_1.fullmatch(text)), None)


def check_organisation(certificate: x509.Certificate, wanted: str, *, name: str) -> None:
    """Refuse another organisation's certificate.

    Args:
        certificate: Ours or a counterpart's.
        wanted: The party's organisation number, nine digits.
        name: Where the certificate came from, for the message.

    Raises:
        AccessRefused: The subject carries another number, or none.
    """
    found = organisation_number(certificate)
    if found == wanted:
        return
    said = "no organisation number" if found is None else f"organisation number {found}"
    raise refusal(
        certificate,
        f"The certificate's subject has {said}; it must be {wanted}",
        name=name,
        next_step="Take the party's own certificate, or correct its organisation number in the configuration.",
    )


def _values(subject: x509.Name, attribute: x509.ObjectIdentifier) -> list[str]:
    return [str(found.value).strip() for found in subject.get_attributes_for_oid(attribute)]


def _shown(subject: x509.Name, attribute: x509.ObjectIdentifier) -> str:
    """One attribute as a message may show it: one line, not long, no person's number in it."""
    text = next(iter(_values(subject, attribute)), "")
    one_line = "".join(letter if letter.isprintable() else " " for letter in text)
    return _PERSONAL.sub("***", one_line)[:_LONGEST]


def _colons(hexadecimal: str) -> str:
    """Two digits at a time, as openssl and the browsers write it."""
    pairs = hexadecimal.upper()
    return ":".join(pairs[start : start + 2] for start in range(0, len(pairs), 2))
