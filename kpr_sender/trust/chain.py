"""Whether a certificate leads to an authority that the configuration trusts (RFC 5280 6.1).

The path is built by ``cryptography.x509.verification``. Its ready-made profiles are for web servers and refuse every
virksomhetssertifikat, which has no subjectAltName and, for signing, nonRepudiation as its only key usage; so nothing
is required of the end certificate's extensions here. ``certificates.check`` requires what we need of it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from kpr_sender.cms.certificates import CertificateIdentity, refusal

_PLACES: Final = re.compile(r" ?\(encountered processing .*\)", re.DOTALL)
_ADVICE: Final = (
    "Compare the certificate with Adresseregisteret; where it is the right one, add its authority's root and issuing "
    "certificate to protection.roots (certs/README.md says where they are)."
)


@dataclass(frozen=True, slots=True)
class Authorities:
    """Who is trusted, and what leads up to them.

    Attributes:
        anchors: Trusted as they are.
        intermediates: Not trusted themselves; a path may go through them.
    """

    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()

    @classmethod
    def of(cls, certificates: Iterable[x509.Certificate]) -> Authorities:
        """Sort what the configuration names: roots are trusted, the others lead up to them.

        Where no root is among them, the issuing authorities themselves are what is trusted.
        """
        everything = tuple(certificates)
        roots = tuple(each for each in everything if each.issuer == each.subject)
        if not roots:
            return cls(everything)
        return cls(roots, tuple(each for each in everything if each not in roots))


def path(
    certificate: x509.Certificate,
    authorities: Authorities,
    *,
    at: datetime,
    name: str,
    intermediates: Sequence[x509.Certificate] = (),
) -> tuple[x509.Certificate, ...]:
    """Return the path from a certificate to an authority that is trusted, both included.

    Args:
        certificate: Ours or a counterpart's.
        authorities: Who is trusted.
        at: When, with time zone.
        name: Where the certificate came from, for the message.
        intermediates: What came along with the certificate; not trusted.

    Raises:
        AccessRefused: There is no path, or something in it does not hold: a signature, a date, an algorithm.
    """
    policy = ExtensionPolicy.webpki_defaults_ca(), ExtensionPolicy.permit_all()
    known = [*authorities.intermediates, *intermediates]
    with warnings.catch_warnings():
        # Serial numbers below zero are only warned of when they are read; here they are refused.
        warnings.simplefilter("ignore")
        try:
            verifier = (
                PolicyBuilder()
                .store(Store(list(authorities.anchors)))
                .time(at)
                .extension_policies(ca_policy=policy[0], ee_policy=policy[1])
                .build_client_verifier()
            )
            return tuple(verifier.verify(certificate, known).chain)
        except (VerificationError, ValueError, UnsupportedAlgorithm) as error:
            reason = _reason(certificate, [*authorities.anchors, *known], error)
            what = f"The certificate does not lead to a trusted authority: {reason}"
            raise refusal(certificate, what, name=name, next_step=_ADVICE) from None


def _reason(certificate: x509.Certificate, known: Sequence[x509.Certificate], error: Exception) -> str:
    """Say what a person can act on first; the library's own words where that is all there is."""
    issuer = CertificateIdentity.of(certificate).issuer
    if all(CertificateIdentity.of(each).subject != issuer for each in known):
        return "its issuer is not among protection.roots"
    said = _PLACES.sub("", str(error)).removeprefix("validation failed: ").removeprefix("candidates exhausted: ")
    return said.strip().rstrip(".") or "the path does not hold"
