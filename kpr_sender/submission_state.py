"""What a pair of shipments amounts to: a function of their two states, nothing else (``PAIR_RULES``)."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from kpr_sender.states import ShipmentState

_S = ShipmentState


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
