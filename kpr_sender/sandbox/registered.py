"""What the sandbox's Adresseregister knows, and the key that goes with FHI's certificate in it."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable
from datetime import datetime

from cryptography.x509 import Certificate

from kpr_sender.cms.port import Decrypter
from kpr_sender.keys.files import SoftwareDecrypter, load_pkcs12
from kpr_sender.model import Party
from kpr_sender.sandbox.faults import FaultName, Faults
from kpr_sender.sandbox.parties import Level, levels
from kpr_sender.sandbox.pki import FHI_NUMBER, KOMMUNE_NUMBER, SUCCESSOR, Pki, ensure_successor
from kpr_sender.settings.sample_file import EXCHANGE, HOST, USERNAME


class Registered:
    """FHI and the municipality, as they are at the moment.

    Args:
        pki: Their certificates.
        receiver: FHI's two levels.
        municipality: The sender's two levels.
        password: What opens the register, to the bus's user.
        faults: What goes wrong; may be assigned from any thread.
        now: The clock; aware.
    """

    def __init__(
        self,
        pki: Pki,
        *,
        receiver: Party,
        municipality: Party,
        password: bytes,
        faults: Faults,
        now: Callable[[], datetime],
    ) -> None:
        self.faults = faults
        self._pki = pki
        self._receiver = receiver
        self._municipality = municipality
        self._password = password
        self._now = now
        self._decrypter = functools.cache(self._load)

    def knows(self, user: str, password: bytes) -> bool:
        """Say whether a login is right."""
        right_user = hmac.compare_digest(user.encode("utf-8"), USERNAME.encode("utf-8"))
        return hmac.compare_digest(password, self._password) and right_user

    def register_is_down(self) -> bool:
        """Say whether nothing is answered now."""
        return self.faults.find(FaultName.REGISTER_DOWN) is not None

    def level(self, her_id: int) -> Level | None:
        """Return who has a HER-id; None when nobody has."""
        address, certificate = f"{HOST}/{EXCHANGE}", self._pki.certificate
        known = (
            *levels(
                self._receiver,
                organisation_number=FHI_NUMBER,
                queue_address=address,
                encryption=certificate(self._encryption()),
                signing=certificate("fhi-signing"),
            ),
            *levels(
                self._municipality,
                organisation_number=KOMMUNE_NUMBER,
                queue_address=address,
                encryption=certificate("kommune-encryption"),
                signing=certificate("kommune-signing"),
            ),
        )
        return next((level for level in known if level.her_id == her_id), None)

    def certificates(self) -> tuple[Certificate, ...]:
        """Return every certificate that is or was registered."""
        names = ("kommune-signing", "kommune-encryption", "fhi-signing", "fhi-encryption", SUCCESSOR)
        return tuple(self._pki.certificate(name) for name in names if self._pki.has(name))

    def decrypters(self) -> tuple[Decrypter, ...]:
        """Return FHI's key for opening."""
        return (self._decrypter(self._encryption()),)

    def _encryption(self) -> str:
        if not self.faults.find(FaultName.REGISTER_NEW_CERTIFICATE):
            return "fhi-encryption"
        ensure_successor(self._pki, now=self._now())
        return SUCCESSOR

    def _load(self, name: str) -> Decrypter:
        return SoftwareDecrypter(load_pkcs12(self._pki.pkcs12(name), self._pki.passphrase(), name=name))
