"""What an observer receives is declared, and docs/events.md says it."""

from __future__ import annotations

import runpy

import pytest

from kpr_sender.events import EVENTS, Event, EventKind
from kpr_sender.testing import FakeTjenestebuss
from tests.helpers.repository import ROOT

_PUBLISHED_ONCE: dict[EventKind, set[str]] = {
    EventKind.CHECKED: {"payload_sha256", "lopenr"},
    EventKind.SEALED: set(),
    EventKind.CONNECTING: set(),
    EventKind.PUBLISHING: set(),
    EventKind.PUBLISHED: set(),
    EventKind.WAITING: {"timeout"},
}


def test_the_committed_page_is_current_and_has_every_kind() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_events.py"))
    assert (ROOT / "docs" / "events.md").read_text("utf-8") == script["documentation"](), (
        "run: python docs/make_events.py"
    )
    assert list(EVENTS) == list(EventKind)


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("", {EventKind.RECEIPT: {"status"}}),
        ("answer-twice", {EventKind.RECEIPT: {"status"}, EventKind.DUPLICATE: set()}),
        ("contradiction", {EventKind.RECEIPT: {"status"}, EventKind.CONTRADICTION: set()}),
        ("wrong-signer", {EventKind.RECEIPT_UNVERIFIED: set(), EventKind.FOREIGN_HELD: {"held"}}),
        ("error-queue", {EventKind.FAULTED: set()}),
        ("foreign-in-front", {EventKind.RECEIPT: {"status"}, EventKind.FOREIGN_HELD: {"held"}}),
    ],
)
def test_the_main_job_says_what_is_declared_and_nothing_else(
    tjenestebuss: FakeTjenestebuss, fault: str, more: dict[EventKind, set[str]]
) -> None:
    tjenestebuss.set_faults(*filter(None, [fault]))
    events: list[Event] = []
    with tjenestebuss.client(on_event=events.append) as client:
        client.submit()
        client.wait(timeout=0)

    seen: dict[EventKind, set[str]] = {}
    for event in events:
        seen.setdefault(event.kind, set()).update(event.details)
    warned = seen.pop(EventKind.WARNING, set())
    later = {"next_look"} if EventKind.FOREIGN_HELD in more else set()
    assert {kind: keys - later for kind, keys in seen.items()} == _PUBLISHED_ONCE | more
    for kind, keys in {**seen, EventKind.WARNING: warned}.items():
        assert keys <= set(EVENTS[kind].details)


@pytest.mark.parametrize("fault", ["drop-before-disposition", "queue-full"])
def test_what_the_bus_does_not_take_has_the_evidence(tjenestebuss: FakeTjenestebuss, fault: str) -> None:
    tjenestebuss.set_faults(fault)
    events: list[Event] = []
    with tjenestebuss.client(on_event=events.append) as client:
        client.submit()
    kind = EventKind.IN_DOUBT if fault == "drop-before-disposition" else EventKind.NOT_SENT
    assert {"reach", "condition"} in [set(event.details) for event in events if event.kind is kind]


def test_a_detail_that_is_not_declared_fails_every_test_that_meets_it(tjenestebuss: FakeTjenestebuss) -> None:
    with tjenestebuss.client() as client, pytest.raises(AssertionError, match="not declared"):
        client._app.observe(Event(EventKind.SEALED, "x", details={"surprise": 1}))
