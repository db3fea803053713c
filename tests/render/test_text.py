"""The screens: a word for every state, status and decision, and nothing hidden from the person who asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from kpr_sender.errors import BusUnreachable
from kpr_sender.model import Environment, MessageType, Shipment
from kpr_sender.operator.resolve import Decision
from kpr_sender.profiles.profile import Deadline
from kpr_sender.render import text
from kpr_sender.report import may_be_reviewed
from kpr_sender.standing import standing
from kpr_sender.states import ReceiptStatus, ShipmentState
from kpr_sender.texts import Text
from tests.helpers.submissions import AT, pair, receipt, shipment, told


def _screen(state: ShipmentState) -> list[str]:
    report = told(pair(state, state))
    return list(text.report_screen(report, journal=Path("journal.db"), receipts=Path("receipts"), remark="A remark."))


@pytest.mark.parametrize("state", ShipmentState, ids=lambda state: state.value)
def test_every_state_has_a_screen_that_ends_with_what_to_do(state: ShipmentState) -> None:
    report, shown = told(pair(state, state)), _screen(state)

    assert (
        sum(standing(shipment).of(shipment) in line for line in shown for shipment in report.submission.shipments[:1])
        == 2
    )
    assert shown[1] == "A remark."
    assert shown[-2] == f"  Exit code   {report.exit_code}"
    assert shown[-1] == f"  What to do  {report.next_step}"


@pytest.mark.parametrize("status", ReceiptStatus)
def test_receipts_are_shown_with_their_copy_and_detail_text(status: ReceiptStatus) -> None:
    one = receipt(verified=True, status=status)
    submission = pair(shipment(MessageType.KPR_IPL, ShipmentState.REJECTED, receipts=(one,)), ShipmentState.PUBLISHED)
    submission_receipts = [(replace(one, msg_id=submission.shipments[0].msg_id), Path("copy.xml"))]

    shown = "\n".join(text.receipts_screen(told(submission), submission_receipts))

    assert text.STATUS_WORDS[status] in shown
    assert "copy.xml" in shown
    assert ("KARI NORDMANN" in shown) == bool(one.errors)
    assert "No receipt yet." in shown


def test_a_receipt_that_failed_verification_says_so() -> None:
    one = receipt(verified=False, problem="the signer is not known")
    shown = told(pair(shipment(MessageType.KPR_IPL, ShipmentState.PUBLISHED, receipts=(one,)), ShipmentState.PUBLISHED))

    lines = list(text.report_screen(shown, journal=Path("j"), receipts=Path("r")))

    assert any("NOT VERIFIED" in line for line in lines)
    assert any("! the signer is not known" in line for line in lines)
    assert list(text.unverified_receipts(shown.submission.shipments[0])) == [
        "Mind: a receipt has come that is not verified: the signer is not known."
    ]


@pytest.mark.parametrize("decision", Decision)
def test_every_decision_is_asked_about_by_name(decision: Decision) -> None:
    asked = shipment(MessageType.KPR_IDE, ShipmentState.IN_DOUBT)

    assert asked.msg_id in text.question(asked, decision)
    assert "identmelding" in text.question(asked, decision)


def test_an_error_says_where_what_to_do_and_what_its_code_means() -> None:
    shown = text.error_text(BusUnreachable(Text("Nothing listens."), where="bus.host"))

    assert shown.splitlines() == [
        "kpr-send: bus.host: Nothing listens.",
        f"  What to do: {BusUnreachable.advice}",
        f"  Exit code 69: {BusUnreachable.meaning}.",
    ]


@pytest.mark.parametrize(
    ("environment", "said"),
    [(Environment.PRODUKSJON, "tilbakemeldingsvisning"), (Environment.VALIDERING, "Nothing: this was a test.")],
)
def test_after_delivery_somebody_must_look_at_the_feedback_view(environment: Environment, said: str) -> None:
    delivered = replace(pair(ShipmentState.DELIVERED, ShipmentState.DELIVERED), environment=environment)

    assert may_be_reviewed(delivered)
    assert said in told(delivered).next_step
    if environment is Environment.PRODUKSJON:
        assert "kpr-send reviewed --by NAME" in told(delivered).next_step


@pytest.mark.parametrize("second", [ShipmentState.REJECTED, ShipmentState.FAULTED, ShipmentState.PUBLISHED])
@pytest.mark.parametrize(
    ("first", "with_fhi"),
    [
        (ShipmentState.DELIVERED, True),
        (ShipmentState.DELIVERED_WITH_ERRORS, True),
        (ShipmentState.REJECTED, False),
        (ShipmentState.CANCELLED, False),
    ],
)
def test_what_a_person_settled_is_reviewed_where_fhi_has_something_of_it(
    first: ShipmentState, second: ShipmentState, *, with_fhi: bool
) -> None:
    def settled(state: ShipmentState, message_type: MessageType) -> Shipment:
        return replace(shipment(message_type, state), settled=state is not ShipmentState.DELIVERED)

    pairs = pair(settled(first, MessageType.KPR_IPL), settled(second, MessageType.KPR_IDE))
    report = told(replace(pairs, environment=Environment.PRODUKSJON))

    assert report.exit_code == 0
    assert may_be_reviewed(report.submission) == with_fhi, "the command goes by the same rule"
    assert ("kpr-send reviewed --by NAME" in report.next_step) == with_fhi
    assert not may_be_reviewed(pair(first, ShipmentState.PUBLISHED)), "its other half is still waited for"


def test_the_deadline_is_shown_and_after_it_what_to_do_while_nothing_is_delivered() -> None:
    def shown(state: ShipmentState, day: date) -> str:
        report = replace(told(pair(state, state)), deadline=Deadline(day))
        return "\n".join(text.report_screen(report, journal=Path("j"), receipts=Path("r")))

    ahead, past = AT.date() + timedelta(days=3), AT.date() - timedelta(days=3)
    assert f"Deadline    it is due by {ahead}, 3 days left" in shown(ShipmentState.SEALED, ahead)
    assert "3 days ago; ask kpr@fhi.no for an extension" in shown(ShipmentState.SEALED, past)
    assert "extension" not in shown(ShipmentState.DELIVERED, past)
