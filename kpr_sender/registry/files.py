"""The pinned mode: FHI's certificates and queue as files and lines of the configuration.

They are downloaded from Adresseregisteret by a person (FHI's letter 24/04733-1 says where); a change there is not
seen here, so that errors must say clearly whether a certificate is expired or replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from kpr_sender import profiles
from kpr_sender.errors import ConfigInvalid
from kpr_sender.registry.port import (
    FILES,
    Counterpart,
    Provenance,
    RegisteredParty,
    RegisteredQueues,
    RegisterEntry,
    Use,
)
from kpr_sender.regular_file import read_regular
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_DOWNLOAD: Final = Text("Download it from Adresseregisteret; certs/README.md says which one goes where.")


class FilesRegistry:
    """Knows one party: the receiver of the configured year and environment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def counterpart(self, her_id: int) -> Counterpart:
        """Return the receiver with its certificates, read now.

        Whether they are in order is decided where each is used: the one for encryption when something is sealed, those
        for signing when a receipt shows one. An expired one for encryption keeps no receipt from being read.

        Raises:
            ConfigInvalid: Another party, or a certificate file that is missing.
            AccessRefused: A certificate is unreadable.
        """
        return self.entry(her_id).counterpart()

    def entry(self, her_id: int) -> RegisterEntry:
        """Return the receiver as the year's profile and the configuration have it. Raises as ``counterpart`` does."""
        settings = self._settings
        known = profiles.load(settings.report.year).receivers[settings.environment]
        if her_id != known.service_her_id:
            raise ConfigInvalid(
                Text(
                    "HER-id {her_id} is not known here; the configuration has the certificates of {service_her_id} "
                    "only.",
                    her_id=her_id,
                    service_her_id=known.service_her_id,
                ),
                where=f"{settings.origin}: receiver",
            )
        return RegisterEntry(
            RegisteredParty(
                her_id,
                settings.receiver.service_name or known.service_name,
                active=True,
                parent_her_id=known.her_id,
                parent_name=settings.receiver.name or known.name,
            ),
            RegisteredQueues(settings.receiver.queue, edi=settings.edi.receiver_address if settings.edi else ""),
            configured_certificates(settings, Use.ENCRYPTION),
            configured_certificates(settings, Use.SIGNING),
            Provenance(FILES),
        )


def configured_certificates(settings: Settings, use: Use) -> tuple[Certificate, ...]:
    """Read the receiver's certificates that the configuration names, the current one first; none where it names none.

    Raises:
        ConfigInvalid: A file is missing.
        AccessRefused: A file holds no certificate.
    """
    receiver = settings.receiver
    if use is Use.SIGNING:
        return tuple(
            _certificate(settings, "receiver.signing_certificates", path) for path in receiver.signing_certificates
        )
    if receiver.encryption_certificate is None:
        return ()
    return (_certificate(settings, "receiver.encryption_certificate", receiver.encryption_certificate),)


def _certificate(settings: Settings, key: str, path: Path) -> Certificate:
    from kpr_sender.cms.certificates import load_certificate  # noqa: PLC0415 - only where one is asked for

    where = f"{settings.origin}: {key}"
    try:
        data = read_regular(path)
    except OSError as error:
        raise ConfigInvalid(
            Text("The certificate {path} cannot be read: {reason}.", path=path, reason=error.strerror),
            where=where,
            next_step=_DOWNLOAD,
        ) from None
    return load_certificate(data, f"{where} ({path.name})")
