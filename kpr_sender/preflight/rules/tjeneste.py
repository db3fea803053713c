"""Rules on one TJENESTE across its fields: its type, the unit that performs it, and the order of its dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kpr_sender.preflight.catalogue.tjenestetyper import OrganisationNumber, all_service_types, service_types
from kpr_sender.preflight.finding import Hit
from kpr_sender.preflight.header import shown
from kpr_sender.preflight.record import Circumstances
from kpr_sender.preflight.rules.dates import before
from kpr_sender.preflight.rules.orgnr import OrganisationNumbers

_REFUSED: Final = "1"  # tjVedtak, kodeverk 9171
_OPEN: Final = "99991231"

_ENDED: Final[Mapping[str, str]] = {
    "12": "tjeneste.ended-housing",
    "13": "tjeneste.ended-housing",
    "16": "tjeneste.ended-habilitation",
}
"""The types that FHI's letter names, each of which has its own way out."""

_ORDER: Final = (
    ("tjSoknadDato", "tjVedtDato", "tjeneste.decided-before-applied"),
    ("tjVedtDato", "tjKlageMottatt", "tjeneste.complaint-before-decision"),
    ("tjKlageMottatt", "tjKlageBesvart", "tjeneste.answer-before-complaint"),
)
"""What comes first, what comes after it, and the rule that says so."""


class ServiceRules:
    """Judges one TJENESTE at a time.

    What begins after the reporting year or ends before it begins is a field's range (``tjFraDato.range``,
    ``tjTilDato.range``), and is not said twice.

    Args:
        circumstances: The reporting year, and whether only real units are wanted.
    """

    def __init__(self, circumstances: Circumstances) -> None:
        self._year = circumstances.year
        self._first_day = circumstances.first_day
        self._units = OrganisationNumbers(circumstances)
        types = service_types(circumstances.year)
        self._unit_wanted = {code: types[code].orgnr for code in types}
        self._ended = {code: rule for code, rule in _ENDED.items() if code not in types}

    def values(self, values: Mapping[str, str]) -> tuple[Hit, ...]:
        """Return what a TJENESTE's simple children break together.

        Args:
            values: Their texts, by name.
        """
        get = values.get
        code = get("tjTjenType", "")
        applied, decided = get("tjSoknadDato", ""), get("tjVedtDato", "")
        begins, ends = get("tjFraDato", ""), get("tjTilDato", _OPEN)
        unit = get("tjInstOrgnr", "")
        wanted = self._unit_wanted.get(code)
        if (
            # In the order of _ORDER, on texts: whether they are dates is asked where one seems to be wrong.
            applied <= (decided or _OPEN)
            and "tjKlageMottatt" not in values
            and begins
            and ends >= self._first_day
            and wanted is not None
            and self._unit_is_right(unit, wanted)
        ):
            return ()
        return tuple(self._hits(values, code, unit))

    def _unit_is_right(self, unit: str, wanted: OrganisationNumber) -> bool:
        if not unit:
            return wanted is not OrganisationNumber.REQUIRED
        return wanted is not OrganisationNumber.NOT_USED and not self._units.hits("tjInstOrgnr", unit)

    def _hits(self, values: Mapping[str, str], code: str, unit: str) -> Iterator[Hit]:
        if code in self._ended:
            said = f"{code} ended with 2018: {all_service_types()[code].replaced_by}."
            yield Hit(self._ended[code], "tjTjenType", said)
        yield from self._unit(values, code, unit)
        for first, then, rule in _ORDER:
            earlier, later = values.get(first, ""), values.get(then, "")
            if before(later, earlier):
                yield Hit(rule, then, f"{then} {shown(later)} is before {first} {shown(earlier)}.")
        yield from self._period(values)

    def _unit(self, values: Mapping[str, str], code: str, unit: str) -> Iterator[Hit]:
        wanted = self._unit_wanted.get(code)
        if unit:
            yield from self._units.hits("tjInstOrgnr", unit)
            if wanted is OrganisationNumber.NOT_USED:
                yield Hit("orgnr.not-used", "tjInstOrgnr", f"tjTjenType is {code}.")
        elif wanted is OrganisationNumber.REQUIRED and values.get("tjVedtak") != _REFUSED:  # nobody performs it
            yield Hit("orgnr.missing", "tjInstOrgnr", f"tjTjenType is {code}.")

    def _period(self, values: Mapping[str, str]) -> Iterator[Hit]:
        begins, ends = values.get("tjFraDato", ""), values.get("tjTilDato", "")
        if before(ends, self._first_day):
            yield Hit("tjeneste.outside-year", "tjTilDato", f"tjTilDato {shown(ends)} is before {self._year}.")
        if not begins and values.get("tjVedtak") != _REFUSED:
            yield Hit("tjeneste.no-start", "tjFraDato")
