"""Ten ways in which other senders lose messages, send them twice or call them delivered: a test each, by its name."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.bus.port import Inbound, Outcome, Reach, Verdict
from kpr_sender.client import Client
from kpr_sender.errors import BusUnreachable, InDoubt, InputRefused, JournalUnwritable
from kpr_sender.events import Event, EventKind
from kpr_sender.inbound.receipt import Handling
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.logs import log_event, logging_to
from kpr_sender.model import Environment
from kpr_sender.texts import Text
from tests.helpers.command import kpr_send
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality

TIMEOUT = Outcome(Verdict.IN_DOUBT, Reach.HANDED_OVER, 4711, "local:timeout", error=InDoubt(Text("No answer in time.")))
NO_CREDIT = Outcome(Verdict.NOT_SENT, Reach.NO_CREDIT, error=BusUnreachable(Text("The bus gives no credit.")))

NewClient = Callable[..., Client]


class Clock:
    """The machine's clock."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def bus() -> MemoryBus:
    """A bus behind which nobody answers by itself."""
    return MemoryBus()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new_client(kommune: Municipality, bus: MemoryBus, clock: Clock) -> Iterator[NewClient]:
    """Make clients as separate runs would be: each ends before the next one begins."""
    made: list[Client] = []

    def make(changes: dict[str, dict[str, object]] | None = None) -> Client:
        while made:
            made.pop().close()
        made.append(Client(kommune.configure(changes), bus=bus, now=clock))
        return made[0]

    yield make
    while made:
        made.pop().close()


def unsigned_by_fhi(fhi: Fhi, bus: MemoryBus) -> Inbound:
    """A positive receipt for the fagmelding, signed with the municipality's own key."""
    return fhi.inbound(
        bus.published[0],
        fhi.sealed(fhi.apprec(bus.published[0]), signed_by=fhi.key("kommune-signing")),
    )


def test_habit_1_retry_around_publish_on_timeout(new_client: NewClient, bus: MemoryBus) -> None:
    bus.outcomes.extend([TIMEOUT, TIMEOUT])
    assert new_client().submit().exit_code == 83
    for _ in range(3):
        assert new_client().submit().exit_code == 83
    assert [message.envelope.subject for message in bus.published] == ["KPR_IPL", "KPR_IDE"]


def test_habit_2_new_id_on_retry(new_client: NewClient, bus: MemoryBus) -> None:
    bus.outcomes.extend([NO_CREDIT, NO_CREDIT])
    report = new_client().submit()
    first, second, third, _ = bus.published
    assert first == second == third
    assert first.message_id == report.submission.shipments[0].message_id


def test_habit_3_crash_in_sending_then_resend(new_client: NewClient, bus: MemoryBus) -> None:
    bus.outcomes.append(SystemExit("killed"))
    with pytest.raises(SystemExit):
        new_client().submit()
    report = new_client().submit()
    assert [shipment.state for shipment in report.submission.shipments] == ["in_doubt", "published"]
    assert report.exit_code == 83
    assert [message.envelope.subject for message in bus.published] == ["KPR_IPL", "KPR_IDE"]


def test_habit_4_late_receipt_then_resend(new_client: NewClient, bus: MemoryBus, fhi: Fhi, clock: Clock) -> None:
    new_client().submit()
    clock.at += timedelta(days=60)
    assert new_client().submit().exit_code == 84
    assert new_client().wait(timeout=0).exit_code == 84
    assert len(bus.published) == 2
    for message in bus.published:
        bus.inbox.extend(fhi.answer(message))
    assert new_client().wait(timeout=0).exit_code == 0


def test_habit_5_exit_0_on_rejection_or_on_an_invalid_check(
    new_client: NewClient, bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    client = new_client()
    client.submit()
    for message in bus.published:
        bus.inbox.extend(fhi.answer(message, "2"))
    assert client.wait(timeout=0).exit_code == 81
    client.close()
    assert kpr_send("--env", "lokal", "--config", kommune.config, "status").code == 81
    kommune.config.write_text(kommune.config.read_text().replace("[bus]", "[bus]\nno_such_key = 1"))
    assert kpr_send("--env", "lokal", "--config", kommune.config, "config", "check").code == 78
    kommune.fagmelding.write_text("<nothing/>")
    with pytest.raises(InputRefused):
        new_client().submit()


def test_habit_6_payload_in_debug_log(kommune: Municipality, bus: MemoryBus, fhi: Fhi, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with logging_to(log, level="debug", environment="lokal") as logger:
        client = Client(kommune.configure(), bus=bus, on_event=lambda event: log_event(logger, event))
        with client:
            client.submit()
            odd = {"payload": kommune.identmelding.read_text(), "sealed": repr(bus.published[0].body)}
            log_event(logger, Event(EventKind.CHECKED, "odd", details=odd))
            logger.debug("odd %s", odd)
            bus.inbox.extend(fhi.answer(bus.published[0], "3"))
            bus.put(unsigned_by_fhi(fhi, bus))
            client.wait(timeout=0)
    told = log.read_text()
    assert told.count("\n") > 8
    ids = {part.split('"')[0] for part in kommune.identmelding.read_text().split('fid="')[1:]}
    assert len(ids) == 5
    secrets = [*ids, "<?xml", "linje 7", "fid=", base64.b64encode(bus.published[0].body[:60]).decode()]
    assert not [secret for secret in secrets if secret in told]


def test_habit_7_file_lost_after_the_last_retry(new_client: NewClient, bus: MemoryBus, kommune: Municipality) -> None:
    bus.outcomes.extend([NO_CREDIT] * 100)
    report = new_client().submit()
    assert report.exit_code == 69
    given_up = bus.published[0]
    view = SqliteJournal.open_readonly(kommune.journal, Environment.LOKAL)
    assert view is not None
    with view:
        assert view.sealed(report.submission.shipments[0].msg_id) == given_up.body
    assert kommune.fagmelding.exists()
    bus.outcomes.clear()
    assert new_client().submit().exit_code == 80
    assert bus.published[-2] == given_up


def test_habit_8_positive_then_negative_receipt_accepted(new_client: NewClient, bus: MemoryBus, fhi: Fhi) -> None:
    client = new_client()
    client.submit()
    for status in ("1", "2"):
        assert client.handle(fhi.answer(bus.published[0], status)[0]) is Handling.SETTLE
    assert client.handle(fhi.answer(bus.published[1])[0]) is Handling.SETTLE
    report = client.status()
    assert report is not None
    assert [shipment.state for shipment in report.submission.shipments] == ["delivered", "delivered"]
    assert report.submission.shipments[0].needs_person
    assert report.exit_code == 82


def test_habit_9_receipt_acknowledged_though_taking_it_failed(
    new_client: NewClient, bus: MemoryBus, fhi: Fhi, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = new_client()
    client.submit()
    bus.put(unsigned_by_fhi(fhi, bus))
    assert client.wait(timeout=0).exit_code == 76
    bus.inbox.extend(fhi.answer(bus.published[0]))

    def full(*_: object, **__: object) -> None:
        raise JournalUnwritable(Text("No space left on device."))

    with monkeypatch.context() as patch:
        patch.setattr(SqliteJournal, "add_receipt", full)
        with pytest.raises(JournalUnwritable):
            client.wait(timeout=0, look_anyway=True, reason="At once.", by="Kari")
    assert bus.settled == [], "neither what is not believed nor what is not durable is acknowledged"


def test_habit_10_check_skipped_when_it_is_tried_again(new_client: NewClient, bus: MemoryBus, fhi: Fhi) -> None:
    new_client().submit()
    forged = unsigned_by_fhi(fhi, bus)
    bus.put(forged)
    for _ in range(3):
        assert new_client().wait(timeout=0).exit_code == 76
    client = new_client()
    assert client.handle(replace(forged, token="once more")) is Handling.HOLD
    assert client.add_receipt(forged.body, name="forged.p7m").exit_code == 76
    report = client.status()
    assert report is not None
    assert [shipment.state for shipment in report.submission.shipments] == ["published", "published"]
    assert not any(receipt.verified for receipt in report.submission.shipments[0].receipts)
