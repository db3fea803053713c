"""A year's fagmelding in figures, counted while it is read: what last year's is compared with.

Counted is what the file reports. Services that FHI would drop are counted with the rest: each has a finding of its own,
and a figure that leaves them out would hide how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.preflight.record import PersonRecord

MONTHS: Final = 12
NO_TYPE: Final = ""
"""The tjenestetype of services without one that could be a code: whatever else stands there is never kept."""

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
        return tuple(sorted(self._types, key=lambda code: (code == NO_TYPE, int(code or 0))))

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
