"""What the journals say of all municipalities of a fleet: read in one process, without a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from kpr_sender.app import Together, journal_storage
from kpr_sender.errors import KprError
from kpr_sender.fleet.file import FleetMunicipality
from kpr_sender.inbound.look_memory import report_now
from kpr_sender.journal.port import JournalStorage, JournalView
from kpr_sender.operator.resolve import look_up, nothing_submitted
from kpr_sender.report import Report, deadline_of
from kpr_sender.settings.values import Settings


@dataclass(frozen=True, slots=True)
class MunicipalityStatus:
    """What is known of one municipality.

    Attributes:
        name: What it is called in the fleet: ``0301``, or ``0301-03`` with its bydel.
        title: Its name, for a person; empty where it has none.
        report: What its submission amounts to; None where there is none, or it cannot be known.
        error: What its exit code stands for; None for 0.
        days_left: Until the last day to report; None where its configuration is wrong.
    """

    name: str
    title: str
    report: Report | None
    error: KprError | None
    days_left: int | None


def status_of(
    municipality: FleetMunicipality, now: datetime, storage_of: Callable[[Settings], JournalStorage] = journal_storage
) -> MunicipalityStatus:
    """Return what the journal of one municipality says; what is wrong with it is its error.

    Args:
        municipality: Which.
        now: The time.
        storage_of: Returns where its journal is stored; ``Together.storage`` for one of several.
    """
    settings = municipality.known
    if not isinstance(settings, Settings):
        return MunicipalityStatus(municipality.name, municipality.title, None, settings, None)
    days_left = None
    try:
        days_left = deadline_of(settings, settings.report.year).days_left(now)
        report, error = _known(settings, now, storage_of(settings))
    except KprError as wrong:
        report, error = None, wrong
    return MunicipalityStatus(municipality.name, municipality.title, report, error, days_left)


def overview(municipalities: Iterable[FleetMunicipality], now: datetime) -> tuple[MunicipalityStatus, ...]:
    """Return the status of each, in their order.

    One after another: several threads would hand Python's lock to and fro hundreds of times, for half as much processor
    time again and no answer that is there sooner.
    """
    with closing(Together()) as together:
        return tuple(status_of(one, now, together.storage) for one in municipalities)


def _known(settings: Settings, now: datetime, storage: JournalStorage) -> tuple[Report | None, KprError | None]:
    def look(journal: JournalView | None) -> tuple[Report | None, KprError | None]:
        found = None if journal is None else look_up(journal, None, settings)
        if journal is None or found is None:
            refused = None if journal is None else journal.refused()
            return None, refused or nothing_submitted(settings.report.year, settings.journal.place)
        report = report_now(settings, journal, found, storage.document("looks", within=journal), now)
        return report, report.error

    return storage.ask(look)
