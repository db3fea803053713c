"""Rules on one row of another kind than TJENESTE across its fields: PERSONOPPL, FUNKSJON, DIAGNOSE, DOGNTILBUD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kpr_sender.preflight.finding import Hit
from kpr_sender.preflight.header import shown
from kpr_sender.preflight.record import Circumstances
from kpr_sender.preflight.rules.dates import before
from kpr_sender.preflight.rules.orgnr import OrganisationNumbers

_PERIODS: Final[Mapping[str, tuple[str, str]]] = {
    "PERSONOPPL": ("poFraDato", "poTilDato"),
    "FUNKSJON": ("fnFraDato", "fnTilDato"),
    "DIAGNOSE": ("diFraDato", "diTilDato"),
    "DOGNTILBUD": ("dgFraDato", "dgTilDato"),
}
"""First and last day of each."""

_UNIT: Final = "dgInstOrgnr"


class RowRules:
    """Judges one row at a time.

    Args:
        circumstances: Whether only real units are wanted.
    """

    def __init__(self, circumstances: Circumstances) -> None:
        self._units = OrganisationNumbers(circumstances)

    def values(self, kind: str, values: Mapping[str, str]) -> tuple[Hit, ...]:
        """Return what a row's simple children break together; nothing for a kind without a rule here.

        Args:
            kind: The row's element.
            values: Its children's texts, by name.
        """
        hits: tuple[Hit, ...] = ()
        if kind in _PERIODS:
            first, last = _PERIODS[kind]
            begins, ends = values.get(first, ""), values.get(last, "")
            if ends < begins and before(ends, begins):
                said = f"{last} {shown(ends)} is before {first} {shown(begins)}."
                hits = (Hit("rad.end-before-start", last, said),)
        if unit := values.get(_UNIT):
            hits += self._units.hits(_UNIT, unit)
        return hits
