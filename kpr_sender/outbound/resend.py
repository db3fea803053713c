"""Lets a shipment's content go again, sealed anew, when a person has decided so.

Which ids it gets is HITS 1216 2.2.5: after an error the same MsgId under a new message-id, since a message-id seen
before is dropped without any answer (2.2.3); after a negative receipt a new MsgId, since that one is answered for good.
What the bus certainly never had keeps both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from kpr_sender.errors import InputRefused
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.port import Journal
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.messages.transport import made_at
from kpr_sender.model import Shipment
from kpr_sender.outbound.build import Builder, Fixed
from kpr_sender.outbound.payload_file import PayloadFile
from kpr_sender.registry.port import Counterpart
from kpr_sender.states import ShipmentState


@dataclass(frozen=True, slots=True)
class _NewIds:
    """Which ids change; GenDate belongs to the MsgId."""

    msg_id: bool
    message_id: bool


_NEW_IDS: Final[Mapping[ShipmentState, _NewIds]] = {
    ShipmentState.REJECTED: _NewIds(msg_id=True, message_id=True),
    ShipmentState.FAULTED: _NewIds(msg_id=False, message_id=True),
    ShipmentState.CANCELLED: _NewIds(msg_id=False, message_id=False),
}


@dataclass(frozen=True, slots=True)
class Resender:
    """Seals a shipment's payload anew, as configured and registered now.

    Attributes:
        counterpart: Asks the register for the receiver as it is now.
        builder: Returns what builds shipments for that receiver, its certificates and our key checked.
        now: The clock; aware datetimes.
        new_id: Makes lower-case UUIDs.
    """

    journal: Journal
    counterpart: Callable[[], Counterpart]
    builder: Callable[[Counterpart], Builder]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    observe: Observer

    def resend(self, shipment: Shipment, path: Path, *, reason: str, by: str) -> Shipment:
        """Seal it anew; the next run publishes it.

        Args:
            shipment: What a person may send again.
            path: Its file.
            reason: Why, in the person's words.
            by: The person.

        Returns:
            The shipment now: sealed.

        Raises:
            InputMissing: The file is missing or cannot be read.
            InputRefused: It is another than the one that was sent, or too large now.
            RegistryUnreachable: The register does not answer, and no earlier answer may be used.
            AccessRefused: A key or certificate was refused.
            ConfigInvalid: A key or certificate file is missing.
            JournalUnwritable: The decision could not be stored; nothing has changed.
        """
        try:
            file = PayloadFile.hashed(path)
        except MessageRefused:
            file = None
        if file is None or file.sha256 != shipment.payload_sha256:
            raise InputRefused(
                f"This is not the {shipment.type.norwegian} that was sent as {shipment.msg_id}.",
                where=str(path),
                next_step="Name the very file that was sent; a new extract goes with kpr-send send --replaces.",
            )
        new = self.builder(self.counterpart()).anew(shipment, self._fixed(shipment), file)
        sealed = self.journal.resend(shipment.msg_id, new, reason=reason, by=by)
        text = f"The {sealed.type.norwegian} is sealed anew as {sealed.msg_id}, {sealed.sealed_bytes:,} bytes."
        self.observe(Event(EventKind.SEALED, text, sealed.msg_id, sealed.type))
        return sealed

    def _fixed(self, shipment: Shipment) -> Fixed:
        change = _NEW_IDS[shipment.state]
        return Fixed(
            msg_id=self.new_id() if change.msg_id else shipment.msg_id,
            message_id=self.new_id() if change.message_id else shipment.message_id,
            made_at=self.now() if change.msg_id else made_at(self.journal.envelope(shipment.msg_id).properties),
        )
