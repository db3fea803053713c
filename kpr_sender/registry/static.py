"""The pinned mode: FHI's certificates and queue as files and lines of the configuration.

They are downloaded from Adresseregisteret by a person (FHI's letter 24/04733-1 says where); a change there is not
seen here, so an expired or replaced certificate must be told apart clearly.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kpr_sender import profiles
from kpr_sender.errors import ConfigInvalid
from kpr_sender.messages.transport import queue_name
from kpr_sender.protection.certificates import CertificateUse, check
from kpr_sender.protection.keys import load_certificate
from kpr_sender.registry.port import Counterpart
from kpr_sender.settings.values import KeyUse, Settings

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_SIGNING_USE: Final = {
    KeyUse.NON_REPUDIATION: CertificateUse.SIGNING_NON_REPUDIATION,
    KeyUse.DIGITAL_SIGNATURE: CertificateUse.SIGNING_DIGITAL_SIGNATURE,
}
_DOWNLOAD: Final = "Download it from Adresseregisteret; certs/README.md says which one goes where."


class StaticRegistry:
    """Knows one party: the receiver of the configured year and environment.

    Args:
        settings: One environment's configuration.
        now: The clock that validity is measured by; aware datetimes.
    """

    def __init__(self, settings: Settings, *, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now

    def counterpart(self, her_id: int) -> Counterpart:
        """Return the receiver with its certificates, read now.

        The certificates for encryption and the first one for signing must be in order today. Earlier ones for signing
        are only there to be recognised: whether they still hold is decided when a receipt shows one.

        Args:
            her_id: The receiver's level 2 HER-id.

        Raises:
            ConfigInvalid: Another party, or a certificate file that is missing.
            AccessRefused: A certificate is unreadable, expired, not yet valid, or made for another use.
        """
        settings = self._settings
        known = profiles.load(settings.report.year).receivers[settings.environment].service_her_id
        if her_id != known:
            raise ConfigInvalid(
                f"HER-id {her_id} is not known here; the configuration has the certificates of {known} only.",
                where=f"{settings.origin}: receiver",
            )
        receiver = settings.receiver
        encryption = self._certificate("receiver.encryption_certificate", receiver.encryption_certificate)
        signing = tuple(
            self._certificate("receiver.signing_certificates", path) for path in receiver.signing_certificates
        )
        at = self._now()
        check(
            encryption,
            CertificateUse.ENCRYPTION,
            at=at,
            name=self._name("receiver.encryption_certificate", receiver.encryption_certificate),
        )
        check(
            signing[0],
            _SIGNING_USE[settings.protection.signing_key_usage],
            at=at,
            name=self._name("receiver.signing_certificates", receiver.signing_certificates[0]),
        )
        return Counterpart(her_id, queue_name(receiver.queue), encryption, signing)

    def _name(self, key: str, path: Path) -> str:
        return f"{self._settings.origin}: {key} ({path.name})"

    def _certificate(self, key: str, path: Path) -> Certificate:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigInvalid(
                f"The certificate {path} cannot be read: {error.strerror}.",
                where=f"{self._settings.origin}: {key}",
                next_step=_DOWNLOAD,
            ) from None
        return load_certificate(data, self._name(key, path))
