"""What is required of the certificates of both parties before anything is sealed: FHI's, and ours for signing."""

from __future__ import annotations

from datetime import datetime

from kpr_sender.cms.certificates import CertificateUse, check
from kpr_sender.cms.port import Signer
from kpr_sender.registry.port import FILES, Counterpart, Use
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text
from kpr_sender.trust.port import Trust


def check_counterpart(counterpart: Counterpart, settings: Settings, trust: Trust, *, at: datetime) -> None:
    """Check the receiver and its certificates before anything is sealed for it.

    Of those for signing only the current one: earlier ones are there to be recognised.

    Raises:
        ConfigInvalid: The register or the configuration has an objection to sending to it.
        AccessRefused: Expired, not yet valid, made for another use, or not trusted as the configuration requires.
    """
    for objection in counterpart.objections:
        raise objection
    source = counterpart.provenance.source
    encryption, signing = (
        (Text("Adresseregisteret ({source}), certificate for {use}", source=source, use=use) for use in Use)
        if source and source != FILES
        else ("receiver.encryption_certificate", "receiver.signing_certificates")
    )
    uses = {
        encryption: (counterpart.encryption, CertificateUse.ENCRYPTION),
        signing: (counterpart.signing[0], CertificateUse(settings.protection.signing_key_usage)),
    }
    for name, (certificate, use) in uses.items():
        check(certificate, use, at=at, name=name)
        trust.require(certificate, at=at, name=name, organisation=counterpart.organisation_number or None)


def check_signer(own: Signer, settings: Settings, trust: Trust, *, at: datetime) -> None:
    """Check who issued our signing certificate, and to whom; the rest was checked when it was loaded.

    Raises:
        AccessRefused: It is not trusted as the configuration requires.
    """
    trust.require(
        own.certificate,
        at=at,
        name=settings.keys.signing.key,
        organisation=settings.sender.party.organisation_number,
        intermediates=own.chain,
    )
