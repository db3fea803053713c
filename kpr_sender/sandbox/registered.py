"""What is registered in the sandbox's Adresseregister: FHI and the municipality, each with its two levels.

And the keys that go with FHI's certificates in it.
"""

from __future__ import annotations

import functools
import hmac
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.x509 import Certificate

from kpr_sender.cms.port import Decrypter, Signer
from kpr_sender.keys.files import KeyPair, load_pkcs12
from kpr_sender.model import Party
from kpr_sender.sandbox.faults import FaultName, Faults
from kpr_sender.sandbox.pki import FHI_NUMBER, KOMMUNE_NUMBER, Pki, ensure_successor
from kpr_sender.settings.sample_file import EDI_RECEIVER, EDI_SENDER, EXCHANGE, HOST, USERNAME

EKSEMPEL: Final = Party("EKSEMPEL KOMMUNE", 900001, "Saksbehandling", 900002)
"""The municipality that the sample configurations name."""


@dataclass(frozen=True, slots=True)
class Level:
    """One HER-id in the register.

    Attributes:
        parent: HER-id and name of the level above; None for level 1.
        organisation_number: The organisation's, on both levels.
        addresses: Of its queues and its EDI mailbox, by the register's own names for them.
        encryption: The certificate to encrypt for.
        signing: The certificate it signs with.
    """

    her_id: int
    name: str
    parent: tuple[int, str] | None
    organisation_number: str
    addresses: Mapping[str, str]
    encryption: Certificate
    signing: Certificate


@dataclass(frozen=True, slots=True)
class Agreement:
    """A communication agreement (CPA) in the register.

    Attributes:
        her_ids: Its parties, level 2.
        begins: From when on it holds; aware.
        ends: Until when; aware.
    """

    her_ids: frozenset[int]
    begins: datetime
    ends: datetime


def _cpa_id(rule: int) -> str:
    return f"c0a00000-0000-4000-8000-{rule:012}"


def agreements(sender: int, receiver: int) -> Mapping[str, Agreement]:
    """Return the agreements by UUID: one that holds, and one for each rule (HITS 1172, 111 to 114) that breaks it."""
    another, both = 900009, frozenset({sender, receiver})
    long_ago, years_ago, far_off, farther = (datetime(year, 1, 1, tzinfo=UTC) for year in (2010, 2020, 2090, 2100))
    return {
        _cpa_id(110): Agreement(both, long_ago, farther),
        _cpa_id(111): Agreement(frozenset({receiver, another}), long_ago, farther),
        _cpa_id(112): Agreement(frozenset({sender, another}), long_ago, farther),
        _cpa_id(113): Agreement(both, far_off, farther),
        _cpa_id(114): Agreement(both, long_ago, years_ago),
    }


def levels(
    party: Party,
    *,
    organisation_number: str,
    queue_address: str,
    edi_address: str,
    encryption: Certificate,
    signing: Certificate,
) -> tuple[Level, Level]:
    """Return a party's two levels; addresses belong to level 2.

    Args:
        party: Who.
        organisation_number: The one in its certificates, unless it has its own.
        queue_address: What its queues' addresses begin with, ``host/exchange``.
        edi_address: Its EDI address.
        encryption: The certificate to encrypt for.
        signing: The certificate it signs with.
    """
    number = party.organisation_number or organisation_number
    queue = f"{queue_address}/{party.service_her_id}"
    addresses = {"E_EDI": edi_address, "E_SB_ASYNC": f"{queue}_async", "E_SB_ERROR": f"{queue}_error"}
    return (
        Level(party.her_id, party.name, None, number, {}, encryption, signing),
        Level(
            party.service_her_id, party.service_name, (party.her_id, party.name), number, addresses, encryption, signing
        ),
    )


class Registered:
    """FHI and the municipality, as they are registered at the moment.

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
        self._making = threading.Lock()
        self._key_pair = functools.cache(self._load)

    def knows(self, user: str, password: bytes) -> bool:
        """Tell whether a login is valid."""
        right_user = hmac.compare_digest(user.encode("utf-8"), USERNAME.encode("utf-8"))
        return self.password_is(password) and right_user

    def password_is(self, password: bytes) -> bool:
        """Tell whether it is the one of the sandbox's accounts."""
        return hmac.compare_digest(password, self._password)

    def register_is_down(self) -> bool:
        """Tell whether nothing is answered now."""
        return self.faults.find(FaultName.REGISTER_DOWN) is not None

    def level(self, her_id: int) -> Level | None:
        """Return who has a HER-id; None when nobody has."""
        address = f"{HOST}/{EXCHANGE}"
        known = (
            *levels(
                self._receiver,
                organisation_number=FHI_NUMBER,
                queue_address=address,
                edi_address=EDI_RECEIVER,
                encryption=self._certificate("fhi-encryption"),
                signing=self._certificate("fhi-signing"),
            ),
            *levels(
                self._municipality,
                organisation_number=KOMMUNE_NUMBER,
                queue_address=address,
                edi_address=EDI_SENDER,
                encryption=self.recipient(),
                signing=self._certificate("kommune-signing"),
            ),
        )
        return next((level for level in known if level.her_id == her_id), None)

    def agreement(self, cpa_id: str) -> Agreement | None:
        """Return the agreement of a UUID; None where none is registered."""
        return agreements(self._municipality.service_her_id, self._receiver.service_her_id).get(cpa_id.lower())

    def certificates(self) -> tuple[Certificate, ...]:
        """Return every certificate that is or was registered."""
        present = ("kommune-signing", "kommune-encryption", "fhi-signing", "fhi-encryption")
        names = (*present, *(f"{name}-next" for name in present))
        return tuple(self._pki.certificate(name) for name in names if self._pki.has(name))

    def decrypters(self) -> tuple[Decrypter, ...]:
        """Return FHI's key for opening."""
        return (self._key_pair(self._current("fhi-encryption")),)

    def signer(self) -> Signer:
        """Return FHI's key for signing."""
        return self._key_pair(self._current("fhi-signing"))

    def recipient(self) -> Certificate:
        """Return the municipality's certificate for encryption, for which receipts are sealed."""
        return self._certificate("kommune-encryption")

    def _certificate(self, name: str) -> Certificate:
        return self._pki.certificate(self._current(name))

    def _current(self, name: str) -> str:
        """Return the name of the key that is registered now: a key's own, or its successor's by a fault."""
        fault = _REPLACED_BY.get(name)
        if fault is None or not self.faults.find(fault):
            return name
        with self._making:  # bus and register have a thread each
            return ensure_successor(self._pki, name, now=self._now())

    def _load(self, name: str) -> KeyPair:
        return load_pkcs12(self._pki.pkcs12(name), self._pki.passphrase(), name=name)


_REPLACED_BY: Final = {
    "fhi-encryption": FaultName.REGISTER_NEW_CERTIFICATE,
    "fhi-signing": FaultName.REGISTER_NEW_SIGNER,
    "kommune-encryption": FaultName.REGISTER_OTHER_FOR_US,
}
