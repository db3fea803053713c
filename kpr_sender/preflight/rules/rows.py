"""Every rule on one block of a person by itself: its fields' and those across them, joined in one place."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kpr_sender.preflight.catalogue.codes import OrganisationNumber, all_service_types, service_types
from kpr_sender.preflight.catalogue.fields import Catalogue
from kpr_sender.preflight.header import shown
from kpr_sender.preflight.memory import Memory
from kpr_sender.preflight.model import Circumstances, CrossCheck, Element, PersonRecord, Row, Values, Violation
from kpr_sender.preflight.rules.fields import field_rules
from kpr_sender.preflight.rules.values import OrganisationNumbers, before
from kpr_sender.texts import Text

# Rules on one TJENESTE across its fields: its type, the unit that performs it, and the order of its dates.

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
    """Evaluates one TJENESTE at a time.

    What begins after the reporting year or ends before it begins is a field's range (``tjFraDato.range``,
    ``tjTilDato.range``), and is not reported twice.

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

    def values(self, values: Mapping[str, str]) -> tuple[Violation, ...]:
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
            and self._unit_is_valid(unit, wanted)
        ):
            return ()
        return tuple(self._violations(values, code, unit))

    def _unit_is_valid(self, unit: str, wanted: OrganisationNumber) -> bool:
        if not unit:
            return wanted is not OrganisationNumber.REQUIRED
        return wanted is not OrganisationNumber.NOT_USED and not self._units.violations("tjInstOrgnr", unit)

    def _violations(self, values: Mapping[str, str], code: str, unit: str) -> Iterator[Violation]:
        if code in self._ended:
            message = Text("{code} ended with 2018: {heir}.", code=code, heir=all_service_types()[code].replaced_by)
            yield Violation(self._ended[code], "tjTjenType", message)
        yield from self._unit(values, code, unit)
        for first, then, rule in _ORDER:
            earlier, later = values.get(first, ""), values.get(then, "")
            if before(later, earlier):
                yield Violation(rule, then, _before(then, later, first, earlier))
        yield from self._period(values)

    def _unit(self, values: Mapping[str, str], code: str, unit: str) -> Iterator[Violation]:
        wanted = self._unit_wanted.get(code)
        if unit:
            yield from self._units.violations("tjInstOrgnr", unit)
            if wanted is OrganisationNumber.NOT_USED:
                yield Violation(
                    "orgnr.not-used", "tjInstOrgnr", Text("{name} is {value}.", name="tjTjenType", value=code)
                )
        elif wanted is OrganisationNumber.REQUIRED and values.get("tjVedtak") != _REFUSED:  # nobody performs it
            yield Violation("orgnr.missing", "tjInstOrgnr", Text("{name} is {value}.", name="tjTjenType", value=code))

    def _period(self, values: Mapping[str, str]) -> Iterator[Violation]:
        begins, ends = values.get("tjFraDato", ""), values.get("tjTilDato", "")
        if before(ends, self._first_day):
            message = Text("tjTilDato {day} is before {year}.", day=shown(ends), year=self._year)
            yield Violation("tjeneste.outside-year", "tjTilDato", message)
        if not begins and values.get("tjVedtak") != _REFUSED:
            yield Violation("tjeneste.no-start", "tjFraDato")


# Rules on one row of another kind than TJENESTE across its fields: PERSONOPPL, FUNKSJON, DIAGNOSE, DOGNTILBUD.

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
    """Evaluates one row at a time.

    Args:
        circumstances: Whether only real units are wanted.

    Attributes:
        by_kind: Returns what the values of a row's simple children break together; for each kind with a rule here.
    """

    def __init__(self, circumstances: Circumstances) -> None:
        self._units = OrganisationNumbers(circumstances)
        self.by_kind = {kind: _period(*days) for kind, days in _PERIODS.items()}
        self.by_kind[_WITH_UNIT] = self._of_unit(self.by_kind[_WITH_UNIT])

    def _of_unit(self, period: CrossCheck) -> CrossCheck:
        def cross_check(values: Values) -> tuple[Violation, ...]:
            unit = values.get(_UNIT)
            return period(values) + self._units.violations(_UNIT, unit) if unit else period(values)

        return cross_check


def _period(first: str, last: str) -> CrossCheck:
    def cross_check(values: Values) -> tuple[Violation, ...]:
        begins, ends = values.get(first, ""), values.get(last, "")
        if ends >= begins or not before(ends, begins):
            return ()
        return (Violation("rad.end-before-start", last, _before(last, ends, first, begins)),)

    return cross_check


def _before(later: str, its_day: str, earlier: str, day: str) -> Text:
    return Text(
        "{later} {its_day} is before {earlier} {day}.",
        later=later,
        its_day=shown(its_day),
        earlier=earlier,
        day=shown(day),
    )


SERVICE: Final = "TJENESTE"
_PERSON: Final = "PERSON"


class RowEvaluator:
    """Evaluates blocks, and makes records of elements.

    Args:
        catalogue: IPLOS's.
        circumstances: What they are evaluated by.

    Attributes:
        fields: The published requirements on single fields, by block.
    """

    def __init__(self, catalogue: Catalogue, circumstances: Circumstances) -> None:
        self.fields = field_rules(catalogue, circumstances)
        others = RowRules(circumstances)
        self._across: dict[str, CrossCheck] = {**others.by_kind, SERVICE: ServiceRules(circumstances).values}
        self._kinds = frozenset(each.name for each in catalogue.blocks[_PERSON].children if each.kind == "block")
        self._cross_checks: dict[str, Memory[tuple[str, ...], CrossCheck]] = {
            kind: Memory(functools.partial(self.cross_check, kind)) for kind in catalogue.blocks
        }

    def cross_check(self, kind: str, names: Iterable[str]) -> CrossCheck:
        """Return the check of what is missing in a block with just these children, and of what they break together."""
        fields, across = self.fields[kind].cross_check(names), self._across.get(kind)
        return fields if across is None else lambda values: fields(values) + across(values)

    def record(self, person: Element) -> PersonRecord:
        """Make a record of a PERSON that was read the general way; valid or not."""
        values = _values(person)
        rows = [self._row(child) for child in person.children if child.name in self._kinds]
        return PersonRecord(person.attributes, values, rows, self._violations(_PERSON, person.attributes, values))

    def _row(self, element: Element) -> Row:
        values = _values(element)
        return Row(element.name, element.attributes, values, self._violations(element.name, element.attributes, values))

    def _violations(self, kind: str, keys: Mapping[str, str], values: Mapping[str, str]) -> tuple[Violation, ...]:
        rules = self.fields[kind]
        known = tuple(filter(rules.knows, values))  # of others there may be any number
        return rules.keys(keys) + rules.single(values) + self._cross_checks[kind][known](values)


def _values(block: Element) -> dict[str, str]:
    """Return the simple children's texts; of one that stands there twice the first, for structure says that."""
    values: dict[str, str] = {}
    for child in block.children:
        if not child.children:
            values.setdefault(child.name, child.text)
    return values
