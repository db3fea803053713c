"""The same content under a corrected HER-id: never a second send by itself, and always a way on (G1, G2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kpr_sender.bus.port import Outcome
from kpr_sender.client import Client
from kpr_sender.errors import AlreadySubmitted, BusUnreachable, InDoubt
from kpr_sender.model import Submission
from kpr_sender.operator.resolve import Decision
from kpr_sender.report import Report
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.desk import NO_OUTCOME
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import ACCEPTED, MemoryBus, error_queue_message
from tests.helpers.municipality import SENDER_HER_ID, Changes, Municipality

NewClient = Callable[..., Client]
S = ShipmentState
CORRECTED = SENDER_HER_ID + 1
UNDER: Changes = {"sender": {"service_her_id": CORRECTED}}
REASON = "HER-id var feil; avtalt med FHI."


@pytest.fixture
def under(new_client: NewClient, silent_bus: MemoryBus) -> Callable[[], Client]:
    """Make a run after somebody corrected the HER-id."""
    return lambda: new_client(silent_bus, UNDER)


@pytest.fixture
def first(new_client: NewClient, silent_bus: MemoryBus) -> Callable[..., Submission]:
    """Send a pair from the HER-id that turns out to be wrong."""

    def send(*outcomes: Outcome) -> Submission:
        silent_bus.outcomes.extend(outcomes)
        return new_client(silent_bus).submit().submission

    return send


def refused(client: Client) -> AlreadySubmitted:
    with pytest.raises(AlreadySubmitted) as raised:
        client.submit()
    assert raised.value.exit_code == 86
    assert raised.value.where == "sender.service_her_id"
    return raised.value


def senders(bus: MemoryBus) -> list[str]:
    return [message.envelope.properties["fromHerId"] for message in bus.taken]


def states(report: Report) -> list[ShipmentState]:
    return [one.state for one in report.submission.shipments]


def test_g1_the_same_files_under_another_her_id_are_not_sent_before_fhi_says_what_it_has(
    first: Callable[..., Submission], under: Callable[[], Client], silent_bus: MemoryBus, fhi: Fhi
) -> None:
    sent = first(ACCEPTED, NO_OUTCOME)
    client = under()
    error = refused(client)
    assert f"{sent.submission_id} of" in error.what
    assert f"from HER-id {SENDER_HER_ID}, where HER-id {CORRECTED} is configured now" in error.what
    for one in sent.shipments:
        assert f"kpr-send resolve {one.msg_id} --not-arrived" in error.next_step
    with pytest.raises(InDoubt):
        client.submit(replaces=sent.submission_id, reason=REASON)
    assert len(silent_bus.taken) == 2
    # FHI's word on one: it goes, as the message is configured now; the other still waits for its answer.
    doubt = sent.shipments[1]
    client.resolve(doubt.msg_id, Decision.NOT_ARRIVED, reason=REASON)
    report = client.submit()
    assert (states(report), report.sent) == ([S.PUBLISHED, S.PUBLISHED], 1)
    assert client.submit().sent == 0
    message = silent_bus.taken[-1]
    head = fhi.hodemelding(message)
    assert (head.msg_id, head.sender.service_her_id) == (doubt.msg_id, CORRECTED)
    assert message.message_id != doubt.message_id
    assert senders(silent_bus) == [str(SENDER_HER_ID)] * 2 + [str(CORRECTED)]
    for each in (silent_bus.taken[0], message):
        client.handle(fhi.answer(each)[0])
    assert client.submit().exit_code == 0


def test_what_was_answered_negatively_goes_again_from_the_corrected_her_id_by_resend(
    first: Callable[..., Submission], under: Callable[[], Client], silent_bus: MemoryBus, fhi: Fhi
) -> None:
    rejected, faulted = first(ACCEPTED, ACCEPTED).shipments
    client = under()
    client.handle(fhi.answer(silent_bus.taken[0], "2")[0])
    client.handle(error_queue_message(silent_bus.taken[1]))
    error = refused(client)
    for one in (rejected, faulted):
        assert f"kpr-send resend {one.msg_id} --reason TEXT" in error.next_step
        client.resend(one.msg_id, reason=REASON)
    assert client.submit().sent == 2
    assert senders(silent_bus)[2:] == [str(CORRECTED)] * 2
    for message in silent_bus.taken[2:]:
        client.handle(fhi.answer(message)[0])
    report = client.submit()
    assert (report.exit_code, report.sent) == (0, 0)


def test_what_has_not_left_goes_with_the_earlier_her_id_or_is_replaced_under_the_corrected(
    new_client: NewClient, under: Callable[[], Client], silent_bus: MemoryBus, kommune: Municipality
) -> None:
    silent_bus.connect_error = BusUnreachable(Text("Refused."))
    with pytest.raises(BusUnreachable):
        new_client(silent_bus).submit()
    silent_bus.connect_error = None
    client = under()
    known = client.status()
    assert known is not None
    assert f"--replaces {known.submission.submission_id} --reason TEXT" in refused(client).next_step
    kommune.new_extract()
    new = client.submit(replaces=known.submission.submission_id, reason=REASON)
    assert (new.sent, senders(silent_bus)) == (2, [str(CORRECTED)] * 2)
    old = client.status(known.submission.submission_id)
    assert old is not None
    assert states(old) == [S.CANCELLED, S.CANCELLED]


@pytest.mark.parametrize("her_id", [SENDER_HER_ID, CORRECTED])
def test_g1_a_new_extract_of_the_same_year_goes_by_a_person_s_word_whichever_her_id_it_is_sent_from(
    first: Callable[..., Submission],
    new_client: NewClient,
    silent_bus: MemoryBus,
    fhi: Fhi,
    kommune: Municipality,
    her_id: int,
) -> None:
    """One byte differs, so that it is no content that is known."""
    sent = first(ACCEPTED, ACCEPTED)
    client = new_client(silent_bus, {"sender": {"service_her_id": her_id}})
    for message in silent_bus.taken:
        client.handle(fhi.answer(message)[0])
    kommune.new_extract()
    with pytest.raises(AlreadySubmitted) as raised:
        client.submit()
    assert raised.value.exit_code == 86
    assert f"2024 is submitted for this municipality, as submission {sent.submission_id}" in raised.value.what
    assert (f"from HER-id {SENDER_HER_ID}, where HER-id {CORRECTED} is configured now" in raised.value.what) == (
        her_id == CORRECTED
    )
    assert f"--replaces {sent.submission_id} --reason TEXT" in raised.value.next_step
    assert len(silent_bus.published) == 2
    assert client.submit(replaces=sent.submission_id, reason=REASON).sent == 2
    assert senders(silent_bus)[2:] == [str(her_id)] * 2


@pytest.mark.parametrize(("her_id", "code"), [(CORRECTED, 82), (SENDER_HER_ID, 82), (CORRECTED + 1, 80)])
def test_g1_what_somebody_else_sent_alarms_under_each_her_id_that_was_ours(
    first: Callable[..., Submission],
    under: Callable[[], Client],
    silent_bus: MemoryBus,
    fhi: Fhi,
    her_id: int,
    code: int,
) -> None:
    first(ACCEPTED, ACCEPTED)
    message = silent_bus.taken[0]
    sender = replace(fhi.hodemelding(message).sender, service_her_id=her_id)
    other = fhi.apprec(message, msg_id="11111111-2222-4333-8444-555555555555", sender=sender)
    client = under()
    client.handle(fhi.inbound(message, fhi.sealed(other), correlation_id="other"))
    report = client.status()
    assert report is not None
    assert report.exit_code == code


def test_what_is_delivered_is_fhis_to_ask_for_again_and_a_delivered_half_is_kept(
    first: Callable[..., Submission],
    under: Callable[[], Client],
    new_client: NewClient,
    silent_bus: MemoryBus,
    fhi: Fhi,
    kommune: Municipality,
) -> None:
    sent = first(ACCEPTED, ACCEPTED)
    client = under()
    for message in silent_bus.taken:
        client.handle(fhi.answer(message)[0])
    assert "ask kpr@fhi.no" in refused(client).next_step
    # With the HER-id that it was sent from it is what it was.
    assert new_client(silent_bus).submit().exit_code == 0
    # One changed file: the other half is the same content, which FHI has.
    kommune.corrected()
    client = under()
    with pytest.raises(AlreadySubmitted, match="same file is never sent twice"):
        client.submit()
    new = client.submit(replaces=sent.submission_id, reason=REASON)
    assert (new.sent, new.submission.own) == (1, new.submission.shipments[1:])
    assert client.submit().submission == new.submission
    # Back under the earlier HER-id, what has taken its place is known.
    kommune.new_extract()
    with pytest.raises(AlreadySubmitted, match=f"not the latest .*{new.submission.submission_id}"):
        new_client(silent_bus).submit(replaces=sent.submission_id, reason=REASON)
    assert len(silent_bus.taken) == 3
