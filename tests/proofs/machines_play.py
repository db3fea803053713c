"""What ``test_machines`` plays with: a country of municipalities, machines and their roads, chaos, and a person."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Final, Self

from kpr_sender.client import Client
from kpr_sender.errors import InDoubt, JournalLocked
from kpr_sender.fleet.file import FleetFile
from kpr_sender.fleet.overview import status_of
from kpr_sender.model import Shipment
from kpr_sender.operator.resolve import Decision
from kpr_sender.preflight.catalogue import kommuner
from kpr_sender.sandbox.ledger import Ledger
from kpr_sender.sandbox.pki import Pki
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.settings.sample_file import RECEIVER_QUEUE
from kpr_sender.settings.values import Settings
from tests.helpers.fleet import seal_keys_anew
from tests.helpers.machines import Forwarder, Machine, Road, signalled
from tests.helpers.municipality import YEAR
from tests.helpers.postgres import PASSWORD, Database
from tests.helpers.repository import ROOT

_ASKED: Final = "FHI has it not."
_LONG: Final = 75.0
"""Seconds: longer than the lease."""
_BANDWIDTH: Final = 12_000  # bytes a second: a transfer takes long enough to be met
_CUT_SHARE: Final = {"bus": 0.2, "database": 0.02}
_FIRST_HER_ID: Final = 910_000

_COMMON: Final = """\
environment = "lokal"

[fleet]
jobs = 4
every = "10s"

[report]
year = {year}

[journal]
path = "{{municipality}}/journal"
url = "{url}"
password_file = "{shared}/database-password"

[receiver]
encryption_certificate = "{shared}/{{municipality}}/pki/fhi-encryption.pem"
signing_certificates = ["{shared}/{{municipality}}/pki/fhi-signing.pem"]
queue = "{queue}"

[keys.signing]
pkcs12 = "{shared}/{{municipality}}/pki/kommune-signing.p12"
passphrase_file = "{shared}/{{municipality}}/pki/passphrase"

[[keys.decryption]]
pkcs12 = "{shared}/{{municipality}}/pki/kommune-encryption.p12"
passphrase_file = "{shared}/{{municipality}}/pki/passphrase"

[bus]
host = "127.0.0.1"
ca_file = "{shared}/{{municipality}}/pki/ca.pem"
username = "kommune"
password_file = "{shared}/{{municipality}}/bus-password"
publish_timeout = "10s"
idle_timeout = "10s"
reconnect_budget = "5s"

[files]
fagmelding = "{shared}/{{municipality}}/fagmelding.xml"
identmelding = "{shared}/{{municipality}}/identmelding.xml"
"""
_ONE: Final = """
[[municipality]]
name = "KOMMUNE {name}"
kommunenummer = "{name}"
her_id = {her_id}
service_her_id = {service_her_id}
[municipality.bus]
port = {port}
"""


@dataclass
class Country:
    """All municipalities of a round: what lies on the disk that the machines share, and their buses."""

    shared: Path
    database: Database
    ports: dict[str, int]
    names: tuple[str, ...]

    @property
    def unexported(self) -> list[str]:
        """Those whose files the EPJ has not exported yet."""
        return [name for name in self.names if not (self.shared / name / "identmelding.xml").exists()]

    def export(self, name: str) -> None:
        """Let a municipality's EPJ export its files."""
        place = self.shared / name
        write_pair(place / "making", year=YEAR, persons=random.choice((3, 3, 20)), kommunenummer=name)
        for file in ("fagmelding.xml", "identmelding.xml"):
            (place / "making" / file).rename(place / file)

    def fleet_file(self, folder: Path) -> Path:
        """Write the fleet file as it is on one machine, in that machine's own folder."""
        text = _COMMON.format(year=YEAR, url=self.database.url, shared=self.shared, queue=RECEIVER_QUEUE)
        for number, name in enumerate(self.names):
            her_id = _FIRST_HER_ID + 2 * number
            text += _ONE.format(name=name, her_id=her_id, service_her_id=her_id + 1, port=self.ports[name])
        folder.mkdir(mode=0o700)
        path = folder / "fleet.toml"
        path.write_text(text, "utf-8")
        return path

    def looks(self) -> int:
        """Return how often a journal's lease was taken, of all."""
        with self.database.boss() as boss:
            row = boss.execute("SELECT coalesce(sum(fence), 0) FROM lease").fetchone()
        return int(row[0]) if row else 0

    def arrived(self, name: str) -> Counter[str]:
        """Return how often the bus has each of a municipality's shipments, by type."""
        return Counter(line.type for line in Ledger.read(self.shared / name) if line.disposition == "accepted")


@contextmanager
def country(folder: Path, database: Database, pki: Path, number: int, *, first: str = "") -> Iterator[Country]:
    """Let a country's buses run, all with copies of one PKI, until the block ends; nothing is exported yet.

    Args:
        folder: Of the disk that the machines share.
        database: For the journals.
        pki: The folder of the PKI.
        number: Of municipalities.
        first: What goes wrong at the first one's sandbox.
    """
    numbers = (str(number) for number in range(1101, 5700))
    there = (number for number in numbers if kommuner.valid(number, date(YEAR, 12, 31)))
    names = tuple(islice(there, number))
    shared = folder / "shared"
    shared.mkdir()
    secret = shared / "database-password"
    secret.write_text(PASSWORD, "utf-8")
    secret.chmod(0o600)
    orders = []
    for nth, name in enumerate(names):
        place = shared / name
        place.mkdir(mode=0o700)
        shutil.copytree(pki / "pki", place / "pki")
        seal_keys_anew(Pki(place / "pki"))
        orders.append(f"{_FIRST_HER_ID + 2 * nth + 1}={place}={'' if nth else first}")
    command = [sys.executable, "-m", "tests.proofs.machines_bus", *orders]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as buses:
        assert buses.stdin is not None
        assert buses.stdout is not None
        try:
            by_her_id = json.loads(buses.stdout.readline())
            ports = {name: by_her_id[str(_FIRST_HER_ID + 2 * number + 1)] for number, name in enumerate(names)}
            yield Country(shared, database, ports, names)
        finally:
            buses.stdin.close()


@dataclass
class Site:
    """A machine, and its roads."""

    machine: Machine
    forwarder: Forwarder
    database: int
    roads: dict[str, Road] = field(default_factory=dict)
    resets: int = 0
    cut: bool = False

    @classmethod
    def of(cls, land: Country, own: Path, hours: float, forwarder: Forwarder) -> Self:
        """Return the one whose own folder that is."""
        database = land.database.server.port
        options = ("--json", "--env", "lokal", "--config", str(land.fleet_file(own)))
        machine = Machine(
            own.name,
            own.parent,
            (database, *land.ports.values()),
            (sys.executable, "-m", "kpr_sender", *options, "fleet", "worker"),
            {"HOME": str(own), "XDG_STATE_HOME": str(own / "state")},
            hours,
        )
        return cls(machine, forwarder, database)

    def begin(self) -> None:
        """Switch it on."""
        listening = self.machine.start()
        database = {self.database: listening.pop(self.database)}
        self.roads = {
            "database": self.forwarder.road(database, cut_share=_CUT_SHARE["database"]),
            "bus": self.forwarder.road(listening, bandwidth=_BANDWIDTH, cut_share=_CUT_SHARE["bus"]),
        }
        self.cut = False

    def end(self) -> None:
        """Let it lose its power."""
        self.machine.end()
        for road in self.roads.values():
            road.reset()  # nobody holds the other ends open for it
            self.resets += road.resets

    def cable(self, *, whole: bool) -> None:
        if self.cut is whole:
            self.machine.cable(whole=whole)
            self.cut = not whole


@dataclass
class Chaos:
    """What happens to the machines, at random.

    Attributes:
        counts: How often what has happened.
        undone: What puts right what is wrong now, and when.
    """

    sites: Sequence[Site]
    random: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    undone: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def happen(self) -> None:
        """Let one thing happen."""
        what = self.random.choices(
            (self.kill_run, self.kill_worker, self.end_machine, self.stop, self.part), (8, 2, 1, 4, 5)
        )[0]
        what(self.random.choice(self.sites))

    def mend(self, *, all_of_it: bool = False) -> None:
        """Put right what is due."""
        now = time.monotonic()
        due = [one for one in self.undone if all_of_it or one[0] <= now]
        self.undone = [one for one in self.undone if one not in due]
        for _, puts_right in due:
            puts_right()

    def kill_run(self, site: Site) -> None:
        if runs := site.machine.runs:
            self.counts["runs_killed"] += signalled(self.random.choice(runs), signal.SIGKILL)

    def kill_worker(self, site: Site) -> None:
        for pid in site.machine.services:
            self.counts["workers_killed"] += signalled(pid, signal.SIGKILL)

    def end_machine(self, site: Site) -> None:
        site.end()
        site.begin()
        self.counts["machines_lost"] += 1

    def stop(self, site: Site) -> None:
        """Stop a run or a worker, now and then for longer than the lease."""
        if pids := self.random.choice((site.machine.runs, site.machine.runs, site.machine.services)):
            pid = self.random.choice(pids)
            if signalled(pid, signal.SIGSTOP):
                self.counts["stopped"] += 1
                self._later(lambda: signalled(pid, signal.SIGCONT))

    def part(self, site: Site) -> None:
        """Part a machine from database, buses or both."""
        how = self.random.choice(("cable", "hold_up", "reset"))
        self.counts["partitions"] += 1
        if how == "cable":
            site.cable(whole=False)
            self._later(lambda: site.cable(whole=True))
            return
        for name in self.random.choice((("database",), ("bus",), ("database", "bus"))):
            road = site.roads[name]
            road.hold_up() if how == "hold_up" else road.reset()
            self._later(road.open)

    def _later(self, puts_right: Callable[[], object]) -> None:
        seconds = self.random.uniform(0.5, 12) if self.random.random() < 0.85 else _LONG
        self.counts["longer_than_the_lease"] += seconds == _LONG
        self.undone.append((time.monotonic() + seconds, puts_right))


@dataclass
class Person:
    """Whoever is on duty: sees what the journals say, and decides what is in doubt once FHI was asked."""

    country: Country
    fleet: FleetFile
    decided: int = 0
    reported: set[str] = field(default_factory=set)

    def shipments(self) -> dict[str, tuple[Shipment, ...]]:
        found = dict[str, tuple[Shipment, ...]]()
        for one in self.fleet.municipalities:
            report = status_of(one, datetime.now(UTC)).report
            found[one.name] = () if report is None else report.submission.shipments
        return found

    def decide(self, name: str, shipment: Shipment) -> None:
        """Say *not arrived* of what the bus has not; what it has is answered."""
        self.reported.add(shipment.msg_id)
        if self.country.arrived(name)[shipment.type.value]:
            return
        settings = self.fleet.named(name).known
        assert isinstance(settings, Settings)
        try:
            with Client(settings) as client:
                client.resolve(shipment.msg_id, Decision.NOT_ARRIVED, reason=_ASKED, by="Kari Vakt", again=True)
            self.decided += 1
        except (InDoubt, JournalLocked):  # too early; a run has the journal
            pass
