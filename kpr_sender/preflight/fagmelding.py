"""Evaluates a fagmelding while it is read: the schema, every field and row, every person, and the year's figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from kpr_sender.model import MessageType
from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.model import Circumstances, Element, Finding, Findings, PersonRecord, Row, Violation, place
from kpr_sender.preflight.persons import PERSON, Persons
from kpr_sender.preflight.reader import Characters, End, Event, Record, Start
from kpr_sender.preflight.rules.header import check_innhinfo
from kpr_sender.preflight.rules.pair import Pair
from kpr_sender.preflight.rules.person import PERSON as ITSELF
from kpr_sender.preflight.rules.person import PersonRules
from kpr_sender.preflight.rules.rows import RowEvaluator
from kpr_sender.preflight.statistics import YearStatistics, months_without_start
from kpr_sender.preflight.structure import Breach, Structure
from kpr_sender.texts import Text

# Rules on the fagmelding as a whole: what FHI asks every municipality to look for before it sends.

_WELFARE_TECHNOLOGY: Final = frozenset({6, 26, 27, 28})  # FHI's letter 24/04733-1: alarm, GPS, medicine, supervision
_HOUSING: Final = 29  # the letter: bolig


def whole_file(types: Collection[int]) -> Iterator[Violation]:
    """Yield what is missing in a fagmelding.

    Args:
        types: Every tjenestetype that stands there at least once.
    """
    if _WELFARE_TECHNOLOGY.isdisjoint(types):
        message = Text("No trygghetsalarm, GPS, medisineringsstøtte or digitalt tilsyn.")
        yield Violation("file.no-welfare-technology", message=message)
    if _HOUSING not in types:
        yield Violation("file.no-housing", message=Text("No bolig that the municipality disponerer."))


_IPL: Final = MessageType.KPR_IPL
_ROOT: Final = "IPLOS"
_HEADER: Final = "INNHINFO"
_CONTACT: Final = "iiKontakt"

Placed = tuple[int, Violation]


class Fagmelding:
    """One fagmelding; fed event by event, asked at the end.

    Args:
        namespace: The format's.
        circumstances: What it is evaluated by.
        pair: Takes each person.

    Attributes:
        findings: What was found so far.
        statistics: The figures so far.
        header: INNHINFO's own values, once they were read.
    """

    def __init__(self, namespace: str, circumstances: Circumstances, pair: Pair) -> None:
        self.findings = Findings()
        self.statistics = YearStatistics(circumstances.year)
        self.header: Mapping[str, str] = {}
        self._circumstances = circumstances
        self._pair = pair
        self._structure = Structure(iplos(), namespace)
        self._rows = RowEvaluator(iplos(), circumstances)
        self._persons = PersonRules(circumstances)
        self._root: Mapping[str, str] = {}
        self._header_seen = False
        self._known = Persons(self._structure.models, self._rows, circumstances)

    def take(self, event: Event) -> None:
        """Take what was read next."""
        match event:
            case Record():
                if event.name == PERSON:
                    self._person(event)
                else:
                    self._breaches(self._structure.record(event.element))
                    if event.name == _HEADER:
                        self._innhinfo(event.element)
            case Start(name, attributes, line):
                if name == _ROOT:
                    self._root = attributes
                self._breaches(self._structure.start(name, attributes, line))
            case Characters(line):
                self._breaches(self._structure.text(line))
            case End(line):
                self._breaches(self._structure.end(line))

    def end(self) -> None:
        """Evaluate what only the whole file shows."""
        if not self._header_seen:
            self._innhinfo(None)
        types = [int(code) for code in self.statistics.types if code]
        violations = (*whole_file(types), *months_without_start(self.statistics))
        self.findings.take(Finding(violation.rule, _IPL, 0, "", violation.message) for violation in violations)

    def _person(self, read: Record) -> None:
        record = self._known.read(read)
        if record is None:
            self._breaches(self._structure.record(read.element))
            record = self._rows.record(read.element)
        elif breaches := self._structure.passed(PERSON, record.keys, read.line):
            self._breaches(breaches)
        placed = self._evaluated(record, read.line)
        if placed and any(self.findings.has_room(violation.rule) for _, violation in placed):
            self._place(placed, record, read.element)
        else:
            for _, violation in placed:
                self.findings.count(violation.rule)

    def _evaluated(self, record: PersonRecord, line: int) -> list[Placed]:
        value = record.values.get
        self._pair.person(record.keys.get("pePeID", ""), line, age=value("peAlder", ""), sex=value("peKjonn", ""))
        self.statistics.add(record)
        placed: list[Placed] = [(ITSELF, violation) for violation in record.violations]
        for index, row in enumerate(record.rows):
            if row.violations:
                placed += [(index, violation) for violation in row.violations]
        placed += self._persons.person(record)
        return placed

    def _place(self, placed: Iterable[Placed], record: PersonRecord, element: Element) -> None:
        for index, violation in placed:
            found = element if index == ITSELF else _row(record.rows, index, element)
            self.findings.take([_finding(violation, element, found)])

    def _innhinfo(self, element: Element | None) -> None:
        if not self._header_seen:
            self._header_seen = True
            self.header = {} if element is None else {each.name: each.text for each in element.children}
        for line, violation in check_innhinfo(self._root, element, self._circumstances, self._rows.fields):
            block = f"{_HEADER} / {_CONTACT}" if violation.rule.startswith(f"{_CONTACT}.") else _HEADER
            path = f"{block} / {violation.field}" if violation.field else block
            self.findings.take([Finding(violation.rule, _IPL, line, path, violation.message)])

    def _breaches(self, breaches: Iterable[Breach]) -> None:
        self.findings.take(Finding(breach.rule, _IPL, breach.line, breach.path, breach.message) for breach in breaches)


def _row(rows: list[Row], index: int, person: Element) -> Element:
    """Return the element of a row. Rows of one kind are in order; of another kind some may not be in it."""
    kind = rows[index].kind
    number = sum(row.kind == kind for row in rows[:index])
    return [child for child in person.children if child.name == kind][number]


def _finding(violation: Violation, person: Element, found: Element) -> Finding:
    line = next((child.line for child in found.children if child.name == violation.field), found.line)
    steps = [place(person.name, person.attributes)]
    if found is not person:
        steps.append(place(found.name, found.attributes))
    if violation.field:
        steps.append(violation.field)
    return Finding(violation.rule, _IPL, line, " / ".join(steps), violation.message)
