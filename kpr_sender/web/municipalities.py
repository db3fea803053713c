"""A fleet's municipalities for the page: what ``fleet status`` says, and what only the page has room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from typing import Final

from kpr_sender.app import Together, journal_storage
from kpr_sender.errors import KprError
from kpr_sender.fleet.file import FleetFile, FleetMunicipality
from kpr_sender.fleet.overview import status_of
from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.values import SubmissionEntry
from kpr_sender.model import Environment, Submission
from kpr_sender.report import Report
from kpr_sender.settings.values import Settings
from kpr_sender.web.certificates import CertificateLives
from kpr_sender.web.port import MunicipalityDetails, MunicipalityLine

_MOST_SUBMISSIONS: Final = 10
"""Of one municipality and year, the newest first."""


class FleetMunicipalities:
    """``Municipalities`` of a fleet file, whose journals are read at each look.

    Args:
        fleet: The file, read when the command began.
        now: The clock.
    """

    def __init__(self, fleet: FleetFile, *, now: Callable[[], datetime]) -> None:
        self._fleet, self._now = fleet, now
        self._lives = CertificateLives()

    @property
    def environment(self) -> Environment:
        """The file's."""
        return self._fleet.environment

    def lines(self) -> Sequence[MunicipalityLine]:
        """Return what is known of each, in the order of the file."""
        now = self._now()
        with closing(Together()) as together:
            return tuple(self._line(one, now, together.storage) for one in self._fleet.municipalities)

    def details(self, key: str) -> MunicipalityDetails | None:
        """Return all that is known of one; None where there is none of this name."""
        found = next((one for one in self._fleet.municipalities if one.name == key), None)
        if found is None:
            return None
        now = self._now()
        line = self._line(found, now)
        if not isinstance(found.known, Settings) or line.report is None:
            return MunicipalityDetails(line, (), ())
        return _details(line, line.report, found.known, now)

    def _line(
        self,
        municipality: FleetMunicipality,
        now: datetime,
        storage_of: Callable[[Settings], JournalStorage] = journal_storage,
    ) -> MunicipalityLine:
        status, settings = status_of(municipality, now, storage_of), municipality.known
        return MunicipalityLine(
            key=municipality.name,
            name=municipality.title,
            report=status.report,
            error=status.error,
            days_left=status.days_left,
            since=None if status.report is None else status.report.since,
            last_run=_last_run(storage_of, settings) if isinstance(settings, Settings) else None,
            certificates=self._lives.of(settings) if isinstance(settings, Settings) else (),
        )


def _last_run(storage_of: Callable[[Settings], JournalStorage], settings: Settings) -> datetime | None:
    try:
        return storage_of(settings).last_held()
    except KprError:  # its own error says that it cannot be read
        return None


def _details(line: MunicipalityLine, report: Report, settings: Settings, now: datetime) -> MunicipalityDetails:
    counts = report.submission
    try:
        with journal_storage(settings).reading() as journal:
            if journal is None:
                return MunicipalityDetails(line, (), ())
            beside = [one.submission_id for one in journal.entries() if _is_beside(one, counts)][:_MOST_SUBMISSIONS]
            submissions = [one for one in map(journal.submission, beside) if one is not None]
            history = [event for one in submissions for half in one.own for event in journal.events(half.msg_id)]
            reports = tuple(Report.of(settings, journal, one, at=now) for one in submissions)
    except KprError:  # it was read a moment ago: the next look says it
        return MunicipalityDetails(line, (), ())
    return MunicipalityDetails(line, reports, history)


def _is_beside(one: SubmissionEntry, other: Submission) -> bool:
    """Tell whether two are of one municipality and year: bydeler may share a journal."""
    return (one.kommunenummer, one.bydel, one.year) == (other.kommunenummer, other.bydel, other.year)
