"""A replacement with one changed file: the half that FHI has already is kept, and never goes twice (G1, G3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kpr_sender.bus.port import Outbound
from kpr_sender.client import Client
from kpr_sender.errors import AlreadySubmitted, InternalError
from kpr_sender.model import MessageType
from kpr_sender.outbound.build import Builder
from kpr_sender.report import Report
from kpr_sender.states import ShipmentState
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus, error_queue_message
from tests.helpers.municipality import Municipality

NewClient = Callable[..., Client]
S = ShipmentState
AGREED = "Avtalt med FHI."


@pytest.fixture
def half(new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi) -> Report:
    """The fagmelding is delivered, the identmelding rejected."""
    client = new_client(silent_bus)
    client.submit()
    for message, status in zip(silent_bus.taken, "12", strict=True):
        client.handle(fhi.answer(message, status)[0])
    return status_of(client)


def status_of(client: Client) -> Report:
    report = client.status()
    assert report is not None
    return report


def states(report: Report) -> list[ShipmentState]:
    return [one.state for one in report.submission.shipments]


def answered(client: Client, bus: MemoryBus, fhi: Fhi, status: str = "1") -> Report:
    client.handle(fhi.answer(bus.taken[-1], status)[0])
    return status_of(client)


def test_g1_only_the_changed_half_is_sealed_and_sent_again_and_again(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, half: Report, kommune: Municipality
) -> None:
    delivered, rejected = half.submission.shipments
    assert (states(half), half.exit_code) == ([S.DELIVERED, S.REJECTED], 82)
    kommune.corrected()
    client = new_client(silent_bus)
    report = client.submit(replaces=half.submission.submission_id, reason=AGREED)
    assert (states(report), report.sent, report.exit_code) == ([S.DELIVERED, S.PUBLISHED], 1, 80)
    kept, changed = report.submission.shipments
    assert (kept, report.submission.own) == (delivered, (changed,))
    assert changed.msg_id != rejected.msg_id
    # The same files go on with it; the old ones are still what they were.
    assert client.submit().submission == report.submission
    again = answered(client, silent_bus, fhi, "2")
    assert (states(again), again.exit_code) == ([S.DELIVERED, S.REJECTED], 82)
    # What was kept is kept by the next replacement as well.
    kommune.corrected()
    third = client.submit(replaces=report.submission.submission_id, reason=AGREED)
    assert (third.submission.shipments[0].msg_id, third.sent) == (delivered.msg_id, 1)
    done = answered(client, silent_bus, fhi)
    assert (states(done), done.exit_code) == ([S.DELIVERED, S.DELIVERED], 0)
    assert subjects(silent_bus.published) == ["KPR_IPL", "KPR_IDE", "KPR_IDE", "KPR_IDE"]
    known = [client.status(one.submission_id) for one in (half.submission, report.submission)]
    assert [states(one) for one in known if one] == [[S.DELIVERED, S.REJECTED]] * 2
    # A review is of the pair that it was said of.
    client.reviewed(by="Kari")
    kommune.corrected()
    fourth = client.submit(replaces=third.submission.submission_id, reason=AGREED)
    assert answered(client, silent_bus, fhi).reviewed is None
    assert fourth.submission.shipments[0].msg_id == delivered.msg_id


def subjects(messages: list[Outbound]) -> list[str]:
    return [message.envelope.subject for message in messages]


def test_what_is_delivered_goes_again_only_where_it_has_changed(
    new_client: NewClient, silent_bus: MemoryBus, half: Report, kommune: Municipality
) -> None:
    kommune.new_extract()
    report = new_client(silent_bus).submit(replaces=half.submission.submission_id, reason=AGREED)
    assert (report.sent, report.submission.own) == (2, report.submission.shipments)


@pytest.mark.parametrize("first", ["3", "2", "error"])
def test_what_is_not_delivered_is_not_kept(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality, first: str
) -> None:
    """G1: what has arrived with errors, was rejected or has faulted goes again by ``resend`` or a new extract only."""
    client = new_client(silent_bus)
    before = client.submit().submission
    taken = silent_bus.taken
    client.handle(error_queue_message(taken[0]) if first == "error" else fhi.answer(taken[0], first)[0])
    client.handle(fhi.answer(taken[1])[0])
    kommune.corrected()
    with pytest.raises(AlreadySubmitted, match="never sent twice"):
        client.submit(replaces=before.submission_id, reason=AGREED)
    assert len(silent_bus.published) == 2


def test_g1_what_arrived_with_errors_is_kept_once_a_person_has_settled_it(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    """FHI has it, and a person has said that nobody need look at it any more: only the other half is to be sent."""
    client = new_client(silent_bus)
    before = client.submit().submission
    for message, status in zip(silent_bus.taken, "32", strict=True):
        client.handle(fhi.answer(message, status)[0])
    kommune.corrected()
    with pytest.raises(AlreadySubmitted, match="never sent twice"):
        client.submit(replaces=before.submission_id, reason=AGREED)
    first = before.shipments[0].msg_id
    client.settle(first, reason="FHI nøyer seg med den.", by="Kari")
    report = client.submit(replaces=before.submission_id, reason=AGREED)
    assert (states(report), report.sent) == ([S.DELIVERED_WITH_ERRORS, S.PUBLISHED], 1)
    done = answered(client, silent_bus, fhi)
    assert (done.submission.shipments[0].msg_id, done.exit_code) == (first, 0)
    assert subjects(silent_bus.published) == ["KPR_IPL", "KPR_IDE", "KPR_IDE"]
    # What contradicts it later calls for a person, and is not kept until that is settled as well.
    client.handle(fhi.answer(silent_bus.taken[0], "2")[0])
    assert status_of(client).exit_code == 82
    kommune.corrected()
    with pytest.raises(AlreadySubmitted, match="never sent twice"):
        client.submit(replaces=done.submission.submission_id, reason=AGREED)


def test_without_replaces_nothing_is_kept_and_nothing_sent(
    new_client: NewClient, silent_bus: MemoryBus, half: Report, kommune: Municipality
) -> None:
    kommune.corrected()
    for replaces in (None, "2024-00000000"):
        with pytest.raises(AlreadySubmitted):
            new_client(silent_bus).submit(replaces=replaces, reason=AGREED if replaces else "")
    assert len(silent_bus.published) == 2
    assert half.submission.own == half.submission.shipments


@pytest.mark.parametrize("kept", ["rejected", "another", "none"])
def test_the_journal_itself_takes_nothing_but_a_pair_with_a_delivered_half(
    new_client: NewClient,
    silent_bus: MemoryBus,
    half: Report,
    kommune: Municipality,
    monkeypatch: pytest.MonkeyPatch,
    kept: str,
) -> None:
    """Should a rule of the submitter ever be forgotten."""
    kommune.new_extract()
    build = Builder.submission
    rejected = half.submission.shipments[1].msg_id
    msg_ids = {"rejected": {rejected}, "another": {"00000000-0000-4000-8000-000000000000"}, "none": {""}}[kept]

    def building(*args: object, **kwargs: object) -> object:
        new = build(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        ipl = tuple(one for one in new.shipments if one.type is MessageType.KPR_IPL)
        return replace(new, shipments=ipl, kept=frozenset(msg_ids))

    monkeypatch.setattr(Builder, "submission", building)
    with pytest.raises(InternalError):
        new_client(silent_bus).submit(replaces=half.submission.submission_id, reason=AGREED)
    assert status_of(new_client(silent_bus)).submission == half.submission
