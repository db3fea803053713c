"""The figures of a run: what the journal says, and what the last run's file carried on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kpr_sender.errors import BusUnreachable
from kpr_sender.model import Environment, MessageType
from kpr_sender.operator.certificates import CertificateInUse
from kpr_sender.operator.metrics import Before, RunFigures, certificates_looked_at
from kpr_sender.operator.notices import Situation
from kpr_sender.states import ReceiptStatus, ShipmentState
from kpr_sender.texts import Text
from tests.helpers import seid_pki
from tests.helpers.submissions import AT, pair, receipt, shipment, told
from tests.helpers.tenor import TENOR_ID
from tests.operator.test_notices import DAY, situation

S = ShipmentState
LOKAL = Environment.LOKAL


def figures(code: int | None, known: Situation | None, *, before: Before, later: timedelta = timedelta()) -> Before:
    run = RunFigures(LOKAL, code, AT + later, known, 0, before)
    return {one.name: dict(one.values) for one in run.figures() if one.values}


def test_runs_are_counted_on_and_the_last_success_stays_until_the_next() -> None:
    first = figures(80, None, before={})
    second = figures(83, None, before=first, later=DAY)
    by_hand = figures(None, None, before=second, later=2 * DAY)
    assert first["kpr_runs_total"] == {("80", "lokal"): 1.0}
    assert second["kpr_runs_total"] == by_hand["kpr_runs_total"] == {("80", "lokal"): 1.0, ("83", "lokal"): 1.0}
    assert second["kpr_last_run_exit_code"] == by_hand["kpr_last_run_exit_code"] == {("lokal",): 83.0}
    for one in (first, second, by_hand):
        assert one["kpr_last_success_timestamp_seconds"] == {("lokal",): AT.timestamp()}
        assert "kpr_delivered" not in one  # the journal could not be read
    others = {("0", "produksjon"): 5.0, (TENOR_ID, "lokal"): 1.0, ("0",): 1.0}
    assert figures(0, None, before={"kpr_runs_total": others})["kpr_runs_total"] == {("0", "lokal"): 1.0}


def test_shipments_receipts_and_the_deadline_are_those_of_the_journal() -> None:
    half = shipment(
        MessageType.KPR_IPL,
        S.REJECTED,
        receipts=(
            receipt(verified=True, status=ReceiptStatus.REJECTED),
            receipt(verified=False, status=ReceiptStatus.OK),
            receipt(verified=True, status=ReceiptStatus.OK_WITH_ERRORS),
        ),
    )
    found = figures(81, situation(told(pair(half, S.PUBLISHED)), later=DAY), before={}, later=DAY)
    assert found["kpr_shipment_state"] == {
        ("lokal", "rejected", "2024-1", "KPR_IPL"): 1.0,
        ("lokal", "published", "2024-1", "KPR_IDE"): 1.0,
    }
    assert set(found["kpr_shipment_age_seconds"].values()) == {DAY.total_seconds()}
    assert found["kpr_submission_exit_code"] == {("lokal", "2024-1", "2024"): 81.0}
    assert found["kpr_receipts"] == {
        ("lokal", "ok"): 0.0,
        ("lokal", "rejected"): 1.0,
        ("lokal", "ok_with_errors"): 1.0,
        ("lokal", "unverified"): 1.0,
    }
    assert found["kpr_days_to_deadline"] == {("lokal", "2024"): 299.0}
    assert found["kpr_delivered"] == {("lokal", "2024"): 0.0}
    done = figures(0, situation(told(pair(S.DELIVERED, S.DELIVERED))), before={})
    assert done["kpr_delivered"] == {("lokal", "2024"): 1.0}


def test_certificates_are_carried_on_where_they_were_not_looked_at_or_could_not_be() -> None:
    ends = AT + 40 * DAY
    certificate = seid_pki.new_root().issue(valid=(AT - DAY, ends))
    ours, bus = (
        CertificateInUse("ours for signing", "", certificate),
        CertificateInUse("the bus's TLS", "", certificate),
    )
    away = CertificateInUse("the bus's TLS", "", error=BusUnreachable(Text("Away.")))

    first = figures(0, situation(certificates=(ours, bus)), before={})
    second = figures(0, situation(later=DAY), before=first, later=DAY)
    third = figures(0, situation(certificates=(away,), later=2 * DAY), before=second, later=2 * DAY)
    both = {("lokal", "ours for signing"), ("lokal", "the bus's TLS")}
    assert first["kpr_certificate_days_left"] == dict.fromkeys(both, 40.0)
    assert second["kpr_certificate_days_left"] == dict.fromkeys(both, 39.0)
    assert third["kpr_certificate_days_left"] == {("lokal", "the bus's TLS"): 38.0}
    assert certificates_looked_at(second, LOKAL) == AT
    assert certificates_looked_at(third, LOKAL) == AT + 2 * DAY
    assert certificates_looked_at({}, LOKAL) is None
    planted: Before = {"kpr_certificate_not_after_timestamp_seconds": {("lokal", TENOR_ID): 1.0}}
    assert "kpr_certificate_days_left" not in figures(0, situation(), before=planted)


@pytest.mark.parametrize("at", [1e300, -1e18, 1e13])
def test_a_time_that_is_none_counts_as_never(at: float) -> None:
    before: Before = {"kpr_certificates_looked_at_timestamp_seconds": {("lokal",): at}}
    assert certificates_looked_at(before, Environment.LOKAL) is None
