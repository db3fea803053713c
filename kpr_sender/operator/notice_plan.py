"""Which notices are sent now, to which addresses, and what is stored of that. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kpr_sender.journal.values import NoticeRecord
from kpr_sender.operator.notices import CERTIFICATE, Notice, Situation, current, looked_at, over
from kpr_sender.profiles.profile import norwegian_time

_LOOK: Final = f"{CERTIFICATE}look"
"""Not a state: when the certificates were looked at last."""


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that is to be sent now.

    Attributes:
        record: What is known of it, before it is sent.
        addresses: The places of the addresses that it goes to.
    """

    notice: Notice
    record: NoticeRecord
    addresses: frozenset[int]


def plan(
    known: Iterable[NoticeRecord], situation: Situation, addresses: int
) -> tuple[tuple[NoticeRecord, ...], tuple[Due, ...]]:
    """Decide what to tell now.

    A state is told when it begins and, where somebody waits for that, when it ends: each once, and never twice on a
    day (in Norway), however often it comes and goes. What did not arrive is told again, to that address alone; what
    may have arrived is not told again on that day.

    Args:
        known: What the journal has.
        situation: What is so now.
        addresses: How many there are.

    Returns:
        What to store, changed or not, and of that what is to be sent.
    """
    held, now = current(situation), situation.now
    before = {(one.kind, one.subject): one for one in known}
    records, due = [], []
    for key in dict.fromkeys((*held, *before)):
        record = _episode(before.get(key), held.get(key), situation, addresses)
        if record is None:
            continue
        records.append(record)
        waiting = frozenset(one for one in record.waits if one <= addresses)
        if same_day(record.tried_at, now):
            waiting -= record.unsure
        notice = held.get(key) if record.ended_at is None else None if key in held else over(record)
        if waiting and notice is not None:
            due.append(Due(notice, record, waiting))
    return tuple(records), tuple(due)


def _episode(
    record: NoticeRecord | None, notice: Notice | None, situation: Situation, addresses: int
) -> NoticeRecord | None:
    """Return what is known of a state from now on; None where that is nothing."""
    now, everybody = situation.now, frozenset(range(1, addresses + 1))
    if notice is not None and (record is None or record.ended_at is not None):
        if record is None:
            return NoticeRecord(kind=notice.kind, subject=notice.subject, began_at=now, waits=everybody)
        if same_day(record.begin_sent_at, now):
            return record  # it came back on the day it was told: a new episode from the next day on
        return replace(record, began_at=now, ended_at=None, waits=everybody, unsure=frozenset(), tried_at=None)
    if record is None or notice is not None or record.ended_at is not None:
        return record
    if not looked_at(record, situation) or same_day(record.end_sent_at, now):
        return record
    return replace(
        record,
        ended_at=now,
        waits=frozenset[int]() if over(record) is None else everybody,
        unsure=frozenset(),
        tried_at=None,
        begin_sent_at=record.tried_at if record.unsure else record.begin_sent_at,
    )


def certificates_looked_at(known: Iterable[NoticeRecord], now: datetime) -> bool:
    """Whether the certificates in use were looked at today, and nothing about them waits to be sent again."""
    records = [one for one in known if one.kind.startswith(CERTIFICATE)]
    return any(one.kind == _LOOK and same_day(one.began_at, now) for one in records) and not any(
        one.waits - (one.unsure if same_day(one.tried_at, now) else frozenset()) for one in records
    )


def look_at_certificates(now: datetime) -> NoticeRecord:
    """Return what is stored of a look at the certificates."""
    return NoticeRecord(kind=_LOOK, subject="", began_at=now)


def same_day(one: datetime | None, now: datetime) -> bool:
    """Whether two times are on one day in Norway."""
    zone = norwegian_time()
    return one is not None and one.astimezone(zone).date() == now.astimezone(zone).date()


def claimed(due: Iterable[Due], now: datetime) -> tuple[NoticeRecord, ...]:
    """Return what to store before anything is sent: a run that is killed in the middle does not tell it twice a day."""
    return tuple(replace(one.record, unsure=one.record.unsure | one.addresses, tried_at=now) for one in due)


def settled(
    due: Iterable[Due], sent: frozenset[int], unsure: frozenset[int], now: datetime
) -> tuple[NoticeRecord, ...]:
    """Return what to store after it was sent.

    Args:
        due: What was to be sent.
        sent: The addresses that took it.
        unsure: Those of which that is not known.
        now: When.
    """
    records = []
    for one in due:
        record, arrived = one.record, bool(one.addresses & sent)
        begins = record.ended_at is None
        records.append(
            replace(
                record,
                waits=record.waits - sent,
                unsure=(record.unsure - one.addresses) | (one.addresses & unsure),
                tried_at=now,
                begin_sent_at=now if arrived and begins else record.begin_sent_at,
                end_sent_at=now if arrived and not begins else record.end_sent_at,
            )
        )
    return tuple(records)
