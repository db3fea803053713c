"""A run by mail is killed (SIGKILL) at points all over it, and started again: nothing lost, nothing sent twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.fault_points import FaultPoint, armed
from kpr_sender.operator.resolve import Decision
from kpr_sender.report import Report
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.settings.values import Settings
from kpr_sender.states import ShipmentState
from tests.helpers.edi_municipality import BY_MAIL, account, edi_sandbox
from tests.helpers.municipality import Municipality, municipality
from tests.helpers.nightly import scaled

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed")

_RUNS = 20
_LONGEST_RUN = 30  # seconds


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Municipality, EdiSandbox]]:
    kommune = municipality(tmp_path_factory.mktemp("kommune"))
    with edi_sandbox(kommune) as box:
        yield kommune, box


def _settings(town: tuple[Municipality, EdiSandbox], number: int) -> Settings:
    kommune, box = town
    journal = {"path": f"run-{number}/journal.db", "receipts_dir": f"run-{number}/receipts"}
    Path(kommune.folder, f"run-{number}").mkdir(mode=0o700)
    return kommune.configure({"": BY_MAIL, "edi": account(box), "journal": journal})


def _run(settings: Settings) -> Report:
    with Client(settings) as client:
        client.submit()
        return client.wait(timeout=5)


def _killed_at(settings: Settings, number: int) -> bool:
    """Run in a process of its own, which is killed at its n-th point; return whether it came so far."""
    child = os.fork()
    if child == 0:
        signal.alarm(_LONGEST_RUN)
        left = [number]

        def kill(_: FaultPoint) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with armed(kill):
                _run(settings)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status) or os.WTERMSIG(status) == signal.SIGKILL, "it hung"
    return os.WIFSIGNALED(status)


def _stored(box: EdiSandbox, msg_id: str) -> int:
    """How many envelopes with this MsgId KPR's message server has stored."""
    lines = [line for line in box.ledger.lines() if line.msg_id == msg_id]
    return len({line.message_id for line in lines if line.disposition.startswith(("250", "stored"))})


def _recovered(settings: Settings, box: EdiSandbox) -> Report:
    """Start again; what is in doubt and not with KPR goes by FHI's word, as a person gives it."""
    report = _run(settings)
    with Client(settings) as client:
        for shipment in report.submission.shipments:
            if shipment.state is ShipmentState.IN_DOUBT:
                assert _stored(box, shipment.msg_id) == 0, "what KPR has is found out without a person"
                client.resolve(shipment.msg_id, Decision.NOT_ARRIVED, reason="FHI has none.", by="kari")
    return report if report.exit_code == 0 else _run(settings)


def test_killed_anywhere_and_started_again(town: tuple[Municipality, EdiSandbox]) -> None:
    """Points are spread over the whole run, first to last; at night over more of them."""
    _, box = town
    points: list[FaultPoint] = []
    with armed(points.append):
        assert _run(_settings(town, 0)).exit_code == 0
    assert {FaultPoint.BEFORE_TRANSFER, FaultPoint.AFTER_OUTCOME, FaultPoint.BEFORE_SETTLE} <= set(points)
    runs = min(scaled(_RUNS), len(points))
    killed = lost = duplicated = 0
    for number in range(1, runs + 1):
        settings = _settings(town, number)
        killed += _killed_at(settings, round(number * len(points) / runs) or 1)
        report = _recovered(settings, box)
        lost += sum(one.state is not ShipmentState.DELIVERED for one in report.submission.shipments)
        duplicated += sum(_stored(box, one.msg_id) > 1 for one in report.submission.shipments)
    assert (lost, duplicated) == (0, 0)
    assert killed >= runs * 3 // 4, "the others came to fewer points than the first run"
    assert box.unacknowledged() == ()
