"""Three machines look after sixty municipalities while runs, workers and machines die and networks part (G1, G2).

Each machine is namespaces of its own with a ``fleet worker`` in them, which reaches database and buses over a forwarder
on its own loopback and nothing else; two of them have a clock that is hours off. Each municipality has a sandbox of its
own outside, whose ledger says what arrived. What is in doubt in the end is decided by a person, who looks there.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.engine import task_engine
from kpr_sender.fleet.file import FleetFile
from kpr_sender.model import Environment, MessageType, Shipment
from kpr_sender.sandbox.pki import ensure_pki
from kpr_sender.settings.values import Settings
from kpr_sender.states import ShipmentState
from tests.helpers.debian_packages import NotToBeHad
from tests.helpers.figures import figure
from tests.helpers.machines import NO_MACHINES, Forwarder, clock_off, way_in
from tests.helpers.nightly import scaled
from tests.helpers.postgres import Database, Server
from tests.proofs.machines_play import Chaos, Country, Person, Site, country

_HOURS: Final = {"kpr-1": 0.0, "kpr-2": 7.0, "kpr-3": -9.5}
_ROUNDS: Final = 6
"""About an hour; each is in parts, since no test may take five minutes."""
_MOST: Final = 60
_FEWEST: Final = 12
_CHAOS: Final = 240.0  # seconds of each part
_EXPORTED_WITHIN: Final = 180.0
_QUIET: Final = 20.0  # seconds
_SETTLED_WITHIN: Final = 270.0


@dataclass
class Play:
    """One round.

    Attributes:
        known: What the journals say in the end.
    """

    land: Country
    sites: Sequence[Site]
    chaos: Chaos
    person: Person
    known: dict[str, tuple[Shipment, ...]] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Whether everything is delivered."""
        return len(self.known) == len(self.land.names) and all(map(_delivered, self.known.values()))


def _delivered(shipments: Sequence[Shipment]) -> bool:
    return len(shipments) == len(MessageType) and all(one.state is ShipmentState.DELIVERED for one in shipments)


@pytest.fixture(scope="module", params=range(scaled(_ROUNDS)))
def play(postgres_server: Server) -> Iterator[Play]:
    """A round: its machines run from its first test to its last."""
    _skip_where_there_are_none()
    with tempfile.TemporaryDirectory(prefix="kpr-machines-") as name, ExitStack() as running:
        folder = Path(name)
        # Valid for a clock that is behind, too.
        ensure_pki(folder, now=datetime.now(UTC) - timedelta(days=2))
        database = Database(postgres_server, postgres_server.with_tables(), folder)
        number = min(_MOST, max(_FEWEST, scaled(4 * _MOST)))
        land = running.enter_context(country(folder, database, folder, number))
        fleet = FleetFile.load(land.fleet_file(folder / "desk"), Environment.LOKAL)
        settings = fleet.named(land.names[0]).known
        assert isinstance(settings, Settings)
        task_engine(settings.journal, Environment.LOKAL).migrate()
        forwarder = running.enter_context(Forwarder())
        sites = [Site.of(land, folder / name, hours, forwarder) for name, hours in _HOURS.items()]
        for site in sites:
            running.callback(site.end)
            site.begin()
        yield Play(land, sites, Chaos(sites, random.Random()), Person(land, fleet))


def _skip_where_there_are_none() -> None:
    why = "" if way_in() else "neither root nor user namespaces"
    try:
        clock_off()
    except NotToBeHad as error:
        why = why or str(error)
    if why:
        pytest.skip(f"{NO_MACHINES}: {why}")


@pytest.mark.nightly
@pytest.mark.parametrize("part", [1, 2])
def test_1_runs_workers_machines_and_networks_fail_while_files_are_exported(play: Play, part: int) -> None:
    """A busy machine gets less of it: something happens after so many looks, and else only now and then."""
    left = play.land.unexported if part == 1 else []
    begun = time.monotonic()
    each = _EXPORTED_WITHIN / max(1, len(left))
    next_at, next_after = begun, 0
    while (passed := time.monotonic() - begun) < _CHAOS:
        while left and passed > each * (len(play.land.names) - len(left)):
            play.land.export(left.pop())
        looks = play.land.looks()
        if looks >= next_after or time.monotonic() > next_at:
            play.chaos.happen()
            next_at, next_after = time.monotonic() + _QUIET, looks + play.chaos.random.randint(1, 5)
        play.chaos.mend()
        time.sleep(0.2)


@pytest.mark.nightly
@pytest.mark.parametrize("part", [1, 2])
def test_2_each_shipment_reached_the_bus_once_and_all_is_delivered_or_reported(play: Play, part: int) -> None:
    """The person on duty decides what is in doubt; nothing fails any more."""
    play.chaos.mend(all_of_it=True)
    ends = time.monotonic() + _SETTLED_WITHIN
    while not play.is_settled and time.monotonic() < ends:
        play.known = play.person.shipments()
        for name, shipments in play.known.items():
            for one in shipments:
                if one.state is ShipmentState.IN_DOUBT:
                    play.person.decide(name, one)
        time.sleep(2)
    if part == 1:  # a busy machine needs both
        return
    wrong = _count(play)
    assert not wrong, "\n".join(wrong)


def _count(play: Play) -> list[str]:
    """Count at the buses; return what is wrong."""
    counts = Counter(play.chaos.counts)
    counts["looks"] = play.land.looks()
    roads = [road for site in play.sites for road in site.roads.values()]
    counts["connections_reset"] = sum(one.resets for one in play.sites) + sum(one.resets for one in roads)
    counts["reported_to_a_person"] = len(play.person.reported)
    counts["sent_again_by_a_person"] = play.person.decided
    wrong = list[str]()
    for name in play.land.names:
        arrived = [play.land.arrived(name)[kind.value] for kind in MessageType]
        counts["shipments"] += len(arrived)
        counts["lost"] += arrived.count(0)
        counts["duplicated"] += sum(max(0, number - 1) for number in arrived)
        shipments = play.known.get(name, ())
        if arrived != [1] * len(arrived) or not _delivered(shipments):
            wrong.append(f"{name}: {arrived}, {[one.state.value for one in shipments]}")
    figure("three machines", rounds=1, **counts)
    return wrong
