"""The engine's known holes: tasks that stay in *doing*. Nothing is kept away by them, and each is ended as failed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.helpers.command import until
from tests.helpers.postgres import PASSWORD, Database
from tests.helpers.workers import engine_of, rows, working

LEFT = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args, status, worker_id)
    VALUES ('lokal/1_async', 'kpr_sender.look_after', 'lokal/1_async', '{"queue": "1_async"}', 'doing', %s) RETURNING id
"""
LOST = """
    SELECT 1 FROM procrastinate_jobs LEFT JOIN procrastinate_workers ON procrastinate_workers.id = worker_id
    WHERE status = 'doing' AND (worker_id IS NULL OR last_heartbeat < now() - interval '2 s')
"""
SILENT = "SELECT 1 FROM procrastinate_workers WHERE last_heartbeat < now() - interval '9 min'"
STATUS = "SELECT status FROM procrastinate_jobs WHERE id = "


def left_by(database: Database, worker: str) -> int:
    """Leave a task as a killed worker does; the worker's number is an expression."""
    return int(rows(database, LEFT.replace("%s", worker))[0][0])


def ended(database: Database, number: int) -> bool:
    return rows(database, f"{STATUS}{number}") == [("failed",)]


def silent(database: Database) -> str:
    """Leave a worker that has given no sign of life for an hour."""
    added = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id"
    return str(rows(database, added)[0][0])


def test_a_killed_workers_task_keeps_nobody_away_and_is_ended_as_failed(own_postgres: Database) -> None:
    """Its issue 1408: what ends such tasks is no task, and no lock of one that was left keeps another away."""
    engine = engine_of(own_postgres)
    with working(engine, "1_async", every=1) as one:  # before: starting, it would remove the silent one's row
        until(lambda: bool(one.looks))
        number, looks = left_by(own_postgres, silent(own_postgres)), len(one.looks)
        until(lambda: len(one.looks) > looks)
        until(lambda: ended(own_postgres, number))


def test_a_task_whose_worker_is_not_even_in_the_table_is_ended_as_failed(own_postgres: Database) -> None:
    """Its issue 1518: whoever starts removes the rows of the silent, by which their tasks were found."""
    engine = engine_of(own_postgres)
    number = left_by(own_postgres, silent(own_postgres))
    with working(engine, "1_async", every=60):
        until(lambda: not rows(own_postgres, SILENT))
        until(lambda: ended(own_postgres, number))


def test_a_stalled_task_is_ended_while_the_next_one_waits(own_postgres: Database) -> None:
    """Its issue 1543: put back, it would collide with the one that has its queueing lock by now, and stay for ever."""
    engine = engine_of(own_postgres)
    goes_on = threading.Event()
    number = left_by(own_postgres, silent(own_postgres))
    with working(engine, "1_async", "2_async", every=1, look=lambda *_: goes_on.wait(30)) as one:
        waiting = "SELECT 1 FROM procrastinate_jobs WHERE status = 'todo' AND queueing_lock = 'lokal/1_async'"
        until(lambda: bool(rows(own_postgres, waiting)))
        until(lambda: ended(own_postgres, number))
        goes_on.set()
        looks = len(one.looks)
        until(lambda: len(one.looks) > looks)


def test_a_task_that_its_living_worker_does_not_carry_out_is_ended_as_failed(own_postgres: Database) -> None:
    """Its end could not be stored, since the database was away for that moment."""
    engine = engine_of(own_postgres)
    with working(engine, "1_async", every=60) as one:
        until(lambda: bool(one.looks))
        number = left_by(own_postgres, "(SELECT max(id) FROM procrastinate_workers)")
        until(lambda: ended(own_postgres, number))


def test_what_is_under_way_in_a_living_worker_is_let_be(own_postgres: Database) -> None:
    engine = engine_of(own_postgres)
    goes_on = threading.Event()
    with working(engine, "1_async", every=60, look=lambda *_: goes_on.wait(30), stalled_after=4.0) as one:
        until(lambda: bool(one.looks))
        time.sleep(6)  # looks for stalled tasks, and longer than one may be silent; a busy machine is silent for less
        began = "SELECT status FROM procrastinate_jobs WHERE status <> 'todo' ORDER BY id LIMIT 1"
        assert rows(own_postgres, began) == [("doing",)]
        goes_on.set()
        until(lambda: not rows(own_postgres, "SELECT 1 FROM procrastinate_jobs"))


def test_after_a_worker_was_killed_the_other_looks_after_all_again(
    own_postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 2 minutes at the default of one look a minute; here every second, so within seconds."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    queues = tuple(f"{number}_async" for number in range(1, 5))
    engine_of(own_postgres)
    command = (sys.executable, "-m", "tests.helpers.worker_process", own_postgres.url, str(tmp_path), *queues)
    with subprocess.Popen(command) as killed, subprocess.Popen(command) as other:
        try:
            notes = {process.pid: tmp_path / str(process.pid) for process in (killed, other)}
            until(lambda: all(note.exists() and note.read_text("utf-8") for note in notes.values()))
            size = notes[killed.pid].stat().st_size
            until(lambda: notes[killed.pid].stat().st_size > size)  # it has just begun a look
            killed.kill()
            before = len(notes[other.pid].read_text("utf-8").splitlines())
            until(lambda: {*notes[other.pid].read_text("utf-8").splitlines()[before:]} == {*queues})
            until(lambda: bool(rows(own_postgres, LOST)))
            until(lambda: not rows(own_postgres, LOST))
            assert rows(own_postgres, "SELECT 1 FROM procrastinate_jobs WHERE status = 'failed'"), "and not put back"
        finally:
            for process in (killed, other):
                process.kill()
