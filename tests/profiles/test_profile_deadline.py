"""The last day to report: all of it counts in Norway, and what comes after it has its own words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from kpr_sender.profiles import profile as module
from kpr_sender.profiles.profile import RECEPTION_DAYS, Deadline, norwegian_time

DEADLINE = Deadline(date(2025, 1, 15))


@pytest.mark.parametrize(
    ("now", "days", "past", "said"),
    [
        (datetime(2025, 1, 3, 12, tzinfo=UTC), 12, False, "is due by 2025-01-15, 12 days left"),
        (datetime(2025, 1, 13, 23, 0, tzinfo=UTC), 1, False, "is due by 2025-01-15, 1 day left"),
        (datetime(2025, 1, 15, 22, 59, 59, tzinfo=UTC), 0, False, "is due by 2025-01-15, today"),
        (datetime(2025, 1, 15, 23, 0, tzinfo=UTC), -1, True, "was due by 2025-01-15, 1 day ago"),
        (datetime(2026, 11, 29, tzinfo=UTC), -683, True, "was due by 2025-01-15, 683 days ago"),
    ],
)
def test_the_day_ends_at_midnight_in_norway(now: datetime, days: int, said: str, *, past: bool) -> None:
    assert (DEADLINE.days_left(now), DEADLINE.is_past(now), DEADLINE.text(now)) == (days, past, said)


def test_in_summer_the_day_ends_two_hours_before_utcs() -> None:
    assert Deadline(date(2025, 7, 1)).ends == datetime(2025, 7, 1, 22, tzinfo=UTC)


def test_the_reception_period_ends_a_month_later() -> None:
    last = DEADLINE.ends + timedelta(days=RECEPTION_DAYS) - timedelta(seconds=1)

    assert (DEADLINE.is_closed(last), DEADLINE.is_closed(last + timedelta(seconds=1))) == (False, True)


def test_an_extension_says_from_when_and_by_which_letter() -> None:
    extended = Deadline(date(2025, 1, 31), date(2025, 1, 15), "24/04733-9")

    said = extended.text(datetime(2025, 1, 20, tzinfo=UTC))

    assert said == "is due by 2025-01-31 (extended from 2025-01-15 by letter 24/04733-9), 11 days left"


def test_a_system_without_time_zones_counts_in_norwegian_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unknown(ZoneInfo):
        def __new__(cls, key: str) -> Self:
            raise ZoneInfoNotFoundError(key)

    known, first = norwegian_time(), datetime(2024, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(module, "ZoneInfo", Unknown)
    norwegian_time.cache_clear()
    try:
        assert DEADLINE.ends == datetime(2025, 1, 15, 23, tzinfo=UTC)
        assert Deadline(date(2025, 7, 1)).ends == datetime(2025, 7, 1, 22, tzinfo=UTC)
        for hour in range(24 * 365 * 6):
            at = first + timedelta(hours=hour)
            assert at.astimezone(norwegian_time()).isoformat() == at.astimezone(known).isoformat()
    finally:
        norwegian_time.cache_clear()
