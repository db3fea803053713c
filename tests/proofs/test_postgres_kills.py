"""SIGKILL at every fault point of a run whose journal is in PostgreSQL, and again until the matter is settled (G1, G2).

As ``test_kills``, with the bus's own ledger and the same judge; the lease of a killed run is over with its session.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpr_sender.fault_points import FaultPoint
from kpr_sender.model import MessageType
from tests.helpers.figures import figure
from tests.helpers.nightly import stride
from tests.helpers.postgres import Database, Server
from tests.proofs.kill_judge import Answer, Answers
from tests.proofs.kill_runs import kill_town, run_server
from tests.proofs.test_kills import ANSWERS, _named, _stops

_PARTS = 4  # no test may take five minutes


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    with run_server() as server:
        yield server


def _kill(server: subprocess.Popen[str], database: Server, answers: Answers, share: slice) -> None:
    def made(folder: Path) -> Database:
        return Database(database, database.with_tables(), folder)

    with kill_town(server, answers, made) as town:
        points = town.case(())
        assert FaultPoint.BEFORE_TRANSFER in points
        for stop in _stops(points)[share]:
            town.case((stop,))
    found = town.found
    figure(
        "PostgreSQL: kill points",
        runs=found.runs,
        lost=found.lost,
        duplicated=found.duplicated,
        misclassified=found.misclassified,
        dead_ends=found.dead_ends,
    )
    assert not found.wrong, "\n".join(found.wrong)
    assert found.runs, "it was killed"


def test_killed_at_some_points_and_started_again(server: subprocess.Popen[str], postgres_server: Server) -> None:
    _kill(server, postgres_server, dict.fromkeys(MessageType, Answer.POSITIVE), slice(7, None, 14))


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("answers", ANSWERS, ids=_named)
def test_killed_at_every_point_and_started_again(
    server: subprocess.Popen[str], postgres_server: Server, answers: Answers, part: int
) -> None:
    _kill(server, postgres_server, answers, slice(part, None, _PARTS * stride()))
