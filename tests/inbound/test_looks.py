"""How often others' messages are taken (G8): the table of pauses, the last take, the broker's count, and the memory."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.errors import JournalUnwritable
from kpr_sender.inbound.look_memory import LookMemory, beside
from kpr_sender.inbound.looks import ASSUMED_LIMIT, LAST_TAKE, PAUSES, Looks, Seen

NOW = datetime(2025, 1, 6, 9, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def seen(*keys: str, deliveries: int = 0) -> list[Seen]:
    return [Seen(key, deliveries) for key in keys]


def test_the_pauses_grow_and_the_fifth_take_is_the_last() -> None:
    looks, at, pauses = Looks(), NOW, []
    assert looks.next_at(at) == at
    for _ in range(LAST_TAKE):
        looks = looks.after(seen("a", "b"), at)
        due = looks.next_at(at)
        pauses.append(None if due is None else due - at)
        at = due or at
    assert pauses == [MINUTE, 10 * MINUTE, HOUR, 24 * HOUR, None]
    assert looks.over
    assert (looks.others, looks.since) == (2, NOW)
    assert looks.next_at(NOW + timedelta(days=365)) is None


def test_an_owner_that_reads_is_met_every_minute() -> None:
    looks = Looks()
    for number in range(100):
        looks = looks.after(seen(f"new {number}"), NOW)
        assert looks.next_at(NOW) == NOW + MINUTE
    assert len(looks.takes) == 1


def test_the_pause_goes_by_the_message_that_was_taken_most() -> None:
    looks = Looks().after(seen("a"), NOW).after(seen("a", "b"), NOW).after(seen("b", "a", "c"), NOW)
    assert looks.takes == {"a": 3, "b": 2, "c": 1}
    assert looks.next_at(NOW) == NOW + HOUR


def test_those_not_found_stay_in_mind_while_any_is_found_and_the_counts_begin_anew_when_none_is() -> None:
    looks = Looks().after(seen("a", "b"), NOW).after(seen("a"), NOW).after(seen("a", "b"), NOW)
    assert looks.takes == {"a": 3, "b": 2}
    assert looks.after(seen("c"), NOW).takes == {"c": 1}
    assert looks.after([], NOW) == Looks()


@pytest.mark.parametrize(("before", "over"), [(0, False), (1, False), (3, False), (4, True), (9, True)])
def test_half_of_the_brokers_limit_ends_it_whoever_took_them(before: int, *, over: bool) -> None:
    looks = Looks().after(seen("a", deliveries=before), NOW)
    assert looks.over is over
    assert (looks.next_at(NOW) is None) is over


@pytest.mark.parametrize("deliveries", [False, True])
def test_a_person_may_ask_for_looks_up_to_the_eighth(*, deliveries: bool) -> None:
    looks, asked = Looks(), 0
    while looks.allows_another():
        looks = looks.after(seen("a", deliveries=asked if deliveries else 0), NOW)
        asked += 1
    assert asked == 8 == ASSUMED_LIMIT - 2


def test_a_clock_that_was_set_back_makes_nobody_wait_and_is_bounded_all_the_same() -> None:
    looks = Looks()
    for _ in range(LAST_TAKE):
        assert looks.next_at(NOW - timedelta(days=400)) is not None
        looks = looks.after(seen("a"), NOW)
    assert looks.next_at(NOW - timedelta(days=400)) is None


@given(st.lists(st.tuples(st.sets(st.sampled_from("abcdef")), st.integers(0, 3000))))
def test_g8_whatever_lies_there_and_whenever_it_is_tried_nothing_is_taken_a_sixth_time(
    tries: list[tuple[set[str], int]],
) -> None:
    """Unless it went away and came back, which somebody who reads the queue did."""
    looks, at, in_a_row = Looks(), NOW, dict[str, int]()
    for present, minutes in tries:
        at += minutes * MINUTE
        if (due := looks.next_at(at)) is None or due > at:
            continue
        anew = not present & looks.takes.keys()
        looks = looks.after(seen(*sorted(present)), at)
        in_a_row = {key: (0 if anew else in_a_row.get(key, 0)) + 1 for key in present} | (
            {} if anew else {key: number for key, number in in_a_row.items() if key not in present}
        )
        assert max(in_a_row.values(), default=0) <= LAST_TAKE
        assert set(PAUSES) == set(range(1, LAST_TAKE))


def message(message_id: str = "", body: bytes = b"") -> Inbound:
    return Inbound(None, Source.RECEIPTS, message_id, "", "", "", {}, body)


def test_the_memory_holds_nothing_of_a_message_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = beside(tmp_path / "journal.db")
    memory = LookMemory.load(path)
    named, unnamed = message("their-message-id", b"one"), message(body=b"their-body")
    memory.keep(Source.ERRORS, Looks().after([memory.seen(named), memory.seen(unnamed)], NOW))
    written = path.read_text()
    assert "their" not in written
    value = json.loads(written)
    assert set(value) == {"schema", "key", "receipts", "errors"}
    assert set(value["errors"]) == {
        "looked_at",
        "since",
        "others",
        "answers",
        "doubted",
        "highest",
        "delivered",
        "takes",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = LookMemory.load(path)
    assert again.looks == memory.looks
    assert again.seen(named) == memory.seen(message("their-message-id", b"another body"))
    assert again.seen(unnamed) != again.seen(message(body=b"another"))
    assert LookMemory.load(tmp_path / "other").seen(named) != memory.seen(named)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"schema": 2}', b"\xff"])
def test_a_memory_that_cannot_be_read_is_no_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "looks").write_bytes(content)
    with pytest.raises(JournalUnwritable, match="not what this version writes"):
        LookMemory.load(tmp_path / "looks")


def test_a_memory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    memory = LookMemory(tmp_path / "missing" / "looks")
    with pytest.raises(JournalUnwritable, match="cannot be written"):
        memory.keep(Source.RECEIPTS, Looks().after(seen("a"), NOW))
