"""This year's fagmelding beside last year's, and what in it a person should look at.

FHI no longer sends lists of errors; it publishes what changed most from one year to the next. The kinds of mistakes
are from its notes on data quality: a service type gone because the EPJ's own types were mapped anew, hundreds of
housing services left out, half a year missing after a change of EPJ. The thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from kpr_sender.preflight.catalogue.codes import service_types
from kpr_sender.preflight.findings import Violation
from kpr_sender.preflight.statistics import MONTHS, NO_TYPE, YearStatistics

CHANGED_SHARE: Final = 0.30
"""A change of users below this share of last year's is ordinary."""
CHANGED_USERS: Final = 10
"""And so is one of fewer users than this: in a small municipality one family moves a share."""
LEAST_STARTS: Final = 40
"""With fewer services begun in the year an empty month says nothing."""
LEAST_EXPECTED: Final = 10
"""Months are remarked on when at least this many services would have begun in them at the other months' pace.

With these two an ordinary year gives a false alarm in less than one of a hundred files that have just enough starts,
and in fewer still of larger ones (simulated, months weighted like a year with a quiet July and December).
"""
ROSE_POINTS: Final = 10.0
"""Percentage points by which the share of persons without service must rise to be remarked on."""

MONTH_NAMES: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure in both years."""

    last: float
    this: float

    @property
    def percent(self) -> float | None:
        """The change in percent of last year's; None where last year had nothing and this year has."""
        if not self.last:
            return None if self.this else 0.0
        return (self.this - self.last) / self.last * 100


@dataclass(frozen=True, slots=True)
class TypeDifference:
    """One tjenestetype in both years.

    Attributes:
        type: Its code; ``NO_TYPE`` for services without a valid one.
        users: Persons with at least one such service.
        services: Services.
        hours: Hours a week in all.
    """

    type: str
    users: Difference
    services: Difference
    hours: Difference


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two years' figures side by side.

    Attributes:
        this: The year that is reported.
        last: The year before.
        rows: Every tjenestetype that either year has, by number.
        persons: Persons reported.
        without_service: Persons without any service.
        remarks: What a person should look at, rules ``year.*``; without ``months_without_start``, which needs no
            last year.
    """

    this: YearStatistics
    last: YearStatistics
    rows: tuple[TypeDifference, ...]
    persons: Difference
    without_service: Difference
    remarks: tuple[Violation, ...]


def compare(this: YearStatistics, last: YearStatistics) -> Comparison:
    """Lay two years side by side."""
    types = dict.fromkeys((*this.types, *last.types))
    rows = tuple(_row(code, this, last) for code in sorted(types, key=lambda code: (code == NO_TYPE, int(code or 0))))
    return Comparison(
        this=this,
        last=last,
        rows=rows,
        persons=Difference(last.persons, this.persons),
        without_service=Difference(last.without_service, this.without_service),
        remarks=(*_of_types(rows, this.year), *_of_persons(this, last)),
    )


def months_without_start(stats: YearStatistics) -> tuple[Violation, ...]:
    """Return a remark where months are so empty that part of the year seems to be missing.

    Args:
        stats: The year's figures; last year's are not needed.
    """
    starts = stats.starts
    empty = [month for month, count in enumerate(starts) if not count]
    begun = sum(starts)
    if begun < LEAST_STARTS or begun * len(empty) < LEAST_EXPECTED * (MONTHS - len(empty)):
        return ()
    message = f"Not one service begins in {_spoken(empty)}; {begun:,} begin in the rest of {stats.year}."
    return (Violation("year.month-without-start", message=message),)


def _row(code: str, this: YearStatistics, last: YearStatistics) -> TypeDifference:
    now, then = this.of(code), last.of(code)
    return TypeDifference(
        type=code,
        users=Difference(then.users, now.users),
        services=Difference(then.services, now.services),
        hours=Difference(then.hours, now.hours),
    )


def _of_types(rows: Sequence[TypeDifference], year: int) -> Iterator[Violation]:
    in_force = service_types(year)
    for row in rows:
        last, this = int(row.users.last), int(row.users.this)
        if row.type not in in_force:
            continue  # it is right that it is gone, and where it is not, it has a finding of its own
        if last and not this:
            message = f"Tjenestetype {row.type}: {_users(last)} last year, none this year."
            yield Violation("year.type-vanished", message=message)
        elif abs(this - last) >= max(CHANGED_USERS, CHANGED_SHARE * last):
            percent = row.users.percent
            message = f"Tjenestetype {row.type}: {_users(last)} last year, {this:,} this year"
            message += "." if percent is None else f" ({percent:+.0f} %)."
            yield Violation("year.users-changed", message=message)


def _of_persons(this: YearStatistics, last: YearStatistics) -> Iterator[Violation]:
    now, then = _share_without(this), _share_without(last)
    if this.without_service >= CHANGED_USERS and now - then >= ROSE_POINTS:
        message = f"{now:.0f} % of the persons have no service; last year it was {then:.0f} %."
        yield Violation("year.without-service-rose", message=message)


def _share_without(stats: YearStatistics) -> float:
    return stats.without_service / stats.persons * 100 if stats.persons else 0.0


def _users(count: int) -> str:
    return "1 user" if count == 1 else f"{count:,} users" if count else "no users"


def _spoken(months: Sequence[int]) -> str:
    """Name months, neighbours as one stretch: ``January to June, September``."""
    stretches = [
        [MONTH_NAMES[month] for _, month in stretch]
        for _, stretch in groupby(enumerate(months), key=lambda each: each[1] - each[0])
    ]
    return ", ".join(f"{names[0]} to {names[-1]}" if names[2:] else " and ".join(names) for names in stretches)
