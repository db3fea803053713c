"""Who stands in the sandbox's Adresseregister: FHI and the municipality, each with its two levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.x509 import Certificate

from kpr_sender.model import Party

EKSEMPEL: Final = Party("EKSEMPEL KOMMUNE", 900001, "Saksbehandling", 900002)
"""The municipality that the sample configurations name."""


@dataclass(frozen=True, slots=True)
class Level:
    """One HER-id in the register.

    Attributes:
        parent: HER-id and name of the level above; None for level 1.
        organisation_number: The organisation's, on both levels.
        addresses: Of its queues, by the register's own names for them.
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


def levels(
    party: Party, *, organisation_number: str, queue_address: str, encryption: Certificate, signing: Certificate
) -> tuple[Level, Level]:
    """Return a party's two levels; queues belong to level 2.

    Args:
        party: Who.
        organisation_number: The one in its certificates, unless it has its own.
        queue_address: What its queues' addresses begin with, ``host/exchange``.
        encryption: The certificate to encrypt for.
        signing: The certificate it signs with.
    """
    number = party.organisation_number or organisation_number
    queue = f"{queue_address}/{party.service_her_id}"
    addresses = {"E_SB_ASYNC": f"{queue}_async", "E_SB_ERROR": f"{queue}_error"}
    return (
        Level(party.her_id, party.name, None, number, {}, encryption, signing),
        Level(
            party.service_her_id, party.service_name, (party.her_id, party.name), number, addresses, encryption, signing
        ),
    )
