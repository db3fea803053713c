"""Which states a person is told of, and that nothing of it is in the words of another system."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from kpr_sender.errors import AccessRefused, BusUnreachable, LastError
from kpr_sender.model import Environment, MessageType
from kpr_sender.operator.certificates import CertificateInUse
from kpr_sender.operator.notices import SUBMISSION_NOTICES, Notice, Situation, current
from kpr_sender.profiles.profile import Deadline
from kpr_sender.report import Report, Review
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text, as_text
from tests.helpers import seid_pki
from tests.helpers.submissions import AT, pair, receipt, shipment, told
from tests.helpers.tenor import TENOR_ID

S = ShipmentState
DAY = timedelta(days=1)
LONG_OFF = Deadline((AT + 300 * DAY).date())


def situation(
    *reports: Report,
    later: timedelta = timedelta(),
    deadline: Deadline = LONG_OFF,
    certificates: tuple[CertificateInUse, ...] | None = None,
) -> Situation:
    return Situation(reports, 2024, deadline, AT + later, certificates)


def kinds(known: Situation) -> set[str]:
    return {kind for kind, _ in current(known)}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (S.SEALED, S.SEALED, set()),
        (S.PUBLISHING, S.SEALED, set()),
        (S.PUBLISHED, S.PUBLISHED, set()),
        (S.DELIVERED, S.DELIVERED, set()),
        (S.IN_DOUBT, S.DELIVERED, {"in-doubt"}),
        (S.IN_DOUBT, S.REJECTED, {"in-doubt", "rejected"}),
        (S.REJECTED, S.REJECTED, {"rejected"}),
        (S.FAULTED, S.PUBLISHED, {"faulted"}),
        (S.DELIVERED, S.REJECTED, {"rejected", "half-delivered"}),
        (S.DELIVERED, S.CANCELLED, {"half-delivered"}),
        (S.CANCELLED, S.CANCELLED, {"needs-person"}),
        (S.DELIVERED, S.DELIVERED_WITH_ERRORS, {"needs-person"}),
    ],
)
def test_each_state_that_needs_a_person_is_told(first: S, second: S, expected: set[str]) -> None:
    known = told(pair(first, second))
    assert kinds(situation(known)) == expected
    settled = [replace(one, settled=True) for one in known.submission.shipments]
    assert kinds(situation(told(pair(*settled)))) == set()


def test_what_others_keep_from_us_or_leave_unsaid_is_told() -> None:
    late = told(pair(S.DELIVERED, S.PUBLISHED), later=2 * DAY)
    assert kinds(situation(late, later=2 * DAY)) == {"overdue"}
    assert kinds(situation(told(pair(S.DELIVERED, S.PUBLISHED)))) == set()

    doubted = shipment(MessageType.KPR_IPL, S.PUBLISHED, receipts=(receipt(verified=False, problem="it is signed"),))
    assert kinds(situation(told(pair(doubted, S.PUBLISHED)))) == {"answer-unverified"}

    others = shipment(MessageType.KPR_IPL, S.PUBLISHED, last_error=LastError("queue-shared", "3 messages of others."))
    assert kinds(situation(told(pair(others, S.DELIVERED)))) == {"queue-shared"}

    for state in (S.SEALED, S.PUBLISHED):
        refused = shipment(MessageType.KPR_IPL, state, last_error=LastError("access-refused", "The login."))
        assert kinds(situation(told(pair(refused, S.DELIVERED)))) == {"stopped"}
        away = shipment(MessageType.KPR_IPL, state, last_error=LastError("bus-unreachable", "Away."))
        assert kinds(situation(told(pair(away, S.DELIVERED)))) == set()


def test_of_what_is_replaced_only_what_may_still_arrive_is_told() -> None:
    replacement = told(pair(S.DELIVERED, S.DELIVERED))
    replaced = replace(told(pair(S.IN_DOUBT, S.REJECTED)), replacement=replacement)
    assert kinds(situation(replaced)) == {"in-doubt"}


def test_the_feedback_view_is_told_of_after_two_days_in_production_alone_until_somebody_has_looked() -> None:
    answered = [shipment(kind, S.DELIVERED, receipts=(receipt(verified=True),)) for kind in MessageType]
    tested = told(pair(*answered), later=3 * DAY)
    delivered = replace(tested, submission=replace(tested.submission, environment=Environment.PRODUKSJON))
    assert kinds(situation(delivered, later=2 * DAY)) == set()
    assert kinds(situation(delivered, later=2 * DAY + timedelta(seconds=1))) == {"not-reviewed"}
    assert kinds(situation(tested, later=3 * DAY)) == set()
    reviewed = replace(delivered, reviewed=Review(AT, "kari", ""))
    assert kinds(situation(reviewed, later=3 * DAY)) == set()


@pytest.mark.parametrize(
    ("left", "kind"),
    [(15, None), (14, 14), (8, 14), (7, 7), (4, 7), (3, 3), (2, 3), (1, 1), (0, 1), (-1, None)],
)
def test_the_deadline_is_told_of_14_7_3_and_1_days_before_where_not_all_is_delivered(
    left: int, kind: int | None
) -> None:
    deadline = Deadline((AT + left * DAY).date())
    expected = {f"deadline-{kind}"} if kind else set()
    assert kinds(situation(deadline=deadline)) == expected
    assert kinds(situation(told(pair(S.PUBLISHED, S.SEALED)), deadline=deadline)) == expected
    assert kinds(situation(told(pair(S.DELIVERED, S.DELIVERED)), deadline=deadline)) == set()


@pytest.mark.parametrize(
    ("left", "kind"),
    [(70, None), (59, "60"), (29, "30"), (13, "14"), (6, "7")],
)
def test_a_certificate_is_told_of_at_the_days_at_which_it_is_warned_of(left: int, kind: str | None) -> None:
    ends = AT + left * DAY + timedelta(hours=1)
    mine = CertificateInUse("ours for signing", "s.p12", seid_pki.new_root().issue(valid=(AT - 400 * DAY, ends)))
    past = Deadline(date(2025, 1, 1))
    expected = {f"certificate-{kind}"} if kind else set()
    assert kinds(situation(certificates=(mine,), deadline=past)) == expected
    assert kinds(situation(certificates=(replace(mine, counts=False),), deadline=past)) == set()
    refused = replace(mine, error=AccessRefused(Text("Revoked by KARI NORDMANN.")))
    assert kinds(situation(certificates=(refused,))) == {"certificate-refused"}
    away = replace(mine, error=BusUnreachable(Text("It is away.")))
    assert kinds(situation(certificates=(away,), deadline=past)) == expected


def test_no_notice_has_a_word_of_another_system_and_each_names_what_to_run() -> None:
    said = f"KARI NORDMANN, {TENOR_ID}"
    half = shipment(
        MessageType.KPR_IPL,
        S.REJECTED,
        receipts=(receipt(verified=True, problem=said), receipt(verified=False, problem=said)),
        last_error=LastError("queue-shared", said),
        needs_person=True,
    )
    unusable = CertificateInUse(
        "the bus's TLS", said, error=AccessRefused(as_text(said), where=said, next_step=as_text(said))
    )
    known = situation(
        told(pair(half, S.DELIVERED)),
        told(pair(replace(half, state=S.PUBLISHED), replace(half, state=S.IN_DOUBT))),
        later=2 * DAY,
        deadline=Deadline(AT.date() + 3 * DAY),
        certificates=(unusable,),
    )
    notices = current(known).values()
    assert {one.kind for one in notices} >= {"rejected", "half-delivered", "in-doubt", "queue-shared", "overdue"}
    for one in notices:
        assert "NORDMANN" not in f"{one.title} {one.text} {one.subject}"
        assert "130972" not in f"{one.title} {one.text} {one.subject}"
        assert "kpr-send " in one.text
    assert isinstance(next(iter(notices)), Notice)
    assert len({one.kind for one in SUBMISSION_NOTICES}) == len(SUBMISSION_NOTICES)
