"""What is known of a shipment, in words, and what to do about it: tables by state and history.

A state alone does not say it: what is sealed may have been with the bus before, and what FHI confirmed may be nothing
that this journal ever published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kpr_sender.messages.error_conditions import advice
from kpr_sender.model import Shipment, rfc3339
from kpr_sender.states import ShipmentState

_S = ShipmentState


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a shipment.

    Attributes:
        state: Its state.
        holds: Whether this is its history; the first row of its state that holds counts.
        words: Both, for a person.
        next_step: What to do; empty where the error's own advice says it.
    """

    state: ShipmentState
    holds: Callable[[Shipment], bool]
    words: str
    next_step: str | Callable[[Shipment], str] = ""

    def advice(self, shipment: Shipment) -> str:
        """Return what to do about this shipment."""
        return self.next_step if isinstance(self.next_step, str) else self.next_step(shipment)


def _always(_: Shipment) -> bool:
    return True


def _names_errors(shipment: Shipment) -> bool:
    return any(receipt.verified and receipt.errors for receipt in shipment.receipts)


STANDINGS: Final = (
    Standing(
        _S.SEALED,
        lambda shipment: shipment.needs_person,
        "sealed, and not sent until a person decides: FHI has answered it under a MsgId that was given up",
        "Read the receipts and ask kpr@fhi.no what has arrived, then decide with kpr-send resolve MSGID.",
    ),
    Standing(
        _S.SEALED,
        lambda shipment: bool(shipment.alarm),
        "sealed, and not sent until a person has settled the alarm, which is about a message of somebody else's",
    ),
    Standing(
        _S.SEALED,
        lambda shipment: shipment.handed_over,
        "sealed to be sent again: the bus may have had it before, under another message-id",
    ),
    Standing(
        _S.SEALED,
        lambda shipment: shipment.attempts > 0,
        "sealed: it was offered to the bus, which certainly does not have it",
    ),
    Standing(_S.SEALED, _always, "sealed: it was never offered to the bus"),
    Standing(_S.PUBLISHING, _always, "being published by another run, or by one that ended in the middle of it"),
    Standing(
        _S.PUBLISHED,
        lambda shipment: shipment.arrived_at is not None and shipment.arrived_at == shipment.published_at,
        "published, as a person says: the bus gave no answer, and FHI has not answered yet",
    ),
    Standing(_S.PUBLISHED, _always, "published: the bus has taken it, FHI has not answered yet"),
    Standing(_S.IN_DOUBT, _always, "in doubt: it may or may not be with FHI; it is not sent again by itself"),
    Standing(_S.DELIVERED, _always, "delivered: FHI has confirmed it"),
    Standing(
        _S.DELIVERED_WITH_ERRORS,
        _names_errors,
        "delivered with errors: FHI has it and complains of something",
    ),
    Standing(
        _S.DELIVERED_WITH_ERRORS,
        _always,
        "delivered with errors: FHI has it, complains, and does not say of what",
        "FHI names no error: ask kpr@fhi.no what is wrong before anything is sent again.",
    ),
    Standing(_S.REJECTED, _names_errors, "rejected by FHI"),
    Standing(
        _S.REJECTED,
        _always,
        "rejected by FHI, without a reason",
        "FHI names no error: ask kpr@fhi.no what is wrong. Then send a new extract with --replaces, or the same file "
        "with kpr-send resend MSGID where its cause lies elsewhere.",
    ),
    Standing(
        _S.FAULTED,
        _always,
        "faulted: the receiver's system could not take it",
        lambda shipment: advice(shipment.error_message.condition if shipment.error_message else ""),
    ),
    Standing(
        _S.CANCELLED,
        lambda shipment: shipment.handed_over,
        "cancelled by a person: it is not sent again, though the bus may have had it",
        "Nothing goes by itself. Ask kpr@fhi.no whether the MsgId has arrived; if not, and it is to go after all: "
        "kpr-send resolve MSGID --not-arrived. A new extract goes with --replaces.",
    ),
    Standing(
        _S.CANCELLED,
        _always,
        "cancelled by a person: it is not sent, and the bus never had it",
        "Nothing goes by itself. If it is to go after all: kpr-send resend MSGID. A new extract goes with --replaces.",
    ),
)

EVIDENCE: Final[tuple[tuple[Callable[[Shipment], bool], str], ...]] = (
    (lambda one: one.published_at is not None and one.arrived_at is None, "published {published}"),
    (
        lambda one: one.published_at is not None and one.arrived_at == one.published_at,
        "said by a person on {arrived} to have arrived",
    ),
    (lambda one: one.published_at is not None, "published {published}, said by a person on {arrived} to have arrived"),
    (
        lambda one: one.attempts == 0 and one.state not in {_S.SEALED, _S.CANCELLED},
        "no sending of it is recorded in this journal",
    ),
    (lambda one: one.attempts == 0, "never offered to the bus"),
    (lambda one: not one.handed_over, "offered to the bus, which did not take it"),
    (lambda one: one.attempts == one.earlier_attempts, "not under its present message-id"),
    (_always, "handed over, and the bus's answer is not known"),
)
"""What the journal has of its way to the bus: the first that holds."""


def standing(shipment: Shipment) -> Standing:
    """Return what is known of a shipment by its state and history."""
    return next(one for one in STANDINGS if one.state is shipment.state and one.holds(shipment))


def evidence(shipment: Shipment) -> str:
    """Return what the journal has of a shipment's way to the bus."""
    text = next(text for holds, text in EVIDENCE if holds(shipment))
    published, arrived = shipment.published_at, shipment.arrived_at
    return text.format(published=published and rfc3339(published), arrived=arrived and rfc3339(arrived))
