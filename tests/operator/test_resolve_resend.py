"""After a fault, a rejection or a cancellation: the same content again, by a person's word only (G1 to G3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpr_sender.bus.port import Outbound, Outcome
from kpr_sender.errors import InputMissing, InputRefused, UsageError
from kpr_sender.model import Shipment
from kpr_sender.operator.resolve import Decision
from kpr_sender.report import Report
from kpr_sender.states import ShipmentState
from tests.helpers.desk import NO_OUTCOME, NOT_SENT, Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import ACCEPTED, error_queue_message

S = ShipmentState
REASON = "FHI har rettet sertifikatet."


def faulted(desk: Desk, fhi: Fhi) -> Shipment:
    """A pair of which the fagmelding is faulted and the identmelding delivered."""
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    desk.bus.inbox.append(error_queue_message(desk.bus.taken[0]))
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[1]))
    with desk.client() as client:
        assert client.wait(timeout=0).exit_code == 82
    return desk.shipment(first.msg_id)


def rejected(desk: Desk, fhi: Fhi) -> Shipment:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[0], "2") + fhi.answer(desk.bus.taken[1]))
    with desk.client() as client:
        assert client.wait(timeout=0).exit_code == 82
    return desk.shipment(first.msg_id)


def resent(desk: Desk, shipment: Shipment, **more: object) -> Report:
    with desk.client() as client:
        return client.resend(shipment.msg_id, reason=REASON, by="Kari", **more)  # type: ignore[arg-type]  # a test names them


def sent_now(desk: Desk) -> list[Outbound]:
    before = len(desk.bus.taken)
    with desk.client() as client:
        client.submit()
        client.submit()
    return desk.bus.taken[before:]


def test_a_faulted_half_goes_again_under_its_msg_id_and_another_message_id(desk: Desk, fhi: Fhi) -> None:
    first = faulted(desk, fhi)
    report = resent(desk, first)
    now = desk.shipment(first.msg_id)
    assert (now.state, report.exit_code, now.last_error) == (S.SEALED, 90, None)
    assert [(one.msg_id, one.message_id) for one in now.earlier] == [(first.msg_id, first.message_id)]
    (message,) = sent_now(desk)
    assert (message.message_id, message.envelope.correlation_id) == (now.message_id, now.message_id)
    assert message.message_id != first.message_id
    before, after = fhi.hodemelding(desk.bus.taken[0]), fhi.hodemelding(message)
    assert (after.msg_id, after.generated_at) == (before.msg_id, before.generated_at)
    desk.bus.inbox.extend(fhi.answer(message))
    with desk.client() as client:
        assert client.wait(timeout=0).exit_code == 0
        (event,) = client.case(first.msg_id).decided
    assert (event.what, event.why, event.who) == ("person-resends", REASON, "Kari")


def test_a_rejected_half_goes_again_under_new_ids_and_both_are_found(desk: Desk, fhi: Fhi) -> None:
    first = rejected(desk, fhi)
    report = resent(desk, first)
    now = report.submission.shipments[0]
    assert (now.state, report.exit_code, now.receipts) == (S.SEALED, 90, ())
    assert now.msg_id != first.msg_id
    assert desk.shipment(first.msg_id) == desk.shipment(now.msg_id) == now
    (message,) = sent_now(desk)
    assert fhi.hodemelding(message).msg_id == now.msg_id
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[0], "2"))
    with desk.client() as client:
        assert client.wait(timeout=0).exit_code == 80, "the answer that was known changes nothing"
    desk.bus.inbox.extend(fhi.answer(message))
    with desk.client() as client:
        assert client.wait(timeout=0).exit_code == 0
        assert {one.receipt.msg_id for one in client.receipts()} >= {first.msg_id, now.msg_id}


def test_another_answer_to_a_msg_id_that_was_given_up_keeps_the_second_from_being_sent(desk: Desk, fhi: Fhi) -> None:
    """G1: FHI rejects, and then says that it has the first all the same."""
    first = rejected(desk, fhi)
    resent(desk, first)
    with desk.client() as client:
        client.handle(fhi.answer(desk.bus.taken[0], "1")[0])
    assert sent_now(desk) == []
    now = desk.shipment(first.msg_id)
    assert (now.state, now.needs_person) == (S.SEALED, True)
    with desk.client() as client:
        assert client.case(now.msg_id).open_to == (Decision.NOT_ARRIVED, Decision.CANCEL)
        with pytest.raises(UsageError, match="--again"):
            client.resolve(now.msg_id, Decision.NOT_ARRIVED, reason=REASON)
        report = client.resolve(now.msg_id, Decision.NOT_ARRIVED, reason=REASON, again=True)
        assert report.exit_code == 90
    assert len(sent_now(desk)) == 1


@pytest.mark.parametrize("when", ["sealed", "published"])
def test_a_late_receipt_under_the_first_message_id_counts_whenever_it_comes(desk: Desk, fhi: Fhi, when: str) -> None:
    """G1: it is never published after that."""
    first = faulted(desk, fhi)
    resent(desk, first)
    if when == "published":
        assert len(sent_now(desk)) == 1
    with desk.client() as client:
        client.handle(fhi.answer(desk.bus.taken[0])[0])
    assert desk.shipment(first.msg_id).state is S.DELIVERED
    assert sent_now(desk) == []
    with desk.client() as client:
        client.handle(error_queue_message(desk.bus.taken[-1]))
        report = client.status()
    assert report is not None
    assert report.exit_code == 0, "what is not signed counts for less"


def test_an_error_about_the_first_message_id_counts_no_more(desk: Desk, fhi: Fhi) -> None:
    first = faulted(desk, fhi)
    resent(desk, first)
    with desk.client() as client:
        client.handle(error_queue_message(desk.bus.taken[0], errorCondition="abuse:spoofing-attack"))
    assert desk.shipment(first.msg_id).state is S.SEALED
    assert len(sent_now(desk)) == 1


def test_an_error_from_another_her_id_is_none(desk: Desk) -> None:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    with desk.client() as client:
        assert client.handle(error_queue_message(desk.bus.taken[0], fromHerId="8094866")) == "hold"
    assert desk.shipment(first.msg_id).state is S.PUBLISHED


@pytest.mark.parametrize("outcome", [None, NOT_SENT], ids=["never offered", "certainly not sent"])
def test_what_the_bus_never_had_is_sealed_anew_under_the_same_ids(
    desk: Desk, fhi: Fhi, outcome: Outcome | None
) -> None:
    first, second = desk.sent(outcome or NOT_SENT)
    given_up = first if outcome else second
    with desk.client() as client:
        journal = client._app.session.opened()
        client._app.session.opened().decide(given_up.msg_id, Decision.CANCEL.cause, reason="Feil fil.", by="Kari")
        assert journal.shipment(given_up.msg_id) is not None
        with pytest.raises(UsageError, match="not a decision"):
            client.resolve(given_up.msg_id, Decision.NOT_ARRIVED, reason=REASON)
    resent(desk, given_up)
    now = desk.shipment(given_up.msg_id)
    assert (now.msg_id, now.message_id) == (given_up.msg_id, given_up.message_id)
    assert now.sealed_sha256 != given_up.sealed_sha256
    assert len(sent_now(desk)) == 2
    assert fhi.hodemelding(desk.bus.taken[0]).msg_id == first.msg_id


def test_what_is_cancelled_after_the_bus_may_have_had_it_goes_again_after_fhis_word_only(desk: Desk) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client:
        client.resolve(first.msg_id, Decision.CANCEL, reason=REASON)
        with pytest.raises(UsageError, match="--not-arrived"):
            client.resend(first.msg_id, reason=REASON)
        client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason=REASON)
    (message,) = sent_now(desk)
    assert message.message_id != first.message_id


def test_only_the_very_file_goes_again(desk: Desk, fhi: Fhi, tmp_path: Path) -> None:
    first = faulted(desk, fhi)
    other = tmp_path / "other.xml"
    other.write_bytes(desk.kommune.fagmelding.read_bytes()[:-1] + b" ")
    with pytest.raises(InputRefused, match=first.msg_id) as refused:
        resent(desk, first, file=other)
    assert refused.value.exit_code == 65
    with pytest.raises(InputMissing) as missing:
        resent(desk, first, file=tmp_path / "none.xml")
    assert missing.value.exit_code == 66
    assert desk.shipment(first.msg_id) == first
    same = tmp_path / "same.xml"
    same.write_bytes(desk.kommune.fagmelding.read_bytes())
    assert resent(desk, first, file=same).exit_code == 90


def test_a_second_time_needs_again(desk: Desk, fhi: Fhi) -> None:
    first = faulted(desk, fhi)
    resent(desk, first)
    (message,) = sent_now(desk)
    desk.bus.inbox.append(error_queue_message(message))
    with desk.client() as client:
        client.wait(timeout=0)
    with pytest.raises(UsageError, match="only once more"):
        resent(desk, first)
    assert resent(desk, first, again=True).exit_code == 90
    assert len(sent_now(desk)) == 1


def test_what_is_delivered_published_in_doubt_or_sealed_is_not_resent(desk: Desk, fhi: Fhi) -> None:
    first, second = desk.sent(NO_OUTCOME, ACCEPTED)
    for shipment in (first, second):
        with pytest.raises(UsageError, match="--not-arrived"):
            resent(desk, shipment)
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[1]))
    with desk.client() as client:
        client.wait(timeout=0)
    with pytest.raises(UsageError, match="never sent again"):
        resent(desk, second)


def test_a_person_settles_what_nothing_else_ends(desk: Desk, fhi: Fhi) -> None:
    """The state stays, nobody is called any more, and a later contradiction calls again."""
    first, second = desk.sent(ACCEPTED, ACCEPTED)
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[0], "3") + fhi.answer(desk.bus.taken[1]))
    with desk.client() as client:
        assert client.wait(timeout=0).exit_code == 82
        with pytest.raises(UsageError, match="nothing to decide"):
            client.settle(second.msg_id, reason=REASON)
        report = client.settle(first.msg_id, reason=REASON, by="Kari")
        assert (report.exit_code, report.submission.shipments[0].state) == (0, S.DELIVERED_WITH_ERRORS)
        assert first.msg_id in report.text()
        assert "settled" in report.text()
        (event,) = client.case(first.msg_id).decided
        assert (event.what, event.why, event.who) == ("person-settles", REASON, "Kari")
    with desk.client() as client:
        assert client.submit().exit_code == 0
        client.handle(fhi.answer(desk.bus.taken[0], "2")[0])
        known = client.status()
    assert known is not None
    assert known.exit_code == 82


def test_a_half_pair_is_settled_by_its_lost_half(desk: Desk, fhi: Fhi) -> None:
    first = rejected(desk, fhi)
    with desk.client() as client:
        assert client.settle(first.msg_id, reason=REASON).exit_code == 0


def test_what_is_published_is_settled_only_where_its_answer_cannot_be_verified(desk: Desk, fhi: Fhi) -> None:
    first, second = desk.sent(ACCEPTED, ACCEPTED)
    answers = fhi.answer(desk.bus.taken[1])
    with desk.client() as client:
        with pytest.raises(UsageError, match="not a decision"):
            client.settle(first.msg_id, reason=REASON)
        stranger = fhi.sealed(fhi.apprec(desk.bus.taken[0], "1", "1.0"), signed_by=fhi.key("kommune-signing"))
        client.handle(fhi.inbound(desk.bus.taken[0], stranger))
        client.handle(answers[0])
        assert client.settle(first.msg_id, reason=REASON).exit_code == 0
        assert client.wait(timeout=0).exit_code == 0
        client.handle(fhi.answer(desk.bus.taken[0])[0])
    assert desk.shipment(first.msg_id).state is S.DELIVERED
    assert desk.shipment(second.msg_id).state is S.DELIVERED
