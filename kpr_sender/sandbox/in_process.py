"""A bus and an Adresseregister in the process, before the same receiver as the broker: no socket, no thread.

What they answer is what the sandbox's broker and register lead to: the transfers' outcomes are made of the same endings
by the same table (``bus.broker_errors``), the messages are encoded and decoded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kpr_sender.bus import broker_errors
from kpr_sender.bus.broker_errors import CONNECTION_REFUSALS, UNAUTHORIZED
from kpr_sender.bus.codec import Decoded, body_start, encode_head
from kpr_sender.bus.port import Inbound, Outbound, Outcome, Reach, Source
from kpr_sender.bus.sender import NOT_OURS, TransferEnding, TransferResult
from kpr_sender.errors import BusUnreachable, ConfigInvalid, KprError, RegistryUnreachable
from kpr_sender.messages.transport import queue_name
from kpr_sender.registry.port import Counterpart, Provenance
from kpr_sender.sandbox.faults import FaultName, Faults
from kpr_sender.sandbox.links import STORING, Fate
from kpr_sender.sandbox.receiving_end import ReceivingEnd
from kpr_sender.sandbox.registered import Registered
from kpr_sender.sandbox.spool import Entry
from kpr_sender.texts import Text

PLACE: Final = "in this process"
"""Where it is, as errors say it."""
_ENDINGS: Final[Mapping[Fate, TransferEnding]] = {
    Fate.STORE: TransferEnding.ACCEPTED,
    Fate.LOSE: TransferEnding.ACCEPTED,
    Fate.RELEASE: TransferEnding.RELEASED,
    Fate.REJECT: TransferEnding.REJECTED,
    Fate.HOLD: TransferEnding.TIMED_OUT,
    Fate.DROP: TransferEnding.LOST,
    Fate.STORE_AND_DROP: TransferEnding.LOST,
}
"""How the transfer ends for its sender. No time passes before a disposition that is held back is given up."""
_ATTEMPTS: Final = 2
"""What is certainly not sent is tried once more, without a pause."""
_LONGEST_WAIT: Final = 0.5
"""So soon a wait is heard to be over, in seconds: nobody says it to a bus that is handed to a client."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """What names a message to the bus: which entry of which queue."""

    queue: str
    entry: Entry


class InProcessBus:
    """The bus's port, for one client at a time; ``faults`` and ``put`` from any thread.

    Args:
        end: What stands behind it.
        own_queues: The municipality's, by what they are for.
        max_bytes: The largest message that it takes.
    """

    def __init__(self, end: ReceivingEnd, own_queues: Mapping[Source, str], max_bytes: int) -> None:
        self.reachable = True
        """False for a bus that cannot be reached."""
        self._end = end
        self._own_queues = own_queues
        self._max_bytes = max_bytes
        self._taken: list[_Taken] = []
        self._held = 0
        self._changed = threading.Condition()

    @property
    def faults(self) -> Faults:
        """What goes wrong now; what a fault held back is answered when it is switched off."""
        return self._end.receiver.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._changed:
            self._end.receiver.faults = self._end.registered.faults = faults
            limit = faults.find(FaultName.DELIVERY_LIMIT)
            self._end.queues.delivery_limit = int(limit.number) if limit else None
            self._end.receiver.answer()
            self._changed.notify_all()

    def put(self, source: Source, message: bytes) -> None:
        """Put an encoded AMQP message on one of the municipality's queues, as another party on the bus would."""
        with self._changed:
            self._end.queues.publish(self._own_queues[source], message)
            self._changed.notify_all()

    def depth(self, source: Source) -> int:
        """Return how many messages are on a queue, given out or not."""
        with self._changed:
            name = self._own_queues[source]
            return len(self._end.queues[name]) + sum(one.queue == name for one in self._taken)

    def connect(self) -> None:
        """Raise what keeps from a connection, as ``Bus.connect`` does."""
        if not self.reachable:
            raise BusUnreachable(Text("The bus cannot be reached: the test says so."), where=PLACE)
        if self.faults.find(FaultName.REFUSE_LOGIN):
            raise CONNECTION_REFUSALS[UNAUTHORIZED].as_error(PLACE, UNAUTHORIZED, "")

    def attempts(self) -> Iterator[None]:
        """Yield for each attempt to publish one message, as ``Bus.attempts`` says."""
        for _ in range(_ATTEMPTS):
            self.connect()
            yield

    def publish(self, message: Outbound) -> Outcome:
        """Transfer one message, once, as ``Bus.publish`` says."""
        try:
            self.connect()
        except KprError as error:
            return broker_errors.not_connected(error)
        queue = queue_name(message.envelope.queue)
        data = encode_head(message) + body_start(len(message.body)) + message.body
        if len(data) > self._max_bytes:
            return broker_errors.too_large(len(data), self._max_bytes, PLACE)
        if not message.may_begin():
            ended = TransferResult(TransferEnding.LOST, Reach.NOT_BEGUN, 0, "local:lease", NOT_OURS)
            return broker_errors.outcome_of(ended, PLACE)
        with self._changed:
            proposed = Fate.STORE if queue in self._end.queues else self._end.unbound
            fate = self._end.receiver.decide(queue, data, proposed)
            if fate in STORING:
                self._end.queues.publish(queue, data)
                self._end.receiver.stored(queue)
                self._end.receiver.answer()
                self._changed.notify_all()
        ended = TransferResult(_ENDINGS[fate], Reach.HANDED_OVER, len(data))
        return broker_errors.outcome_of(ended, PLACE)

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        """Return the next message from these queues, as ``Bus.receive`` says; None after half a second at most."""
        end = time.monotonic() + min(timeout, _LONGEST_WAIT)
        with self._changed:
            while True:
                self.connect()
                due = self._end.receiver.answer()
                for source in sources:
                    if (entry := self._end.queues.take(self._own_queues[source])) is not None:
                        return self._given_out(source, entry)
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left if due is None else min(left, due))

    def _given_out(self, source: Source, entry: Entry) -> Inbound:
        token = _Taken(self._own_queues[source], entry)
        self._taken.append(token)
        message = Decoded(entry.read())
        return Inbound(
            token=token,
            source=source,
            message_id=message.field("message_id"),
            correlation_id=message.field("correlation_id"),
            subject=message.field("subject"),
            content_type=message.field("content_type"),
            properties=message.properties,
            body=message.body,
            redelivered=entry.returned > 0,
        )

    def settle(self, inbound: Inbound) -> bool:
        """Accept a message, as ``Bus.settle`` says."""
        with self._changed:
            token = inbound.token
            if not isinstance(token, _Taken) or token not in self._taken:
                return False
            self._taken.remove(token)
            self._end.queues[token.queue].spool.remove(token.entry)
            return True

    def hold(self, inbound: Inbound) -> None:
        """Leave a message unsettled; it goes back with ``detach`` or ``close``."""
        with self._changed:
            self._held += inbound.token in self._taken

    @property
    def held(self) -> int:
        """How many foreign messages are left unsettled now."""
        return self._held

    def detach(self) -> None:
        """Give everything back that is unsettled."""
        with self._changed:
            for token in self._taken:
                self._end.queues.put_back(token.queue, token.entry)
            self._taken.clear()
            self._held = 0
            self._changed.notify_all()

    def close(self) -> None:
        """Give everything back that is unsettled; it may be used again."""
        self.detach()


@dataclass(frozen=True, slots=True)
class InProcessRegistry:
    """The address registry's port, by what the sandbox has registered."""

    registered: Registered

    def counterpart(self, her_id: int) -> Counterpart:
        """Return what is registered, as ``AddressRegistry.counterpart`` says."""
        if self.registered.register_is_down():
            raise RegistryUnreachable(Text("Adresseregisteret cannot be reached: the test says so."), where=PLACE)
        level = self.registered.level(her_id)
        if level is None or level.parent is None:
            raise ConfigInvalid(Text("HER-id {her_id} is no tjenestested here.", her_id=her_id), where=PLACE)
        address = level.addresses["E_SB_ASYNC"]
        return Counterpart(
            her_id=her_id,
            queue=queue_name(address),
            encryption=level.encryption,
            signing=(level.signing,),
            name=level.name,
            organisation_name=level.parent[1],
            address=address,
            organisation_number=level.organisation_number,
            edi_address=level.addresses["E_EDI"],
            provenance=Provenance(source=PLACE),
        )
