"""How a Hodemelding becomes what is sent: for a queue, or as a mail. What builds shipments does not know which.

What is signed, encrypted and stood round it differs, and how large it may be; which one is used is ``app.py``'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from kpr_sender.cms.port import Signer
from kpr_sender.cms.write import seal, sealed_length
from kpr_sender.errors import ConfigInvalid, InputRefused
from kpr_sender.messages.transport import CONTENT_TYPE, application_properties, is_registered_id, queue_name
from kpr_sender.model import Envelope, Party, Transport
from kpr_sender.outbound.port import Route, Sealed, Unsealed
from kpr_sender.preflight.payload import AGREE_ON_SIZE, too_large
from kpr_sender.profiles import guard_address, load
from kpr_sender.registry.port import Counterpart, RegisterEntry
from kpr_sender.settings.values import QueueIds, Settings
from kpr_sender.texts import Text


@dataclass(frozen=True, slots=True)
class QueueSealing:
    """For NHN Tjenestebuss: CMS SignedData inside EnvelopedData, as a stream (NHN's AMQP profile, HITS 1216)."""

    settings: Settings

    @property
    def transport(self) -> Transport:
        """Which way it is for."""
        return Transport.AMQP

    def addresses(self, known: Party, counterpart: Counterpart, own: RegisterEntry | None) -> Route:
        """Return both queues, by name or by registered id."""
        bus = self.settings.bus
        if bus.ids is QueueIds.QUEUE:
            return Route(counterpart.queue, queue_name(bus.receipts_queue))
        registered = "" if own is None else own.queues.asynchronous.strip()
        return Route(
            _registered_id(counterpart.address, known.service_her_id, self.settings),
            _registered_id(registered or bus.receipts_queue, self.settings.sender.service_her_id, self.settings),
        )

    def seal(self, message: Unsealed, counterpart: Counterpart, signer: Signer) -> Sealed:
        """Seal for the receiver, as ``Sealing.seal`` says; nothing is read before the stream is."""
        recipient = counterpart.encryption
        length = sealed_length(message.length, signer, recipient)
        limits = self.settings.limits
        if wrong := too_large(message.type, length, limits.refuse_bytes, around=0):
            raise InputRefused(wrong, where=message.where, next_step=AGREE_ON_SIZE)
        concern = Text(
            "The sealed {norwegian} is {sealed_bytes:,} bytes; NHN wants messages above about 1 MB to be agreed "
            "beforehand.",
            norwegian=message.type.norwegian,
            sealed_bytes=length,
        )
        return Sealed(
            self._envelope(message),
            length,
            seal(message.chunks(), message.length, signer=signer, recipient=recipient),
            concern if length > limits.warn_bytes else "",
        )

    def _envelope(self, message: Unsealed) -> Envelope:
        return Envelope(
            queue=message.addresses.to,
            subject=message.type.value,
            reply_to=message.addresses.reply_to,
            # The reference client's default: a message that answers nothing correlates with itself.
            correlation_id=message.message_id,
            content_type=CONTENT_TYPE,
            properties=application_properties(
                sender_her_id=message.sender.service_her_id,
                receiver_her_id=message.receiver.service_her_id,
                at=message.made_at,
                cpa_id=self.settings.hodemelding.cpa_id,
            ),
        )


def _registered_id(address: str, her_id: int, settings: Settings) -> str:
    if is_registered_id(address):
        # Ours is the register's, perhaps from its cache, and FHI answers to it: promise G7.
        profile = load(settings.report.year)
        guard_address(profile, settings.environment, address, where=f"HER-id {her_id}, E_SB_ASYNC")
        return address
    raise ConfigInvalid(
        Text("The registered id (host/exchange/queue) of HER-id {her_id}'s queue is not known.", her_id=her_id),
        where="bus.ids",
        next_step=Text('Let it be registered in Adresseregisteret (E_SB_ASYNC), or set bus.ids = "queue".'),
    )
