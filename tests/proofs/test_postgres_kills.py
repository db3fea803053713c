"""SIGKILL at every fault point of a run whose journal is in PostgreSQL, and again until the matter is settled (G1, G2).

As ``test_kills``, with the bus's own ledger and the same judge; the lease of a killed run is over with its session.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kpr_sender.fault_points import FaultPoint
from kpr_sender.model import MessageType
from tests.helpers.nightly import stride
from tests.helpers.postgres import Database
from tests.proofs.kill_judge import Answer, Answers
from tests.proofs.kill_runs import SCENES, Scene, Stop, kill_town, run_server
from tests.proofs.test_kills import ANSWERS, _named, _stops

_PARTS = 4  # no test may take five minutes
_KILLS = 30
"""Of the points that an answered run reaches, in each run of the suite."""


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    with run_server() as server:
        yield server


def _in(database: Database) -> Callable[[Path], Database]:
    """Return what makes a case's journal: all are in one database, and those of the cases before have other names."""

    def made(folder: Path) -> Database:
        database.set_aside()
        return replace(database, folder=folder)

    return made


def _kill(
    server: subprocess.Popen[str],
    database: Database,
    answers: Answers,
    chosen: Callable[[Sequence[Stop]], Sequence[Stop]],
) -> None:
    with kill_town(server, answers, _in(database)) as town:
        points = town.case(())
        assert FaultPoint.BEFORE_TRANSFER in points
        for stop in chosen(_stops(points)):
            town.case((stop,))
    town.found.require_nothing_wrong("PostgreSQL: kill points")


def test_killed_at_thirty_points_and_started_again(server: subprocess.Popen[str], own_postgres: Database) -> None:
    def chosen(stops: Sequence[Stop]) -> Sequence[Stop]:
        return [stops[number * len(stops) // _KILLS] for number in range(_KILLS)]

    _kill(server, own_postgres, dict.fromkeys(MessageType, Answer.POSITIVE), chosen)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("answers", ANSWERS, ids=_named)
def test_killed_at_every_point_and_started_again(
    server: subprocess.Popen[str], own_postgres: Database, answers: Answers, part: int
) -> None:
    _kill(server, own_postgres, answers, lambda stops: stops[part :: _PARTS * stride()])


@pytest.mark.nightly
@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_killed_while_a_person_decides_and_what_is_let_go_is_sent(
    server: subprocess.Popen[str], own_postgres: Database, scene: Scene
) -> None:
    """What a killed run had begun is let go once it may certainly not be under way any more."""
    with kill_town(server, dict.fromkeys(MessageType, Answer.POSITIVE), _in(own_postgres)) as town:
        stops = _stops(town.decided(scene, None))
        for stop in stops[:: stride()]:
            town.decided(scene, stop)
    town.found.require_nothing_wrong("PostgreSQL: kill points of a person's decision")
