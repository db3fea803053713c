"""``make demo-fleet``: 12 municipalities are delivered by two workers, and nothing of it is left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.postgres import NO_POSTGRES, programs
from tests.helpers.repository import ROOT


@pytest.mark.nightly
@pytest.mark.skipif(programs() is None, reason=NO_POSTGRES)
def test_it_ends_with_a_table_of_all_delivered_and_leaves_nothing_behind() -> None:
    command = ["make", "-o", "setup-demo", f"RUN={Path(sys.executable).parent}", "demo-fleet"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "12 municipalities: 12 done, 0 under way, 0 for a person to look at." in done.stdout
    assert len(re.findall(r"^\d{4} +EKSEMPEL \d+ +delivered  0 ", done.stdout, re.MULTILINE)) == 12
    assert re.search(r"^The page of all municipalities is http://127\.0\.0\.1:\d+/$", done.stdout, re.MULTILINE)
    workers = re.findall(r"^Worker \d is process (\d+), 2 at once\.$", done.stdout, re.MULTILINE)
    assert len(workers) == 2
    assert not any(Path("/proc", pid).exists() for pid in workers)
    (file,) = re.findall(r"files: (\S+)$", done.stdout, re.MULTILINE)
    assert not Path(file).parent.exists()
