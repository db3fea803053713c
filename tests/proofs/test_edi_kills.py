"""SIGKILL at every fault point of a run that goes by mail, or changes its way: never twice, never forgotten (G1, G2).

As ``test_kills``, with the same machinery and judge; what is lost or sent twice is counted in the ledger of KPR's
message server, and in that of the bus where a submission goes from one way to the other. Every receipt that was taken
must be acknowledged in the end.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from kpr_sender.fault_points import FaultPoint
from kpr_sender.model import MessageType, Transport
from kpr_sender.states import ShipmentState
from tests.helpers.nightly import stride
from tests.proofs.kill_judge import Answer
from tests.proofs.kill_runs import Scene, Stop, kill_town, run_server
from tests.proofs.test_kills import _stops

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed")

_S = ShipmentState
_A = Answer
_EDI: Final = (Transport.EDI,)
_TO_BUS: Final = (Transport.EDI, Transport.AMQP)
_TO_MAIL: Final = (Transport.AMQP, Transport.EDI)


@dataclass(frozen=True)
class Told:
    """What KPR's message server and FHI say to a pair.

    Attributes:
        fagmelding: To one.
        identmelding: To the other.
        acknowledged: Whether what is taken is acknowledged.
    """

    fagmelding: Answer
    identmelding: Answer
    acknowledged: bool = True

    def __str__(self) -> str:
        names = f"{self.fagmelding.name}-{self.identmelding.name}".lower()
        return names + ("" if self.acknowledged else "-unacknowledged")


TOLD: Final = (
    Told(_A.POSITIVE, _A.NEGATIVE),
    Told(_A.POSITIVE, _A.POSITIVE, acknowledged=False),
    Told(_A.NEGATIVE, _A.NONE, acknowledged=False),
    Told(_A.NONE, _A.POSITIVE),
    Told(_A.REFUSED, _A.POSITIVE),
    Told(_A.RETURNED, _A.REFUSED),
)
SCENES: Final = (
    Scene("message-error", _S.FAULTED, "resend", True, ways=_EDI),
    Scene("message-error", _S.FAULTED, "", False, late=True, ways=_EDI),
    Scene("bounce", _S.FAULTED, "resend", True, late=True, ways=_EDI),
    Scene("soap-fault", _S.FAULTED, "resend", True, ways=_EDI),
    Scene("reject", _S.REJECTED, "resend", True, ways=_EDI),
    Scene("no-answer", _S.PUBLISHED, "not-arrived", True, ways=_EDI),
    Scene("no-answer", _S.PUBLISHED, "not-arrived", True, ways=_EDI, acknowledged=False),
    Scene("drop-before-disposition", _S.IN_DOUBT, "not-arrived", True, ways=_EDI, acknowledged=False),
    Scene("receipt-sender", _S.PUBLISHED, "accept", False, ways=_EDI),
    Scene("status-3", _S.DELIVERED_WITH_ERRORS, "settle", False, ways=_EDI),
    Scene("refuse-452", _S.SEALED, "amqp", True, ways=_TO_BUS),
    Scene("message-error", _S.FAULTED, "amqp", True, ways=_TO_BUS),
    Scene("reject", _S.REJECTED, "amqp", True, ways=_TO_BUS),
    Scene("queue-full", _S.SEALED, "edi", True, ways=_TO_MAIL),
    Scene("error-queue", _S.FAULTED, "edi", True, ways=_TO_MAIL),
)
_NAME: Final = "kill points by EDI"
_IN_SUITE: Final = ((SCENES[0], 2), (SCENES[6], 3), (SCENES[10], 3), (SCENES[14], 3))
"""Which of them a run of the suite plays, and how many kills each gets."""
_KILLS: Final = 9
"""How many it gives to a run that is answered."""


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    with run_server() as server:
        yield server


Choice = Callable[[Sequence[Stop]], Sequence[Stop]]


def _spread(count: int) -> Choice:
    """Return what chooses so many, spread over the whole run."""
    return lambda stops: [stops[(2 * number + 1) * len(stops) // (2 * count)] for number in range(count)]


def _kill(server: subprocess.Popen[str], told: Told, chosen: Choice) -> set[FaultPoint]:
    answers = dict(zip(MessageType, (told.fagmelding, told.identmelding), strict=True))
    with kill_town(server, answers, ways=_EDI, acknowledged=told.acknowledged) as town:
        points = town.case(())
        for stop in chosen(_stops(points)):
            town.case((stop,))
    town.found.require_nothing_wrong(_NAME)
    return set(points)


def _decide(server: subprocess.Popen[str], scene: Scene, chosen: Choice) -> None:
    with kill_town(server, dict.fromkeys(MessageType, Answer.POSITIVE), ways=scene.ways) as town:
        for stop in chosen(_stops(town.decided(scene, None))):
            town.decided(scene, stop)
    town.found.require_nothing_wrong(_NAME)


def test_killed_over_a_whole_run_and_started_again(server: subprocess.Popen[str]) -> None:
    assert _kill(server, TOLD[0], _spread(_KILLS)) == set(FaultPoint)


@pytest.mark.parametrize(("scene", "kills"), _IN_SUITE, ids=str)
def test_killed_while_a_person_decides(server: subprocess.Popen[str], scene: Scene, kills: int) -> None:
    _decide(server, scene, _spread(kills))


@pytest.mark.nightly
@pytest.mark.parametrize("told", TOLD, ids=str)
def test_killed_at_every_point_and_started_again(server: subprocess.Popen[str], told: Told) -> None:
    _kill(server, told, lambda stops: stops[:: stride()])


@pytest.mark.nightly
@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_killed_at_every_point_while_a_person_decides(server: subprocess.Popen[str], scene: Scene) -> None:
    _decide(server, scene, lambda stops: stops[:: stride()])
