"""Evaluates an identmelding while it is read: the schema, the header, every PasientIdent.

Of a PasientIdent: whose number it is, and whether it can be anybody's. A fictitious name on a number that could be real
cannot be seen here: the identmelding holds no names. Only the municipality's own list of test persons finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Final

from kpr_sender.model import MessageType
from kpr_sender.preflight.catalogue.fields import xpr_ide
from kpr_sender.preflight.header import shown
from kpr_sender.preflight.model import Circumstances, Element, Finding, Findings, Violation, place
from kpr_sender.preflight.person_ids import Kind, identify, is_synthetic
from kpr_sender.preflight.reader import Characters, End, Event, Record, Start, attributes_of
from kpr_sender.preflight.rules.header import check_institusjon, check_melding
from kpr_sender.preflight.rules.pair import Pair
from kpr_sender.preflight.structure import Breach, Structure
from kpr_sender.profiles import Format
from kpr_sender.texts import Text

ROOT: Final = "Melding"
UNIT: Final = "Institusjon"
PATIENT: Final = "PasientIdent"

_IDE: Final = MessageType.KPR_IDE
_MOST_CONTACTS: Final = 1_000  # stored for the header's rules; a valid file has two

_FNR, _D, _H, _DUF = "1", "2", "3", "10"  # typeID, kodeverk 9032
_NAMED: Final = {_FNR: Kind.FNR, _D: Kind.D}
_RIGHT: Final = {**_NAMED, _DUF: Kind.DUF}
"""What gives a KPR-ID; persons with any other typeID come back as "mangel" (XPR)."""
_OTHER: Final = {Kind.FNR: _D, Kind.D: _FNR}
"""The typeID that each of the two kinds is taken for."""
_BIRTH_DATE_ALONE: Final = 6  # digits: the fid of typeID 9 is ddmmyy (XPR), and the eleventh of 1911 was a day
_MOST_YEARS: Final = 115


class PatientRules:
    """Evaluates one PasientIdent at a time.

    Args:
        circumstances: The reporting year, and whether real persons are wanted.
        is_test_person: Whether a number is on the municipality's own list; asked in production only.
    """

    def __init__(self, circumstances: Circumstances, is_test_person: Callable[[str], bool]) -> None:
        self._year = circumstances.year
        self._production = circumstances.production
        self._is_test_person = is_test_person
        self._born_last = date(circumstances.year, 12, 31)
        self._born_first = date(circumstances.year - _MOST_YEARS, 1, 1)
        self._ages = {Kind.FNR, Kind.DOLLY_OR_H} | (set() if self._production else {Kind.TENOR, Kind.NHN})

    def patient(self, keys: Mapping[str, str]) -> tuple[date | None, tuple[Violation, ...]]:
        """Return the date of birth in a PasientIdent's number, and what its attributes break, never quoting an id."""
        fid, named = keys.get("fid", ""), keys.get("typeID", "")
        kind, written = identify(fid, self._year)
        born = written if kind in self._ages else None
        if (
            kind is not None
            and kind is _RIGHT.get(named)
            and (born is None or self._born_first <= born <= self._born_last)
            and not (self._production and self._is_test_person(fid))
        ):
            return written, ()
        return written, tuple(self._violations(fid, named, kind, born))

    def _violations(self, fid: str, named: str, kind: Kind | None, born: date | None) -> Iterator[Violation]:
        if named not in _RIGHT:
            yield Violation("ident.type", "typeID", Text("{name} is {value}.", name="typeID", value=shown(named)))
        if self._production:
            yield from self._test_persons(fid, named, kind)
        yield from _of_named_kind(named, kind)
        if named not in _NAMED and len(set(fid)) == 1 and len(fid) != _BIRTH_DATE_ALONE:
            yield Violation("ident.repeated-digit", "fid", Text("The same character {length} times.", length=len(fid)))
        if born is not None and born > self._born_last:
            yield Violation("ident.born-after-year", "fid", Text("Born after {year}.", year=self._year))
        if born is not None and born < self._born_first:
            message = Text("More than {age} years old at the end of {year}.", age=_MOST_YEARS, year=self._year)
            yield Violation("ident.age", "fid", message)

    def _test_persons(self, fid: str, named: str, kind: Kind | None) -> Iterator[Violation]:
        if kind is not None and is_synthetic(kind):
            yield Violation("ident.synthetic", "fid", Text("The number is formed as {kind}.", kind=_named(kind)))
        if kind is Kind.DOLLY_OR_H and named != _H:
            message = Text("The month has 40 added; typeID is {value}.", value=shown(named))
            yield Violation("ident.dolly-or-h", "fid", message)
        if self._is_test_person(fid):
            yield Violation("ident.test-person", "fid", Text("It is on the municipality's list of test persons."))


def _of_named_kind(named: str, kind: Kind | None) -> Iterator[Violation]:
    """A number must be of the kind that its typeID names; a synthetic one is of any kind."""
    if named == _DUF:
        if kind is not Kind.DUF:
            yield Violation("ident.duf", "fid", Text("typeID is 10, but this is no DUF-nummer."))
    elif named in _NAMED and kind is not _NAMED[named]:
        if kind is None:
            message = Text("typeID is {named}, but length, check digits or date are wrong.", named=named)
            yield Violation("ident.invalid", "fid", message)
        elif kind in _OTHER:
            yield Violation("ident.kind", "typeID", _another(named, kind))
        elif kind in {Kind.FH, Kind.DUF}:
            yield Violation("ident.invalid", "fid", _another(named, kind))


def _another(named: str, kind: Kind) -> Text:
    return Text("typeID is {named}, but the number is a {kind}.", named=named, kind=_named(kind))


def _named(kind: Kind) -> str:
    return Text("NHN synthetic") if kind is Kind.NHN else kind.value


class Identmelding:
    """One identmelding; fed event by event, asked at the end.

    Args:
        form: Its format: there are two versions.
        circumstances: What it is evaluated by.
        pair: Takes each person.
        is_test_person: Whether a number is on the municipality's own list.

    Attributes:
        findings: What was found so far.
        idents: How many PasientIdent so far.
        header: The root's attributes, once they were read.
    """

    def __init__(
        self,
        form: Format,
        circumstances: Circumstances,
        pair: Pair,
        is_test_person: Callable[[str], bool],
    ) -> None:
        self.findings = Findings()
        self.idents = 0
        self.header: Mapping[str, str] = {}
        self._circumstances = circumstances
        self._pair = pair
        self._patients = PatientRules(circumstances, is_test_person)
        self._structure = Structure(xpr_ide(form.version), form.namespace)
        self._contacts: list[Element] = []
        self._line = 0

    def take(self, event: Event) -> None:
        """Take what was read next."""
        match event:
            case Record():
                if event.name == PATIENT:
                    self._patient(event)
                    return
                self._breaches(self._structure.record(event.element))
                if len(self._contacts) < _MOST_CONTACTS:
                    self._contacts.append(event.element)
            case Start(name, attributes, line):
                self._breaches(self._structure.start(name, attributes, line))
                if name == ROOT:
                    self.header, self._line = attributes, line
                elif name == UNIT:
                    for violation in check_institusjon(attributes, self._circumstances):
                        self._take(violation, line, UNIT)
            case Characters(line):
                self._breaches(self._structure.text(line))
            case End(line):
                self._breaches(self._structure.end(line))

    def end(self) -> None:
        """Evaluate what only the whole file shows."""
        for line, violation in check_melding(self.header, self._contacts, self._circumstances):
            self._take(violation, line or self._line, ROOT)

    def _patient(self, read: Record) -> None:
        keys, line = attributes_of(read.xml), read.line
        if (
            read.extent.elements == 1
            and read.xml.text is None
            and self._structure.models[PATIENT].has_valid_attributes(keys)
        ):
            if breaches := self._structure.passed(PATIENT, keys, line):
                self._breaches(breaches)
        else:
            self._breaches(self._structure.record(read.element))
        self.idents += 1
        born, violations = self._patients.patient(keys)
        self._pair.ident(keys.get("pid", ""), keys.get("fid", ""), line, born)
        for violation in violations:
            self._take(violation, line, place(PATIENT, keys))

    def _take(self, violation: Violation, line: int, path: str) -> None:
        full_path = f"{path} / {violation.field}" if violation.field else path
        self.findings.take([Finding(violation.rule, _IDE, line, full_path, violation.message)])

    def _breaches(self, breaches: Iterable[Breach]) -> None:
        self.findings.take(Finding(breach.rule, _IDE, breach.line, breach.path, breach.message) for breach in breaches)
