"""A person decides: what each decision leads to, and what nobody may decide (G1, G2, G3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kpr_sender.bus.port import Outcome
from kpr_sender.errors import InDoubt, JournalLocked, UsageError
from kpr_sender.events import EventKind
from kpr_sender.journal.lock import JournalLock
from kpr_sender.operator.fhi_letter import letter
from kpr_sender.operator.resolve import Decision
from kpr_sender.states import ShipmentState
from tests.helpers.desk import NO_OUTCOME, NOT_SENT, Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import ACCEPTED

S = ShipmentState
WAYS = {Decision.ARRIVED: (S.PUBLISHED, 80), Decision.NOT_ARRIVED: (S.SEALED, 90), Decision.CANCEL: (S.CANCELLED, 82)}
REASON = "FHI svarte på e-post 10.1."

unanswered = pytest.mark.parametrize("outcome", [NO_OUTCOME, ACCEPTED], ids=["in doubt", "published"])


@unanswered
@pytest.mark.parametrize("decision", WAYS)
def test_each_decision_leads_where_it_must_and_is_kept_with_reason_and_name(
    desk: Desk, outcome: Outcome, decision: Decision
) -> None:
    first, second = desk.sent(outcome, ACCEPTED)
    state, exit_code = WAYS[decision]
    with desk.client() as client:
        report = client.resolve(first.msg_id, decision, reason=REASON, by="Kari")
        case = client.case(first.msg_id)
    assert (report.submission.shipments[0].state, report.exit_code) == (state, exit_code)
    assert report.submission.shipments[1] == second
    (event,) = case.decided
    assert (event.what, event.why, event.who) == (decision.cause.value, REASON, "Kari")
    assert len(desk.bus.published) == 2, "deciding sends nothing"
    (told,) = [event for event in desk.events if event.kind is EventKind.DECIDED]
    assert REASON not in told.text, "G6: what a person writes goes into the journal, not into the log"


@unanswered
def test_what_has_not_arrived_goes_once_more_with_the_same_bytes_under_another_message_id(
    desk: Desk, outcome: Outcome
) -> None:
    first, _ = desk.sent(outcome, ACCEPTED)
    with desk.client() as client:
        client.submit()
    assert len(desk.bus.taken) == 2, "G1: never by itself"
    with desk.client() as client:
        client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason=REASON)
    with desk.client() as client:
        report = client.submit()
        assert report.sent == 1
    with desk.client() as client:
        assert client.submit().sent == 0
    before, _, after = desk.bus.taken
    assert (before.message_id, after.message_id) == (first.message_id, desk.shipment(first.msg_id).message_id)
    assert after.message_id != before.message_id, "a receiver drops a message-id that it has seen (HITS 1216 2.2.3)"
    assert after.body == before.body, "G3"
    envelope = replace(before.envelope, correlation_id=after.message_id)
    assert after.envelope == envelope
    assert (desk.shipment(first.msg_id).state, desk.shipment(first.msg_id).attempts) == (S.PUBLISHED, 2)


@unanswered
def test_what_has_arrived_is_waited_for(desk: Desk, fhi: Fhi, outcome: Outcome) -> None:
    first, _ = desk.sent(outcome, ACCEPTED)
    with desk.client() as client:
        client.resolve(first.msg_id, Decision.ARRIVED, reason=REASON)
    for message in desk.bus.taken:
        desk.bus.inbox.extend(fhi.answer(message))
    with desk.client() as client:
        assert client.submit().sent == 0
        assert client.wait(timeout=0).exit_code == 0
    assert len(desk.bus.taken) == 2


@unanswered
def test_what_is_given_up_is_never_sent_again_and_makes_room_for_a_replacement(desk: Desk, outcome: Outcome) -> None:
    first, second = desk.sent(outcome, outcome)
    for shipment in (first, second):
        with desk.client() as client:
            client.resolve(shipment.msg_id, Decision.CANCEL, reason=REASON)
    with desk.client() as client:
        assert client.submit().sent == 0
    desk.kommune.new_extract()
    with desk.client() as client:
        assert client.submit(replaces=first.submission_id, reason=REASON).sent == 2


def test_a_receipt_after_not_arrived_counts_and_stops_the_second_send(desk: Desk, fhi: Fhi) -> None:
    """A person may err as well: FHI's receipt is worth more (G1)."""
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client:
        client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason=REASON)
        client.handle(fhi.answer(desk.bus.taken[0])[0])
    with desk.client() as client:
        report = client.submit()
        assert (report.sent, report.exit_code) == (0, 80)
        assert report.submission.shipments[0].state is S.DELIVERED
        for decision in Decision:
            with pytest.raises(UsageError, match="nothing to decide"):
                client.resolve(first.msg_id, decision, reason=REASON)
    assert len(desk.bus.taken) == 2


@pytest.mark.parametrize("decision", WAYS)
@pytest.mark.parametrize("status", ["1", "2", "3"])
def test_what_fhi_has_answered_is_nobody_s_to_decide(desk: Desk, fhi: Fhi, decision: Decision, status: str) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[0], status))
    with desk.client() as client:
        before = client.wait(timeout=0).submission
        with pytest.raises(UsageError, match=r"(nothing to decide|is not a decision on it).*A verified receipt says"):
            client.resolve(first.msg_id, decision, reason=REASON)
        known = client.status()
        assert known is not None
        assert known.submission == before


def test_of_what_was_never_sent_and_of_what_is_given_up_nobody_says_that_it_has_arrived(desk: Desk) -> None:
    first, second = desk.sent(NOT_SENT)
    with desk.client() as client:
        for decision in (Decision.ARRIVED, Decision.NOT_ARRIVED, Decision.SETTLED):
            with pytest.raises(UsageError, match=r"is sealed: .* is not a decision on it") as refused:
                client.resolve(first.msg_id, decision, reason=REASON)
            assert refused.value.next_step == "Send it with kpr-send send. What may be decided: --cancel."
        client.submit()
        client.resolve(second.msg_id, Decision.CANCEL, reason=REASON)
        for decision in (Decision.ARRIVED, Decision.CANCEL):
            with pytest.raises(UsageError, match=r"is cancelled: .* is not a decision on it"):
                client.resolve(second.msg_id, decision, reason=REASON)


@pytest.mark.parametrize("half", [0, 1])
def test_what_is_sealed_is_held_back_by_a_person_and_the_other_half_goes(desk: Desk, half: int) -> None:
    """G2: stopping cron is no decision. It is taken back under the ids that the bus never saw (G3)."""
    held = desk.sent(NOT_SENT)[half]
    with desk.client() as client:
        given_up = client.resolve(held.msg_id, Decision.CANCEL, reason="Feil fil.", by="Kari")
        assert (given_up.submission.shipments[half].state, given_up.exit_code) == (S.CANCELLED, 82)
        assert "kpr-send resend MSGID" in given_up.next_step
        for _ in range(2):
            assert client.submit().submission.shipments[half].state is S.CANCELLED
    assert [one.message_id == held.message_id for one in desk.bus.taken] == [False]
    with desk.client() as client:
        client.resend(held.msg_id, reason="Riktig fil.", by="Kari")
        assert client.submit().sent == 1
    assert desk.bus.taken[-1].message_id == held.message_id
    assert desk.shipment(held.msg_id).state is S.PUBLISHED


def test_a_mistaken_resend_is_held_back(desk: Desk, fhi: Fhi) -> None:
    """The bus had it under other ids: it goes again after FHI's word alone."""
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[0], "2"))
    with desk.client() as client:
        client.wait(timeout=0)
        (again, _) = client.resend(first.msg_id, reason=REASON).submission.shipments
        assert again.state is S.SEALED
        client.resolve(again.msg_id, Decision.CANCEL, reason="Ikke denne.", by="Kari")
        assert client.submit().sent == 0
        assert client.case(again.msg_id).open_to == (Decision.NOT_ARRIVED, Decision.SETTLED)
    assert len(desk.bus.taken) == 2


@pytest.mark.parametrize("write", [str.upper, "{{{}}}".format, " {} ".format])
def test_the_msg_id_may_be_written_as_fhi_writes_it(desk: Desk, write: Callable[[str], str]) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client:
        assert client.case(write(first.msg_id)).shipment == first
        client.resolve(write(first.msg_id), Decision.ARRIVED, reason=REASON)
    assert desk.shipment(first.msg_id).state is S.PUBLISHED


def test_an_unknown_msg_id_is_a_usage_error(desk: Desk) -> None:
    with desk.client() as client, pytest.raises(UsageError, match="Nothing was submitted"):
        client.case("x")
    desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client, pytest.raises(UsageError, match="no shipment with MsgId x"):
        client.resolve("x", Decision.ARRIVED, reason=REASON)


@pytest.mark.parametrize("reason", ["", "  "])
def test_without_a_reason_nothing_is_decided(desk: Desk, reason: str) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client, pytest.raises(UsageError, match="reason"):
        client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason=reason)
    assert desk.shipment(first.msg_id) == first


def test_a_decision_on_what_has_changed_since_it_was_looked_at_is_refused(desk: Desk) -> None:
    """G1: two persons, the same answer from FHI; the second would release what was sent again meanwhile."""
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client:
        seen = client.case(first.msg_id)
        client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason=REASON, seen=seen)
        client.submit()
        with pytest.raises(UsageError, match="Something happened"):
            client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason=REASON, seen=seen)
        client.submit()
    assert len(desk.bus.taken) == 3


def test_what_was_replaced_may_not_go_again(desk: Desk) -> None:
    """G1: the old extract must not arrive after the new one."""
    first, second = desk.sent(ACCEPTED, ACCEPTED)
    desk.kommune.new_extract()
    with desk.client() as client:
        with pytest.raises(InDoubt, match=second.msg_id):
            client.submit(replaces=first.submission_id, reason=REASON)
        for shipment in (first, second):
            client.resolve(shipment.msg_id, Decision.CANCEL, reason=REASON)
        newer = client.submit(replaces=first.submission_id, reason=REASON).submission
        assert Decision.NOT_ARRIVED not in client.case(first.msg_id).open_to
        with pytest.raises(UsageError, match=newer.submission_id):
            client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason=REASON)


def test_looking_needs_no_lock_and_deciding_does(desk: Desk) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    with JournalLock.acquire(desk.kommune.journal, now=lambda: datetime.now(UTC)), desk.client() as client:
        assert client.case(first.msg_id).shipment == first
        with pytest.raises(JournalLocked):
            client.resolve(first.msg_id, Decision.ARRIVED, reason=REASON)


def test_what_a_killed_run_left_behind_is_in_doubt_when_it_is_looked_at(desk: Desk) -> None:
    desk.bus.outcomes.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt), desk.client() as client:
        client.submit()
    with desk.client() as client:
        report = client.status()
        assert report is not None
        case = client.case(report.submission.shipments[0].msg_id)
    assert case.shipment.state is S.IN_DOUBT
    assert [attempt.ended is not None for attempt in case.attempts] == [True]


def test_the_text_for_fhi_finds_the_message_and_names_no_person(desk: Desk, fhi: Fhi) -> None:
    """G6. The values are those of the sealed message itself."""
    first, second = desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client:
        client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason="Ola Nordmann ringte", by="Kari Nordmann")
        client.submit()
        text = letter(client.case(first.msg_id))
    sealed = fhi.hodemelding(desk.bus.taken[0])
    wanted = (
        "kpr@fhi.no",
        sealed.msg_id,
        "KPR_IPL (fagmelding), rapporteringsåret 2024",
        "9999",
        str(sealed.sender.service_her_id),
        str(sealed.receiver.service_her_id),
        f"{sealed.generated_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "uten svar fra bussen; ",
        "bussen svarte accepted",
        first.message_id,
        first.sealed_sha256,
        f"{first.sealed_bytes:,} byte".replace(",", " "),
        f"KPR_IDE (identmelding), MsgId {second.msg_id}: sendt, uten kvittering",
    )
    assert [one for one in wanted if one not in text] == []
    assert "Nordmann" not in text
