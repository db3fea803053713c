"""One order of what counts, and what follows from it for a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from kpr_sender.errors import BY_CODE, ERRORS, ORDER, AccessRefused, ConfigInvalid, InDoubt, LastError, rank, worst
from kpr_sender.model import MessageType
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.submissions import AT, pair, receipt, shipment, told

S = ShipmentState


def test_each_error_has_its_one_place_and_the_order_is_the_promised_one() -> None:
    placed = [error for _, errors in ORDER for error in errors]
    assert sorted(placed, key=lambda error: error.code) == sorted(ERRORS, key=lambda error: error.code)
    assert [sorted({error.exit_code for error in errors}) for _, errors in ORDER] == [
        [1, 64, 65, 66, 69, 70, 73, 76, 78, 85, 86],
        [83],
        [76, 77],
        [82],
        [81],
        [69, 77, 88],
        [84],
        [90],
        [80],
        [87, 89],
    ]


def test_what_keeps_us_from_knowing_never_outweighs_what_is_known() -> None:
    doubt, queue, login = (
        InDoubt(Text("It is not known.")),
        ConfigInvalid(Text("No such queue.")),
        AccessRefused(Text("No login.")),
    )
    assert worst([doubt], [queue]) is doubt
    assert worst([doubt, queue]) is queue, "what stops a run before it knows anything"
    assert worst([None, None], [login, queue]) is login
    assert worst([]) is None
    assert rank(queue) < rank(doubt) < rank(login)


OBSTACLES = ["bus-unreachable", "registry-unreachable", "access-refused", "queue-shared", "config-invalid"]


@pytest.mark.parametrize("code", OBSTACLES)
@pytest.mark.parametrize(("other", "expected"), [(S.IN_DOUBT, 83), (S.REJECTED, 81), (S.DELIVERED_WITH_ERRORS, 82)])
def test_an_obstacle_counts_more_than_overdue_and_says_so_and_less_than_what_is_known(
    code: str, other: ShipmentState, expected: int
) -> None:
    stopped = shipment(MessageType.KPR_IPL, S.PUBLISHED, last_error=LastError(code, "It does not work."))
    late = told(pair(stopped, S.DELIVERED), later=timedelta(hours=30))
    assert late.exit_code == BY_CODE[code].exit_code
    assert "It does not work. Published at 2025-01-10T12:00:00Z, more than 24h ago" in late.text()
    assert told(pair(stopped, other), later=timedelta(hours=30)).exit_code == expected


def test_overdue_since_a_person_s_word_says_so() -> None:
    vouched = replace(shipment(MessageType.KPR_IPL, S.PUBLISHED), arrived_at=AT)
    late = told(pair(vouched, S.DELIVERED), later=timedelta(hours=30)).text()
    assert "A person said that it has arrived at 2025-01-10T12:00:00Z, more than 24h ago" in late
    assert "Published at" not in late


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("its signing certificate: it has expired", "Check the receiver's certificates"),
        ("it is signed with a certificate that cannot be used", "Check the receiver's certificates"),
        ("it is not a sealed message (CMS EnvelopedData): it ends early", "ask for it anew"),
        ("it is signed by the receiver but it is not well-formed XML", "ask for it anew"),
        ("its status is none of 1, 2 and 3", "ask for it anew"),
        ("it is not sealed", "receiver.unsealed_receipts"),
        ("it comes from another HER-id than that of whom we sent to: 5, not 6", "receipts accept 1 "),
    ],
)
def test_what_to_do_about_a_receipt_goes_by_what_is_wrong_with_it(problem: str, said: str) -> None:
    doubted = shipment(MessageType.KPR_IPL, S.PUBLISHED, receipts=(receipt(verified=False, problem=problem),))
    report = told(pair(doubted, S.DELIVERED))
    assert report.exit_code == 76
    assert said in report.next_step
    assert report.next_step.startswith("Do not send again.")


def test_a_certificate_s_role_is_named_once() -> None:
    from kpr_sender.operator.certificates import CertificateInUse  # noqa: PLC0415 - only here
    from kpr_sender.profiles.profile import Deadline  # noqa: PLC0415

    row = CertificateInUse(
        "ours for signing", "p12", error=AccessRefused(Text("It has expired."), where="ours for signing")
    )
    assert row.concern(AT, Deadline(AT.date())) == f"It has expired. {AccessRefused.advice}"
