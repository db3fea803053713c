"""A large payload is never held in memory between file and sealed bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.helpers.municipality import municipality

MEGABYTES = 40
ALLOWED_GROWTH_KB = 24 * 1024

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


def test_40_mb_from_file_to_journal_in_flat_memory(tmp_path: Path) -> None:
    kommune = municipality(tmp_path)
    kommune.configure({"limits": {"refuse_bytes": 1_000_000_000}})
    head, start, rest = kommune.fagmelding.read_bytes().partition(b"<PERSON ")
    persons, end = (start + rest).rsplit(b"</IPLOS>", 1)
    person = persons.split(b"</PERSON>\n")[0] + b"</PERSON>\n"
    number = 1
    with kommune.fagmelding.open("wb") as file:
        file.write(head)
        while file.tell() < MEGABYTES * 1_000_000:
            file.write(person.replace(b'PeID="1001"', b'PeID="%d"' % number))
            number += 1
        file.write(b"</IPLOS>" + end)
    head, start, rest = kommune.identmelding.read_bytes().partition(b"<PasientIdent ")
    idents = b"".join(b'<PasientIdent pid="%d" fid="010180" typeID="9"/>\n' % pid for pid in range(1, number))
    kommune.identmelding.write_bytes(head + idents + b"</Institusjon>\n</Melding>\n")
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
