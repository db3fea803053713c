"""The file: private, durable, one environment's, and refused in plain words where it is not what it must be."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid, InternalError, JournalUnwritable
from kpr_sender.journal import connection, schema
from kpr_sender.journal.port import Journal
from kpr_sender.journal.rows import time_of, time_text
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment, MessageType
from kpr_sender.states import ANSWERS, Cause, ImpossibleTransition, ShipmentState
from tests.journal.builders import START, Clock, created, new_shipment, new_submission, open_journal


@contextmanager
def _raw(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_file_and_its_companions_are_private(tmp_path: Path, umask: int) -> None:
    """G6: receipts may name persons."""
    path = tmp_path / "state" / "journal.db"
    before = os.umask(umask)
    try:
        with open_journal(path) as journal:
            created(journal)
            for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
                assert stat.S_IMODE(path.with_name(name).stat().st_mode) == 0o600, name
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    open_journal(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_commit_is_synced(tmp_path: Path) -> None:
    """G2."""
    with open_journal(tmp_path / "j.db") as journal, journal._store.reading() as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_what_one_connection_commits_another_reads_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    assert SqliteJournal.open_readonly(path, Environment.LOKAL) is None
    assert not path.exists()
    with open_journal(path) as journal:
        view = SqliteJournal.open_readonly(path, Environment.LOKAL)
        assert view is not None
        with view:
            shipment = created(journal)
            assert view.shipment(shipment.msg_id) == shipment
            journal.begin_publish(shipment.msg_id)
            assert view.submissions() == journal.submissions()
            with pytest.raises(JournalUnwritable), view._store.writing() as connection:
                connection.execute("DELETE FROM migration")
    with open_journal(path) as again:
        assert again.shipment(shipment.msg_id) is not None
    again.close()


def test_an_empty_file_of_ours_is_a_journal_not_yet_made(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.touch()
    with pytest.raises(JournalUnwritable, match="is empty, and kpr-sender has not made it"):
        SqliteJournal.open_readonly(path, Environment.LOKAL)
    path.with_name("j.db.lock").touch()  # it was made under its lock, by a run that was killed
    assert SqliteJournal.open_readonly(path, Environment.LOKAL) is None
    open_journal(path).close()
    view = SqliteJournal.open_readonly(path, Environment.LOKAL)
    assert view is not None
    view.close()


def test_a_journal_all_of_which_is_in_its_wal_still_is_known_as_ours(tmp_path: Path) -> None:
    """As the first run leaves it that is killed."""
    path, copy = tmp_path / "j.db", tmp_path / "copy.db"
    with open_journal(path) as journal:
        created(journal)
        for end in ("", "-wal"):
            shutil.copyfile(f"{path}{end}", f"{copy}{end}")
    with _raw(shutil.copyfile(copy, tmp_path / "alone.db")) as alone:
        assert alone.execute("PRAGMA application_id").fetchone() == (0,)
    view = SqliteJournal.open_readonly(copy, Environment.LOKAL)
    assert view is not None
    with view:
        assert len(view.submissions()) == 1


def test_a_journal_is_for_one_environment(tmp_path: Path) -> None:
    """G7."""
    path = tmp_path / "j.db"
    open_journal(path, Environment.VALIDERING).close()
    for opened in (open_journal, SqliteJournal.open_readonly):
        with pytest.raises(ConfigInvalid, match=r"j\.db: .* validering, not for produksjon"):
            opened(path, Environment.PRODUKSJON)


def _newer(path: Path) -> None:
    open_journal(path).close()
    with _raw(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")


def _other_database(path: Path) -> None:
    with _raw(path) as connection:
        connection.execute("CREATE TABLE t (x)")


def _no_database(path: Path) -> None:
    path.write_bytes(b"Dette er en tekstfil og ingen journal. " * 100)


def _truncated(path: Path) -> None:
    with open_journal(path) as journal:
        created(journal)
    os.truncate(path, path.stat().st_size // 2)


def _zeroed_page(path: Path) -> None:
    with open_journal(path) as journal:
        created(journal)
    with path.open("r+b") as stream:
        stream.seek(connection._PAGE_BYTES)
        stream.write(bytes(path.stat().st_size - connection._PAGE_BYTES))


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (_newer, "newer version"),
        (_other_database, "not a kpr-sender journal"),
        (_no_database, "not a kpr-sender journal"),
        (_truncated, "damaged"),
        (_zeroed_page, "damaged"),
        (_folder, "not a file"),
    ],
)
def test_what_is_no_sound_journal_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], text: str
) -> None:
    path = tmp_path / "journal.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""

    def use() -> None:
        with open_journal(path) as journal:
            journal.submissions()

    def look() -> None:
        view = SqliteJournal.open_readonly(path, Environment.LOKAL)
        assert view is not None
        with view:
            view.submissions()

    for act in (use, look):
        with pytest.raises(JournalUnwritable, match=text) as raised:
            act()
        assert raised.value.where == str(path)
        assert raised.value.next_step
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_damaged_sealed_bytes_are_not_handed_out(tmp_path: Path) -> None:
    """G3."""
    path = tmp_path / "j.db"
    with open_journal(path) as journal:
        shipment = created(journal)
        sealed = journal.sealed(shipment.msg_id)
    content = path.read_bytes()
    place = content.index(sealed[2000:2100])
    path.write_bytes(content[:place] + b"\x00" + content[place + 1 :])
    with open_journal(path) as journal, pytest.raises(JournalUnwritable, match="not those that were written"):
        journal.sealed(shipment.msg_id)


def test_missing_sealed_bytes_are_damage_too(tmp_path: Path) -> None:
    """G3."""
    path = tmp_path / "j.db"
    with open_journal(path) as journal:
        shipment = created(journal)
    with _raw(path) as connection:
        connection.execute("DROP TRIGGER sealed_stays")
        connection.execute("DELETE FROM sealed")
    with open_journal(path) as journal, pytest.raises(JournalUnwritable, match="not those that were written"):
        journal.sealed(shipment.msg_id)


def test_a_row_that_does_not_read_back_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with open_journal(path) as journal:
        shipment = created(journal)
    with _raw(path) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE shipment SET state = 'lost'")
    with open_journal(path) as journal:
        with pytest.raises(JournalUnwritable, match="damaged: a row that holds a shipment"):
            journal.shipment(shipment.msg_id)
        with pytest.raises(JournalUnwritable, match="damaged"):
            journal.create(new_submission("x", replaces="2024-aaaa0001", reason="r"))


def test_an_error_of_the_program_is_not_called_the_machines(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j.db") as journal:
        with pytest.raises(InternalError), journal._store.writing() as connection:
            connection.execute("SELECT nothing")
        journal.close()
        with pytest.raises(InternalError):
            journal.submissions()


def test_a_full_disk_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j.db") as journal:
        kept = journal.create(new_submission("a"))
        with journal._store.reading() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        # Pragmas on the size act outside a transaction only.
        journal._store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalUnwritable, match="disk is full"):
            journal.create(new_submission("b", year=2023, shipments=(new_shipment(sealed_bytes=1_000_000),)))
        assert journal.submissions() == (kept,)
        journal._store._connection.execute("PRAGMA max_page_count = 1000000")
        journal.create(new_submission("b", year=2023))


def test_a_lock_held_by_another_program_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_BUSY_SECONDS", 0.05)
    path = tmp_path / "j.db"
    with open_journal(path) as journal, _raw(path) as other:
        shipment = created(journal)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnwritable, match="locked for too long"):
            journal.begin_publish(shipment.msg_id)
        other.execute("ROLLBACK")
        journal.begin_publish(shipment.msg_id)


_OTHER_USER = """
import os, sys
from pathlib import Path
from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment
from tests.journal.builders import open_journal
path = Path(sys.argv[1])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for act in (open_journal, lambda path: SqliteJournal.open_readonly(path, Environment.LOKAL)):
    try:
        act(path)
    except JournalUnwritable as error:
        print(error)
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_a_journal_of_another_user_is_refused_in_words(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    folder = tmp_path
    while folder != folder.parent:  # let the other user come as far as the file
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
        folder = folder.parent
    path = tmp_path / "open" / "j.db"
    open_journal(path).close()
    path.parent.chmod(0o755)
    ran = subprocess.run(
        [sys.executable, "-c", _OTHER_USER, path],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.count("cannot be opened") == 2


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnwritable, match=r"cannot be written: Not a directory|File exists"):
        open_journal(tmp_path / "file" / "j.db")


def test_threads_share_one_journal(journal: Journal) -> None:
    failed: list[BaseException] = []

    def work(year: int) -> None:
        try:
            for shipment in journal.create(new_submission(str(year), year=year)).shipments:
                journal.begin_publish(shipment.msg_id)
                journal.end_publish(shipment.msg_id, Cause.ACCEPTED, evidence={}, error=None)
                journal.submissions()
        except BaseException as error:  # noqa: BLE001 -- handed to the test
            failed.append(error)

    threads = [threading.Thread(target=work, args=(year,)) for year in range(2000, 2010)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(journal.submissions()) == 10


def test_of_two_that_publish_the_same_at_once_one_does(tmp_path: Path) -> None:
    """G1: even without the lock, on two connections: one moves it, the other is told that it is moved."""
    path = tmp_path / "j.db"
    with open_journal(path) as one, open_journal(path) as two, ThreadPoolExecutor(2) as pool:
        msg_id = created(one).msg_id
        start = threading.Barrier(2, timeout=10)

        def publish(journal: SqliteJournal) -> type[BaseException] | None:
            start.wait()
            try:
                journal.begin_publish(msg_id)
            except Exception as error:  # noqa: BLE001 -- handed to the test
                return type(error)
            return None

        for attempt in range(1, 41):
            outcomes = set(pool.map(publish, (one, two)))
            assert outcomes == {None, ImpossibleTransition}
            back = one.end_publish(msg_id, Cause.NOT_SENT, evidence={}, error=None)
            assert back.attempts == attempt


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_may_not_use_its_parents_journal(journal: Journal) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            journal.submissions()
        except InternalError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_schema_names_what_the_program_knows(tmp_path: Path) -> None:
    """Where this fails, write a migration: journals made before have the old lists."""
    with open_journal(tmp_path / "j.db") as journal, journal._store.reading() as connection:
        sql = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'shipment'").fetchone()[0]
        environments = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'submission'").fetchone()[0]
        migrations = connection.execute("SELECT version FROM migration").fetchall()
    for value in (*ShipmentState, *MessageType):
        assert f"'{value}'" in sql
    for value in Environment:
        assert f"'{value}'" in environments
    assert all(f"'{answer}'" in sql for answer in ANSWERS)
    assert [row[0] for row in migrations] == list(range(1, schema.VERSION + 1))


@pytest.mark.parametrize("at", [START, datetime.fromisoformat("2025-07-01T12:00:00+02:00")])
def test_times_are_rfc_3339_utc_with_microseconds(at: datetime) -> None:
    text = time_text(at)
    assert len(text) == len("2025-01-10T12:00:00.000250Z")
    assert text.endswith("Z")
    assert time_of(text) == at


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        time_text(datetime.fromisoformat("2025-01-10T12:00:00"))


def test_opening_twice_migrates_once(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    open_journal(path).close()
    clock = Clock()
    SqliteJournal.open(path, Environment.LOKAL, now=clock, who="x").close()
    with _raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM journal").fetchone()[0] == 1
