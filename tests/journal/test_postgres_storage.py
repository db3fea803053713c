"""A municipality whose journal is in PostgreSQL: the real commands and the library, from the set-up to a failover."""

from __future__ import annotations

import dataclasses
import json
import re
import sqlite3
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.errors import AlreadySubmitted, BusUnreachable, JournalUnwritable
from kpr_sender.fleet.file import FleetMunicipality
from kpr_sender.fleet.overview import status_of
from kpr_sender.model import Environment
from kpr_sender.operator.journal_backups import rotate
from kpr_sender.report import Report
from kpr_sender.settings.values import Settings
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality
from tests.helpers.postgres import PASSWORD, Database, Server

S = ShipmentState
ACCEPT = ("journal", "verify", "--accept-restored", "--reason", "FHI er spurt.", "--by", "Kari", "--yes")


@dataclasses.dataclass
class Office:
    """A municipality, its database, and the machine that it hands in from."""

    kommune: Municipality
    database: Database
    bus: MemoryBus
    capsys: pytest.CaptureFixture[str]
    machine: str = "one"
    in_file: bool = False

    def settings(self) -> Settings:
        secret = self.kommune.folder / "journal-password"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o600)
        folder = self.kommune.folder / self.machine
        journal = {"path": str(folder / "journal"), "password_file": str(secret)}
        journal |= {} if self.in_file else {"url": self.database.url}
        return self.kommune.configure({"journal": journal, "bus": {"receipts_queue": self.database.queue}})

    def send(self) -> Report:
        with Client(self.settings(), bus=self.bus, by="vakt") as client:
            client.submit()
            return client.wait(timeout=0)

    def seal(self) -> None:
        self.bus.connect_error = BusUnreachable(Text("Nobody is there."))
        with pytest.raises(BusUnreachable):
            self.send()
        self.bus.connect_error = None

    def command(self, *arguments: str) -> tuple[int, str]:
        self.settings()
        code = run(["--env", "lokal", "--config", str(self.kommune.config), *arguments])
        told = self.capsys.readouterr()
        assert PASSWORD not in told.out + told.err
        return code, told.out + told.err

    def states(self) -> list[S]:
        with Client(self.settings()) as client:
            known = client.status()
            assert known is not None
            return [one.state for one in known.submission.shipments]


@pytest.fixture
def office(own_postgres: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    kommune = municipality(tmp_path / "kommune")
    return Office(kommune, own_postgres, MemoryBus(Fhi(kommune.pki).answer), capsys)


def test_a_pair_is_sent_and_every_command_of_the_journal_works(office: Office, tmp_path: Path) -> None:
    code, told = office.command("status")
    assert (code, f"as far as postgresql://127.0.0.1:{office.database.server.port}/" in told) == (89, True), told
    assert office.send().exit_code == 0
    assert office.states() == [S.DELIVERED, S.DELIVERED]
    with _connections() as made:
        assert office.command("status")[0] == 0
    assert made == [1]
    document = tomllib.loads(office.kommune.config.read_text("utf-8"))
    one = FleetMunicipality("0301", "OSLO KOMMUNE", Environment.LOKAL, document, office.kommune.config)
    with _connections() as made:
        assert status_of(one, datetime(2025, 3, 1, tzinfo=UTC)).error is None
    assert made == [1]
    code, told = office.command("journal", "verify")
    assert (code, "postgresql" in told) == (0, False), told
    sent = len(office.bus.published)
    assert (office.send().exit_code, len(office.bus.published)) == (0, sent)  # the same pair is never sent again
    code, told = office.command("journal", "export")
    assert (code, [json.loads(line)["kind"] for line in told.splitlines()].count("receipt")) == (0, 2)
    assert office.command("reviewed", "--by", "Kari")[0] == 0
    code, told = office.command(
        *("journal", "prune", "--before", "2100", "--reason", "ferdig", "--by", "Kari", "--yes")
    )
    assert code == 0, told
    assert "receipts' content: 2." in told, told
    assert office.command("journal", "log")[0] == 0
    assert office.command("receipts")[0] == 0
    assert office.command("journal", "verify")[0] == 0
    code, told = office.command("journal", "migrate")
    assert (code, "up to date" in told) == (0, True)
    assert office.command("--journal", str(tmp_path / "x.db"), "status")[0] == 64


@contextmanager
def _connections() -> Iterator[list[int]]:
    """Count the connections that are made to a database while entered."""
    count, real = [0], psycopg.connect

    def connect(*args: Any, **given: Any) -> object:
        count[0] += 1
        return real(*args, **given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg, "connect", connect)
        yield count


def test_a_journal_in_a_file_is_moved_by_the_command_and_goes_on(office: Office) -> None:
    office.in_file = True
    assert office.send().exit_code == 0
    sent = len(office.bus.published)
    for wrong in (
        "https://db/kpr",
        f"postgresql://kpr:{PASSWORD}@127.0.0.1/kpr",
        "postgresql://db.example.no/kpr?sslmode=require",
    ):
        code, told = office.command("journal", "move", "--to", wrong, "--yes")
        assert code == 64, told
    code, told = office.command("journal", "move", "--to", office.database.url, "--yes")
    assert (code, "2 shipments" in told) == (0, True), told
    code, told = office.command("status")
    assert (code, "was moved to a database" in told) == (73, True)
    office.in_file = False
    assert office.states() == [S.DELIVERED, S.DELIVERED]
    assert (office.send().exit_code, len(office.bus.published)) == (0, sent)
    assert office.command("journal", "verify")[0] == 0


def test_a_backup_is_a_dump_of_this_journal_alone_which_restores(office: Office, tmp_path: Path) -> None:
    office.send()
    other = dataclasses.replace(office.database, queue="7000_async").storage()
    other.open(who="vakt").close()
    saved = tmp_path / "saved.dump"
    code, told = office.command("journal", "backup", str(saved))
    assert code == 0, told
    assert saved.stat().st_mode & 0o777 == 0o600
    assert office.command("journal", "backup", str(saved))[0] == 64
    storage, kept = office.database.storage(), tmp_path / "kept"
    assert storage.is_same(saved, saved)
    for day in (1, 2):
        done = rotate(office.settings(), storage, kept, 1, now=datetime(2026, 1, day, tzinfo=UTC))
    assert (len(done.removed), list(kept.iterdir())) == (1, [done.made])
    assert done.made.suffix == ".dump"
    earlier = done.made.rename(done.made.with_suffix(".db"))  # as it was called
    of_a_file = kept / earlier.name.replace("20260102", "20251231")
    sqlite3.connect(of_a_file).execute("CREATE TABLE meta (key, value)").connection.close()
    done = rotate(office.settings(), storage, kept, 1, now=datetime(2026, 1, 3, tzinfo=UTC))
    assert (done.removed, set(kept.iterdir())) == ((earlier,), {done.made, of_a_file}), "no dump of this journal"
    restored = dataclasses.replace(office.database, name=office.database.server.database())
    _restore(saved, restored)
    with restored.boss() as boss:
        assert boss.execute("SELECT count(*) FROM lease").fetchone() == (1,)
    before = office.states()
    office.database = restored
    assert office.command("journal", "verify")[0] == 0  # the same server, and nothing is lost
    with restored.boss() as boss:
        boss.execute("UPDATE timeline SET system = '1'")
    code, told = office.command("journal", "verify")
    assert (code, "was restored, or another server has taken over" in told) == (73, True)
    assert office.states() == before


@pytest.mark.nightly
def test_g1_a_database_that_is_lost_is_not_sent_from_anew_by_who_saw_it_until_each_msgid_is_released(
    office: Office,
) -> None:
    assert office.send().exit_code == 0
    sent = len(office.bus.published)
    office.database = dataclasses.replace(office.database, name=office.database.server.database())
    assert office.command("status")[0] == 78
    assert office.command("journal", "migrate")[0] == 0
    code, told = office.command("journal", "verify")
    assert (code, "2 shipments were begun" in told) == (73, True), told
    asked = re.findall("([0-9a-f-]{36}): a KPR_", told)
    with pytest.raises(JournalUnwritable, match="not the journal that was last used here"):
        office.send()
    told = office.command("journal", "verify")[1]
    assert (len(asked), re.findall("([0-9a-f-]{36}): a KPR_", told)) == (2, asked), "FHI is asked before it is accepted"
    code, told = office.command(*ACCEPT)
    begun = re.findall("([0-9a-f-]{36}) [(]KPR_", told)
    assert (code, begun) == (73, asked), told  # what is missing is a finding
    for msg_id in begun:
        with pytest.raises(AlreadySubmitted, match="FHI may have it"):
            office.send()
        office.database.time_passes()
        assert office.command("journal", "release", msg_id, *ACCEPT[3:])[0] == 0
    assert len(office.bus.published) == sent
    assert office.send().exit_code == 0
    assert len(office.bus.published) == 2 * sent


@pytest.mark.nightly
def test_a_server_that_is_newer_than_pg_dump_here_is_said(newest_server: Server, tmp_path: Path) -> None:
    here = subprocess.run(["pg_dump", "--version"], capture_output=True, text=True, check=True).stdout
    if int(here.split()[2].partition(".")[0]) * 10_000 >= newest_server.version // 10_000 * 10_000:
        pytest.skip("pg_dump here is as new as the newest server")
    machine, target = tmp_path / "machine", tmp_path / "saved.dump"
    machine.mkdir(mode=0o700)
    storage = Database(newest_server, newest_server.with_tables(), machine).storage()
    storage.open(who="vakt").close()
    with pytest.raises(JournalUnwritable, match="pg_dump here is older than the server") as raised:
        storage.back_up(target)
    assert (raised.value.exit_code, target.exists()) == (73, False)


def test_g1_a_restored_database_is_read_and_not_sent_from_until_a_person_accepts_it(
    office: Office, tmp_path: Path
) -> None:
    """The dump was made before the transfer: what was sent since stays sent once, and its year is not sent again."""
    office.seal()
    saved = tmp_path / "saved.dump"
    assert office.command("journal", "backup", str(saved))[0] == 0
    assert office.send().exit_code == 0
    sent = len(office.bus.published)
    name = office.database.server.database()
    _restore(saved, dataclasses.replace(office.database, name=name))
    with office.database.server.boss() as boss:  # in the old one's place
        boss.execute(f"ALTER DATABASE {office.database.name} RENAME TO {office.database.name}_lost".encode())
        boss.execute(f"ALTER DATABASE {name} RENAME TO {office.database.name}".encode())
    for _ in range(2):
        with pytest.raises(JournalUnwritable, match="older than what this machine has seen"):
            office.send()
    assert office.states() == [S.SEALED, S.SEALED]
    office.machine = "two"  # has seen nothing: the database is on its own timeline, and nothing else speaks against it
    assert office.command("status")[0] != 73
    office.machine = "one"
    code, told = office.command(*ACCEPT)
    assert code == 0, told
    assert office.states() == [S.IN_DOUBT, S.IN_DOUBT]
    assert office.command(*ACCEPT)[0] == 64
    office.send()
    assert len(office.bus.published) == sent


def test_g1_another_timeline_is_refused_on_every_machine_and_accepted_once(office: Office) -> None:
    """As after a failover to a standby that was not synchronous."""
    office.seal()
    with office.database.boss() as boss:
        boss.execute("UPDATE timeline SET timeline = timeline + 7")
    for machine in ("one", "two"):
        office.machine = machine
        with pytest.raises(JournalUnwritable, match="another server has taken over") as raised:
            office.send()
        assert (raised.value.exit_code, "--accept-restored" in raised.value.next_step) == (73, True)
    assert office.command(*ACCEPT)[0] == 0
    office.machine = "one"
    assert office.states() == [S.IN_DOUBT, S.IN_DOUBT]
    office.send()  # nothing is sent, and nothing is refused any more
    assert office.bus.published == []


@pytest.mark.nightly
def test_g1_a_machine_that_saw_more_refuses_what_another_has_accepted(office: Office) -> None:
    office.seal()
    office.machine = "two"
    assert office.send().exit_code == 0
    with office.database.boss() as boss:  # the database is back where machine one left it, on another timeline
        boss.execute("SET session_replication_role = replica")
        boss.execute("UPDATE shipment SET state = 'sealed', attempts = 0, handed_over = 0, published_at = NULL")
        boss.execute("DELETE FROM receipt")
        boss.execute("DELETE FROM event WHERE event_id > 2")
        boss.execute("UPDATE journal SET step = 1")
        boss.execute("UPDATE timeline SET timeline = timeline + 7")
    office.machine = "three"
    assert office.command(*ACCEPT)[0] == 0
    office.machine = "two"
    with pytest.raises(JournalUnwritable, match="older than what this machine has seen"):
        office.send()
    assert office.command(*ACCEPT)[0] == 0


def _restore(dump: Path, database: Database) -> None:
    into = ("--no-owner", "--role=kpr", f"--dbname={database.server.address(database.name, 'boss')}")
    done = subprocess.run(["pg_restore", *into, str(dump)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
