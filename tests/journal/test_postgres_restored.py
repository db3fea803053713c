"""A database that failed over to a real standby: read, and not written to, until a person has asked FHI."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid, JournalUnwritable
from kpr_sender.states import ShipmentState
from tests.helpers.command import until
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import municipality
from tests.helpers.postgres import USER, Database, Server
from tests.journal.test_postgres_storage import ACCEPT, Office

S = ShipmentState


@dataclasses.dataclass(frozen=True)
class _Either(Database):
    """A database whose address names two servers: whichever takes writes."""

    other: Server | None = None

    @property
    def url(self) -> str:
        assert self.other is not None
        hosts = f"127.0.0.1:{self.server.port},127.0.0.1:{self.other.port}"
        return f"postgresql://{USER}@{hosts}/{self.name}?target_session_attrs=read-write"


@pytest.fixture
def primary(postgres_server: Server) -> Iterator[Server]:
    """A server of the test's own: it is killed."""
    server = Server.made(postgres_server.bin, debian=postgres_server.debian)
    try:
        yield server.start()
    finally:
        server.stop()


def _office(server: Server, folder: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    machine = folder / "machine"
    machine.mkdir(mode=0o700)
    kommune = municipality(folder / "kommune")
    return Office(kommune, Database(server, server.with_tables(), machine), MemoryBus(Fhi(kommune.pki).answer), capsys)


@contextmanager
def _standby(primary: Server, *, synchronous: bool) -> Iterator[Server]:
    """A standby that has what was stored until now; what is stored from now on, where it is synchronous."""
    standby = primary.standby()
    try:
        if synchronous:
            with primary.boss() as boss:
                boss.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                boss.execute("ALTER SYSTEM SET synchronous_commit = remote_apply")
                boss.execute("SELECT pg_reload_conf()")
                until(lambda: boss.execute("SELECT sync_state FROM pg_stat_replication").fetchone() == ("sync",))
        else:
            with standby.boss() as boss:
                boss.execute("ALTER SYSTEM SET primary_conninfo = ''")
                boss.execute("SELECT pg_reload_conf()")
                until(lambda: boss.execute("SELECT 1 FROM pg_stat_wal_receiver").fetchone() is None)
        yield standby
    finally:
        standby.stop()


@pytest.mark.nightly
@pytest.mark.parametrize("synchronous", [True, False])
def test_g1_a_promoted_standby_is_not_sent_from_until_a_person_accepts_it(
    primary: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, synchronous: bool
) -> None:
    office = _office(primary, tmp_path, capsys)
    office.seal()
    with _standby(primary, synchronous=synchronous) as standby:
        assert office.send().exit_code == 0
        sent = len(office.bus.published)
        office.database = dataclasses.replace(office.database, server=standby)
        code, told = office.command("status")
        assert (code, "is a standby" in told, "Name the primary in journal.url" in told) == (78, True, True), told
        with pytest.raises(ConfigInvalid, match="is a standby"):
            office.send()
        either = _Either(primary, office.database.name, office.database.folder, other=standby)
        office.database = either
        assert office.command("status")[0] == 0
        primary.kill()
        standby.promote()
        for name in ("one", "two"):
            office.machine = name
            with pytest.raises(JournalUnwritable, match=r"another server has taken over|older than what") as raised:
                office.send()
            assert (raised.value.exit_code, "--accept-restored" in raised.value.next_step) == (73, True)
        office.machine = "one"
        lost = [S.SEALED, S.SEALED]
        assert office.states() == ([S.DELIVERED, S.DELIVERED] if synchronous else lost)
        code, told = office.command(*ACCEPT)
        assert code == 0, told
        assert office.states() == ([S.DELIVERED, S.DELIVERED] if synchronous else [S.IN_DOUBT, S.IN_DOUBT])
        for name in ("one", "two"):
            office.machine = name
            office.send()
        assert len(office.bus.published) == sent


@pytest.mark.nightly
def test_g1_a_backup_on_another_server_is_not_sent_from_until_a_person_accepts_it(
    primary: Server, postgres_server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has all that was stored; that it has, nobody knows."""
    office = _office(postgres_server, tmp_path, capsys)
    assert office.send().exit_code == 0
    sent, dump = len(office.bus.published), str(tmp_path / "kpr.dump")
    old, new = office.database, dataclasses.replace(office.database, server=primary, name=primary.database())
    for command in (
        ("pg_dump", "--format=custom", f"--file={dump}", old.server.address(old.name, "boss")),
        ("pg_restore", "--exit-on-error", f"--dbname={primary.address(new.name, 'boss')}", dump),
    ):
        subprocess.run(command, check=True)
    office.database = new
    for name in ("one", "two"):
        office.machine = name
        assert office.states() == [S.DELIVERED, S.DELIVERED]
        with pytest.raises(JournalUnwritable, match="another server has taken over") as raised:
            office.send()
        assert (raised.value.exit_code, "--accept-restored" in raised.value.next_step) == (73, True)
    assert office.command(*ACCEPT)[0] == 0
    for name in ("one", "two"):
        office.machine = name
        assert office.send().exit_code == 0
    assert len(office.bus.published) == sent
