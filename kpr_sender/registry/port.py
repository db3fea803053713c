"""The port: what the engine asks of Adresseregisteret."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError
from kpr_sender.messages.transport import queue_name

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

T = TypeVar("T")

FILES: Final = "files"
"""The source of what the configuration's files and lines say."""


class Use(enum.StrEnum):
    """What a party's certificate is for."""

    ENCRYPTION = "encryption"
    SIGNING = "signing"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an answer came from.

    Attributes:
        source: ``files``, or the register's address.
        fetched_at: When it was fetched or read; aware. None where nobody keeps count.
        usable_until: Until when it may be used without asking again; None for as long as its files are there.
        stale: Whether the register could not be reached, so that an earlier answer had to do.
    """

    source: str = ""
    fetched_at: datetime | None = None
    usable_until: datetime | None = None
    stale: bool = False

    @property
    def text(self) -> str:
        """The same in words, for a person."""
        parts = [f"from {self.source}"]
        if self.fetched_at is not None:
            parts.append(f"fetched {self.fetched_at:%Y-%m-%d %H:%M} UTC")
        if self.usable_until is not None:
            parts.append(f"good until {self.usable_until:%Y-%m-%d %H:%M} UTC")
        if self.stale:
            parts.append("the register cannot be reached now")
        return ", ".join(parts)


UNKNOWN: Final = Provenance()
"""Of an answer that did not say."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """One answer, with where it came from."""

    value: T
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class RegisteredParty:
    """A communication party as it is registered.

    Attributes:
        her_id: Level 1 or 2.
        active: Whether it is in use, by the register's own flags.
        valid_from: The period it is registered for; aware, None where it is open.
        valid_to: The end of it.
        parent_her_id: The party it belongs to; None for a level 1.
        organisation_number: Its own, or that of the party it belongs to; empty where none is registered.
    """

    her_id: int
    name: str
    active: bool
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    parent_her_id: int | None = None
    parent_name: str = ""
    organisation_number: str = ""


@dataclass(frozen=True, slots=True)
class Queues:
    """The addresses of a party's queues, as registered; empty where there is none.

    Attributes:
        asynchronous: ``E_SB_ASYNC``: where messages to it go.
        error: ``E_SB_ERROR``.
    """

    asynchronous: str = ""
    error: str = ""


class Directory(Protocol):
    """What there is to know of a party. Each question raises as ``AddressRegistry.counterpart`` does."""

    def party(self, her_id: int) -> Answer[RegisteredParty]:
        """Return who it is."""

    def queues(self, her_id: int) -> Answer[Queues]:
        """Return the addresses of its queues."""

    def certificate(self, her_id: int, use: Use) -> Answer[tuple[Certificate, ...]]:
        """Return its certificate for that use first, then earlier ones that are still to be believed."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A communication party as the registry describes it.

    Attributes:
        her_id: Level 2 HER-id.
        queue: Name of its asynchronous queue: the last part of the registered address.
        encryption: The certificate to encrypt for.
        signing: The certificates it may sign with: the current one first, then earlier ones still to be believed.
        name: Its registered name.
        organisation_number: The organisation it belongs to; empty where that is not known.
        provenance: Where all this came from.
        objections: What speaks against sending to it; the first is raised before anything is sealed. Its receipts can
            be read all the same.
    """

    her_id: int
    queue: str
    encryption: Certificate
    signing: tuple[Certificate, ...]
    name: str = ""
    organisation_number: str = ""
    provenance: Provenance = UNKNOWN
    objections: tuple[KprError, ...] = ()


class AddressRegistry(Protocol):
    """Looks up a communication party."""

    def counterpart(self, her_id: int) -> Counterpart:
        """Return what is registered for a level 2 HER-id.

        Raises:
            ConfigInvalid: The HER-id or its certificates are not known here.
            AccessRefused: A certificate is unreadable. Dates and uses are checked where it is used.
            RegistryUnreachable: The register does not answer, and no earlier answer of it may be used.
        """


# All that a register says of one party at one moment.

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


# The one place where the three answers become a counterpart.


def counterpart_of(directory: Directory, her_id: int) -> Counterpart:
    """Ask the three questions about a level 2 HER-id.

    Raises:
        KprError: As the directory does.
    """
    party = directory.party(her_id)
    queues = directory.queues(her_id)
    encryption = directory.certificate(her_id, Use.ENCRYPTION)
    signing = directory.certificate(her_id, Use.SIGNING)
    return Counterpart(
        her_id=her_id,
        queue=queue_name(queues.value.asynchronous),
        encryption=encryption.value[0],
        signing=signing.value,
        name=party.value.name,
        organisation_number=party.value.organisation_number,
        provenance=party.provenance,
    )
