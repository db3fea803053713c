"""Answers to what was let go again: under whichever message-id, to whichever MsgId, in whatever state (G1 to G4)."""

from __future__ import annotations

import pytest

from kpr_sender.bus.port import Outbound
from kpr_sender.inbound.receipt import Handling
from kpr_sender.model import Shipment
from kpr_sender.operator.resolve import Decision
from kpr_sender.states import ReceiptStatus, ShipmentState
from tests.helpers.desk import NO_OUTCOME, NOT_SENT, Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import ACCEPTED, error_queue_message

S = ShipmentState
ASKED = "FHI er spurt."
AFTER = (S.SEALED, S.PUBLISHED, S.IN_DOUBT, S.FAULTED, S.CANCELLED)


def given_up(desk: Desk, fhi: Fhi, *, rejected: bool) -> Outbound:
    """A fagmelding that is faulted or rejected, beside an identmelding that is delivered; its message."""
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    mine, other = desk.bus.taken
    with desk.client() as client:
        client.handle(fhi.answer(mine, "2")[0] if rejected else error_queue_message(mine))
        client.handle(fhi.answer(other)[0])
        client.resend(first.msg_id, reason=ASKED, by="Kari")
    return mine


def brought_to(desk: Desk, shipment: Shipment, state: ShipmentState) -> None:
    """Bring what goes again to a state."""
    if state is not S.SEALED:
        desk.sent(NO_OUTCOME if state in {S.IN_DOUBT, S.CANCELLED} else ACCEPTED)
    with desk.client() as client:
        if state is S.FAULTED:
            client.handle(error_queue_message(desk.bus.taken[-1]))
        if state is S.CANCELLED:
            client.resolve(shipment.msg_id, Decision.CANCEL, reason=ASKED)
    assert desk.shipment(shipment.msg_id).state is state


def status(desk: Desk) -> int:
    with desk.client() as client:
        report = client.status()
    assert report is not None
    return report.exit_code


@pytest.mark.parametrize("state", AFTER)
def test_g1_a_verified_answer_under_an_earlier_message_id_counts_in_every_state(
    desk: Desk, fhi: Fhi, state: ShipmentState
) -> None:
    first = given_up(desk, fhi, rejected=False)
    msg_id = fhi.hodemelding(first).msg_id
    brought_to(desk, desk.shipment(msg_id), state)
    with desk.client() as client:
        assert client.handle(fhi.answer(first)[0]) is Handling.SETTLE
        # What is not signed counts for less, whenever it comes and whichever message-id it names.
        client.handle(error_queue_message(first))
        client.handle(error_queue_message(desk.bus.taken[-1]))
    now = desk.shipment(msg_id)
    assert (now.state, now.needs_person, status(desk)) == (S.DELIVERED, False, 0)
    before = len(desk.bus.published)
    assert desk.sent()[0].state is S.DELIVERED
    assert len(desk.bus.published) == before


@pytest.mark.parametrize("state", AFTER)
def test_g1_another_answer_to_a_msg_id_that_was_given_up_calls_for_a_person_in_every_state(
    desk: Desk, fhi: Fhi, state: ShipmentState
) -> None:
    first = given_up(desk, fhi, rejected=True)
    old = fhi.hodemelding(first).msg_id
    brought_to(desk, desk.shipment(old), state)
    known = desk.shipment(old)
    with desk.client() as client:
        client.handle(fhi.answer(first, "2")[0])  # what is known
        assert desk.shipment(old) == known
        assert client.handle(fhi.answer(first, "1")[0]) is Handling.SETTLE
        numbers = [(one.receipt.msg_id, one.receipt.status) for one in client.receipts()]
    now = desk.shipment(old)
    assert (now.state, now.needs_person, now.msg_id != old) == (state, True, True)
    assert numbers.count((old, ReceiptStatus.OK)) == 1, "it is stored under the MsgId that it answers"
    shown = desk.command("receipts").out
    assert shown.count(f"it answers MsgId {old}, which was given up") == 3, "the rejections are about that, too"
    assert shown.count("! It is about a MsgId that was given up, and contradicts FHI's earlier answer to that.") == 1
    assert "where the shipment is" not in shown
    assert status(desk) == (83 if state is S.IN_DOUBT else 82)
    before = len(desk.bus.published)
    assert desk.sent()[0].state is state
    assert len(desk.bus.published) == before, "not published until a person has decided"


def test_a_contradiction_is_settled_though_the_present_msg_id_has_no_answer_yet(desk: Desk, fhi: Fhi) -> None:
    first = given_up(desk, fhi, rejected=True)
    old = fhi.hodemelding(first).msg_id
    brought_to(desk, desk.shipment(old), S.PUBLISHED)
    with desk.client() as client:
        assert Decision.SETTLED not in client.case(old).open_to, "its answer is waited for"
        client.handle(fhi.answer(first, "1")[0])
        assert client.settle(old, reason=ASKED, by="Kari").exit_code == 0
        # What comes all the same is taken.
        client.handle(fhi.answer(desk.bus.taken[-1], "2")[0])
    assert (desk.shipment(old).state, status(desk)) == (S.REJECTED, 82)


@pytest.mark.parametrize("state", AFTER)
def test_an_error_counts_only_for_the_latest_message_id_and_from_whom_we_sent_to(
    desk: Desk, fhi: Fhi, state: ShipmentState
) -> None:
    first = given_up(desk, fhi, rejected=False)
    msg_id = fhi.hodemelding(first).msg_id
    brought_to(desk, desk.shipment(msg_id), state)
    known = desk.shipment(msg_id)
    latest = error_queue_message(first, originalMessageId=known.message_id)
    with desk.client() as client:
        client.handle(error_queue_message(first))
        assert desk.shipment(msg_id) == known, "about an earlier message-id"
        foreign = error_queue_message(first, originalMessageId=known.message_id, fromHerId="8094866")
        assert client.handle(foreign) is Handling.HOLD
        assert desk.shipment(msg_id) == known, "from somebody else"
        client.handle(latest)
    now = desk.shipment(msg_id)
    assert now.state is (S.CANCELLED if state is S.CANCELLED else S.FAULTED)
    with desk.client() as client:
        client.handle(fhi.answer(first, "3")[0])
    assert desk.shipment(msg_id).state is S.DELIVERED_WITH_ERRORS, "a verified receipt counts for more"


def test_what_was_certainly_not_sent_keeps_its_message_id_and_is_found_by_all_it_had(desk: Desk, fhi: Fhi) -> None:
    first = given_up(desk, fhi, rejected=True)
    old = fhi.hodemelding(first).msg_id
    again = desk.shipment(old)
    desk.sent(NOT_SENT)
    refused = desk.shipment(old)
    assert (refused.state, refused.message_id) == (S.SEALED, again.message_id)
    desk.sent(ACCEPTED)
    assert desk.bus.published[-2:] == [desk.bus.taken[-1]] * 2, "G3: the same bytes under the same ids"
    with desk.client() as client:
        journal = client._app.session.opened()
        assert journal.shipment_by_message_id(first.message_id) == journal.shipment(again.msg_id)
        assert {one.msg_id for one in journal.events(old)} == {old, again.msg_id}
