"""What Adresseregisteret knows of the municipality and of FHI, for whoever sets a configuration up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kpr_sender.messages.transport import is_registered_id, queue_name
from kpr_sender.registry.port import RegisterEntry, RemoteRegister, UnknownParty
from kpr_sender.texts import Text


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The entries of our tjenestested and of FHI's.

    Attributes:
        ours: Ours.
        theirs: FHI's; None where the register does not know it.
        their_her_id: FHI's level 2.
    """

    ours: RegisterEntry
    theirs: RegisterEntry | None
    their_her_id: int

    def answers(self, default_service: str) -> dict[str, str | int]:
        """Return what it answers of the questions of a set-up, and the keys that differ from their defaults.

        Args:
            default_service: The name of a tjenestested that need not be written.
        """
        party, queues = self.ours.party, self.ours.queues
        receipts, errors = queue_name(queues.asynchronous), queue_name(queues.error)
        known: dict[str, str | int | None] = {
            "her_id": party.parent_her_id,
            "name": party.parent_name,
            "organisation_number": party.organisation_number,
            "service_name": "" if party.name == default_service else party.name,
            "exchange": _exchange(queues.asynchronous),
            "receipts_queue": "" if receipts == f"{party.her_id}_async" else receipts,
            "error_queue": "" if errors == f"{party.her_id}_error" else errors,
        }
        return {name: value for name, value in known.items() if value}

    def lines(self) -> Iterator[Text]:
        """Yield what it says, for a person to compare."""
        for entry in filter(None, (self.ours, self.theirs)):
            ends = [one.not_valid_after_utc for one in (*entry.encryption[:1], *entry.signing[:1])]
            yield Text(
                "Adresseregisteret: {parent}, {name} (HER-id {her_id}), queue {queue}, {count} certificate.",
                plural="Adresseregisteret: {parent}, {name} (HER-id {her_id}), queue {queue}, {count} certificates.",
                parent=entry.party.parent_name,
                name=entry.party.name,
                her_id=entry.party.her_id,
                queue=queue_name(entry.queues.asynchronous) or "-",
                count=len(ends),
            )
            if ends:
                yield Text("  The first of them ends on {day}.", day=min(ends).date().isoformat())
        if self.theirs is None:
            yield Text(
                "Adresseregisteret does not know FHI's HER-id {her_id}: it may be another environment's register.",
                her_id=self.their_her_id,
            )


def look_up(register: RemoteRegister, our_her_id: int, their_her_id: int) -> LookedUp:
    """Ask the register for both tjenestesteder.

    Raises:
        KprError: It gives no answer, as ``RemoteRegister.fetch`` says; UnknownParty where it does not know ours.
    """
    ours = register.fetch(our_her_id)
    try:
        return LookedUp(ours, register.fetch(their_her_id), their_her_id)
    except UnknownParty:
        return LookedUp(ours, None, their_her_id)


def _exchange(address: str) -> str:
    """Return the exchange in a complete registered address (host/exchange/queue); empty in any other."""
    return address.strip().split("/")[-2] if is_registered_id(address.strip()) else ""
