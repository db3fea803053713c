"""G8: a queue that others share is looked at ever more rarely, at last not at all, and then by a person's word only."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.client import Client
from kpr_sender.errors import BusUnreachable, QueueShared, UsageError
from kpr_sender.events import Event, EventKind
from kpr_sender.inbound.look_memory import LookMemory, beside
from kpr_sender.inbound.looks import Looks
from kpr_sender.model import rfc3339
from kpr_sender.render.text import report_screen
from kpr_sender.report import Report
from kpr_sender.texts import Text
from tests.helpers.command import kpr_send
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import SENDER_HER_ID, Municipality

NOW = datetime.now(UTC).replace(microsecond=0)  # the test certificates are of today
MINUTES = (0, 10, 20, 30, 80, 90, 1520, 1530, 3000, 20_000)
LOOKS_AT = (0, 10, 20, 80, 1520)  # after a pause of 1 min, 10 min, 1 h and 24 h; the fifth is the last
PATIENT: dict[str, dict[str, object]] = {"report": {"overdue_after": "8760h"}}
ASKED: dict[str, Any] = {"look_anyway": True, "reason": "FHI asks where its receipt is", "by": "Kari"}


def foreign(number: int = 0, source: Source = Source.RECEIPTS, **fields: Any) -> Inbound:
    return Inbound(None, source, f"other-{number}", "", "DIALOG", "", {}, b"for another system", **fields)


class SharedQueue(MemoryBus):
    """Counts, for each message-id, how often it was delivered, and how often the receipts queue was looked at."""

    def __init__(self, *others: Inbound) -> None:
        super().__init__()
        self.delivered: dict[str, int] = {}
        self.looks = 0
        self._attached = False
        self.room: float = math.inf
        for inbound in others:
            self.put(inbound)

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        self.looks += Source.RECEIPTS in sources and not self._attached
        self._attached = self._attached or Source.RECEIPTS in sources
        inbound = super().receive(timeout, sources) if self.held < self.room else None
        if inbound is not None:
            self.delivered[inbound.message_id] = self.delivered.get(inbound.message_id, 0) + 1
        return inbound

    def detach(self) -> None:
        super().detach()
        self._attached = False


class Cron:
    """Runs of the command at the minutes it is told, each with a client of its own."""

    def __init__(self, kommune: Municipality, bus: MemoryBus, events: list[Event]) -> None:
        self.kommune, self.bus, self.events = kommune, bus, events
        self.minute = 0

    def now(self) -> datetime:
        return NOW + timedelta(minutes=self.minute)

    def run(self, minute: int, **asking: Any) -> Report:
        self.minute = minute
        with Client(self.kommune.configure(PATIENT), bus=self.bus, now=self.now, on_event=self.events.append) as client:
            client.submit()
            return client.wait(timeout=0, **asking)


@pytest.fixture
def queue() -> SharedQueue:
    return SharedQueue(*[foreign(number) for number in range(3)])


@pytest.fixture
def cron(kommune: Municipality, queue: SharedQueue, events: list[Event]) -> Cron:
    return Cron(kommune, queue, events)


def answer(cron: Cron, fhi: Fhi) -> None:
    for message in cron.bus.published:
        for inbound in fhi.answer(message):
            cron.bus.put(inbound)


def test_g8_what_nobody_reads_is_taken_five_times_and_ends_with_88(cron: Cron, queue: SharedQueue) -> None:
    codes, looks = [], []
    for minute in MINUTES:
        before = queue.looks
        codes.append(cron.run(minute).exit_code)
        if queue.looks > before:
            looks.append(minute)
    assert looks == list(LOOKS_AT)
    assert queue.delivered == {"other-0": 5, "other-1": 5, "other-2": 5}
    assert codes == [80, 80, 80, 80, 80, 80, 88, 88, 88, 88]
    assert queue.settled == []
    told = cron.run(20_010)
    assert isinstance(told.error, QueueShared)
    last = rfc3339(NOW + timedelta(minutes=1520))
    assert f"3 messages of others lay on our receipts queue at the last look ({last})" in told.text()
    assert f"since {rfc3339(NOW)}" in told.text()
    assert "--look-anyway" in told.text()
    assert "that of EKSEMPEL KOMMUNE, Saksbehandling (HER-id 900002) by the configuration" in told.text()
    assert told.as_json()["error"]["code"] == "queue-shared"
    assert told.as_json()["next_look"] is None
    status = kpr_send("--env", "lokal", "--config", cron.kommune.config, "status")
    assert status.code == 88


def test_a_run_that_may_not_look_says_when_it_looks_next(cron: Cron, events: list[Event]) -> None:
    cron.run(0)
    cron.run(10)
    events.clear()
    report = cron.run(15)
    assert report.exit_code == 80
    (told,) = [event for event in events if event.kind is EventKind.FOREIGN_HELD]
    due = rfc3339(NOW + timedelta(minutes=20))
    assert told.text.startswith("3 messages of others lay on our receipts queue at the last look (")
    assert told.text.endswith(f"; it is looked at again from {due} on.")
    assert report.as_json()["next_look"] == due
    screen = "\n".join(report_screen(report, journal=Path("j"), receipts=Path("r")))
    assert f"Next look   {told.text}" in screen
    later = rfc3339(NOW + timedelta(minutes=80))
    assert cron.run(20).as_json()["next_look"] == later
    with Client(cron.kommune.configure(PATIENT), now=cron.now) as client:
        status = client.status()
    assert status is not None
    assert status.as_json()["next_look"] == later, "G5: status says the same"


def test_our_receipts_behind_them_are_taken_by_the_first_look_that_is_permitted(
    cron: Cron, queue: SharedQueue, fhi: Fhi
) -> None:
    cron.run(0)
    cron.run(10)
    answer(cron, fhi)
    assert cron.run(15).exit_code == 80
    assert cron.run(20).exit_code == 0
    assert len(queue.settled) == 2
    assert set(queue.delivered.values()) <= {1, 3}


def test_after_the_fifth_take_a_person_lets_it_look_and_when_they_are_gone_it_looks_by_itself(
    cron: Cron, queue: SharedQueue, fhi: Fhi, new_client: Callable[..., Client]
) -> None:
    for minute in LOOKS_AT:
        cron.run(minute)
    answer(cron, fhi)
    assert cron.run(5000).exit_code == 88
    assert cron.run(5001, **ASKED).exit_code == 0
    assert queue.delivered["other-0"] == 6
    with new_client(queue) as client:
        report = client.status()
        assert report is not None
        (asked,) = client.case(report.submission.shipments[0].msg_id).decided
    assert (asked.what, asked.who, asked.why) == ("look-anyway", "Kari", "FHI asks where its receipt is")
    assert asked.details == {"emptied": 0}


def test_a_look_that_finds_none_of_them_begins_anew(cron: Cron, queue: SharedQueue) -> None:
    for minute in LOOKS_AT:
        cron.run(minute)
    queue.inbox.clear()
    queue.put(foreign(7))
    assert cron.run(5000).exit_code == 88
    assert cron.run(5001, **ASKED, emptied=True).exit_code == 80
    assert cron.run(5002).exit_code == 80
    assert queue.delivered["other-7"] == 2
    queue.inbox.clear()
    cron.run(5012)
    looks = queue.looks
    cron.run(5012)
    assert queue.looks == looks + 1, "nothing of others is there: nothing keeps it from looking"


def test_a_look_is_refused_where_it_would_be_the_ninth_take_unless_the_owner_says_it_was_read(
    cron: Cron, queue: SharedQueue
) -> None:
    for minute in LOOKS_AT:
        cron.run(minute)
    for minute in range(5000, 5003):
        assert cron.run(minute, **ASKED).exit_code == 88
    with pytest.raises(QueueShared, match="last but one"):
        cron.run(5003, **ASKED)
    assert queue.delivered["other-0"] == 8
    assert cron.run(5004, **ASKED, emptied=True).exit_code == 88
    assert queue.delivered["other-0"] == 9


def test_a_person_s_look_is_made_though_all_is_answered(
    cron: Cron, queue: SharedQueue, fhi: Fhi, kommune: Municipality, events: list[Event]
) -> None:
    """Its owner says that the queue was read: next year's first run is to know it, or to be told that it was not."""
    for minute in LOOKS_AT:
        cron.run(minute)
    with Client(kommune.configure(PATIENT), now=cron.now) as client:
        for message in queue.published:
            client.add_receipt(fhi.answer(message)[0].body)
    assert cron.run(1600).exit_code == 0
    looks = queue.looks
    assert cron.run(1610, **ASKED, emptied=True).exit_code == 0
    assert queue.looks == looks + 1
    assert events[-1].kind is EventKind.FOREIGN_HELD, "they lie there still"
    queue.receive_error = BusUnreachable(Text("The bus is away."))
    assert cron.run(1620, **ASKED, emptied=True).exit_code == 0
    assert "The bus is away." in events[-1].text
    queue.receive_error = None
    queue.inbox.clear()
    cron.run(1630, **ASKED, emptied=True)
    assert LookMemory.load(beside(kommune.journal)).looks[Source.RECEIPTS] == Looks()


@pytest.mark.parametrize(
    "asking",
    [
        {"look_anyway": True},
        {"look_anyway": True, "by": "Kari"},
        {"look_anyway": True, "reason": "x"},
        {"emptied": True},
        {"reason": "x"},
        {"by": "Kari"},
        {"look_anyway": True, "reason": "about 01810199999", "by": "Kari"},
    ],
)
def test_a_look_more_is_a_persons_decision_with_name_and_reason(cron: Cron, asking: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        cron.run(0, **asking)


def test_88_keeps_nothing_from_being_published(
    kommune: Municipality, queue: SharedQueue, new_client: Callable[..., Client]
) -> None:
    memory = LookMemory(beside(kommune.journal))
    for _ in range(5):
        looks = memory.looks[Source.RECEIPTS].after([memory.seen(foreign())], NOW)
        memory.keep(Source.RECEIPTS, looks)
    client = new_client(queue)
    assert client.submit().sent == 2
    assert client.wait(timeout=0).exit_code == 88
    assert queue.looks == 0


def test_what_stands_before_the_receipts_is_said(cron: Cron, queue: SharedQueue, kommune: Municipality) -> None:
    with Client(kommune.configure({"bus": {"held_cap": 3}}), bus=queue) as client:
        client.submit()
        report = client.wait(timeout=0)
    assert report.exit_code == 80
    assert "3 messages that are not ours stand before the receipts, as many as bus.held_cap allows" in report.text()


def test_half_of_the_brokers_limit_is_enough(cron: Cron, queue: SharedQueue) -> None:
    queue.inbox.clear()
    queue.put(foreign(deliveries=4))
    assert cron.run(0).exit_code == 88
    assert cron.run(5000).exit_code == 88
    assert queue.delivered == {"other-0": 1}


def test_the_error_queue_likewise_and_what_cannot_be_read(cron: Cron, queue: SharedQueue, events: list[Event]) -> None:
    queue.inbox.clear()
    queue.put(foreign(1, Source.ERRORS))
    queue.put(foreign(2, readable=False))
    queue.put(foreign(3, readable=False, too_large=True))
    queue.put(foreign(4, readable=False, too_large=True))
    for minute in MINUTES:
        report = cron.run(minute)
    assert report.exit_code == 88
    named = [event.text for event in events if "bus.max_inbound" in event.text]
    assert len(named) == 5, "once for each look"
    assert queue.delivered == {f"other-{number}": 5 for number in (1, 2, 3, 4)}


def test_each_queue_has_pauses_of_its_own(cron: Cron, queue: SharedQueue, fhi: Fhi) -> None:
    queue.inbox.clear()
    queue.put(foreign(1, Source.ERRORS))
    for minute in LOOKS_AT:
        cron.run(minute)
    report = cron.run(5000)
    assert report.exit_code == 88
    assert "1 message of others lay on our error queue" in report.text()
    assert "receipts queue" not in report.text()
    queue.put(foreign(2))
    cron.run(5001)
    cron.run(5002)
    assert queue.delivered == {"other-1": 5, "other-2": 2}
    answer(cron, fhi)
    assert cron.run(5003).exit_code == 88, "the receipts queue has its pause of ten minutes"
    assert cron.run(5012, **ASKED).exit_code == 0, "the error queue keeps nothing on the other one"
    assert queue.delivered["other-1"] == 6, "what a person asked for is a look at both"


def test_a_look_that_was_cut_short_does_not_say_that_a_queue_was_read(cron: Cron, queue: SharedQueue) -> None:
    """500 of others on the error queue are as many as a look takes: of the receipts queue it has seen nothing."""
    cron.run(0)
    memory = LookMemory.load(beside(cron.kommune.journal))
    before = memory.looks[Source.RECEIPTS]
    first, queue.inbox = list(queue.inbox), type(queue.inbox)()
    for number in range(500):
        queue.put(foreign(1000 + number, Source.ERRORS))
    queue.inbox.extend(first)
    queue.room = 500
    cron.run(10)
    looks = LookMemory.load(beside(cron.kommune.journal)).looks
    assert (looks[Source.RECEIPTS], looks[Source.ERRORS].others) == (before, 500)


def claim(cron: Cron, number: int = 0, **fields: Any) -> Inbound:
    """An answer that cannot be opened: under FHI's HER-id, and with or without one of our ids."""
    outside = {"fromHerId": "8133973", "toHerId": str(SENDER_HER_ID)}
    made = Inbound(None, Source.RECEIPTS, f"claim-{number}", cron.bus.published[0].message_id, "APPREC", "", outside,
                   b"not to be opened" + bytes([number]))  # fmt: skip
    return replace(made, **fields)


def test_what_is_stored_is_settled_by_its_fifth_take_also_behind_others_and_what_is_beyond_the_bound_never(
    cron: Cron, queue: SharedQueue
) -> None:
    others = [queue.inbox.popleft() for _ in range(3)]
    cron.run(0)
    queue.inbox.extend(others)
    for number in range(22):  # 20 are stored
        queue.put(claim(cron, number))
    for minute in (1, 2, 12, 72):
        assert cron.run(minute).exit_code == 76
        assert queue.settled == []
    cron.run(1512)
    assert {one.message_id for one in queue.settled} == {f"claim-{number}" for number in range(20)}
    assert len(queue.inbox) == 3 + 2, "nobody else has the bytes of what is not stored"
    assert max(queue.delivered.values()) == 5


def test_what_names_nobody_is_settled_by_the_next_look_after_a_person_discarded_it(
    cron: Cron, queue: SharedQueue, kommune: Municipality
) -> None:
    queue.inbox.clear()
    cron.run(0)
    outside = {"fromHerId": "171479", "toHerId": str(SENDER_HER_ID)}
    queue.put(claim(cron, correlation_id="", properties=outside))
    for minute in (1, 11, 21, 81, 1521):
        assert cron.run(minute).exit_code == 76
    assert queue.settled == [], "nothing but its sender's HER-id says that it is about ours"
    over = LookMemory.load(beside(kommune.journal)).left_alone([Source.RECEIPTS])
    assert over.startswith("1 message that may be an answer of FHI's lay on our receipts queue at the last look (")
    assert over.endswith("accepted or discarded, one look more settles it.")
    with Client(kommune.configure(PATIENT), bus=queue, now=cron.now) as client:
        (document,) = client.receipts()
        client.discard_receipt(document.receipt.receipt_id, reason="not FHI's", by="Kari")
    assert cron.run(1522).exit_code == 88
    assert cron.run(1523, **ASKED).exit_code == 80
    assert [one.message_id for one in queue.settled] == ["claim-0"]
    assert cron.run(1524).exit_code == 80, "nothing of others is there any more"


def test_what_may_be_fhi_s_is_never_called_others(cron: Cron, queue: SharedQueue, events: list[Event]) -> None:
    queue.inbox.clear()
    cron.run(0)
    queue.put(claim(cron))
    events.clear()
    report = cron.run(1)
    assert report.next_look is not None
    assert report.next_look.others == 1
    for text in (report.next_look.text, *(event.text for event in events)):
        assert "of others" not in text
        assert "to others" not in text
    queue.put(foreign())
    cron.run(2)
    assert "1 message of others and 1 message that may be an answer of FHI's lay on our receipts queue" in str(
        cron.run(3).next_look
    )
    assert [event.details["held"] for event in events if "to others" in event.text] == [1]


def test_an_answer_that_cannot_be_believed_is_settled_by_its_fifth_take(
    cron: Cron, queue: SharedQueue, fhi: Fhi, kommune: Municipality
) -> None:
    """The journal has its bytes; on the queue it would end our looking."""
    queue.inbox.clear()
    cron.run(0)
    queue.put(claim(cron))
    codes = [cron.run(minute).exit_code for minute in (1, 11, 21, 81, 1521, 1522)]
    assert set(codes) == {76}
    assert queue.delivered["claim-0"] == 5
    assert [inbound.message_id for inbound in queue.settled] == ["claim-0"]


def test_g8_a_run_killed_in_a_look_counts_all_that_is_remembered_as_taken(
    cron: Cron, queue: SharedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron.run(0)
    hold, held = queue.hold, list[Inbound]()

    def killed(inbound: Inbound) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(inbound)
        hold(inbound)

    monkeypatch.setattr(queue, "hold", killed)
    with pytest.raises(KeyboardInterrupt):
        cron.run(10)
    looks = LookMemory.load(beside(cron.kommune.journal)).looks[Source.RECEIPTS]
    assert set(looks.takes.values()) == {2}


def test_what_was_handed_out_behind_the_last_answer_counts(cron: Cron, queue: SharedQueue, fhi: Fhi) -> None:
    queue.inbox.clear()
    cron.run(0)
    answer(cron, fhi)
    queue.put(foreign(5))
    assert cron.run(1).exit_code == 0
    assert queue.delivered["other-5"] == 1
    memory = LookMemory.load(beside(cron.kommune.journal))
    assert memory.looks[Source.RECEIPTS].takes == {memory.seen(foreign(5)).key: 1}
