"""All that a register says of one party at one moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.registry.port import UNKNOWN, Answer, Provenance, Queues, RegisteredParty, Use

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_ENGLISH: Final = {Use.ENCRYPTION: "for encryption", Use.SIGNING: "for validating its signatures"}


@dataclass(frozen=True, slots=True)
class Listing:
    """The answers to every question about a party, fetched together so that they fit each other.

    Attributes:
        encryption: The certificate to encrypt for, or nothing.
        signing: The certificate it signs with, or nothing; after it an earlier one still to be believed.
    """

    registered: RegisteredParty
    addresses: Queues
    encryption: tuple[Certificate, ...]
    signing: tuple[Certificate, ...]
    provenance: Provenance = UNKNOWN

    @property
    def whole(self) -> bool:
        """Whether no certificate is missing: what is missing today may be there in a minute."""
        return bool(self.encryption and self.signing)

    def after(self, earlier: Listing | None) -> Listing:
        """Return the same with the signing certificate before this one, which receipts on their way still bear."""
        if earlier is None or not self.signing:
            return self
        others = [one for one in earlier.signing if one != self.signing[0]]
        return replace(self, signing=(self.signing[0], *others[:1]))

    def party(self, _her_id: int) -> Answer[RegisteredParty]:
        """Return who it is."""
        return Answer(self.registered, self.provenance)

    def queues(self, _her_id: int) -> Answer[Queues]:
        """Return the addresses of its queues."""
        return Answer(self.addresses, self.provenance)

    def certificate(self, her_id: int, use: Use) -> Answer[tuple[Certificate, ...]]:
        """Return its certificates for that use.

        Raises:
            AccessRefused: None is registered.
        """
        found = self.encryption if use is Use.ENCRYPTION else self.signing
        if not found:
            raise AccessRefused(
                f"Adresseregisteret has no certificate {_ENGLISH[use]} of HER-id {her_id}.",
                where=self.provenance.source,
                next_step="The party must register one. If it is FHI, write to kpr@fhi.no.",
            )
        return Answer(found, self.provenance)


class UnknownParty(ConfigInvalid):
    """The register does not know the party: what it said of it before is no longer to be used."""


def unknown_party(her_id: int, url: str) -> UnknownParty:
    """Say that a register does not know a party."""
    return UnknownParty(
        f"Adresseregisteret does not know HER-id {her_id}.",
        where=url,
        next_step="Check that registry.url is the register of this environment, and the HER-id.",
    )


class Register(Protocol):
    """A register that can be asked, one way or another."""

    @property
    def url(self) -> str:
        """Its address."""

    def fetch(self, her_id: int) -> Listing:
        """Ask all that is to be known of a party.

        Raises:
            RegistryUnreachable: It does not answer, or nothing that can be read.
            ConfigInvalid: It does not know the HER-id, or its address is wrong.
            AccessRefused: It refuses our user, or its certificate is refused.
        """
