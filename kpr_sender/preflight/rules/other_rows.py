"""Rules on one row of another kind than TJENESTE across its fields: PERSONOPPL, FUNKSJON, DIAGNOSE, DOGNTILBUD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kpr_sender.preflight.finding import Hit, Together, Values
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

_WITH_UNIT: Final = "DOGNTILBUD"
_UNIT: Final = "dgInstOrgnr"


class RowRules:
    """Judges one row at a time.

    Args:
        circumstances: Whether only real units are wanted.

    Attributes:
        by_kind: Returns what the values of a row's simple children break together; for each kind with a rule here.
    """

    def __init__(self, circumstances: Circumstances) -> None:
        self._units = OrganisationNumbers(circumstances)
        self.by_kind = {kind: _period(*days) for kind, days in _PERIODS.items()}
        self.by_kind[_WITH_UNIT] = self._of_unit(self.by_kind[_WITH_UNIT])

    def _of_unit(self, period: Together) -> Together:
        def together(values: Values) -> tuple[Hit, ...]:
            unit = values.get(_UNIT)
            return period(values) + self._units.hits(_UNIT, unit) if unit else period(values)

        return together


def _period(first: str, last: str) -> Together:
    def together(values: Values) -> tuple[Hit, ...]:
        begins, ends = values.get(first, ""), values.get(last, "")
        if ends >= begins or not before(ends, begins):
            return ()
        return (Hit("rad.end-before-start", last, f"{last} {shown(ends)} is before {first} {shown(begins)}."),)

    return together
