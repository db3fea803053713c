"""The certificates that a configuration uses, and how long each of them lasts: ours, FHI's and the bus's.

Nothing is sent. FHI's come from where a send would take them, the bus's from one TLS handshake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from cryptography import x509

from kpr_sender.cms import certificates
from kpr_sender.cms.certificates import CertificateUse
from kpr_sender.errors import AccessRefused, BusUnreachable, KprError, RegistryUnreachable
from kpr_sender.operator.check_context import CheckContext, Status
from kpr_sender.profiles.profile import Deadline
from kpr_sender.settings.secrets import KeySource
from kpr_sender.texts import Text, paragraph
from kpr_sender.trust.parties import check_signer
from kpr_sender.trust.port import Trust

WARNING_DAYS: Final = (7, 14, 30, 60)
"""Days left, from which on a certificate is warned of: ever more urgently."""


@dataclass(frozen=True, slots=True)
class CertificateInUse:
    """One certificate: what it is used for, and where it came from.

    Attributes:
        certificate: None where it could not be had.
        error: Why it could not be had or must not be used; None where nothing is known against it.
        counts: Whether it must last until the deadline. Earlier ones are there only to read and recognise what is old.
    """

    role: str
    source: str
    certificate: x509.Certificate | None = None
    error: KprError | None = None
    counts: bool = True

    @property
    def is_unknown(self) -> bool:
        """Whether the bus or the register did not answer: nothing is known against the certificate."""
        return isinstance(self.error, BusUnreachable | RegistryUnreachable)

    def days_left(self, now: datetime) -> int | None:
        """Whole days until it ends; negative when it has ended."""
        return None if self.certificate is None else (self.certificate.not_valid_after_utc - now).days

    def days_left_at(self, deadline: Deadline) -> int | None:
        """Whole days that it has left when the last day to report is over; negative when it ends before."""
        return self.days_left(deadline.ends)

    def concern(self, now: datetime, deadline: Deadline) -> str:
        """What a person must know of it; empty when all is well."""
        left, left_at_deadline = self.days_left(now), self.days_left_at(deadline)
        if self.error is not None:  # the role stands before it already
            what = self.error.what if self.error.where == self.role else self.error.placed
            return paragraph(what, self.error.next_step)
        if left is None or left_at_deadline is None or not self.counts:
            return ""
        day = deadline.day if left_at_deadline < 0 and not deadline.is_past(now) else None
        within = next((days for days in WARNING_DAYS if left < days), None)
        if day is not None and within is not None:
            return Text(
                "It ends before the deadline, {day} and it ends within {within} days: have the next one ready",
                day=day,
                within=within,
            )
        if day is not None:
            return Text("It ends before the deadline, {day}: have the next one ready", day=day)
        if within is not None:
            return Text("It ends within {within} days: have the next one ready", within=within)
        return ""

    def status(self, now: datetime, deadline: Deadline) -> Status:
        """Red when it must not be used, yellow when a person should look at it."""
        if self.error is not None and not self.is_unknown:
            return Status.RED
        return Status.YELLOW if self.concern(now, deadline) else Status.GREEN


def own(context: CheckContext, trust: Trust) -> Iterator[CertificateInUse]:
    """Yield ours: the one for signing, then those for decryption, the current one first."""
    settings, now = context.settings, context.now()
    signing = settings.keys.signing
    row = CertificateInUse(Text("ours for signing"), _source(signing))
    try:
        signer = context.load_key(signing)
        row = replace(row, certificate=signer.certificate)
        certificates.check(
            signer.certificate, CertificateUse(settings.protection.signing_key_usage), at=now, name=row.role
        )
        check_signer(signer, settings, trust, at=now)
    except KprError as error:
        row = replace(row, error=error)
    yield row
    for number, source in enumerate(settings.keys.decryption):
        role = Text("ours for decryption, earlier {number}", number=number) if number else Text("ours for decryption")
        row = CertificateInUse(role, _source(source), counts=number == 0)
        try:
            row = replace(row, certificate=context.load_key(source).certificate)
        except KprError as error:
            row = replace(row, error=error)
        yield _evaluated(row, CertificateUse.ENCRYPTION, settings.sender.party.organisation_number, trust, now)


def receivers(context: CheckContext, trust: Trust) -> Iterator[CertificateInUse]:
    """Yield FHI's: the one for encryption, then those for signing, the current one first."""
    now, signing_use = context.now(), CertificateUse(context.settings.protection.signing_key_usage)
    try:
        found = context.receiver or context.registry(context.observe).counterpart(context.expected.service_her_id)
    except KprError as error:
        for role in (Text("FHI's for encryption"), Text("FHI's for signing")):
            yield CertificateInUse(role, "", error=error)
        return
    source, number = found.provenance.text, found.organisation_number or None
    row = CertificateInUse(Text("FHI's for encryption"), source, found.encryption)
    yield _evaluated(row, CertificateUse.ENCRYPTION, number, trust, now)
    for place, certificate in enumerate(found.signing):
        role = Text("FHI's for signing, earlier {place}", place=place) if place else Text("FHI's for signing")
        row = CertificateInUse(role, source, certificate, counts=place == 0)
        yield _evaluated(row, signing_use, number, trust, now)


def of_the_bus(context: CheckContext, _trust: Trust | None = None) -> Iterator[CertificateInUse]:
    """Yield the one that the bus shows; its path was verified with the handshake."""
    bus = context.settings.bus
    row = CertificateInUse(Text("the bus's TLS"), f"{bus.host}:{bus.port}")
    if not bus.tls:
        yield replace(row, source=Text("{source}, used without TLS", source=row.source), counts=False)
        return
    try:
        shown = context.shake_hands()
    except KprError as error:
        yield replace(row, error=error)
        return
    if shown is None or shown.certificate is None:
        yield replace(row, error=AccessRefused(Text("The bus shows no certificate."), where=row.source))
    else:
        yield replace(row, certificate=x509.load_der_x509_certificate(shown.certificate))


def _evaluated(
    row: CertificateInUse, use: CertificateUse, organisation: str | None, trust: Trust, now: datetime
) -> CertificateInUse:
    """Evaluate one as a send would, and add what speaks against it; earlier ones are not evaluated."""
    if row.certificate is None or not row.counts:
        return row
    try:
        certificates.check(row.certificate, use, at=now, name=row.role)
        trust.require(row.certificate, at=now, name=row.role, organisation=organisation)
    except KprError as error:
        return replace(row, error=error)
    return row


def _source(source: KeySource) -> str:
    path = source.pkcs12 or source.certificate_pem
    return source.key if path is None else str(path)
