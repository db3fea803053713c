"""The last day to report, how far it is off, and what a day after it means.

FHI's letter 24/04733-1 names the day, calls the time in which data is taken the reception period (mottaksperioden) and
lets a municipality ask for an extension. When the period ends is not published: for the data of 2018 extensions went up
to 15 February, 31 days after the deadline, and so long a late delivery is taken here for one that FHI may still want.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

RECEPTION_DAYS: Final = 31
"""Days after the last day to report in which FHI may still take data."""


@functools.cache
def norwegian_time() -> tzinfo:
    """Return Norway's time zone; where the system does not know it, its winter time, which all deadlines fall into."""
    try:
        return ZoneInfo("Europe/Oslo")
    except ZoneInfoNotFoundError:
        return timezone(timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last day to report a year's data.

    Attributes:
        day: The day; all of it counts.
        extended_from: The day before an extension; None where there is none.
        letter: FHI's letter that grants the extension.
    """

    day: date
    extended_from: date | None = None
    letter: str = ""

    @property
    def ends(self) -> datetime:
        """The first moment after the day in Norway; in UTC."""
        return datetime.combine(self.day + timedelta(days=1), time(), norwegian_time()).astimezone(UTC)

    def days_left(self, now: datetime) -> int:
        """Whole days until the day: 0 on the day itself, negative after it.

        Args:
            now: Aware.
        """
        return (self.day - now.astimezone(norwegian_time()).date()).days

    def is_past(self, now: datetime) -> bool:
        """Whether the day is over in Norway."""
        return now >= self.ends

    def is_closed(self, now: datetime) -> bool:
        """Whether FHI's reception period is taken to be over, too."""
        return self.days_left(now) < -RECEPTION_DAYS

    def text(self, now: datetime) -> str:
        """Return the day and how far it is off, for a person: ``is due by 2025-01-15, 12 days left``."""
        left = self.days_left(now)
        number = abs(left)
        days = "1 day" if number == 1 else f"{number:,} days"
        extended = f" (extended from {self.extended_from} by letter {self.letter})" if self.extended_from else ""
        if left < 0:
            return f"was due by {self.day}{extended}, {days} ago"
        return f"is due by {self.day}{extended}, {f'{days} left' if left else 'today'}"
