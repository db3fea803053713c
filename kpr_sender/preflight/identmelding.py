"""Evaluates an identmelding while it is read: the schema, the header, every PasientIdent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kpr_sender.model import MessageType
from kpr_sender.preflight.catalogue.fields import xpr_ide
from kpr_sender.preflight.findings import Finding, Findings, Violation
from kpr_sender.preflight.reader import End, Event, Record, Start, Text, attributes_of
from kpr_sender.preflight.record import Circumstances, Element, place
from kpr_sender.preflight.rules.header import check_institusjon, check_melding
from kpr_sender.preflight.rules.ident import PatientRules
from kpr_sender.preflight.rules.pair import Pair
from kpr_sender.preflight.structure import Breach, Structure
from kpr_sender.profiles import Format

ROOT: Final = "Melding"
UNIT: Final = "Institusjon"
PATIENT: Final = "PasientIdent"

_IDE: Final = MessageType.KPR_IDE
_MOST_CONTACTS: Final = 1_000  # kept for the header's rules; a right file has two


class Identmelding:
    """One identmelding; fed in pieces, asked at the end.

    Args:
        form: Its format: there are two versions.
        circumstances: What it is evaluated by.
        pair: Is told of each person.
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
            case Text(line):
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
            and self._structure.models[PATIENT].has_right_attributes(keys)
        ):
            self._breaches(self._structure.passed(PATIENT, keys, line))
        else:
            self._breaches(self._structure.record(read.element))
        self.idents += 1
        born, violations = self._patients.patient(keys)
        self._pair.ident(keys.get("pid", ""), keys.get("fid", ""), line, born)
        for violation in violations:
            self._take(violation, line, place(PATIENT, keys))

    def _take(self, violation: Violation, line: int, path: str) -> None:
        whole = f"{path} / {violation.field}" if violation.field else path
        self.findings.take([Finding(violation.rule, _IDE, line, whole, violation.message)])

    def _breaches(self, breaches: Iterable[Breach]) -> None:
        self.findings.take(Finding(breach.rule, _IDE, breach.line, breach.path, breach.message) for breach in breaches)
