"""The port: what is asked of Adresseregisteret, and what it answers."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError
from kpr_sender.messages.transport import queue_name
from kpr_sender.texts import Text, listed

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

FILES: Final = "files"
"""The source of what the configuration's files and lines say."""


class Use(enum.StrEnum):
    """What a party's certificate is for."""

    ENCRYPTION = "encryption"
    SIGNING = "signing"


_ENGLISH: Final = {Use.ENCRYPTION: Text("for encryption"), Use.SIGNING: Text("for validating its signatures")}


_FILES: Final = "files"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an entry came from.

    Attributes:
        source: ``files``, or the register's address.
        fetched_at: When it was fetched or read; aware. None where nobody keeps count.
        usable_until: Until when it may be used without asking again; None for as long as its files are there.
        stale: Whether the register could not be reached, so that an earlier entry is used.
    """

    source: str = ""
    fetched_at: datetime | None = None
    usable_until: datetime | None = None
    stale: bool = False

    @property
    def text(self) -> str:
        """The same in words, for a person."""
        named = Text("the configuration's files") if self.source == _FILES else self.source
        parts = [Text("from {source}", source=named)]
        if self.fetched_at is not None:
            parts.append(Text("fetched {fetched_at} UTC", fetched_at=format(self.fetched_at, "%Y-%m-%d %H:%M")))
        if self.usable_until is not None:
            parts.append(
                Text("good until {usable_until} UTC", usable_until=format(self.usable_until, "%Y-%m-%d %H:%M"))
            )
        if self.stale:
            parts.append(Text("the register cannot be reached now"))
        return listed(*parts)


UNKNOWN: Final = Provenance()


@dataclass(frozen=True, slots=True)
class RegisteredParty:
    """A communication party as it is registered.

    Attributes:
        active: Whether it is in use, by the register's own flags.
        valid_from: The period it is registered for; aware, None where it is open.
        valid_to: The end of it.
        parent_her_id: The party it belongs to; None for a level 1.
        parent_name: That party's visningsnavn (DisplayName) where it has one, else its name (HIS 1153-2 AD2.3).
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
class RegisteredQueues:
    """A party's addresses, as registered (``E_SB_ASYNC``, ``E_SB_ERROR``, ``E_EDI``); empty where there is none."""

    asynchronous: str = ""
    error: str = ""
    edi: str = ""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A communication party as the registry describes it.

    Attributes:
        her_id: Level 2 HER-id.
        queue: Name of its asynchronous queue: the last part of the registered address.
        encryption: The certificate to encrypt for.
        signing: The certificates it may sign with: the current one first, then earlier ones that are still accepted.
        name: Its registered name.
        organisation_name: The name of the organisation it belongs to; empty where that is not known.
        address: The complete registered id of its queue (``host/exchange/queue``); empty where that is not known.
        organisation_number: The organisation it belongs to; empty where that is not known.
        edi_address: Its EDI address; empty where that is not known.
        provenance: Where all this came from.
        objections: What speaks against sending to it; the first is raised before anything is sealed. Its receipts can
            be read all the same.
    """

    her_id: int
    queue: str
    encryption: Certificate
    signing: tuple[Certificate, ...]
    name: str = ""
    organisation_name: str = ""
    address: str = ""
    organisation_number: str = ""
    edi_address: str = ""
    provenance: Provenance = UNKNOWN
    objections: tuple[KprError, ...] = ()


@dataclass(frozen=True, slots=True)
class RegisterEntry:
    """All that a register says of one party at one moment, fetched together so that it fits together.

    Attributes:
        encryption: The certificate to encrypt for, or nothing.
        signing: The certificate it signs with, or nothing; after it an earlier one that is still accepted.
        replaced_at: When the register was first seen to give this one in place of the earlier; None where none is.
    """

    party: RegisteredParty
    queues: RegisteredQueues
    encryption: tuple[Certificate, ...]
    signing: tuple[Certificate, ...]
    provenance: Provenance = UNKNOWN
    replaced_at: datetime | None = None

    @property
    def complete(self) -> bool:
        """Whether no certificate is missing: what is missing today may be there in a minute."""
        return bool(self.encryption and self.signing)

    def after(self, earlier: RegisterEntry | None, *, at: datetime) -> RegisterEntry:
        """Return the same with the signing certificate before this one, which receipts on their way still bear.

        Args:
            earlier: What the register gave before; None where that is not known.
            at: When it gave this.
        """
        if earlier is None or not self.signing:
            return self
        others = [one for one in earlier.signing if one != self.signing[0]][:1]
        since = earlier.replaced_at if earlier.signing[:1] == self.signing[:1] else at
        return replace(self, signing=(self.signing[0], *others), replaced_at=since if others else None)

    def at(self, now: datetime, *, previous_for: float) -> RegisterEntry:
        """Return what may be used of it now: the earlier certificate for so many seconds after its replacement.

        Whoever has its key, perhaps because it was stolen and that is why it was replaced, could sign receipts until
        its own end, which is years off.
        """
        if not self.signing[1:] or self.replaced_at is None:
            return replace(self, signing=self.signing[:1])
        until = self.replaced_at + timedelta(seconds=previous_for)
        # What was replaced in the future was replaced by another clock.
        if not self.replaced_at <= now < until:
            return replace(self, signing=self.signing[:1], replaced_at=None)
        usable_until = min(self.provenance.usable_until or until, until)
        return replace(self, provenance=replace(self.provenance, usable_until=usable_until))

    def counterpart(self) -> Counterpart:
        """Return what is needed to send to the party, and to verify what it signs.

        Raises:
            AccessRefused: A certificate is missing.
        """
        for use, registered in ((Use.ENCRYPTION, self.encryption), (Use.SIGNING, self.signing)):
            if not registered:
                raise AccessRefused(
                    Text(
                        "Adresseregisteret has no certificate {english} of HER-id {her_id}.",
                        english=_ENGLISH[use],
                        her_id=self.party.her_id,
                    ),
                    where=self.provenance.source,
                    next_step=Text("The party must register one. If it is FHI, write to kpr@fhi.no."),
                )
        return Counterpart(
            her_id=self.party.her_id,
            queue=queue_name(self.queues.asynchronous),
            encryption=self.encryption[0],
            signing=self.signing,
            name=self.party.name,
            organisation_name=self.party.parent_name,
            address=self.queues.asynchronous.strip(),
            organisation_number=self.party.organisation_number,
            edi_address=self.queues.edi,
            provenance=self.provenance,
        )


class AddressRegistry(Protocol):
    """Looks up a communication party."""

    def counterpart(self, her_id: int) -> Counterpart:
        """Return what is registered for a level 2 HER-id.

        Raises:
            ConfigInvalid: The HER-id or its certificates are not known here.
            AccessRefused: A certificate is unreadable. Dates and uses are checked where it is used.
            RegistryUnreachable: The register does not answer, and no earlier answer of it may be used.
        """


class Directory(Protocol):
    """Looks up all that is known of any party."""

    def entry(self, her_id: int) -> RegisterEntry:
        """Return a party's entry; raises as ``AddressRegistry.counterpart`` does."""


class Registry(AddressRegistry, Directory, Protocol):
    """Looks up both."""


class RemoteRegister(Protocol):
    """A register that can be asked, one way or another."""

    def fetch(self, her_id: int) -> RegisterEntry:
        """Ask all that is to be known of a party.

        Raises:
            RegistryUnreachable: It does not answer, or nothing that can be read.
            UnknownParty: It does not know the HER-id.
            ConfigInvalid: Its address is wrong.
            AccessRefused: It refuses our user, or its certificate is refused.
        """


class UnknownParty(ConfigInvalid):
    """The register does not know the party: what it answered before is no longer to be used."""

    @classmethod
    def at(cls, url: str, her_id: int) -> UnknownParty:
        """Return the error for a HER-id that the register at an address does not know."""
        return cls(
            Text("Adresseregisteret does not know HER-id {her_id}.", her_id=her_id),
            where=url,
            next_step=Text("Check that registry.url is the register of this environment, and the HER-id."),
        )
