"""When a notice is sent: once when a state begins, once when it ends, never twice a day; again where it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from kpr_sender.errors import AccessRefused, BusUnreachable
from kpr_sender.journal.values import NoticeRecord
from kpr_sender.operator import notice_plan
from kpr_sender.operator.certificates import CertificateInUse
from kpr_sender.profiles.profile import Deadline
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.submissions import AT, pair, told
from tests.operator.test_notices import DAY, situation

S = ShipmentState
DOUBT = (S.IN_DOUBT, S.SEALED)
FINE = (S.SEALED, S.SEALED)
HOUR = timedelta(hours=1)
_NOBODY: frozenset[int] = frozenset()


@dataclass
class Runs:
    """Runs of one municipality, and what they store."""

    addresses: int = 1
    stored: dict[tuple[str, str], NoticeRecord] = field(default_factory=dict)

    def run(
        self,
        states: tuple[S, S],
        later: timedelta,
        *,
        lost: frozenset[int] = _NOBODY,
        unsure: frozenset[int] = _NOBODY,
        killed: bool = False,
        certificates: tuple[CertificateInUse, ...] | None = None,
        deadline: Deadline | None = None,
    ) -> list[tuple[str, set[int]]]:
        """Let a run tell what is due; return the titles with the addresses that they went to."""
        known = replace(situation(told(pair(*states)), later=later), certificates=certificates)
        known = known if deadline is None else replace(known, deadline=deadline)
        records, due = notice_plan.plan(self.stored.values(), known, self.addresses)
        self.store(records)
        self.store(notice_plan.claimed(due, known.now))
        if not killed:
            sent = frozenset(range(1, self.addresses + 1)) - lost - unsure
            self.store(notice_plan.settled(due, sent, unsure, known.now))
        return [(str(one.notice.title), set(one.addresses)) for one in due]

    def store(self, records: Sequence[NoticeRecord]) -> None:
        self.stored |= {(one.kind, one.subject): one for one in records}


def test_a_state_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    runs = Runs()
    assert runs.run(FINE, 0 * HOUR) == []
    assert runs.run(DOUBT, 1 * HOUR) == [("In doubt: 2024-1", {1})]
    assert [runs.run(DOUBT, later) for later in (2 * HOUR, 3 * HOUR, 20 * DAY)] == [[], [], []]
    assert runs.run(FINE, 20 * DAY + HOUR) == [("No longer in doubt: 2024-1", {1})]
    assert [runs.run(FINE, later) for later in (21 * DAY, 22 * DAY)] == [[], []]


def test_a_state_that_comes_and_goes_is_told_of_once_a_day_at_most() -> None:
    runs = Runs()
    assert runs.run(DOUBT, 0 * HOUR) == [("In doubt: 2024-1", {1})]
    assert runs.run(FINE, 1 * HOUR) == [("No longer in doubt: 2024-1", {1})]
    assert [runs.run(states, 2 * HOUR) for states in (DOUBT, FINE, DOUBT)] == [[], [], []]
    assert runs.run(DOUBT, 13 * HOUR) == [("In doubt: 2024-1", {1})]  # past midnight in Norway, and it is so still
    assert runs.run(FINE, 14 * HOUR) == [("No longer in doubt: 2024-1", {1})]
    assert [runs.run(states, 15 * HOUR) for states in (DOUBT, FINE)] == [[], []]


def test_what_could_not_be_sent_is_tried_by_the_next_run_at_that_address_alone() -> None:
    runs = Runs(addresses=3)
    assert runs.run(DOUBT, 0 * HOUR, lost=frozenset({2, 3})) == [("In doubt: 2024-1", {1, 2, 3})]
    assert runs.run(DOUBT, HOUR / 6, lost=frozenset({3})) == [("In doubt: 2024-1", {2, 3})]
    assert runs.run(DOUBT, HOUR / 3) == [("In doubt: 2024-1", {3})]
    assert runs.run(DOUBT, HOUR) == []


def test_what_ended_before_it_could_be_told_is_told_as_over() -> None:
    runs = Runs()
    assert runs.run(DOUBT, 0 * HOUR, lost=frozenset({1})) == [("In doubt: 2024-1", {1})]
    assert runs.run(FINE, 1 * HOUR, lost=frozenset({1})) == [("No longer in doubt: 2024-1", {1})]
    assert runs.run(FINE, 2 * HOUR) == [("No longer in doubt: 2024-1", {1})]
    assert runs.run(FINE, 3 * HOUR) == []


@pytest.mark.parametrize("killed", [False, True], ids=["no answer in time", "killed while it was sent"])
def test_what_may_have_arrived_is_told_again_on_another_day_only(*, killed: bool) -> None:
    runs = Runs(addresses=2)
    assert runs.run(DOUBT, 0 * HOUR, unsure=frozenset({2}), killed=killed) == [("In doubt: 2024-1", {1, 2})]
    assert [runs.run(DOUBT, later) for later in (1 * HOUR, 2 * HOUR)] == [[], []]
    assert runs.run(DOUBT, DAY) == [("In doubt: 2024-1", {1, 2} if killed else {2})]
    assert runs.run(DOUBT, 2 * DAY) == []


def test_each_of_the_days_before_the_deadline_is_told_once_and_none_as_over() -> None:
    runs = Runs()
    deadline = Deadline((AT + 15 * DAY).date())
    days = {left: runs.run(FINE, (15 - left) * DAY, deadline=deadline) for left in range(15, -3, -1)}
    assert {left: one[0][0] for left, one in days.items() if one} == {
        14: "14 days left to report the data of 2024",
        7: "7 days left to report the data of 2024",
        3: "3 days left to report the data of 2024",
        1: "1 day left to report the data of 2024",
    }


def test_a_certificate_that_nobody_could_look_at_is_as_it_was() -> None:
    runs, role = Runs(), "the bus's TLS"
    refused = CertificateInUse(role, "", error=AccessRefused(Text("It is expired.")))
    away, fine = (
        CertificateInUse(role, "", error=BusUnreachable(Text("Away."))),
        CertificateInUse(role, ""),
    )
    told_of = [("A certificate cannot be used: the bus's TLS", {1})]
    assert runs.run(FINE, 0 * DAY, certificates=(refused,)) == told_of
    for day, seen in enumerate((None, (away,), (refused,)), 1):
        assert runs.run(FINE, day * DAY, certificates=seen) == []
    assert runs.run(FINE, 5 * DAY, certificates=(fine,)) == []  # nobody waits for that
    assert runs.run(FINE, 6 * DAY, certificates=(refused,)) == told_of


def test_certificates_are_looked_at_once_a_day_and_again_while_something_about_them_waits() -> None:
    looked = notice_plan.look_at_certificates(AT)
    waiting = NoticeRecord(kind="certificate-7", subject="ours", began_at=AT, waits=frozenset({1}))
    unsure = replace(waiting, unsure=frozenset({1}), tried_at=AT)
    for records, at, expected in (
        ([], AT, False),
        ([looked], AT + HOUR, True),
        ([looked], AT + DAY, False),
        ([looked, waiting], AT + HOUR, False),
        ([looked, unsure], AT + HOUR, True),
    ):
        assert notice_plan.certificates_looked_at(records, at) is expected
