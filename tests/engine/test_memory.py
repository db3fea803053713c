"""A large payload is never held in memory between file and sealed bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.municipality import municipality

MEGABYTES = 200
ALLOWED_GROWTH_KB = 60 * 1024

PROGRAM = """
import resource, sys
from pathlib import Path
from kpr_sender.client import Client
from kpr_sender.errors import BusUnreachable
from kpr_sender.model import Environment
from kpr_sender.settings import load
from tests.helpers.memory_bus import MemoryBus

bus = MemoryBus()
bus.connect_error = BusUnreachable("Not in this test.")

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

with Client(load(Path(sys.argv[1]), Environment.LOKAL, environ={}), bus=bus) as client:
    before = peak()
    try:
        client.submit()
    except BusUnreachable:
        print(client.status().submission.shipments[0].sealed_bytes, peak() - before)
"""


@pytest.mark.slow
def test_200_mb_from_file_to_journal_in_flat_memory(tmp_path: Path) -> None:
    kommune = municipality(tmp_path)
    kommune.configure({"limits": {"refuse_bytes": 1_000_000_000}})
    head, person, tail = kommune.fagmelding.read_bytes().partition(b"</PERSON>\n")
    filler = b'<PERSON pePeID="7"><peKjonn>K</peKjonn></PERSON>\n' * 20_000
    with kommune.fagmelding.open("wb") as file:
        file.write(head + person)
        while file.tell() < MEGABYTES * 1_000_000:
            file.write(filler)
        file.write(tail)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kommune.config],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    sealed, growth = map(int, done.stdout.split())
    assert sealed > MEGABYTES * 1_000_000
    assert growth < ALLOWED_GROWTH_KB
