"""SIGKILL at every fault point, and again until the matter is settled: never twice, never forgotten (G1, G2, G5).

Duplicates and losses are counted in the ledger of the bus, never in our journal.
"""

from __future__ import annotations

import itertools
import math
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

import pytest

from kpr_sender.fault_points import FaultPoint
from kpr_sender.model import MessageType
from tests.helpers.nightly import scaled
from tests.proofs.kill_judge import Answer, Answers
from tests.proofs.kill_runs import SCENES, Scene, Stop, kill_town, run_server

_PAIRS: Final = 1_200
_PAIRS_A_TURN: Final = 250  # at least: where the recovery is over before its stop, there is no pair
_REPEATED: Final = 8  # points that a recovery reaches once more, about
_OF_FHI: Final = (Answer.POSITIVE, Answer.NEGATIVE, Answer.NONE)
ANSWERS = [dict(zip(MessageType, pair, strict=True)) for pair in itertools.product(_OF_FHI, repeat=2)]


def _named(answers: Answers) -> str:
    return "-".join(answer.name.lower() for answer in answers.values())


def _stops(points: Sequence[FaultPoint]) -> list[Stop]:
    """Return every point each time it was reached, in order."""
    times: Counter[FaultPoint] = Counter()
    stops = []
    for point in points:
        times[point] += 1
        stops.append(Stop(point, times[point]))
    return stops


_ALL_POINTS: Final = f"all {len(FaultPoint)}"
_OF_ANSWERS: Final = {
    FaultPoint.ANSWER_RECEIVED,
    FaultPoint.ANSWER_OPENED,
    FaultPoint.BEFORE_SETTLE,
    FaultPoint.AFTER_SETTLE,
}


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    with run_server() as server:
        yield server


def test_a_happy_run_reaches_every_point(server: subprocess.Popen[str]) -> None:
    with kill_town(server, dict.fromkeys(MessageType, Answer.POSITIVE)) as town:
        assert set(town.case(())) == set(FaultPoint)
    assert not town.found.wrong


@pytest.mark.parametrize("answers", ANSWERS, ids=_named)
def test_killed_at_every_point_and_started_again(server: subprocess.Popen[str], answers: Answers) -> None:
    silent = set(answers.values()) == {Answer.NONE}
    with kill_town(server, answers) as town:
        points = town.case(())
        stops = _stops(points)
        for stop in stops:
            town.case((stop,))
    assert set(points) == set(FaultPoint) - (_OF_ANSWERS if silent else set())
    assert town.found.runs == len(stops), "every one of them was killed"
    town.found.require_nothing_wrong("kill points", points=_ALL_POINTS)


def decide(server: subprocess.Popen[str], scene: Scene, share: int) -> None:
    """Kill a person's decision, and what it sends, at every so manieth point; then it is taken again."""
    with kill_town(server, dict.fromkeys(MessageType, Answer.POSITIVE)) as town:
        stops = _stops(town.decided(scene, None))
        for stop in stops[len(scene.decision) % share :: share]:
            town.decided(scene, stop)
    assert town.found.runs, "it was killed"
    town.found.require_nothing_wrong("kill points of a person's decision", points=_ALL_POINTS)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_killed_while_a_person_decides_and_what_is_let_go_is_sent(server: subprocess.Popen[str], scene: Scene) -> None:
    decide(server, scene, share=4)


@pytest.mark.nightly
@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_killed_at_every_point_while_a_person_decides(server: subprocess.Popen[str], scene: Scene) -> None:
    decide(server, scene, share=1)


@pytest.mark.nightly
@pytest.mark.parametrize("turn", range(math.ceil(scaled(_PAIRS) / _PAIRS_A_TURN)))
@pytest.mark.parametrize("answers", ANSWERS, ids=_named)
def test_killed_again_while_recovering(server: subprocess.Popen[str], answers: Answers, turn: int) -> None:
    """Kill at every point, then kill the recovery at one of its own points, another one each turn."""
    random = Random(turn)
    with kill_town(server, answers) as town:
        points = town.case(())
        for place, stop in enumerate(_stops(points)):
            town.case((stop, Stop(None, random.randint(1, len(points) - place + _REPEATED))))
    assert town.found.runs, "some recoveries were killed, too"
    town.found.require_nothing_wrong("kill points, recovery killed too", points=_ALL_POINTS)
