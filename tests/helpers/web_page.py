"""Municipalities made by hand, the page's application for a test client, and the page served for a browser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from starlette.types import ASGIApp

from kpr_sender.errors import KprError, NothingSubmitted
from kpr_sender.journal.values import CREATED, JournalEvent
from kpr_sender.model import Environment, Language
from kpr_sender.report import Report
from kpr_sender.settings.web import ListenAddress, WebSettings
from kpr_sender.states import Cause, ShipmentState
from kpr_sender.texts import Text
from kpr_sender.web.application import Pages
from kpr_sender.web.login import Everybody
from kpr_sender.web.port import Access, CertificateLife, MunicipalityDetails, MunicipalityLine
from kpr_sender.web.serve import Addresses, prepare
from kpr_sender.web.snapshot import Snapshots
from tests.helpers.submissions import AT, pair, told

S = ShipmentState
SIGNING = Text("ours for signing")
LOOPBACK = WebSettings(listen=ListenAddress("127.0.0.1", 0), metrics_listen=ListenAddress("127.0.0.1", 0))
"""Any free ports."""


def line(key: str, name: str, report: Report | None = None, **changes: object) -> MunicipalityLine:
    """Return what is known of a municipality; of one without a report that nothing is submitted."""
    error = NothingSubmitted(Text("Nothing is submitted.")) if report is None else report.error
    made = MunicipalityLine(
        key=key,
        name=name,
        report=report,
        error=error,
        days_left=30,
        since=None if report is None else AT,
        last_run=AT - timedelta(minutes=5),
        certificates=(CertificateLife(SIGNING, AT + timedelta(days=200)),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # named by the tests


def some() -> list[MunicipalityLine]:
    """Return one municipality of each kind."""
    return [
        line("0301", "Oslo", told(pair(S.DELIVERED, S.DELIVERED))),
        line("0301-03", "Sagene", told(pair(S.PUBLISHED, S.PUBLISHED))),
        line("1103", "Stavanger", told(pair(S.DELIVERED, S.IN_DOUBT))),
        line("3907", "Sandefjord"),
        line("4601", "Bergen", told(pair(S.REJECTED, S.REJECTED)), days_left=3),
        line("5601", "Alta", days_left=5),
    ]


@dataclass
class Known:
    """``Municipalities`` of a list, which a test may change.

    Attributes:
        fails: What each look raises instead; None for nothing.
        looks: How often all of them were looked at.
        reports: What is known of a municipality's submissions, where that is more than its newest.
    """

    known: Sequence[MunicipalityLine] = field(default_factory=some)
    environment: Environment = Environment.VALIDERING
    fails: Exception | None = None
    looks: int = 0
    reports: dict[str, Sequence[Report]] = field(default_factory=dict)

    def lines(self) -> Sequence[MunicipalityLine]:
        """Return them."""
        self.looks += 1
        if self.fails is not None:
            raise self.fails
        return self.known

    def details(self, key: str) -> MunicipalityDetails | None:
        """Return one with a history."""
        found = next((one for one in self.known if one.key == key), None)
        if found is None or found.report is None:
            return None if found is None else MunicipalityDetails(found, (), ())
        reports = self.reports.get(key, (found.report,))
        return MunicipalityDetails(found, reports, tuple(_history(found.report)))


def _history(report: Report) -> Iterator[JournalEvent]:
    for number, shipment in enumerate(report.submission.shipments):
        for what in (CREATED, Cause.PUBLISH_BEGINS, Cause.ACCEPTED, "person-settles", "a-new-word"):
            yield JournalEvent(AT + timedelta(minutes=number), shipment.msg_id, what, "WHY", "KARI NORDMANN", {})


def completed(text: str, key: str, msg_id: str) -> str:
    """Complete a text's commands as the command line does."""
    named = text.replace("kpr-send ", f"kpr-send --env validering --municipality {key} ")
    return named.replace(" MSGID", f" {msg_id}") if msg_id else named


@dataclass
class Clock:
    """A clock that a test turns."""

    at: datetime = AT

    def __call__(self) -> datetime:
        """Return the time."""
        return self.at.astimezone(UTC)


def application(
    known: Known | None = None,
    *,
    access: Access | None = None,
    host: str = "kpr.example.no",
    clock: Clock | None = None,
    failures: list[Exception] | None = None,
) -> ASGIApp:
    """Return the page's application as browsers reach it over TLS."""
    told_of: list[Exception] = [] if failures is None else failures
    municipalities, now = known or Known(), clock or Clock()
    snapshots = Snapshots(municipalities, now=now, unexpected=told_of.append)
    pages = Pages(
        municipalities, snapshots, access=access or Everybody(), language=Language.EN, now=now, completed=completed
    )
    return pages.application(hosts={host}, scheme="https", unexpected=told_of.append)


@contextmanager
def served(
    web: WebSettings = LOOPBACK, known: Known | None = None, *, clock: Clock | None = None
) -> Iterator[Addresses]:
    """Serve the page on a thread of its own until the block ends; what goes wrong in it is raised then."""
    failures: list[Exception] = []
    serving, addresses = prepare(
        web,
        known or Known(),
        language=Language.EN,
        now=clock or Clock(),
        completed=completed,
        unexpected=failures.append,
    )
    with serving:
        yield addresses
    if failures:
        raise ExceptionGroup("the page", failures)


def failing(error: KprError) -> Known:
    """Return municipalities of which nothing can be said."""
    return Known(fails=error)
