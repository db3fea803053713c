"""How long a certificate lasts, and from when on a person is warned: one set of limits for all commands."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from kpr_sender.checking import certificates_in_use
from kpr_sender.errors import AccessRefused, BusUnreachable
from kpr_sender.operator.certificates import CertificateInUse
from kpr_sender.operator.check_context import Status
from kpr_sender.profiles.profile import Deadline
from kpr_sender.texts import Text
from tests.helpers import seid_pki
from tests.helpers.municipality import municipality
from tests.helpers.pki import NOW
from tests.helpers.seid_pki import DAY

DEADLINE = Deadline(dt.date(2031, 1, 15))
IN_TIME = DEADLINE.ends


def row(days_left: int) -> CertificateInUse:
    authority = seid_pki.new_root()
    ends = NOW + days_left * DAY + dt.timedelta(hours=1)
    return CertificateInUse("ours for signing", "signing.p12", authority.issue(valid=(NOW - 400 * DAY, ends)))


@pytest.mark.parametrize(
    ("days_left", "text"),
    [(61, ""), (60, ""), (59, "60"), (30, "60"), (29, "30"), (14, "30"), (13, "14"), (7, "14"), (6, "7"), (0, "7")],
)
def test_it_is_warned_of_at_60_30_14_and_7_days(days_left: int, text: str) -> None:
    concern = row(days_left).concern(NOW, Deadline((NOW - DAY).date()))
    assert concern == (text and f"It ends within {text} days: have the next one ready")
    assert row(days_left).status(NOW, Deadline((NOW - DAY).date())) is (Status.YELLOW if text else Status.GREEN)


def test_one_that_ends_before_the_deadline_is_warned_of_however_long_it_lasts() -> None:
    deadline = Deadline((NOW + 200 * DAY).date())
    assert row(198).concern(NOW, deadline) == f"It ends before the deadline, {deadline.day}: have the next one ready"
    assert row(202).concern(NOW, deadline) == ""
    assert "and it ends within 30 days" in row(20).concern(NOW, deadline)


def test_the_whole_last_day_counts() -> None:
    def ends(at: dt.datetime) -> int | None:
        valid = (at - 400 * DAY, at)
        return CertificateInUse("", "", seid_pki.new_root().issue(valid=valid)).days_left_at(DEADLINE)

    assert ends(IN_TIME) == 0
    assert ends(IN_TIME - dt.timedelta(seconds=1)) == -1


def test_what_is_not_known_is_no_reason_for_an_alarm() -> None:
    away = CertificateInUse("the bus's TLS", "", error=BusUnreachable(Text("It is away.")))
    expired = CertificateInUse("the bus's TLS", "", error=AccessRefused(Text("It is expired.")))
    assert (away.is_unknown, away.status(NOW, DEADLINE)) == (True, Status.YELLOW)
    assert (expired.is_unknown, expired.status(NOW, DEADLINE)) == (False, Status.RED)


def test_all_are_collected_in_the_order_of_their_use(tmp_path: Path) -> None:
    found = certificates_in_use(municipality(tmp_path).configure(), now=lambda: NOW, observe=lambda _event: None)
    assert [each.role for each in found] == [
        "ours for signing",
        "ours for decryption",
        "FHI's for encryption",
        "FHI's for signing",
        "the bus's TLS",
    ]
