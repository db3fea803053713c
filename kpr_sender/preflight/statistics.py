"""A year's fagmelding in figures, counted while it is read, beside last year's; and what a person should look at.

Counted is what the file reports. Services that FHI would drop are counted with the rest: each has a finding of its own,
and a figure that leaves them out would hide how many there are.

FHI no longer sends lists of errors; it publishes what changed most from one year to the next. The kinds of mistakes
are from its notes on data quality: a service type gone because the EPJ's own types were mapped anew, hundreds of
housing services left out, half a year missing after a change of EPJ. The thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from kpr_sender.preflight.catalogue.codes import service_types
from kpr_sender.preflight.model import PersonRecord, Violation
from kpr_sender.texts import Text, listed
from kpr_sender.wording import all_of

MONTHS: Final = 12
NO_TYPE: Final = ""
"""The tjenestetype of services without one that could be a code: whatever else stands there is never stored."""

_REFUSED: Final = "1"  # tjVedtak: avslag (kodeverk 9171)
_CODES: Final = frozenset(str(code) for code in range(100))  # one or two digits (kravspesifikasjon IPLOS 3.7)
_MOST_HOURS: Final = 168.0  # a week; what is above is a mistake that would drown the others in a sum


@dataclass(slots=True)
class TypeStatistics:
    """What a year's file reports of one tjenestetype.

    Attributes:
        users: Persons with at least one such service.
        services: Services.
        hours: Hours a week, all of them together (tjTimerUke).
        starts: Services that began in each month of the year, January first.
        counted_person: Number of the last person counted in ``users``.
    """

    users: int = 0
    services: int = 0
    hours: float = 0.0
    starts: list[int] = field(default_factory=lambda: [0] * MONTHS)
    counted_person: int = field(default=0, repr=False)


class YearStatistics:
    """A year's figures; memory stays flat however large the file is.

    Attributes:
        year: The year whose months ``starts`` means.
        persons: How many PERSON.
        without_service: How many of them have none, or refused ones alone.
        refused: Services applied for and refused (tjVedtak 1): reported, but nobody receives them.
    """

    __slots__ = ("_months", "_types", "persons", "refused", "without_service", "year")

    def __init__(self, year: int) -> None:
        self.year = year
        self.persons = 0
        self.without_service = 0
        self.refused = 0
        self._types: dict[str, TypeStatistics] = {}
        self._months = {f"{year}{month + 1:02}": month for month in range(MONTHS)}

    def add(self, record: PersonRecord) -> None:
        """Count one person."""
        self.persons += 1
        person, types, months, served = self.persons, self._types, self._months, False
        for row in record.rows:
            if row.kind != "TJENESTE":
                continue
            value = row.values.get
            if value("tjVedtak") == _REFUSED:
                self.refused += 1
                continue
            served = True
            counted = types.get(value("tjTjenType", NO_TYPE)) or self._type_of(value("tjTjenType", NO_TYPE))
            counted.services += 1
            if counted.counted_person != person:
                counted.counted_person = person
                counted.users += 1
            month = months.get(value("tjFraDato", "")[:6])
            if month is not None:
                counted.starts[month] += 1
            if hours := value("tjTimerUke"):
                counted.hours += _hours(hours)
        if not served:
            self.without_service += 1

    def _type_of(self, written: str) -> TypeStatistics:
        code = written.strip().lstrip("0")
        return self._types.setdefault(code if code in _CODES else NO_TYPE, TypeStatistics())

    def of(self, tjenestetype: str) -> TypeStatistics:
        """Return a tjenestetype's figures; zeros where the file has none.

        Args:
            tjenestetype: Its code without leading zero, or ``NO_TYPE``.
        """
        return self._types.get(tjenestetype) or TypeStatistics()

    @property
    def types(self) -> tuple[str, ...]:
        """The codes that the file has, by number; ``NO_TYPE`` last where there is any."""
        return tuple(sorted(self._types, key=_by_number))

    @property
    def services(self) -> int:
        """Services that somebody receives."""
        return sum(counted.services for counted in self._types.values())

    @property
    def hours(self) -> float:
        """Hours a week of all services."""
        return sum(counted.hours for counted in self._types.values())

    @property
    def starts(self) -> tuple[int, ...]:
        """Services that began in each month of the year, January first."""
        return tuple(sum(month) for month in self._starts())

    def _starts(self) -> Iterator[tuple[int, ...]]:
        counted = [each.starts for each in self._types.values()]
        return zip(*counted, strict=True) if counted else iter([(0,)] * MONTHS)


def _hours(written: str) -> float:
    try:
        hours = float(written)
    except ValueError:
        return 0.0
    return hours if 0.0 < hours <= _MOST_HOURS else 0.0


# This year beside the last one.

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
    Text("January"), Text("February"), Text("March"), Text("April"), Text("May"), Text("June"),
    Text("July"), Text("August"), Text("September"), Text("October"), Text("November"), Text("December"),
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


def _by_number(code: str) -> tuple[bool, int]:
    """Return what codes are sorted by; those that are none come last."""
    return code == NO_TYPE, int(code or 0)


def compare(this: YearStatistics, last: YearStatistics) -> Comparison:
    """Lay two years side by side."""
    rows = tuple(_row(code, this, last) for code in sorted({*this.types, *last.types}, key=_by_number))
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
    message = Text(
        "Not one service begins in {months}; {begun:,} begin in the rest of {year}.",
        months=_spoken(empty),
        begun=begun,
        year=stats.year,
    )
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
            continue  # it is gone as it must be, and where it is not, it has a finding of its own
        if last and not this:
            message = Text(
                "Tjenestetype {type}: 1 user last year, none this year.",
                plural="Tjenestetype {type}: {count:,} users last year, none this year.",
                type=row.type,
                count=last,
            )
            yield Violation("year.type-vanished", message=message)
        elif abs(this - last) >= max(CHANGED_USERS, CHANGED_SHARE * last):
            yield Violation("year.users-changed", message=_changed(row.type, last, this, row.users.percent))


def _of_persons(this: YearStatistics, last: YearStatistics) -> Iterator[Violation]:
    now, then = _share_without(this), _share_without(last)
    if this.without_service >= CHANGED_USERS and now - then >= ROSE_POINTS:
        message = Text("{now:.0f} % of the persons have no service; last year it was {then:.0f} %.", now=now, then=then)
        yield Violation("year.without-service-rose", message=message)


def _share_without(stats: YearStatistics) -> float:
    return stats.without_service / stats.persons * 100 if stats.persons else 0.0


def _changed(code: str, last: int, this: int, percent: float | None) -> Text:
    if percent is None:
        return Text("Tjenestetype {type}: no users last year, {this:,} this year.", type=code, this=this)
    return Text(
        "Tjenestetype {type}: 1 user last year, {this:,} this year ({percent:+.0f} %).",
        plural="Tjenestetype {type}: {count:,} users last year, {this:,} this year ({percent:+.0f} %).",
        type=code,
        count=last,
        this=this,
        percent=percent,
    )


def _spoken(months: Sequence[int]) -> str:
    """Name months, neighbours as one stretch: ``January to June, September``."""
    stretches = [
        [MONTH_NAMES[month] for _, month in stretch]
        for _, stretch in groupby(enumerate(months), key=lambda each: each[1] - each[0])
    ]
    return listed(
        *(
            Text("{first} to {last}", first=names[0], last=names[-1]) if names[2:] else all_of(names)
            for names in stretches
        )
    )
