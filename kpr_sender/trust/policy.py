"""Whether a certificate is trusted: who issued it, whether it is revoked, and whose it is, as configured.

Without ``protection.roots`` nothing is required: trust comes from where the certificate was got. A subject says nothing
without a path, and an answer about revocation cannot be checked without the issuer, so the roots come first.

The path (RFC 5280 6.1) is built by ``cryptography.x509.verification``. Its ready-made profiles are for web servers and
refuse every virksomhetssertifikat, which has no subjectAltName and, for signing, nonRepudiation as its only key usage;
so nothing is required of the end certificate's extensions there. ``certificates.check`` requires what we need of it.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store

from kpr_sender.cms.certificates import (
    CertificateIdentity,
    check_organisation,
    describe,
    extension,
    load_certificates,
    refusal,
)
from kpr_sender.deadline import Stopped, never
from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.events import Event, EventKind, Observer, ignore
from kpr_sender.model import Environment
from kpr_sender.regular_file import read_regular
from kpr_sender.settings.values import Revocation, Settings
from kpr_sender.texts import Text, said
from kpr_sender.trust.revocation import RevocationAnswer, RevocationStatus, is_authority
from kpr_sender.wording import any_of

if TYPE_CHECKING:
    from kpr_sender.trust.fetch import Issuers

_PRODUCTION: Final = x509.ObjectIdentifier("2.16.578.1.26.1.3.2")
_TEST: Final = x509.ObjectIdentifier("2.16.578.1.26.1.0.3.2")
POLICIES: Final[Mapping[Environment, frozenset[x509.ObjectIdentifier]]] = {
    Environment.LOKAL: frozenset(),
    Environment.AR_TEST: frozenset({_PRODUCTION, _TEST}),
    Environment.VALIDERING: frozenset({_PRODUCTION}),
    Environment.PRODUKSJON: frozenset({_PRODUCTION}),
}
"""Certificate policies of a virksomhetssertifikat by HITS 1216 3.1. It names those of SEID 1 only, SEID 2 has
others: a certificate without one of them is warned of, not refused."""

STORED_IN: Final = "revocation"
"""The folder beside the journal for issuers' answers."""

_REVOKED: Final = Text("Do not use it. Have a new one issued and registered, or ask the party that it belongs to.")
_NOT_KNOWN: Final = Text(
    "Let this machine reach the address over http, or put the issuer's CRL into protection.crl_dir; with "
    'protection.revocation = "soft" it is only warned of.'
)
_PLACES: Final = re.compile(r" ?\(encountered processing .*\)|:? ?AlgorithmIdentifier \{.*\}", re.DOTALL)
_NO_PATH: Final = Text(
    "Compare the certificate with Adresseregisteret; where it is the right one, add its authority's root and "
    "issuing certificate to protection.roots (certs/README.md says where they are)."
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


@dataclass(frozen=True, slots=True)
class ConfiguredTrust:
    """``Trust`` by the authorities, the revocation and the policies that the configuration names.

    Attributes:
        authorities: None where nothing is required.
        revocation: What follows when no issuer says whether a certificate is revoked.
        issuers: Who are asked; None where nobody is.
        policies: The certificate policies of which one is expected; empty where none is.
    """

    authorities: Authorities | None = None
    revocation: Revocation = Revocation.OFF
    issuers: Issuers | None = None
    observe: Observer = ignore
    policies: frozenset[x509.ObjectIdentifier] = frozenset()
    _warned: set[bytes] = field(default_factory=set, repr=False)

    @classmethod
    def of(cls, settings: Settings, observe: Observer = ignore, stopped: Stopped = never) -> Self:
        """Read the authorities that the configuration names.

        Raises:
            ConfigInvalid: A file is missing, or there is no certificate in it.
        """
        protection = settings.protection
        found = [each for path in protection.roots for each in _certificates(path)]
        authorities = Authorities.of(found) if found else None
        return cls(
            authorities, protection.revocation, _issuers(settings, stopped), observe, POLICIES[settings.environment]
        )

    def require(
        self,
        certificate: x509.Certificate,
        *,
        at: datetime,
        name: str,
        organisation: str | None = None,
        intermediates: Sequence[x509.Certificate] = (),
    ) -> None:
        """Refuse a certificate that the configuration does not trust."""
        if self.authorities is None:
            return
        found = trusted_path(certificate, self.authorities, at=at, name=name, intermediates=intermediates)
        self._warn_of_policies(certificate, name=name)
        if organisation is not None:
            check_organisation(certificate, organisation, name=name)
        if self.issuers is None:
            return
        for issued, issuer in itertools.pairwise(found):
            self._require_not_revoked(issued, self.issuers.revocation(issued, issuer, at=at), name=name)

    def _require_not_revoked(self, issued: x509.Certificate, answer: RevocationAnswer, *, name: str) -> None:
        if answer.status is RevocationStatus.REVOKED:
            raise refusal(issued, Text("The certificate is {why}", why=answer.why), name=name, next_step=_REVOKED)
        if answer.status is RevocationStatus.GOOD:
            return
        what = Text("No issuer says whether the certificate is revoked ({why})", why=answer.why)
        if self.revocation is Revocation.REQUIRE:
            raise refusal(issued, what, name=name, next_step=_NOT_KNOWN)
        self._warn(issued, Text("{name}: {what}. It is {describe}.", name=name, what=what, describe=describe(issued)))

    def _warn_of_policies(self, certificate: x509.Certificate, *, name: str) -> None:
        found = certificate_policies(certificate)
        if not self.policies or found & self.policies:
            return
        has = ", ".join(sorted(each.dotted_string for each in found)) or Text("none")
        expected = any_of(sorted(each.dotted_string for each in self.policies))
        text = Text(
            "{name}: no policy of a virksomhetssertifikat that HITS 1216 names ({expected}); it has {has}",
            name=name,
            expected=expected,
            has=has,
        )
        self._warn(certificate, Text("{text}. It is {describe}.", text=text, describe=describe(certificate)))

    def _warn(self, certificate: x509.Certificate, text: str) -> None:
        """Warn once of each certificate and text, however often it is evaluated."""
        key = certificate.fingerprint(SHA256()) + text.encode()
        if key not in self._warned:
            self._warned.add(key)
            self.observe(Event(EventKind.WARNING, text))


def trusted_path(
    certificate: x509.Certificate,
    authorities: Authorities,
    *,
    at: datetime,
    name: str,
    intermediates: Sequence[x509.Certificate] = (),
) -> tuple[x509.Certificate, ...]:
    """Return the path from a certificate to an authority that is trusted, both included.

    ``name`` says where the certificate came from; ``intermediates`` came along with it and are not trusted.

    Raises:
        AccessRefused: There is no path, or something in it does not hold: a signature, a date, an algorithm.
    """
    known = [*authorities.intermediates, *intermediates]
    with warnings.catch_warnings():
        # Serial numbers below zero are only warned of when they are read; here they are refused.
        warnings.simplefilter("ignore")
        try:
            verifier = (
                PolicyBuilder()
                .store(Store(list(authorities.anchors)))
                .time(at)
                .extension_policies(
                    ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
                )
                .build_client_verifier()
            )
            return tuple(verifier.verify(certificate, known).chain)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # noqa: BLE001 - as errors.foreign_bytes, whose refusal has no room for a reason
            reason = _reason(certificate, [*authorities.anchors, *known], error)
            what = Text("The certificate does not lead to a trusted authority: {reason}", reason=reason)
            raise refusal(certificate, what, name=name, next_step=_NO_PATH) from None


def _reason(certificate: x509.Certificate, known: Sequence[x509.Certificate], error: BaseException) -> str:
    """Say what a person can act on first; the library's own words where that is all there is."""
    issuer = CertificateIdentity.of(certificate).issuer
    if all(CertificateIdentity.of(each).subject != issuer for each in known):
        return Text("its issuer is not among protection.roots")
    words = _PLACES.sub("", said(error)).removeprefix("validation failed: ").removeprefix("candidates exhausted: ")
    return words.strip().rstrip(".") or Text("the path does not hold")


def certificate_policies(certificate: x509.Certificate) -> frozenset[x509.ObjectIdentifier]:
    """Return the policies that a certificate was issued under (RFC 5280 4.2.1.4); none where it says nothing."""
    stated = extension(certificate, x509.CertificatePolicies)
    return frozenset() if stated is None else frozenset(each.policy_identifier for each in stated)


def _issuers(settings: Settings, stopped: Stopped) -> Issuers | None:
    if settings.protection.revocation is Revocation.OFF:
        return None
    from kpr_sender.trust.fetch import Issuers  # noqa: PLC0415 - HTTP and OCSP only where they are asked for

    return Issuers(settings.journal.path.parent / STORED_IN, settings.protection.crl_dir, stopped=stopped)


def _certificates(path: Path) -> list[x509.Certificate]:
    where = Text("protection.roots ({path})", path=path.name)
    try:
        found = load_certificates(read_regular(path), where)
    except OSError as error:
        raise ConfigInvalid(
            Text("The file {path} cannot be read: {reason}.", path=path, reason=error.strerror), where=where
        ) from None
    except AccessRefused as error:
        raise ConfigInvalid(error.what, where=error.where) from None
    for each in found:
        # One that is trusted itself would have no path, and nobody would be asked whether it is revoked.
        if not is_authority(each):
            raise ConfigInvalid(
                Text("A certificate in it is no authority's. It is {describe}.", describe=describe(each)), where=where
            )
    return found
