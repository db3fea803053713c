"""G1: the journal's files as a kill, a copy or a bad disk leaves them: refused or recovered rightly, nothing twice."""

from __future__ import annotations

import functools
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kpr_sender import file_owners
from kpr_sender.bus.port import Outbound
from kpr_sender.cli import session
from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal import location, marker
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.report import Report
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text
from tests.helpers.fhi import Fhi
from tests.helpers.marks import Marks
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import municipality


@dataclass
class Killed:
    """A journal as a run left it that was killed while the bus already had its first shipment."""

    settings: Settings
    bus: MemoryBus

    @property
    def journal(self) -> Path:
        return self.settings.journal.path

    def beside(self, end: str) -> Path:
        return self.journal.with_name(self.journal.name + end)

    def send(self) -> Report:
        with Client(self.settings, bus=self.bus, by="vakt") as client:
            client.submit()
            return client.wait(timeout=0)


@pytest.fixture
def killed(tmp_path: Path) -> Killed:
    kommune = municipality(tmp_path)
    settings = kommune.configure({"journal": {"path": "state/journal.db", "receipts_dir": "receipts"}})
    bus = MemoryBus(Fhi(kommune.pki).answer)
    made = Killed(settings, bus)
    kept = tmp_path / "kept"
    marks = Marks(made.journal, tmp_path / "marks")

    def keep(_message: Outbound) -> None:
        # In a fork: closing a file of SQLite's in its own process would give up its locks.
        child = os.fork()
        if child == 0:
            shutil.copytree(made.journal.parent, kept)
            os._exit(0)
        os.waitpid(child, 0)
        marks.keep()
        raise KeyboardInterrupt

    bus.on_publish = keep
    with pytest.raises(KeyboardInterrupt), Client(settings, bus=bus, by="vakt") as client:
        client.submit()
    bus.on_publish = lambda _message: None
    bus.taken.append(bus.published[0])
    for file in kept.iterdir():
        if not file.name.endswith(("-shm", ".lock", ".mark")):
            # Into the same files: it is the same disk.
            made.journal.with_name(file.name).write_bytes(file.read_bytes())
    marks.put_back()
    return made


def _cut_in_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _zero_a_page(file: Path, page: int = 1) -> None:
    with file.open("r+b") as stream:
        stream.seek(page * 16_384)
        stream.write(bytes(16_384))


def _nothing(_killed: Killed) -> None:
    pass


def _wal_missing(killed: Killed) -> None:
    killed.beside("-wal").unlink()


def _wal_cut_off(killed: Killed) -> None:
    _cut_in_half(killed.beside("-wal"))


def _wal_zeroed(killed: Killed) -> None:
    _zero_a_page(killed.beside("-wal"))


def _wal_emptied(killed: Killed) -> None:
    os.truncate(killed.beside("-wal"), 0)


def _journal_cut_off(killed: Killed) -> None:
    """Everything is in the -wal still."""
    os.truncate(killed.journal, 100)


def _journal_emptied(killed: Killed) -> None:
    _wal_missing(killed)
    os.truncate(killed.journal, 0)


def _copied_to_another_file(killed: Killed) -> None:
    """What a copy, made while the run was going on, is when it takes the journal's place."""
    for file in (killed.journal, killed.beside("-wal")):
        copy = file.with_name("copy")
        shutil.copyfile(file, copy)
        copy.replace(file)


def _marker_is_a_folder(killed: Killed) -> None:
    killed.beside(".mark").unlink()
    killed.beside(".mark").mkdir()


def _others_may_read(killed: Killed) -> None:
    killed.journal.chmod(0o666)


def _half_a_marker_left_behind(killed: Killed) -> None:
    killed.beside(".mark.new").write_bytes(b"{")


@pytest.mark.parametrize("leave", [_nothing, _others_may_read, _half_a_marker_left_behind, _journal_cut_off])
def test_what_a_kill_leaves_is_recovered(killed: Killed, leave: Callable[[Killed], None]) -> None:
    """G2: in doubt, and the second shipment goes on its way."""
    leave(killed)
    report = killed.send()
    assert [shipment.state.value for shipment in report.submission.shipments] == ["in_doubt", "delivered"]
    assert sorted(Counter(message.message_id for message in killed.bus.taken).values()) == [1, 1]
    assert killed.journal.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        _wal_missing,
        _wal_cut_off,
        _wal_zeroed,
        _wal_emptied,
        _journal_emptied,
        _copied_to_another_file,
        _marker_is_a_folder,
    ],
)
def test_what_lost_something_is_refused(killed: Killed, damage: Callable[[Killed], None]) -> None:
    damage(killed)
    for _ in range(2):
        with pytest.raises(JournalUnwritable) as raised:
            killed.send()
        assert raised.value.next_step
    assert len(killed.bus.taken) == 1


@pytest.mark.parametrize(("step", "exit_code"), [("prepare", 90), ("put", 73)])
def test_an_attempt_whose_marker_cannot_be_written_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, exit_code: int
) -> None:
    """Rule 3 of ``recovery``: it is certain that nothing was sent. What cannot be noted, the run says itself: 73."""
    kommune = municipality(tmp_path)
    bus = MemoryBus(Fhi(kommune.pki).answer)
    client = Client(kommune.configure(), bus=bus)
    real = getattr(marker, step)
    with client:
        client._app.session.opened()

        def full(journal: Path, *_: marker.HighWaterMark) -> None:
            raise JournalUnwritable(Text("No space left on device."), where=str(journal))

        monkeypatch.setattr(marker, step, full)
        with pytest.raises(JournalUnwritable):
            client.submit()
    assert bus.published == []
    monkeypatch.setattr(marker, step, real)
    with Client(kommune.configure(), bus=bus) as asking:
        report = asking.status()
    assert report is not None
    assert (report.submission.state.value, report.exit_code) == ("sealed", exit_code)
    with Client(kommune.configure(), bus=bus) as again:
        assert again.submit().sent == 2


def test_a_journal_that_is_full_ends_the_command_with_73(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """G5: the journal cannot note what it could not be told; the run says it all the same."""

    def full(_journal: SqliteJournal, _msg_id: str) -> None:
        raise JournalUnwritable(Text("The disk is full."))

    kommune = municipality(tmp_path)
    bus = MemoryBus()
    monkeypatch.setattr(session, "Client", functools.partial(Client, bus=bus))
    monkeypatch.setattr(SqliteJournal, "begin_publish", full)
    code = run(["--env", "lokal", "--config", str(kommune.config), "send"])
    assert code == 73
    assert "The disk is full." in capsys.readouterr().err
    assert bus.published == []


def test_a_journal_on_a_network_file_system_is_refused_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kommune = municipality(tmp_path)
    for module in (location, file_owners):
        monkeypatch.setattr(module, "file_system", lambda _path: "nfs4")
    bus = MemoryBus()
    with Client(kommune.configure(), bus=bus) as client, pytest.raises(JournalUnwritable, match="nfs4") as raised:
        client.submit()
    assert "journal.allow_network" in raised.value.next_step
    assert not kommune.journal.exists()
    assert run(["--env", "lokal", "--config", str(kommune.config), "config", "check"]) == 73
    assert "nfs4" in capsys.readouterr().out
    with Client(kommune.configure({"journal": {"allow_network": True}}), bus=bus) as client:
        assert client.submit().sent == 2
    found = marker.read(kommune.journal)
    assert found is not None
    assert found.inode is None, "a network file system may give another one at any time"
