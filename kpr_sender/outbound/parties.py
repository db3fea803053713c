"""Who a message is from and to: names and queue ids as Adresseregisteret has them (HIS 1153-2 AD2.3, AD2.4; HITS 1216).

HER-ids come from the year's profile and the configuration, names from the register. Where it is not asked, they are
those of ``[sender]`` and ``[receiver]``, and of the profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kpr_sender.errors import ConfigInvalid
from kpr_sender.messages.transport import is_registered_id, queue_name
from kpr_sender.model import Party
from kpr_sender.registry.port import Counterpart, RegisterEntry
from kpr_sender.settings.values import QueueIds, Settings


@dataclass(frozen=True, slots=True)
class Parties:
    """Both sides of a message.

    Attributes:
        to: The receiver's queue as it stands in ``to``.
        reply_to: Our queue for receipts as it stands in ``reply-to``.
    """

    sender: Party
    receiver: Party
    to: str
    reply_to: str

    @classmethod
    def of(cls, settings: Settings, known: Party, counterpart: Counterpart, own: RegisterEntry | None) -> Parties:
        """Return both sides as the register has them now.

        Args:
            settings: The configuration.
            known: The receiver as the year's profile has it.
            counterpart: The receiver as the register has it.
            own: Our own entry in the register; None where it is not asked.

        Raises:
            ConfigInvalid: Registered ids are to be sent, and one is not known.
        """
        sender = settings.sender.party
        if own is not None:
            sender = _named(sender, own.party.parent_name, own.party.name)
        receiver = _named(known, counterpart.organisation_name, counterpart.name)
        if settings.bus.ids is QueueIds.QUEUE:
            return cls(sender, receiver, counterpart.queue, queue_name(settings.bus.receipts_queue))
        registered = "" if own is None else own.queues.asynchronous.strip()
        return cls(
            sender,
            receiver,
            _registered_id(counterpart.address, known.service_her_id),
            _registered_id(registered or settings.bus.receipts_queue, sender.service_her_id),
        )

    def differences(self, settings: Settings) -> Iterator[str]:
        """Yield a sentence for each name in the configuration that is another in the register."""
        for key, configured, registered in (
            ("sender.name", settings.sender.name, self.sender.name),
            ("sender.service_name", settings.sender.service_name, self.sender.service_name),
            ("receiver.name", settings.receiver.name, self.receiver.name),
            ("receiver.service_name", settings.receiver.service_name, self.receiver.service_name),
        ):
            if configured and configured != registered:
                yield f"{key} is {configured}; the message says {registered}, as Adresseregisteret has it."


def _named(party: Party, name: str, service_name: str) -> Party:
    return replace(party, name=name or party.name, service_name=service_name or party.service_name)


def _registered_id(address: str, her_id: int) -> str:
    if is_registered_id(address):
        return address
    raise ConfigInvalid(
        f"The registered id (host/exchange/queue) of HER-id {her_id}'s queue is not known.",
        where="bus.ids",
        next_step='Let it be registered in Adresseregisteret (E_SB_ASYNC), or set bus.ids = "queue".',
    )
