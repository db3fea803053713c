"""Rules on the fagmelding as a whole: what FHI asks every municipality to look for before it sends."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from kpr_sender.preflight.finding import Hit

_WELFARE_TECHNOLOGY: Final = frozenset({6, 26, 27, 28})  # FHI's letter 24/04733-1: alarm, GPS, medicine, supervision
_HOUSING: Final = 29  # the letter: bolig


def whole_file(types: Collection[int]) -> Iterator[Hit]:
    """Yield what is missing in a fagmelding.

    Args:
        types: Every tjenestetype that stands there at least once.
    """
    if _WELFARE_TECHNOLOGY.isdisjoint(types):
        yield Hit("file.no-welfare-technology", said="No trygghetsalarm, GPS, medisineringsstøtte or digitalt tilsyn.")
    if _HOUSING not in types:
        yield Hit("file.no-housing", said="No bolig that the municipality disponerer.")
