"""The one JSON object: its envelope, and what it says of a submission (G5, G6)."""

from __future__ import annotations

import json

import pytest

from kpr_sender.errors import ERRORS, KprError
from kpr_sender.model import MessageType
from kpr_sender.render.json import envelope, receipts_json, report_json
from kpr_sender.states import ReceiptStatus
from kpr_sender.states import ShipmentState as S
from kpr_sender.texts import Text
from tests.helpers.submissions import pair, receipt, shipment, told


@pytest.mark.parametrize("error", ERRORS)
def test_the_exit_code_is_the_errors(error: type[KprError]) -> None:
    assert envelope(error(Text("It failed."), where="bus.host", next_step=Text("Try again.")), own=1) == {
        "schema": 2,
        "exit_code": error.exit_code,
        "error": {"code": error.code, "text": "bus.host: It failed.", "next_step": "Try again."},
        "own": 1,
    }


def test_without_an_error_it_is_0_and_null() -> None:
    assert envelope(None) == {"schema": 2, "exit_code": 0, "error": None}


def test_json_is_schema_2_and_holds_no_detail_text() -> None:
    rejected = shipment(
        MessageType.KPR_IPL, S.REJECTED, receipts=(receipt(verified=True, status=ReceiptStatus.REJECTED),)
    )
    report = told(pair(rejected, S.DELIVERED))
    assert report.error is not None
    whole = report_json(report)
    assert report.as_json() == whole
    assert list(whole) == [
        *("schema", "exit_code", "error", "environment", "submission", "kommunenummer", "year", "state"),
        *("replaced_by", "deadline", "days_left", "reviewed", "answers_to_others", "next_look", "shipments"),
    ]
    assert whole["exit_code"] == report.exit_code == 82
    assert whole["error"] == {
        "code": "needs-person",
        "text": report.error.what,
        "next_step": report.error.next_step,
    }
    assert list(whole["shipments"][0]) == [
        "type",
        "state",
        "msg_id",
        "message_id",
        "transport",
        "earlier",
        "settled",
        "attempts",
        "file",
        "payload_sha256",
        "sealed_sha256",
        "sealed_bytes",
        "published_at",
        "acknowledged_at",
        "arrived_at",
        "certificates",
        "pruned_at",
        "receipt",
        "error_message",
        "noted",
        "last_error",
        "kept_of",
    ]
    assert whole["shipments"][0]["published_at"] == "2025-01-10T12:00:00Z"
    assert whole["shipments"][0]["receipt"]["status"] == 2
    assert whole["shipments"][1]["receipt"] is None
    # G6: OT may name a patient.
    assert "NORDMANN" not in json.dumps(whole)
    assert "NORDMANN" not in repr(rejected)


def test_g6_receipts_have_everything_but_the_detail_text() -> None:
    refused = receipt(verified=True, status=ReceiptStatus.REJECTED)
    report = told(pair(shipment(MessageType.KPR_IPL, S.REJECTED, receipts=(refused,)), S.DELIVERED))

    shown = receipts_json(report, [(refused, None)])

    assert (shown["exit_code"], shown["error"]["code"], shown["state"]) == (82, "needs-person", "partly_delivered")
    assert shown["receipts"][0]["errors"][0]["code"] == "T02"
    assert "NORDMANN" not in json.dumps(shown)
