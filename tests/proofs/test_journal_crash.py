"""G1, G2: what a killed process leaves is what it had committed, and the next run knows what that means."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kpr_sender.journal.lock import JournalLock
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment
from kpr_sender.states import ShipmentState
from tests.journal.builders import Clock, content_of, open_journal, replayed

ROOT = Path(__file__).resolve().parents[2]
_RUN = """
import os, signal, sys
from pathlib import Path
from kpr_sender.journal.lock import JournalLock
from kpr_sender.states import Cause, ReceiptStatus
from tests.journal.builders import *
path, stop = Path(sys.argv[1]), sys.argv[2]
def at(point):
    if point == stop:
        os.kill(os.getpid(), signal.SIGKILL)
def half():
    yield b"x" * 2500
    at("sealing")
    yield b"x" * 2500
lock = JournalLock.acquire(path, now=Clock())
journal = open_journal(path)
at("opened")
halves = {"sealed": half()} if stop == "sealing" else {}
pair = (new_shipment(MessageType.KPR_IPL, msg_id="m-ipl"), new_shipment(MessageType.KPR_IDE, msg_id="m-ide", **halves))
journal.create(new_submission(shipments=pair))
at("created")
journal.begin_publish("m-ipl")
at("publishing")
journal.end_publish("m-ipl", Cause.ACCEPTED, evidence={}, error=None)
at("published")
add_verified(journal, "m-ipl", ReceiptStatus.OK, sealed=b"answer")
at("delivered")
"""
S = ShipmentState


@pytest.mark.parametrize(
    ("stop", "left", "recovered"),
    [
        ("opened", None, None),
        ("sealing", None, None),
        ("created", S.SEALED, S.SEALED),
        ("publishing", S.PUBLISHING, S.IN_DOUBT),
        ("published", S.PUBLISHED, S.PUBLISHED),
        ("delivered", S.DELIVERED, S.DELIVERED),
    ],
)
def test_sigkill(tmp_path: Path, stop: str, left: ShipmentState | None, recovered: ShipmentState | None) -> None:
    path = tmp_path / "journal.db"
    ran = subprocess.run(
        [sys.executable, "-c", _RUN, path, stop],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    view = SqliteJournal.open_readonly(path, Environment.LOKAL)
    assert view is not None
    with view:
        seen = view.submissions()
    with JournalLock.acquire(path, now=Clock()), open_journal(path) as journal:
        before = journal.submissions()
        assert before == seen
        if left is None or recovered is None:
            assert before == ()
            assert journal.recover() == ()
            return
        ipl, ide = before[0].shipments
        assert (ipl.state, ide.state) == (left, S.SEALED)
        assert replayed(journal.events(None)) == {"m-ipl": left, "m-ide": S.SEALED}
        events = journal.events("m-ide")

        assert journal.recover() == (("m-ipl",) if left is S.PUBLISHING else ())

        ipl_now, ide_now = journal.submissions()[0].shipments
        assert ipl_now.state is recovered
        assert (ipl_now.attempts, ipl_now.published_at, ipl_now.receipts) == (
            ipl.attempts,
            ipl.published_at,
            ipl.receipts,
        )
        assert ide_now == ide
        assert journal.events("m-ide") == events
        for msg_id in ("m-ipl", "m-ide"):
            assert journal.sealed(msg_id) == content_of(msg_id, 5000)
        assert replayed(journal.events(None)) == {"m-ipl": recovered, "m-ide": S.SEALED}
