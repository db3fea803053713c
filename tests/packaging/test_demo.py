"""``make demo``: the main job as somebody sees it who has just met the product. Run twice, it sends once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.repository import ROOT


def make_demo(folder: Path) -> str:
    """Run the Makefile's own recipe in another folder, with the Python and kpr-send that run the tests."""
    told = subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), "-o", "setup-demo", f"RUN={Path(sys.executable).parent}", "demo"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the configurations and nothing else."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


def test_g1_a_second_run_sends_nothing_and_says_why(checkout: Path) -> None:
    first = make_demo(checkout)
    assert "delivered" in first
    assert first.count("receipt ") == 2
    assert str(checkout / ".demo" / "journal.db") in first
    assert str(checkout / ".demo" / "receipts") in first
    second = make_demo(checkout)
    assert "nothing was sent by this run" in second.lower()
    ledger = (checkout / ".demo" / "sandbox" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["type"] for line in ledger) == ["KPR_IDE", "KPR_IPL"]
