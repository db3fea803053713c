"""A shipment's life, and what a pair of shipments amounts to. The only file that knows these states.

The rules:

1. Whatever may follow a state is in ``TRANSITIONS``; nothing else may happen, whoever asks.
2. ``publishing -> sealed`` only when it is certain that the bus does not have the message (promise G1).
3. Nothing leaves an end state: a later, contradicting receipt is kept and shown, it changes nothing by itself.
4. A person may decide what a program must not: that a shipment without an answer has arrived, has not, or is given up.
5. A submission's state is a function of its shipments' states (``PAIR_RULES``, first match wins).

The diagram in ``docs/`` is generated from these tables.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final


class ShipmentState(enum.StrEnum):
    """What is known of one shipment."""

    SEALED = "sealed"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    IN_DOUBT = "in_doubt"
    DELIVERED = "delivered"
    DELIVERED_WITH_ERRORS = "delivered_with_errors"
    REJECTED = "rejected"
    FAULTED = "faulted"
    CANCELLED = "cancelled"


class Cause(enum.StrEnum):
    """What moves a shipment from one state to the next."""

    PUBLISH_BEGINS = "publish-begins"
    NOT_SENT = "not-sent"
    ACCEPTED = "accepted"
    NO_OUTCOME = "no-outcome"
    RECEIPT_OK = "receipt-ok"
    RECEIPT_OK_WITH_ERRORS = "receipt-ok-with-errors"
    RECEIPT_REJECTED = "receipt-rejected"
    ERROR_QUEUE = "error-queue"
    PERSON_ARRIVED = "person-arrived"
    PERSON_NOT_ARRIVED = "person-not-arrived"
    PERSON_CANCELS = "person-cancels"


class ReceiptStatus(enum.IntEnum):
    """AppRec/Status V, kodeverk 8258. Any other value is no status to us, and never success."""

    OK = 1
    REJECTED = 2
    OK_WITH_ERRORS = 3


_S, _C = ShipmentState, Cause

_ANSWERS: Final = {
    _C.RECEIPT_OK: _S.DELIVERED,
    _C.RECEIPT_OK_WITH_ERRORS: _S.DELIVERED_WITH_ERRORS,
    _C.RECEIPT_REJECTED: _S.REJECTED,
    _C.ERROR_QUEUE: _S.FAULTED,
}

# What only a person may say of a shipment that no answer has come to.
_DECISIONS: Final = {
    _C.PERSON_ARRIVED: _S.PUBLISHED,
    _C.PERSON_NOT_ARRIVED: _S.SEALED,
    _C.PERSON_CANCELS: _S.CANCELLED,
}

TRANSITIONS: Final[dict[ShipmentState, dict[Cause, ShipmentState]]] = {
    _S.SEALED: {_C.PUBLISH_BEGINS: _S.PUBLISHING, _C.PERSON_CANCELS: _S.CANCELLED},
    _S.PUBLISHING: {_C.ACCEPTED: _S.PUBLISHED, _C.NOT_SENT: _S.SEALED, _C.NO_OUTCOME: _S.IN_DOUBT},
    _S.PUBLISHED: {**_ANSWERS, **_DECISIONS},
    _S.IN_DOUBT: {**_ANSWERS, **_DECISIONS},
    _S.DELIVERED: {},
    _S.DELIVERED_WITH_ERRORS: {},
    _S.REJECTED: {},
    _S.FAULTED: {},
    _S.CANCELLED: {},
}

CAUSE_OF_STATUS: Final = {
    ReceiptStatus.OK: Cause.RECEIPT_OK,
    ReceiptStatus.OK_WITH_ERRORS: Cause.RECEIPT_OK_WITH_ERRORS,
    ReceiptStatus.REJECTED: Cause.RECEIPT_REJECTED,
}

PERSON_CAUSES: Final = frozenset(_DECISIONS)
AWAITING_RECEIPT: Final = frozenset({_S.PUBLISHED, _S.IN_DOUBT})
ENDED: Final = frozenset(state for state, ways_on in TRANSITIONS.items() if not ways_on)


class ImpossibleTransition(RuntimeError):
    """A transition that the table does not have was asked for: an error in the program, never a user's."""

    def __init__(self, state: ShipmentState, cause: Cause) -> None:
        super().__init__(f"a shipment that is {state.value} cannot be moved by {cause.value}")
        self.state = state
        self.cause = cause


def after(state: ShipmentState, cause: Cause) -> ShipmentState:
    """Return the state that follows.

    Raises:
        ImpossibleTransition: The table does not have it.
    """
    try:
        return TRANSITIONS[state][cause]
    except KeyError:
        raise ImpossibleTransition(state, cause) from None


class SubmissionState(enum.StrEnum):
    """What the pair amounts to."""

    IN_DOUBT = "in_doubt"
    DELIVERED = "delivered"
    PARTLY_DELIVERED = "partly_delivered"
    REJECTED = "rejected"
    DELIVERED_WITH_ERRORS = "delivered_with_errors"
    SEALED = "sealed"
    PUBLISHED = "published"
    CANCELLED = "cancelled"

    @staticmethod
    def of(states: tuple[ShipmentState, ...]) -> SubmissionState:
        """Return the pair's state: the first rule of ``PAIR_RULES`` that holds.

        Args:
            states: The shipments' states, in any order; at least one.
        """
        if not states:
            raise ValueError("a submission has at least one shipment")
        present = frozenset(states)
        return next(result for result, holds in PAIR_RULES if holds(present))


_LOST: Final = frozenset({_S.REJECTED, _S.FAULTED, _S.CANCELLED})
_ARRIVED: Final = frozenset({_S.DELIVERED, _S.DELIVERED_WITH_ERRORS})

# Worst first: the worst shipment decides, and a pair of which only one half arrived is a state of its own.
PAIR_RULES: Final[tuple[tuple[SubmissionState, Callable[[frozenset[ShipmentState]], bool]], ...]] = (
    (SubmissionState.IN_DOUBT, lambda present: bool(present & {_S.IN_DOUBT, _S.PUBLISHING})),
    (SubmissionState.PARTLY_DELIVERED, lambda present: bool(present & _LOST) and bool(present & _ARRIVED)),
    (SubmissionState.REJECTED, lambda present: bool(present & {_S.REJECTED, _S.FAULTED})),
    (SubmissionState.CANCELLED, lambda present: _S.CANCELLED in present),
    (SubmissionState.SEALED, lambda present: _S.SEALED in present),
    (SubmissionState.DELIVERED_WITH_ERRORS, lambda present: _S.DELIVERED_WITH_ERRORS in present),
    (SubmissionState.PUBLISHED, lambda present: _S.PUBLISHED in present),
    (SubmissionState.DELIVERED, lambda present: present == {_S.DELIVERED}),
)
