"""How often the municipalities are looked at, whoever asks, and what is known while they cannot be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from kpr_sender.errors import JournalUnwritable
from kpr_sender.texts import Text
from kpr_sender.web import snapshot
from kpr_sender.web.port import MunicipalityLine
from kpr_sender.web.snapshot import Snapshots
from tests.helpers.web_page import Clock, Known, failing, some

T = TypeVar("T")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Turn the clock by which a look is old."""
    at = [1_000.0]
    monkeypatch.setattr(snapshot, "monotonic", lambda: at[0])

    def turn(seconds: float) -> None:
        at[0] += seconds

    return turn


def within(work: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        return await work()

    return asyncio.run(run())


def made(known: Known) -> tuple[Snapshots, list[Exception]]:
    failures: list[Exception] = []
    return Snapshots(known, now=Clock(), unexpected=failures.append), failures


def test_many_readers_are_one_look(later: Callable[[float], None]) -> None:
    known = Known()
    snapshots, _ = made(known)

    async def work() -> None:
        first = await asyncio.gather(*(snapshots.latest() for _ in range(50)))
        assert {one.number for one in first} == {1}
        later(snapshot.FRESH_SECONDS)
        await snapshots.latest()

    within(work)
    assert known.looks == 1


def test_what_is_a_little_old_is_shown_while_it_is_looked_at_again(later: Callable[[float], None]) -> None:
    class Slow(Known):
        go = threading.Event()

        def lines(self) -> Sequence[MunicipalityLine]:
            if self.looks:
                self.go.wait(10)
            return super().lines()

    known = Slow()
    snapshots, _ = made(known)

    async def work() -> None:
        await snapshots.latest()
        later(snapshot.FRESH_SECONDS + 1)
        known.known = some()[:1]
        assert len((await snapshots.latest()).lines) == 6, "nobody waits for it"
        Slow.go.set()
        later(1_000)
        assert len((await snapshots.latest()).lines) == 1, "what is old is waited for"

    within(work)


def test_what_was_known_stays_and_why_no_more_is_known_is_said(later: Callable[[float], None]) -> None:
    known = Known()
    snapshots, failures = made(known)

    async def work() -> None:
        await snapshots.latest()
        for error, code in (
            (JournalUnwritable(Text("Away.")), "journal-unwritable"),
            (RuntimeError("KARI"), "internal"),
        ):
            later(1_000)
            known.fails = error
            found = await snapshots.latest()
            assert (len(found.lines), found.at) == (6, Clock().at)
            assert found.error is not None
            assert found.error.code == code
            assert "KARI" not in str(found.error)
        later(1_000)
        known.fails = None
        assert (await snapshots.latest()).error is None

    within(work)
    assert [type(one) for one in failures] == [RuntimeError]


def test_where_nothing_was_ever_known_that_is_said() -> None:
    snapshots, _ = made(failing(JournalUnwritable(Text("Away."))))

    found = within(snapshots.latest)

    assert (found.at, found.lines) == (None, ())
    assert found.error is not None
