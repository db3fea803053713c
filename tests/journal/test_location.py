"""Who may use a journal, and where: nothing is made or changed that is another's, or that is no journal."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender import file_owners
from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal import location
from kpr_sender.journal.lock import JournalLock
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality
from tests.journal.builders import Clock

_NOBODY = 65534
_as_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def made(tmp_path: Path) -> Municipality:
    kommune = municipality(tmp_path)
    kommune.configure({"journal": {"path": "state/journal.db", "receipts_dir": "state/receipts"}})
    (tmp_path / "state").mkdir(mode=0o700)
    return kommune


def _state(made: Municipality) -> Path:
    return made.folder / "state"


def _send(made: Municipality) -> None:
    settings = made.configure({"journal": {"path": "state/journal.db", "receipts_dir": "state/receipts"}})
    with Client(settings, bus=MemoryBus(Fhi(made.pki).answer)) as client:
        client.submit()
        assert client.wait(timeout=0).exit_code == 0


def _command(made: Municipality, *arguments: str) -> int:
    return run(["--env", "lokal", "--config", str(made.config), *arguments])


def _all_in(folder: Path) -> dict[Path, tuple[int, int, int, int]]:
    seen = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {path: (one.st_mode, one.st_uid, one.st_ino, one.st_mtime_ns) for path, one in seen.items()}


def test_another_users_journal_is_refused_before_anything_is_written(
    made: Municipality, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run by hand with sudo made marker, receipts, register cache and log root's; cron then failed for ever."""
    _send(made)
    made.configure(
        {
            "journal": {"path": "state/journal.db", "receipts_dir": "state/receipts"},
            "log": {"file": "state/kpr.log"},
        }
    )
    numbers = made.folder / "numbers"
    numbers.write_text("")
    before = _all_in(_state(made))
    monkeypatch.setattr(os, "geteuid", lambda: made.folder.stat().st_uid + 4711)
    for arguments in (
        ("send",),
        ("wait", "--wait", "0"),
        ("receipts", "add", str(made.fagmelding)),
        ("doctor",),
        ("certs",),
        ("config", "check"),
        ("testpersons", "add", str(numbers)),
        ("journal", "release", "x", "--reason", "Spurt.", "--by", "Kari", "--yes"),
        ("journal", "verify", "--accept-restored", "--reason", "Spurt.", "--by", "Kari", "--yes"),
    ):
        assert _command(made, *arguments) == 73, arguments
        told = capsys.readouterr().err
        assert "and this is user number" in told
        assert "sudo -H -u " in told
    assert _all_in(_state(made)) == before
    assert _command(made, "status") == 0, "it is only read"


@_as_root
def test_root_makes_no_journal_in_another_users_folder(made: Municipality, capsys: pytest.CaptureFixture[str]) -> None:
    os.chown(_state(made), _NOBODY, _NOBODY)
    before = _all_in(_state(made))
    assert _command(made, "wait", "--wait", "0") == 73
    told = capsys.readouterr().err
    assert "The journal folder is nobody's, and this is root" in told
    assert "sudo -H -u nobody kpr-send" in told
    os.chown(_state(made), 4711, 4711)
    assert _command(made, "send") == 73
    assert "sudo -H -u '#4711' kpr-send" in capsys.readouterr().err
    os.chown(_state(made), _NOBODY, _NOBODY)
    assert _all_in(_state(made)).keys() == before.keys()
    os.chown(_state(made), 0, 0)
    _send(made)
    os.chown(_state(made), _NOBODY, _NOBODY)
    assert _command(made, "wait", "--wait", "0") == 0, "a journal that is root's already stays usable to root"


@_as_root
def test_root_may_look_at_another_users_journal_and_leaves_nothing_of_its_own(made: Municipality) -> None:
    _send(made)
    for file in (_state(made), *_state(made).rglob("*")):
        os.chown(file, _NOBODY, _NOBODY)
    for arguments in (("status",), ("receipts",), ("journal", "verify"), ("journal", "export"), ("journal", "log")):
        assert _command(made, *arguments) == 0, arguments
    assert {file.stat().st_uid for file in _state(made).rglob("*")} == {_NOBODY}


@_as_root
@pytest.mark.parametrize("end", [".mark", ".acknowledgements.json", ".mailbox.json"])
def test_a_file_that_an_earlier_version_left_as_root_s_is_named_with_how_to_give_it_back(
    made: Municipality, end: str
) -> None:
    _send(made)
    mark = _state(made) / f"journal.db{end}"
    mark.touch()
    os.chown(mark, _NOBODY, _NOBODY)
    with pytest.raises(JournalUnwritable, match=rf"journal\.db{re.escape(end)} belongs to nobody") as raised:
        _send(made)
    assert raised.value.next_step.endswith(f"sudo chown {os.geteuid()} {mark}")


def test_owners_that_are_a_mounts_and_not_the_files_say_nothing(
    made: Municipality, monkeypatch: pytest.MonkeyPatch
) -> None:
    _send(made)
    monkeypatch.setattr(file_owners, "file_system", lambda _path: "cifs")
    monkeypatch.setattr(os, "geteuid", lambda: made.folder.stat().st_uid + 4711)
    _state(made).chmod(0o777)
    location.require_own_journal(_state(made) / "journal.db")
    location.require_private_folder(_state(made) / "journal.db")


def test_modes_that_a_mount_does_not_let_us_change_stop_no_run(
    made: Municipality, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal on a disk with FAT, which answers chmod with EPERM."""
    _send(made)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    for file in _state(made).glob("journal.db*"):
        file.chmod(0o755)
    assert _command(made, "journal", "verify") == 73
    monkeypatch.setattr(file_owners, "file_system", lambda _path: "vfat")
    monkeypatch.setattr(os, "chmod", refuse)
    assert _command(made, "journal", "verify") == 0
    assert _command(made, "wait", "--wait", "0") == 0


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_folder_in_which_everybody_may_write_is_refused(
    made: Municipality, mode: int, capsys: pytest.CaptureFixture[str]
) -> None:
    _state(made).chmod(mode)
    with pytest.raises(JournalUnwritable, match=f"mode {mode:04o}") as raised:
        _send(made)
    assert "chmod go-w" in raised.value.next_step
    assert not [*_state(made).iterdir()]
    assert _command(made, "config", "check") == 73
    assert "Everybody may write" in capsys.readouterr().out
    _state(made).chmod(0o775)
    _state(made).rename(made.folder / "elsewhere")
    _state(made).symlink_to("elsewhere")
    _send(made)


@_as_root
@pytest.mark.parametrize(
    ("owner", "group", "mode", "who"),
    [(0, _NOBODY, 0o770, "The group nogroup"), (_NOBODY, 0, 0o2770, "Nobody"), (_NOBODY, _NOBODY, 0o770, "The group")],
)
def test_a_folder_in_which_another_user_or_a_group_may_write_is_refused(
    made: Municipality, owner: int, group: int, mode: int, who: str
) -> None:
    _send(made)
    os.chown(_state(made), owner, group)
    _state(made).chmod(mode)
    before = _all_in(_state(made))
    with pytest.raises(JournalUnwritable, match=f"{who}.* may write in the journal's folder") as raised:
        _send(made)
    assert f"chmod go-w {_state(made)}" in raised.value.next_step
    assert _all_in(_state(made)) == before
    _state(made).chmod(0o750)
    _send(made)


def _text(file: Path) -> None:
    file.write_text("PersonNumber;Name\n" * 1000)


def _short_text(file: Path) -> None:
    file.write_text("x")


def _nothing(file: Path) -> None:
    file.touch()


def _database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE theirs (a)")
        connection.commit()


def _database_in_use(file: Path) -> None:
    """All of it is in the -wal still."""
    source = file.with_name("source")
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE theirs (a)")
        connection.commit()
        for end in ("", "-wal"):
            shutil.copyfile(f"{source}{end}", f"{file}{end}")
    source.unlink()


@pytest.mark.parametrize("write", [_nothing, _text, _short_text, _database, _database_in_use])
def test_a_file_that_is_no_journal_is_neither_changed_nor_locked(
    made: Municipality, write: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    file = _state(made) / "anything"
    write(file)
    file.chmod(0o644)
    before, content = _all_in(_state(made)), file.read_bytes()
    for arguments in (("send",), ("wait", "--wait", "0"), ("status",), ("journal", "verify"), ("journal", "export")):
        assert _command(made, "--journal", str(file), *arguments) == 73
        told = capsys.readouterr()
        assert "journal" in told.out + told.err
    assert (_all_in(_state(made)), file.read_bytes()) == (before, content)


def test_a_link_in_place_of_lock_or_mark_does_not_lead_to_somebody_s_file(made: Municipality) -> None:
    theirs = made.folder / "theirs"
    theirs.write_text("precious")
    beside = _state(made) / "journal.db.mark.new"
    beside.symlink_to(theirs)
    _send(made)
    assert not (_state(made) / "journal.db.mark").is_symlink()

    lock = _state(made) / "journal.db.lock"
    lock.unlink()
    lock.symlink_to(theirs)
    with pytest.raises(JournalUnwritable, match="symbolic link"):
        JournalLock.acquire(_state(made) / "journal.db", now=Clock())
    assert theirs.read_text() == "precious"
    lock.unlink()
    _send(made)


def test_rights_that_a_backup_widened_are_narrowed_on_every_file(made: Municipality) -> None:
    _send(made)
    files = [_state(made) / f"journal.db{end}" for end in ("", "-wal", "-shm")]
    files[0].chmod(0o644)  # SQLite gives the others the same
    files.append(_state(made) / "journal.db.mark")
    files[-1].chmod(0o660)  # as fsGroup leaves it; it is written anew only when something has happened
    with Client(made.configure({"journal": {"path": "state/journal.db"}}), bus=MemoryBus()) as client:
        client._app.session.opened()
        assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 4


def test_rights_that_others_have_are_found_where_the_files_are_also_behind_a_link(
    made: Municipality, capsys: pytest.CaptureFixture[str]
) -> None:
    _send(made)
    journal, link = _state(made) / "journal.db", made.folder / "link.db"
    link.symlink_to(journal)
    for named in (journal, link):
        assert run(["--env", "lokal", "--config", str(made.config), "--journal", str(named), "journal", "verify"]) == 0
    (_state(made) / "journal.db.mark").chmod(0o640)
    for named in (journal, link):
        capsys.readouterr()
        assert run(["--env", "lokal", "--config", str(made.config), "--journal", str(named), "journal", "verify"]) == 73
        out = capsys.readouterr().out
        assert "journal.db.mark" in out
        assert "mode 0640" in out
