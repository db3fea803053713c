"""Exit code, text and JSON come from the journal's rows alone and never disagree (G5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from kpr_sender.errors import BY_CODE, ERRORS, EXIT_OK, KprError, LastError, Overdue
from kpr_sender.model import MessageType, Submission, SubmissionState
from kpr_sender.states import ShipmentState
from tests.helpers.submissions import pair, receipt, shipment, told

S = ShipmentState


def exit_code_of(submission: Submission) -> int:
    return told(submission).exit_code


EXIT_CODES = [
    (S.DELIVERED, S.DELIVERED, 0),
    (S.SEALED, S.SEALED, 90),
    (S.PUBLISHED, S.SEALED, 90),
    (S.DELIVERED, S.SEALED, 90),
    (S.DELIVERED_WITH_ERRORS, S.SEALED, 82),
    (S.PUBLISHED, S.PUBLISHED, 80),
    (S.DELIVERED, S.PUBLISHED, 80),
    (S.REJECTED, S.REJECTED, 81),
    (S.REJECTED, S.PUBLISHED, 81),
    (S.REJECTED, S.SEALED, 81),
    (S.FAULTED, S.FAULTED, 81),
    (S.DELIVERED, S.REJECTED, 82),
    (S.DELIVERED, S.FAULTED, 82),
    (S.DELIVERED, S.CANCELLED, 82),
    (S.DELIVERED, S.DELIVERED_WITH_ERRORS, 82),
    (S.DELIVERED_WITH_ERRORS, S.PUBLISHED, 82),
    (S.CANCELLED, S.CANCELLED, 82),
    (S.IN_DOUBT, S.DELIVERED, 83),
    (S.IN_DOUBT, S.REJECTED, 83),
    (S.PUBLISHING, S.SEALED, 83),
]


@pytest.mark.parametrize(("first", "second", "code"), EXIT_CODES)
def test_the_worst_shipment_decides(first: ShipmentState, second: ShipmentState, code: int) -> None:
    assert exit_code_of(pair(first, second)) == code
    assert exit_code_of(pair(second, first)) == code


@pytest.mark.parametrize(("first", "second"), list(product(ShipmentState, repeat=2)))
def test_every_pair_has_one_answer_and_only_two_deliveries_are_success(
    first: ShipmentState, second: ShipmentState
) -> None:
    report = told(pair(first, second))
    assert (report.exit_code == EXIT_OK) == (first is second is S.DELIVERED)
    assert (report.error is None) == (report.exit_code == EXIT_OK)
    assert report.as_json()["exit_code"] == report.exit_code
    assert report.as_json()["state"] == report.submission.state.value
    if report.error is not None:
        assert report.text() == f"TEST validering: {report.error}"
        with pytest.raises(type(report.error)):
            report.raise_for_state()


@pytest.mark.parametrize("state", [S.SEALED, S.PUBLISHED])
def test_a_receipt_that_is_not_believed_shows_until_a_better_one_comes(state: ShipmentState) -> None:
    doubted = receipt(verified=False, problem="it is signed by another certificate")
    open_pair = pair(shipment(MessageType.KPR_IPL, state, receipts=(doubted,)), S.DELIVERED)
    assert exit_code_of(open_pair) == 76
    assert "another certificate" in told(open_pair).text()
    settled = pair(shipment(MessageType.KPR_IPL, S.DELIVERED, receipts=(doubted, receipt(verified=True))), S.DELIVERED)
    assert exit_code_of(settled) == 0


def test_a_contradiction_is_never_success() -> None:
    contradicted = shipment(MessageType.KPR_IPL, S.DELIVERED, receipts=(receipt(verified=True),), needs_person=True)
    assert exit_code_of(pair(contradicted, S.DELIVERED)) == 82


@pytest.mark.parametrize("error", [BY_CODE[code] for code in ("access-refused", "config-invalid", "input-refused")])
def test_what_stopped_a_sealed_shipment_gives_the_exit_code(error: type[KprError]) -> None:
    stopped = shipment(MessageType.KPR_IPL, S.SEALED, last_error=LastError(error.code, "The broker said no."))
    assert exit_code_of(pair(stopped, S.SEALED)) == error.exit_code


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("first", "second", "code_in_time", "code_late"),
    [
        (S.PUBLISHED, S.PUBLISHED, 80, 84),
        (S.DELIVERED, S.PUBLISHED, 80, 84),
        (S.IN_DOUBT, S.PUBLISHED, 83, 83),
        (S.SEALED, S.PUBLISHED, 90, 84),
        (S.REJECTED, S.PUBLISHED, 81, 81),
        (S.DELIVERED_WITH_ERRORS, S.PUBLISHED, 82, 82),
        (S.DELIVERED, S.DELIVERED, 0, 0),
    ],
)
def test_overdue_is_what_was_published_long_ago_and_nothing_worse(
    first: ShipmentState, second: ShipmentState, code_in_time: int, code_late: int
) -> None:
    submission = pair(first, second)
    ages = {-8760 * HOUR: code_in_time, 0 * HOUR: code_in_time, 24 * HOUR: code_in_time}
    ages |= {24 * HOUR + timedelta(seconds=1): code_late, 8760 * HOUR: code_late}
    assert {later: told(submission, later=later).exit_code for later in ages} == ages


def test_overdue_says_whom_to_ask_before_anything_else_and_why_the_bus_s_word_is_not_enough() -> None:
    report = told(pair(S.DELIVERED, S.PUBLISHED), later=30 * HOUR)
    assert isinstance(report.error, Overdue)
    assert report.as_json()["exit_code"] == report.exit_code == Overdue.exit_code
    for part in ("Do not send again", "kpr@fhi.no", "resolve", "cannot route", "msg-KPR_IDE", "more than 24h"):
        assert part in report.text()
    assert "msg-KPR_IPL" not in report.text()


def test_what_keeps_receipts_from_being_fetched_comes_before_overdue() -> None:
    stopped = shipment(MessageType.KPR_IPL, S.PUBLISHED, last_error=LastError("access-refused", "The login."))
    assert told(pair(stopped, S.PUBLISHED), later=30 * HOUR).exit_code == 77


def test_each_exit_code_has_its_class_and_each_class_one_stable_code() -> None:
    codes = [error.exit_code for error in ERRORS]
    assert codes == [1, 64, 65, 66, 69, 69, 69, 70, 73, 76, 76, 77, 77, 78, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90]
    assert len({error.code for error in ERRORS}) == len(ERRORS)


def test_a_submission_without_shipments_is_no_submission() -> None:
    with pytest.raises(ValueError, match="at least one"):
        SubmissionState.of(())


@pytest.mark.parametrize(("hours", "said"), [(25, "from 96 hours on"), (97, "After 96 hours without AppRec")])
def test_overdue_says_what_96_hours_mean_nationally(hours: int, said: str) -> None:
    report = told(pair(ShipmentState.PUBLISHED, ShipmentState.PUBLISHED), later=timedelta(hours=hours))

    assert isinstance(report.error, Overdue)
    assert said in report.text()
    assert "counts nationally as not accepted" in report.text()


@pytest.mark.parametrize(("newer", "code"), [("config-invalid", 82), ("bus-unreachable", 82), (None, 82)])
def test_g5_what_keeps_a_replacement_from_being_sent_outweighs_nothing_that_is_known(
    newer: str | None, code: int
) -> None:
    obstacle = None if newer is None else LastError(newer, "No.")
    waiting = pair(*(shipment(kind, S.SEALED, last_error=obstacle) for kind in MessageType))
    replaced = pair(shipment(MessageType.KPR_IPL, S.REJECTED, needs_person=True), S.CANCELLED)
    assert replace(told(replaced), replacement=told(waiting)).exit_code == code
    assert replace(told(replaced), replacement=told(pair(S.IN_DOUBT, S.SEALED))).exit_code == 83
