"""What is true for one reporting year, read from the year's TOML file beside this module; and its last day to report.

FHI's letter 24/04733-1 names the day, calls the time in which data is taken the reception period (mottaksperioden) and
lets a municipality ask for an extension. When the period ends is not published: for the data of 2018 extensions went up
to 15 February, 31 days after the deadline, and so long a late delivery is taken here for one that FHI may still want.
"""

from __future__ import annotations

import functools
import io
import struct
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib import resources
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment, MessageType, Party
from kpr_sender.texts import Text, of_table

_PACKAGE: Final = "kpr_sender.profiles"
RECEPTION_DAYS: Final = 31
"""Days after the last day to report in which FHI may still take data."""
_NORWAY: Final = "Europe/Oslo"
_SUMMER_TIME: Final = b"\nCET-1CEST,M3.5.0,M10.5.0/3\n"  # last Sunday of March to last of October: 2000/84/EC, EEA too


@dataclass(frozen=True, slots=True)
class Format:
    """One payload format: the namespace, name and ``versjon`` that the root element of a file must have."""

    namespace: str
    root: str
    version: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One reporting year.

    Attributes:
        letter: FHI's reference of the letter that confirms these values; empty when none does.
        carried_from: The letter the values of an unconfirmed year were taken over from; empty for a confirmed one.
        deadline: Last day to report.
        receivers: Level 1 and 2 by environment. ``lokal`` has KPR Validering's: the sandbox plays it, on loopback.
        refused_her_ids: Former addresses, and why each is refused.
        formats: The payload formats that are accepted, by message type.
        hosts: Host names known to belong to an environment, as shell patterns.
    """

    year: int
    letter: str
    carried_from: str
    deadline: date
    receivers: Mapping[Environment, Party]
    refused_her_ids: Mapping[int, Text]
    formats: Mapping[MessageType, tuple[Format, ...]]
    hosts: Mapping[Environment, tuple[str, ...]]


@functools.cache
def known_years() -> tuple[int, ...]:
    """Return the reporting years there is a profile for, in order."""
    names = (entry.name for entry in resources.files(_PACKAGE).iterdir())
    return tuple(sorted(int(name.removesuffix(".toml")) for name in names if name.endswith(".toml")))


@functools.cache
def load(year: int) -> Profile:
    """Return the profile of a reporting year; its file is read once in a process.

    Raises:
        ConfigInvalid: There is none for that year.
    """
    if year not in known_years():
        known = ", ".join(map(str, known_years()))
        raise ConfigInvalid(
            Text("There is no profile for the reporting year {year}; known are {known}.", year=year, known=known),
            where="report.year",
            next_step=Text("Correct the year, or install a kpr-sender that knows it."),
        )
    text = resources.files(_PACKAGE).joinpath(f"{year}.toml").read_text(encoding="utf-8")
    return _profile(tomllib.loads(text))


def _profile(data: Mapping[str, Any]) -> Profile:
    level_1 = data["receiver"]
    environments = {Environment(name): facts for name, facts in data["environments"].items()}
    return Profile(
        year=data["year"],
        letter=data["letter"],
        carried_from=data.get("carried_from", ""),
        deadline=data["deadline"],
        receivers=MappingProxyType(
            {
                environment: Party(
                    name=level_1["name"],
                    her_id=level_1["her_id"],
                    service_name=facts["service_name"],
                    service_her_id=facts["service_her_id"],
                )
                for environment, facts in environments.items()
            }
        ),
        refused_her_ids=MappingProxyType(
            {int(her_id): of_table(why) for her_id, why in data["refused_her_ids"].items()}
        ),
        formats=MappingProxyType(
            {
                MessageType(name): tuple(Format(**accepted) for accepted in formats)
                for name, formats in data["formats"].items()
            }
        ),
        hosts=MappingProxyType({environment: tuple(facts["hosts"]) for environment, facts in environments.items()}),
    )


@functools.cache
def norwegian_time() -> ZoneInfo:
    """Return Norway's time zone; where the system does not know it, by the rule of today."""
    try:
        return ZoneInfo(_NORWAY)
    except ZoneInfoNotFoundError:
        # A TZif file without a transition, so that its POSIX rule counts (RFC 8536 3.3); UTC+1 is its only local type.
        block = struct.pack(">5s15x6l", b"TZif2", 0, 0, 0, 0, 1, 4) + struct.pack(">l?B4s", 3600, False, 0, b"CET")
        return ZoneInfo.from_file(io.BytesIO(block * 2 + _SUMMER_TIME), key=_NORWAY)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last day to report a year's data; where FHI's letter extends it, the day before the extension as well."""

    day: date
    extended_from: date | None = None
    letter: str = ""

    @property
    def ends(self) -> datetime:
        """The first moment after the day in Norway; in UTC."""
        return datetime.combine(self.day + timedelta(days=1), time(), norwegian_time()).astimezone(UTC)

    def days_left(self, now: datetime) -> int:
        """Whole days until the day: 0 on the day itself, negative after it."""
        return (self.day - now.astimezone(norwegian_time()).date()).days

    def is_past(self, now: datetime) -> bool:
        """Whether the day is over in Norway."""
        return now >= self.ends

    def is_closed(self, now: datetime) -> bool:
        """Whether FHI's reception period is taken to be over, too."""
        return self.days_left(now) < -RECEPTION_DAYS

    def text(self, now: datetime) -> Text:
        """Return the day and how far it is off, for a person: ``is due by 2025-01-15, 12 days left``."""
        left = self.days_left(now)
        when = (left > 0) - (left < 0)
        if self.extended_from is None:
            return _DUE[when](self.day, abs(left))
        return _EXTENDED[when](self.day, abs(left), self.extended_from, self.letter)


_DUE: Final[Mapping[int, Callable[[date, int], Text]]] = {
    1: lambda day, count: Text(
        "is due by {day}, 1 day left", plural="is due by {day}, {count:,} days left", day=day, count=count
    ),
    0: lambda day, _: Text("is due by {day}, today", day=day),
    -1: lambda day, count: Text(
        "was due by {day}, 1 day ago", plural="was due by {day}, {count:,} days ago", day=day, count=count
    ),
}
_EXTENDED: Final[Mapping[int, Callable[[date, int, date, str], Text]]] = {
    1: lambda day, count, first, letter: Text(
        "is due by {day} (extended from {first} by letter {letter}), 1 day left",
        plural="is due by {day} (extended from {first} by letter {letter}), {count:,} days left",
        day=day,
        count=count,
        first=first,
        letter=letter,
    ),
    0: lambda day, _, first, letter: Text(
        "is due by {day} (extended from {first} by letter {letter}), today", day=day, first=first, letter=letter
    ),
    -1: lambda day, count, first, letter: Text(
        "was due by {day} (extended from {first} by letter {letter}), 1 day ago",
        plural="was due by {day} (extended from {first} by letter {letter}), {count:,} days ago",
        day=day,
        count=count,
        first=first,
        letter=letter,
    ),
}
"""How a deadline is said: before it (1), on the day (0) and after it (-1)."""
