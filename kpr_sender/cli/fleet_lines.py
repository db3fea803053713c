"""What a fleet's command says of each municipality: a line when its run has ended, and all of them at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kpr_sender.cli import console, output
from kpr_sender.cli.called import Called
from kpr_sender.cli.fleet_run import FleetFound, FleetOrder, whose
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.cli.main import COMMANDS
from kpr_sender.cli.streams import as_it_is
from kpr_sender.errors import BY_CODE, AlreadySubmitted, Fault, KprError
from kpr_sender.events import Event, EventKind
from kpr_sender.fleet.file import FleetFile, FleetMunicipality
from kpr_sender.fleet.overview import MunicipalityStatus, status_of
from kpr_sender.fleet.supervisor import EndedRun
from kpr_sender.logs import log_event, logging_to
from kpr_sender.model import Environment
from kpr_sender.outbound.drop import newest_waiting
from kpr_sender.render import json
from kpr_sender.render.fleet import FleetLine, by_urgency, concern, fleet_error, fleet_json, fleet_screen, progress
from kpr_sender.render.language import say
from kpr_sender.report import Report
from kpr_sender.settings.values import Settings
from kpr_sender.standing import open_notes, words_of_note
from kpr_sender.texts import Text

_OF_SUBMISSIONS: Final = ("send", "wait")


@dataclass(slots=True)
class FleetProgress:
    """Says what has ended: a line each on a terminal, JSON lines elsewhere, nothing with ``-q``.

    Attributes:
        total: How many there are; 0 for a worker, which goes on for ever.
        number: How many of them have ended.
        log: Where progress goes as log lines; None for a terminal.
    """

    invocation: Invocation
    command: str
    total: int
    number: int = 0
    log: Callable[[Event], object] | None = None

    def order(self, one: FleetMunicipality, arguments: Sequence[str]) -> FleetOrder:
        """Return what a municipality's run is to do; it writes log lines where this does."""
        verbose = self.invocation.loudness is Loudness.VERBOSE
        return FleetOrder(one, tuple(arguments), self.log is not None, verbose)

    def ended(self, line: FleetLine) -> None:
        """Say how a municipality's run has ended."""
        if self.total:
            self.number += 1
        if self.invocation.loudness is Loudness.QUIET:
            return
        text = progress(self.command, line, self.number, self.total)
        if self.log is None:
            console.say(self.invocation.called, [text], err=True)
            return
        details: dict[str, str | int] = {"municipality": line.name, "exit_code": line.exit_code}
        if isinstance(state := line.result.get("state"), str):
            details["state"] = state
        self.log(Event(EventKind.MUNICIPALITY, text, details=details))


@contextmanager
def showing(invocation: Invocation, environment: Environment, command: str, total: int) -> Iterator[FleetProgress]:
    """Yield what shows progress as the invocation asks for it."""
    shown = FleetProgress(invocation, command, total)
    if sys.stderr.isatty() or invocation.loudness is Loudness.QUIET:
        yield shown
        return
    with logging_to(as_it_is(sys.stderr), level="info", environment=environment.value) as logger:
        shown.log = lambda event: log_event(logger, event)
        yield shown


def line_after(one: FleetMunicipality, run: EndedRun[FleetFound], command: str) -> FleetLine:
    """Return what is known after a run of a command: what it said, else what the journal says."""
    error = None if run.found is None else run.found.error
    # Interrupted before it had looked: of a submission the journal knows more.
    interrupted = error is not None and error.code not in BY_CODE and command in _OF_SUBMISSIONS
    if run.found is None or interrupted:
        known = line_of(one, status_of(one, datetime.now(UTC)), begun=True)
        error, result, remarks = known.error, known.result, known.remarks
    else:
        error, result = run.found.error, run.found.result
        remarks = (*run.found.remarks, *_aside(one, error), *_noted_after(one, result))
    return FleetLine(
        one.name,
        one.title,
        error,
        result,
        timed_out=run.timed_out,
        killed=run.killed,
        died=run.found is None and not run.killed,
        seconds=run.seconds,
        remarks=remarks,
    )


def line_of(one: FleetMunicipality, known: MunicipalityStatus, *, begun: bool) -> FleetLine:
    """Return what the journal says."""
    if known.report is not None:
        result = json.report_json(known.report)
    else:
        result = json.nothing(known.error, environment=one.environment.value, days_left=known.days_left)
    result, remarks = called(one).completed_steps(result), (*_aside(one, known.error), *_noted(known.report))
    return FleetLine(one.name, one.title, known.error, result, begun=begun, remarks=remarks)


def _aside(one: FleetMunicipality, error: KprError | None) -> tuple[str, ...]:
    """Return what is said of a new pair that waits for a person, where the error does not say it."""
    drop = one.known.files.drop if isinstance(one.known, Settings) else None
    waiting = "" if drop is None or isinstance(error, AlreadySubmitted) else newest_waiting(drop)
    return (say(Text("A new pair waits for a person: {waiting}.", waiting=waiting)),) if waiting else ()


def _noted(report: Report | None) -> Iterator[str]:
    """Yield what mails say of a submission that moves nothing, and that a person should see."""
    for shipment in () if report is None else report.latest.shipments:
        for note in open_notes(shipment):
            name = shipment.type.norwegian
            yield say(Text("Noted of the {name}: {what}.", name=name, what=words_of_note(note)))


def _noted_after(one: FleetMunicipality, result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the same after a run: the journal tells which of them still matter, where there are any."""
    if not any(shipment.get("noted") for shipment in result.get("shipments", ())):
        return ()
    return tuple(_noted(status_of(one, datetime.now(UTC)).report))


def called(one: FleetMunicipality) -> Called:
    """Return what completes the commands of one municipality's texts."""
    return Called(whose(one), tuple(COMMANDS))


def fleet_answer(invocation: Invocation, command: str, fleet: FleetFile, lines: Sequence[FleetLine]) -> int:
    """Print what is known of all, those first that need a person, and return the exit code."""
    error = fleet_error(lines)
    by_name = {one.name: one for one in fleet.municipalities}

    def completed(line: FleetLine, text: str) -> str:
        return called(by_name[line.name]).completed(text)

    quiet = [
        f"kpr-send: {line.name}: {completed(line, concern(line, alone=True))}"
        for line in by_urgency(lines)
        if line.error is not None and line.error.fault is not Fault.NOBODY
    ]
    value = fleet_json(command, fleet.environment.value, error, lines)
    screen = fleet_screen(command, lines, completed=completed)
    return output.answer(invocation, value, screen, error=error, quiet=quiet)
