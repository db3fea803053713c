"""Judges a fagmelding while it is read: the schema, every field and row, every person, and the year's figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from kpr_sender.model import MessageType
from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.comparison import months_without_start
from kpr_sender.preflight.findings import Finding, Findings, Hit
from kpr_sender.preflight.persons import PERSON, Persons
from kpr_sender.preflight.reader import End, Event, Record, Start, Text
from kpr_sender.preflight.record import Circumstances, Element, PersonRecord, Row, place
from kpr_sender.preflight.rules.header import check_innhinfo
from kpr_sender.preflight.rules.pair import Pair
from kpr_sender.preflight.rules.person import PERSON as ITSELF
from kpr_sender.preflight.rules.person import PersonRules
from kpr_sender.preflight.rules.rows import RowJudge
from kpr_sender.preflight.statistics import YearStatistics
from kpr_sender.preflight.structure import Fault, Structure

# Rules on the fagmelding as a whole: what FHI asks every municipality to look for before it sends.

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


_IPL: Final = MessageType.KPR_IPL
_ROOT: Final = "IPLOS"
_HEADER: Final = "INNHINFO"
_CONTACT: Final = "iiKontakt"

Placed = tuple[int, Hit]


class Fagmelding:
    """One fagmelding; fed in pieces, asked at the end.

    Args:
        namespace: The format's.
        circumstances: What it is judged by.
        pair: Is told of each person.

    Attributes:
        findings: What was found so far.
        statistics: The figures so far.
        services: How many TJENESTE so far.
        header: INNHINFO's own values, once they were read.
    """

    def __init__(self, namespace: str, circumstances: Circumstances, pair: Pair) -> None:
        self.findings = Findings()
        self.statistics = YearStatistics(circumstances.year)
        self.services = 0
        self.header: Mapping[str, str] = {}
        self._circumstances = circumstances
        self._pair = pair
        self._structure = Structure(iplos(), namespace)
        self._rows = RowJudge(iplos(), circumstances)
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
                    self._faults(self._structure.record(event.element))
                    if event.name == _HEADER:
                        self._innhinfo(event.element)
            case Start(name, attributes, line):
                if name == _ROOT:
                    self._root = attributes
                self._faults(self._structure.start(name, attributes, line))
            case Text(line):
                self._faults(self._structure.text(line))
            case End(line):
                self._faults(self._structure.end(line))

    def end(self) -> None:
        """Evaluate what only the whole file shows."""
        if not self._header_seen:
            self._innhinfo(None)
        types = [int(code) for code in self.statistics.types if code]
        hits = (*whole_file(types), *months_without_start(self.statistics))
        self.findings.take(Finding(hit.rule, _IPL, 0, "", hit.said) for hit in hits)

    def _person(self, read: Record) -> None:
        record = self._known.read(read)
        if record is None:
            self._faults(self._structure.record(read.element))
            record = self._rows.record(read.element)
        elif faults := self._structure.passed(PERSON, record.keys, read.line):
            self._faults(faults)
        placed = self._judged(record, read.line)
        if placed and any(self.findings.has_room(hit.rule) for _, hit in placed):
            self._place(placed, record, read.element)
        else:
            for _, hit in placed:
                self.findings.count(hit.rule)

    def _judged(self, record: PersonRecord, line: int) -> list[Placed]:
        value = record.values.get
        self._pair.person(record.keys.get("pePeID", ""), line, age=value("peAlder", ""), sex=value("peKjonn", ""))
        self.statistics.add(record)
        placed: list[Placed] = [(ITSELF, hit) for hit in record.hits]
        for index, row in enumerate(record.rows):
            self.services += row.kind == "TJENESTE"
            if row.hits:
                placed += [(index, hit) for hit in row.hits]
        placed += self._persons.person(record)
        return placed

    def _place(self, placed: Iterable[Placed], record: PersonRecord, element: Element) -> None:
        for index, hit in placed:
            found = element if index == ITSELF else _row(record.rows, index, element)
            self.findings.take([_finding(hit, element, found)])

    def _innhinfo(self, element: Element | None) -> None:
        if not self._header_seen:
            self._header_seen = True
            self.header = {} if element is None else {each.name: each.text for each in element.children}
        for line, hit in check_innhinfo(self._root, element, self._circumstances, self._rows.fields):
            block = f"{_HEADER} / {_CONTACT}" if hit.rule.startswith(f"{_CONTACT}.") else _HEADER
            path = f"{block} / {hit.field}" if hit.field else block
            self.findings.take([Finding(hit.rule, _IPL, line, path, hit.said)])

    def _faults(self, faults: Iterable[Fault]) -> None:
        self.findings.take(Finding(fault.rule, _IPL, fault.line, fault.path, fault.said) for fault in faults)


def _row(rows: list[Row], index: int, person: Element) -> Element:
    """Return the element of a row. Rows of one kind are in order; of another kind some may not have been kept."""
    kind = rows[index].kind
    number = sum(row.kind == kind for row in rows[:index])
    return [child for child in person.children if child.name == kind][number]


def _finding(hit: Hit, person: Element, found: Element) -> Finding:
    line = next((child.line for child in found.children if child.name == hit.field), found.line)
    steps = [place(person.name, person.attributes)]
    if found is not person:
        steps.append(place(found.name, found.attributes))
    if hit.field:
        steps.append(hit.field)
    return Finding(hit.rule, _IPL, line, " / ".join(steps), hit.said)
