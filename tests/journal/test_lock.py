"""One process at a time, and never a stale lock."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kpr_sender.errors import InternalError, JournalLocked, JournalUnwritable
from kpr_sender.journal.lock import JournalLock, held_by_this_process
from tests.journal.builders import Clock, open_journal

ROOT = Path(__file__).resolve().parents[2]
_HOLD = """
import sys
from pathlib import Path
from kpr_sender.journal.lock import JournalLock
from tests.journal.builders import Clock
lock = JournalLock.acquire(Path(sys.argv[1]), now=Clock())
print("held", flush=True)
sys.stdin.read()
lock.release()
"""


@contextmanager
def holder(journal: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, journal],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    journal = tmp_path / "state" / "journal.db"
    with holder(journal) as process:
        with pytest.raises(JournalLocked) as raised:
            JournalLock.acquire(journal, now=Clock())
        assert f"process {process.pid} on {socket.gethostname()}" in raised.value.what
        assert "since 2025-01-10T12:00:01" in raised.value.what
        assert raised.value.where == str(journal)
        assert not held_by_this_process(journal)
    file = journal.with_name("journal.db.lock")
    assert file.exists()
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_sigkill_frees_it(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with holder(journal) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        with JournalLock.acquire(journal, now=Clock()):
            content = json.loads(journal.with_name("journal.db.lock").read_bytes())
            assert content["pid"] == os.getpid()


def test_the_end_of_the_holder_frees_it(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with holder(journal) as process:
        process.communicate(timeout=10)
        JournalLock.acquire(journal, now=Clock()).release()


@pytest.mark.parametrize("name", ["journal.db", "./journal.db", "link.db"])
def test_the_same_process_twice_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "journal.db.lock").touch()
    (tmp_path / "journal.db").touch()  # as a run leaves it that was killed before it wrote any of it
    (tmp_path / "link.db").symlink_to("journal.db")
    lock = JournalLock.acquire(tmp_path / "journal.db", now=Clock())
    with pytest.raises(JournalLocked, match=f"process {os.getpid()}"):
        JournalLock.acquire(tmp_path / name, now=Clock())
    assert held_by_this_process(tmp_path / name)
    lock.release()
    lock.release()
    with JournalLock.acquire(tmp_path / name, now=Clock()):
        pass


def test_of_many_threads_one_gets_it(tmp_path: Path) -> None:
    got: list[JournalLock] = []
    refused: list[JournalLocked] = []

    def work() -> None:
        try:
            got.append(JournalLock.acquire(tmp_path / "journal.db", now=Clock()))
        except JournalLocked as error:
            refused.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)
    got[0].release()


def test_another_journals_lock_is_another_lock(tmp_path: Path) -> None:
    with JournalLock.acquire(tmp_path / "a.db", now=Clock()), JournalLock.acquire(tmp_path / "b.db", now=Clock()):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_neither_holds_nor_prolongs_nor_breaks_it(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    lock = JournalLock.acquire(journal, now=Clock())
    ready, tell = os.pipe()
    wait, go_on = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(go_on)
            try:
                JournalLock.acquire(journal, now=Clock())
            except JournalLocked:
                code = 0 if not held_by_this_process(journal) else 2
            lock.release()
            os.write(tell, b"x")
            os.read(wait, 1)
        finally:
            os._exit(code)
    try:
        assert select.select([ready], [], [], 10)[0]
        assert held_by_this_process(journal)
        lock.release()
        with JournalLock.acquire(journal, now=Clock()):  # while the child still lives
            pass
    finally:
        for descriptor in (go_on, wait, ready, tell):
            os.close(descriptor)
        status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff\x00"])
def test_a_note_that_cannot_be_read_does_not_hide_the_lock(tmp_path: Path, content: bytes) -> None:
    journal = tmp_path / "journal.db"
    with JournalLock.acquire(journal, now=Clock()):
        journal.with_name("journal.db.lock").write_bytes(content)
        with pytest.raises(JournalLocked, match="Another run holds the journal"):
            JournalLock.acquire(journal, now=Clock())


def test_a_place_that_cannot_hold_it_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnwritable, match="cannot be written"):
        JournalLock.acquire(tmp_path / "file" / "journal.db", now=Clock())
    (tmp_path / "journal.db.lock").mkdir()
    with pytest.raises(JournalUnwritable, match="Is a directory"):
        JournalLock.acquire(tmp_path / "journal.db", now=Clock())


def test_recovery_without_the_lock_is_refused(tmp_path: Path) -> None:
    """G1: another process may be publishing this very moment."""
    with open_journal(tmp_path / "journal.db") as journal, pytest.raises(InternalError, match="lock"):
        journal.recover()
