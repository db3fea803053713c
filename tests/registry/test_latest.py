"""The receiver as the register has it, over a long-lived client's life (HITS 1216 2.1.4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from kpr_sender.errors import RegistryUnreachable
from kpr_sender.events import Event
from kpr_sender.registry.latest import LatestCounterpart
from kpr_sender.registry.port import Counterpart, Provenance
from kpr_sender.texts import Text
from tests.helpers import pki
from tests.helpers.pki import Kind

_NOW = datetime(2025, 1, 6, 12, tzinfo=UTC)


@dataclass
class Register:
    """Answers as one that caches for so long, or not at all."""

    age: timedelta | None
    clock: list[datetime]
    kind: Kind = Kind.SIGNER
    down: bool = False
    asked: int = field(default=0)

    def counterpart(self, her_id: int) -> Counterpart:
        self.asked += 1
        if self.down:
            raise RegistryUnreachable(Text("It does not answer."))
        at = self.clock[0]
        certificate = pki.certificate(self.kind)
        known = Counterpart(her_id, "queue", certificate, (certificate,), "FHI", "FHI", "", "")
        provenance = Provenance("register", at, at + self.age) if self.age is not None else Provenance("files")
        return replace(known, provenance=provenance)


def latest(register: Register, past_cache: Register, events: list[Event]) -> LatestCounterpart:
    return LatestCounterpart(171479, register, past_cache, lambda: register.clock[0], events.append)


@pytest.mark.parametrize(
    ("age", "after", "asked"),
    [
        (timedelta(hours=1), timedelta(minutes=59), 1),
        (timedelta(hours=1), timedelta(hours=1), 2),
        (timedelta(0), timedelta(minutes=4), 1),
        (timedelta(0), timedelta(minutes=5), 2),
        (None, timedelta(days=30), 1),
    ],
)
def test_an_answer_that_is_too_old_is_asked_for_anew(age: timedelta | None, after: timedelta, asked: int) -> None:
    """By ``registry.max_age``, and never once for each message; what files say stays."""
    clock = [_NOW]
    register = Register(age, clock)
    known = latest(register, register, [])
    assert known.current == known.current
    clock[0] += after

    assert known.current.her_id == 171479
    assert register.asked == asked


def test_past_the_cache_it_is_asked_at_most_every_five_minutes_and_outlives_an_outage() -> None:
    clock, events = [_NOW], list[Event]()
    register, past_cache = Register(timedelta(hours=1), clock), Register(timedelta(minutes=5), clock, down=True)
    known = latest(register, past_cache, events)
    assert known.ask_again() is False
    assert "could not be asked whether 171479 has a new certificate" in events[0].text
    past_cache.down, past_cache.kind = False, Kind.EXPIRED_SIGNER
    clock[0] += timedelta(minutes=4)
    assert known.ask_again() is False
    assert past_cache.asked == 1
    clock[0] += timedelta(minutes=1)

    assert known.ask_again() is True
    assert known.current.signing == (pki.certificate(Kind.EXPIRED_SIGNER),)
    assert past_cache.asked == 2
    assert known.ask_again() is False, "it was asked just now"
