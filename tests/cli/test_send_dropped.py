"""``kpr-send send`` with a drop folder: how a run ends where its pair is sealed for another HER-id."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.fleet.dropped import DropDecision, DropRun, second_look
from kpr_sender.outbound.drop import DropFolder
from tests.helpers.desk import NOT_SENT, Desk
from tests.helpers.memory_bus import ACCEPTED, MemoryBus
from tests.helpers.municipality import SENDER_HER_ID, Changes

DROP: Changes = {"files": {"fagmelding": None, "identmelding": None, "drop": "in"}}
OTHER: Changes = {**DROP, "sender": {"service_her_id": SENDER_HER_ID + 1}}


class Killed(BaseException):
    """What ends a run between the two halves."""


class EndsBetween(MemoryBus):
    """Takes the first half; then the run is killed."""

    def connect(self) -> None:
        if self.taken:
            raise Killed


def refusing() -> MemoryBus:
    bus = MemoryBus()
    bus.outcomes.extend([ACCEPTED, NOT_SENT])
    return bus


def lying(desk: Desk) -> set[str]:
    drop: Path = desk.kommune.folder / "in"
    return {path.relative_to(drop).parts[0] for path in drop.rglob("*.xml")}


def half_sent(desk: Desk, bus: MemoryBus) -> None:
    """Send the first half of a pair in the drop folder; the other one stays sealed."""
    drop = desk.kommune.folder / "in"
    drop.mkdir()
    settings = desk.kommune.configure(DROP)
    for path in (desk.kommune.fagmelding, desk.kommune.identmelding):
        path.rename(drop / path.name)
    folder = DropFolder.of(settings)
    assert folder is not None
    folder.glance(datetime.now(UTC) - timedelta(seconds=31))
    with suppress(Killed), Client(settings, bus=bus) as client:
        DropRun(client, folder, second_look(folder), lambda known: known).carry_out(DropDecision())
    assert (len(bus.taken), lying(desk)) == (1, {"taken"})


@pytest.mark.parametrize("quiet", [(), ("-q",)])
@pytest.mark.parametrize(("bus", "state"), [(EndsBetween, 90), (refusing, 77)])
def test_what_another_her_id_keeps_from_being_sent_is_86_and_no_new_pair(
    desk: Desk, bus: type[MemoryBus], state: int, quiet: tuple[str, ...]
) -> None:
    half_sent(desk, bus())
    assert desk.command("status").code == state
    desk.kommune.configure(OTHER)

    for _ in range(2):
        ran = desk.command(*quiet, "send", "--wait", "0")

        assert (ran.code, lying(desk)) == (86, {"taken"}), ran.err
        assert "HER-id 900003 is configured now" in ran.err
        assert "a new pair waits" not in ran.err
