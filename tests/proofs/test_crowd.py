"""G1 when twenty processes send the same files at once: one publish of each, counted in the bus's own ledger."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from tests.helpers.figures import figure
from tests.helpers.municipality import SENDER_HER_ID, municipality
from tests.helpers.nightly import scaled
from tests.helpers.repository import ROOT
from tests.helpers.stage import fast_folder

PROCESSES: Final = 20
ROUNDS: Final = 50
ROUNDS_OF_PERSONS: Final = 10
PARTS_NIGHTLY: Final = 20  # of as many rounds each
PUBLISHED, LOCKED = 80, 87


def crowd(rounds: int, *, persons: bool = False) -> None:
    folder = fast_folder()
    town = municipality(folder)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.proofs.crowd_server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        faults = Faults.parse(["error-queue" if persons else "no-answer"])
        with server, Sandbox(folder, sender_her_id=SENDER_HER_ID, faults=faults, behaviour=Behaviour(tls=False)) as bus:
            town.configure({"bus": {"tls": False}}, port=bus.port)
            for number in range(rounds):
                one_round(server, bus, folder / f"round-{number}", town.config, persons=persons)
    finally:
        shutil.rmtree(folder)


def one_round(server: subprocess.Popen[str], bus: Sandbox, folder: Path, config: Path, *, persons: bool) -> None:
    before = len(bus.ledger.lines())
    assert server.stdin is not None
    assert server.stdout is not None
    order = {"config": str(config), "folder": str(folder), "runs": PROCESSES, "persons": persons}
    server.stdin.write(json.dumps(order) + "\n")
    server.stdin.flush()
    ended: list[tuple[int, int]] = [(code, sent) for code, sent in json.loads(server.stdout.readline())]
    lines = bus.ledger.lines()[before:]
    taken = Counter(line.type for line in lines)
    locked = sum(code == LOCKED for code, _ in ended)
    words = 2 if persons else 1  # how often a person, or the first run, let each of the two go
    figure(
        f"{PROCESSES} persons at once" if persons else f"{PROCESSES} processes at once",
        rounds=1,
        runs=len(ended),
        published=taken.total(),
        already=sum(code == PUBLISHED and sent == 0 for code, sent in ended),
        locked=locked,
        lost=2 - len(taken),
        duplicated=taken.total() - words * len(taken),
    )
    assert taken == {"KPR_IPL": words, "KPR_IDE": words}
    assert len({line.message_id for line in lines}) == 2 * words
    assert len({line.msg_id for line in lines}) == 2
    assert len(ended) == PROCESSES
    assert {code for code, _ in ended} <= {PUBLISHED, LOCKED}
    assert sorted(sent for _, sent in ended) == [0] * (PROCESSES - 1) + [2], "one run has sent both"


def test_g1_twenty_processes_at_once_publish_each_shipment_once() -> None:
    crowd(ROUNDS)


def test_g1_twenty_persons_at_once_send_each_shipment_again_once() -> None:
    crowd(ROUNDS_OF_PERSONS, persons=True)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(scaled(PARTS_NIGHTLY)))
def test_g1_twenty_processes_at_once_all_night(part: int) -> None:
    del part  # which process comes first differs by itself
    crowd(ROUNDS)
