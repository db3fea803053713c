"""All certificates that a configuration works with, and how long each of them will do.

Nothing is sent. FHI's come from where a send would take them, the bus's from one TLS handshake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from cryptography import x509

from kpr_sender import profiles
from kpr_sender.bus.probe import shake_hands
from kpr_sender.cms import certificates
from kpr_sender.cms.certificates import CertificateUse
from kpr_sender.errors import BusUnreachable, KprError, RegistryUnreachable
from kpr_sender.events import Observer
from kpr_sender.keys.configured import check_signer, decrypter, load_signer, signing_use
from kpr_sender.registry.opening import open_registry_for_sending
from kpr_sender.settings.values import KeySource, Settings
from kpr_sender.trust.policy import Trust

WARNED_OF: Final = (7, 14, 30, 60)
"""Days left, from which on a certificate is warned of: ever more urgently."""

_NOT_TOLD: Final = (BusUnreachable, RegistryUnreachable)
"""Who was asked did not answer: nothing is known against the certificate."""


@dataclass(frozen=True, slots=True)
class InPlay:
    """One certificate.

    Attributes:
        role: What it is used for.
        source: Where it came from.
        certificate: None where it could not be had.
        error: Why it could not be had or must not be used; None where nothing is known against it.
        counts: Whether it must do until the deadline. Earlier ones are only kept to read and recognise what is old.
    """

    role: str
    source: str
    certificate: x509.Certificate | None = None
    error: KprError | None = None
    counts: bool = True

    def days_left(self, now: datetime) -> int | None:
        """Whole days until it ends; negative when it has ended."""
        return None if self.certificate is None else (self.certificate.not_valid_after_utc - now).days

    def days_left_at(self, deadline: date) -> int | None:
        """Whole days that it has left when the last day to report is over; negative when it ends before."""
        return self.days_left(_end_of(deadline))

    def concern(self, now: datetime, deadline: date) -> str:
        """What a person must know of it; empty when all is well."""
        left, left_at_deadline = self.days_left(now), self.days_left_at(deadline)
        if self.error is not None:
            return str(self.error)
        if left is None or left_at_deadline is None or not self.counts:
            return ""
        concerns = []
        if left_at_deadline < 0 and now < _end_of(deadline):
            concerns.append(f"it ends before the deadline, {deadline}")
        within = next((days for days in WARNED_OF if left < days), None)
        if within is not None:
            concerns.append(f"it ends within {within} days")
        return f"{' and '.join(concerns)}: have the next one ready".capitalize() if concerns else ""

    @property
    def is_untold(self) -> bool:
        """Whether it is only not known, because who was asked did not answer."""
        return isinstance(self.error, _NOT_TOLD)


def in_play(settings: Settings, *, now: datetime, observe: Observer) -> tuple[InPlay, ...]:
    """Collect all of them, each whatever the others are.

    Args:
        settings: The configuration.
        now: The time they are measured by; aware.
        observe: Told what is unwise beside them, for example that nobody tells of revocation.

    Raises:
        ConfigInvalid: The authorities that the configuration names cannot be read.
    """
    return tuple(_Collecting(settings, now, observe, Trust.of(settings, observe)).everything())


@dataclass(frozen=True, slots=True)
class _Collecting:
    settings: Settings
    now: datetime
    observe: Observer
    trust: Trust

    def everything(self) -> Iterator[InPlay]:
        yield self.own_signing(self.settings.keys.signing)
        for number, source in enumerate(self.settings.keys.decryption):
            yield self.own_decryption(source, number)
        yield from self.receivers()
        yield _bus(self.settings)

    def own_signing(self, source: KeySource) -> InPlay:
        row = InPlay("ours for signing", _told(source))
        try:
            own = load_signer(source)
        except KprError as error:
            return replace(row, error=error)
        row = self.checked(replace(row, certificate=own.certificate), own.certificate, signing_use(self.settings))
        return _judged(row, lambda: check_signer(own, self.settings, self.trust, at=self.now))

    def own_decryption(self, source: KeySource, number: int) -> InPlay:
        role = f"ours for decryption, earlier {number}" if number else "ours for decryption"
        row = InPlay(role, _told(source), counts=number == 0)
        try:
            certificate = decrypter(source).certificate
        except KprError as error:
            return replace(row, error=error)
        own_number = self.settings.sender.party.organisation_number
        return self.demanded(replace(row, certificate=certificate), certificate, CertificateUse.ENCRYPTION, own_number)

    def receivers(self) -> Iterator[InPlay]:
        settings = self.settings
        her_id = profiles.load(settings.report.year).receivers[settings.environment].service_her_id
        registry = open_registry_for_sending(settings, now=lambda: self.now, observe=self.observe)
        try:
            found = registry.counterpart(her_id)
        except KprError as error:
            yield InPlay("FHI's for encryption", "", error=error)
            yield InPlay("FHI's for signing", "", error=error)
            return
        source, number = found.provenance.text, found.organisation_number or None
        row = InPlay("FHI's for encryption", source, found.encryption)
        yield self.demanded(row, found.encryption, CertificateUse.ENCRYPTION, number)
        for place, certificate in enumerate(found.signing):
            role = f"FHI's for signing, earlier {place}" if place else "FHI's for signing"
            row = InPlay(role, source, certificate, counts=place == 0)
            yield self.demanded(row, certificate, signing_use(settings), number)

    def demanded(
        self, row: InPlay, certificate: x509.Certificate, use: CertificateUse, organisation: str | None
    ) -> InPlay:
        """Judge one as a send would; earlier ones are not."""
        row = self.checked(row, certificate, use)
        if not row.counts:
            return row
        return _judged(
            row, lambda: self.trust.demand(certificate, at=self.now, name=row.role, organisation=organisation)
        )

    def checked(self, row: InPlay, certificate: x509.Certificate, use: CertificateUse) -> InPlay:
        if not row.counts:
            return row
        return _judged(row, lambda: certificates.check(certificate, use, at=self.now, name=row.role))


def _judged(row: InPlay, judge: Callable[[], None]) -> InPlay:
    """Add what speaks against it; the first thing counts."""
    if row.error is not None:
        return row
    try:
        judge()
    except KprError as error:
        return replace(row, error=error)
    return row


def _bus(settings: Settings) -> InPlay:
    bus = settings.bus
    row = InPlay("the bus's TLS", f"{bus.host}:{bus.port}")
    if not bus.tls:
        return replace(row, source=f"{row.source}, used without TLS", counts=False)
    try:
        shown = shake_hands(bus)
    except KprError as error:
        return replace(row, error=error)
    if shown is None or shown.certificate is None:
        return row
    return replace(row, certificate=x509.load_der_x509_certificate(shown.certificate))


def _told(source: KeySource) -> str:
    path = source.pkcs12 or source.certificate_pem
    return source.key if path is None else str(path)


def _end_of(day: date) -> datetime:
    """The first moment after a day, give or take Norway's hour or two: nobody should come that close."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
