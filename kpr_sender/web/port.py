"""What the page shows, as values, and what it asks: of whatever knows the municipalities, and who may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from kpr_sender.errors import KprError
from kpr_sender.journal.values import JournalEvent
from kpr_sender.model import Environment
from kpr_sender.report import Report
from kpr_sender.texts import Text

if TYPE_CHECKING:  # an extra, and the values are used without it
    from starlette.requests import Request
    from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class CertificateLife:
    """How long a certificate lasts.

    Attributes:
        role: What it is used for, as ``certs`` calls it.
        ends: When it ends, UTC.
        refused: Whether a run found that it must not be used.
    """

    role: Text
    ends: datetime
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MunicipalityLine:
    """What is known of one municipality, in a line: what ``fleet status`` says, and what only the page has room for.

    Attributes:
        key: Its kommunenummer, with its bydel where it has one: ``0301``, ``0301-03``. Names its page.
        name: What the configuration calls it.
        report: What its newest submission of the year amounts to; None where there is none, or it cannot be known.
        error: What its exit code stands for; None for 0.
        days_left: Whole days to the last day to report; negative after it. None where it is not known.
        since: Since when it is so, UTC; None where nothing is submitted.
        last_run: When a run last took its journal, UTC; None where none did.
        certificates: Those whose end is known without asking anybody.
    """

    key: str
    name: str
    report: Report | None
    error: KprError | None
    days_left: int | None
    since: datetime | None = None
    last_run: datetime | None = None
    certificates: Sequence[CertificateLife] = ()


@dataclass(frozen=True, slots=True)
class MunicipalityDetails:
    """All that is known of one municipality.

    Attributes:
        reports: What is known of each of its submissions, the newest first.
        history: What the journal has of them, the oldest first.
    """

    line: MunicipalityLine
    reports: Sequence[Report]
    history: Sequence[JournalEvent]


class Municipalities(Protocol):
    """All municipalities of one environment. Read only; called on any thread.

    Attributes:
        environment: Theirs.
    """

    @property
    def environment(self) -> Environment: ...  # noqa: D102 - above

    def lines(self) -> Sequence[MunicipalityLine]:
        """Return what is known of each, in any order.

        A journal that cannot be read is one municipality's error, and none of all.

        Raises:
            KprError: Nothing can be said of any.
        """

    def details(self, key: str) -> MunicipalityDetails | None:
        """Return all that is known of one; None where there is no such municipality."""


class Access(Protocol):
    """Tells who may read."""

    @property
    def has_login(self) -> bool:
        """Whether people log in and out here."""

    def admits(self, request: Request) -> bool:
        """Tell whether a request's sender may read."""

    def protected(self, app: ASGIApp) -> ASGIApp:
        """Return an application that has what ``admits`` needs in its requests."""
