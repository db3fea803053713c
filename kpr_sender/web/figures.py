"""What programs ask: ``/metrics`` for Prometheus, and ``/health``. On an address of their own, without login."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kpr_sender.errors import EXIT_OK, ConfigInvalid, JournalUnwritable
from kpr_sender.model import Environment, rfc3339
from kpr_sender.notify.metrics_file import exposition
from kpr_sender.notify.port import Measured
from kpr_sender.web.guard import Guard
from kpr_sender.web.port import MunicipalityLine
from kpr_sender.web.snapshot import Snapshot, Snapshots
from kpr_sender.web.urgency import is_done, needs_person

_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_HEALTHY, _UNHEALTHY = 200, 503
_Values = dict[tuple[str, ...], float]
_NOT_READ: Final = (JournalUnwritable, ConfigInvalid)


class Figures:
    """Answers programs. For one event loop.

    Args:
        environment: Whose municipalities these are.
        snapshots: What is known of them.
        now: The clock.
        runs_within: How long ago the last run of what is not delivered may be.
    """

    def __init__(
        self, environment: Environment, snapshots: Snapshots, *, now: Callable[[], datetime], runs_within: timedelta
    ) -> None:
        self._environment, self._snapshots, self._now, self._runs_within = environment, snapshots, now, runs_within

    def application(self, *, hosts: Collection[str], scheme: str, unexpected: Callable[[Exception], object]) -> ASGIApp:
        """Return all of it, as a server takes it; the arguments are ``Guard``'s."""
        routes = [Route("/metrics", self._metrics), Route("/health", self._health)]
        return Guard(Starlette(routes=routes), hosts=hosts, scheme=scheme, unexpected=unexpected)

    async def _metrics(self, _: Request) -> Response:
        snapshot = await self._snapshots.latest()
        return Response(exposition(tuple(measured(self._environment, snapshot))), media_type=_PROMETHEUS)

    async def _health(self, _: Request) -> Response:
        snapshot = await self._snapshots.latest()
        known = health(self._environment, snapshot, self._now(), self._runs_within)
        return JSONResponse(known, _HEALTHY if known["healthy"] else _UNHEALTHY)


def health(environment: Environment, snapshot: Snapshot, now: datetime, runs_within: timedelta) -> Mapping[str, object]:
    """Return whether the journals can be read and runs are recent; municipalities by their key.

    Args:
        environment: Whose they are.
        snapshot: What is known.
        now: The time; aware.
        runs_within: How long ago the last run of what is not delivered may be.
    """
    unread = [one.key for one in snapshot.lines if isinstance(one.error, _NOT_READ)]
    waiting = [one for one in snapshot.lines if not is_done(one)]
    late = [one.key for one in waiting if one.last_run is None or now - one.last_run > runs_within]
    read = snapshot.error is None and not unread
    return {
        "healthy": read and not late,
        "environment": environment.value,
        "at": None if snapshot.at is None else rfc3339(snapshot.at),
        "journals": {"reachable": read, "not_reachable": unread},
        "runs": {"recent": not late, "not_recent": late, "within_seconds": int(runs_within.total_seconds())},
    }


def measured(environment: Environment, snapshot: Snapshot) -> Iterator[Measured]:
    """Yield the figures of all municipalities, by environment and municipality."""
    lines, where = snapshot.lines, environment.value
    looked: _Values = {} if snapshot.at is None else {(where,): snapshot.at.timestamp()}
    succeeded: _Values = {(where,): float(snapshot.error is None and snapshot.at is not None)}
    yield Measured("kpr_fleet_read", "1 where the last look at all of them succeeded.", ("environment",), succeeded)
    yield Measured("kpr_fleet_read_timestamp_seconds", "When they were last looked at.", ("environment",), looked)
    for name, text, value in _FIGURES:
        values = {one.key: value(one) for one in lines}
        known: _Values = {(where, key): number for key, number in values.items() if number is not None}
        yield Measured(f"kpr_fleet_{name}", text, ("environment", "municipality"), known)
    ends: _Values = {
        (where, one.key, str(life.role)): life.ends.timestamp() for one in lines for life in one.certificates
    }
    labels = ("environment", "municipality", "role")
    yield Measured("kpr_fleet_certificate_not_after_timestamp_seconds", "When a certificate ends.", labels, ends)


_Value = Callable[[MunicipalityLine], float | None]
_FIGURES: Final[Sequence[tuple[str, str, _Value]]] = (
    (
        "exit_code",
        "The exit code that a municipality's state stands for.",
        lambda one: float(EXIT_OK if one.error is None else one.error.exit_code),
    ),
    ("delivered", "1 where the year is delivered or settled.", lambda one: float(is_done(one))),
    (
        "needs_person",
        "1 where it is somebody's move, and not only a matter of time.",
        lambda one: float(needs_person(one)),
    ),
    (
        "days_to_deadline",
        "Days to the last day to report.",
        lambda one: None if one.days_left is None else float(one.days_left),
    ),
    (
        "since_timestamp_seconds",
        "Since when its state is so.",
        lambda one: None if one.since is None else one.since.timestamp(),
    ),
    (
        "last_run_timestamp_seconds",
        "When a run last took its journal.",
        lambda one: None if one.last_run is None else one.last_run.timestamp(),
    ),
)
"""Of each municipality: the end of the metric's name, what it is, and its value; None for none."""
