"""The pinned mode: FHI's certificates and queue as files and lines of the configuration.

They are downloaded from Adresseregisteret by a person (FHI's letter 24/04733-1 says where); a change there is not
seen here, so an expired or replaced certificate must be told apart clearly.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from kpr_sender import profiles
from kpr_sender.errors import ConfigInvalid
from kpr_sender.messages.transport import queue_name
from kpr_sender.protection.keys import load_certificate
from kpr_sender.registry.port import Counterpart
from kpr_sender.settings.values import Settings

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_DOWNLOAD: Final = "Download it from Adresseregisteret; certs/README.md says which one goes where."


class StaticRegistry:
    """Knows one party: the receiver of the configured year and environment.

    Args:
        settings: One environment's configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def counterpart(self, her_id: int) -> Counterpart:
        """Return the receiver with its certificates, read now.

        Whether they are in order is decided where each is used: the one for encryption when something is sealed, those
        for signing when a receipt shows one. An expired one for encryption keeps no receipt from being read.

        Args:
            her_id: The receiver's level 2 HER-id.

        Raises:
            ConfigInvalid: Another party, or a certificate file that is missing.
            AccessRefused: A certificate is unreadable.
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
