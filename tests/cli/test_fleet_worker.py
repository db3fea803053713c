"""``kpr-send fleet worker``, and ``fleet send`` where workers live: over a real database, with real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.sandbox.pki import ensure_pki
from tests.cli.test_fleet import by_name, options
from tests.helpers.command import until
from tests.helpers.fleet import Fleet, fleet
from tests.helpers.postgres import PASSWORD, Database
from tests.proofs.machines_play import country

_DOES_SOMETHING = """
    SELECT 1 FROM kpr_tasks.procrastinate_jobs
    WHERE status = 'doing' AND worker_id = (SELECT min(id) FROM kpr_tasks.procrastinate_workers)
"""
_LEFT_BEHIND = """
    SELECT 1 FROM kpr_tasks.procrastinate_jobs
    WHERE status = 'doing' AND worker_id NOT IN (SELECT id FROM kpr_tasks.procrastinate_workers)
"""
Command = Callable[..., tuple[int, str, str]]


def in_database(folder: Path, database: Database, *names: str, own: str = "", every: str = "1m") -> Fleet:
    """Set a fleet up whose journals are in a database."""
    made = fleet(folder, *names, own=own, fleet=f'every = "{every}"')
    # A file: processes begin with the environment that the tests' process had when it began its first one.
    secret = folder / "password"
    secret.write_text(PASSWORD, "utf-8")
    secret.chmod(0o600)
    common = f'[journal]\nurl = "{database.url}"\npassword_file = "{secret}"\n'
    made.path.write_text(made.path.read_text("utf-8").replace("[journal]\n", common), "utf-8")
    return made


@contextmanager
def worker(made: Fleet, *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "kpr_sender", "--json", *options(made), "fleet", "worker", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def begun(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what it says once it works."""
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def test_send_asks_the_workers_follows_them_and_a_worker_ends_with_0(
    tmp_path: Path, own_postgres: Database, command: Command
) -> None:
    made = in_database(tmp_path, own_postgres, "1103", "4601", "5001", own='[municipality.report]\nyear = "none"')
    code, _, err = command(*options(made), "fleet", "worker")
    assert (code, "--municipality NUMBER journal migrate" in err) == (78, True)
    assert command(*options(made), "--municipality", "1103", "journal", "migrate")[0] == 0
    code, out, _ = command("--json", *options(made), "fleet", "send", "--only", "1103")
    (here,) = json.loads(out)["municipalities"]
    assert (code, here["result"]["state"], here["seconds"] > 0) == (0, "delivered", True), "nobody to ask: run here"

    with worker(made, "--jobs", "2") as process:
        said = begun(process)
        assert (said["jobs"], said["municipalities"], said["left"]) == (2, ["1103", "4601"], ["5001"])
        code, out, _ = command("--json", *options(made), "fleet", "send", "--wait", "30s")
        value = json.loads(out)
        process.send_signal(signal.SIGTERM)
        rest, log = process.communicate(timeout=60)

    found = by_name(value)
    assert {one["seconds"] for one in found.values()} == {None}, "no process of this command"
    assert {name: one["exit_code"] for name, one in found.items()} == {"1103": 0, "4601": 0, "5001": 78}
    assert {found[name]["result"]["state"] for name in ("1103", "4601")} == {"delivered"}
    assert (code, process.returncode, rest) == (78, 0, "")
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["municipality"] for line in lines if line["event"] == "municipality"} == {"1103", "4601"}
    assert {line["exit_code"] for line in lines if line["event"] == "municipality"} == {0}


def test_send_runs_here_where_the_workers_that_live_look_after_others_alone(
    tmp_path: Path, own_postgres: Database, command: Command
) -> None:
    made = in_database(tmp_path, own_postgres, "1103", "4601", every="1s")
    assert command(*options(made), "--municipality", "1103", "journal", "migrate")[0] == 0
    with worker(made, "--only", "1103") as process:
        begun(process)
        until(lambda: command(*options(made), "--municipality", "1103", "status")[0] == 0)
        code, out, _ = command("--json", *options(made), "fleet", "send", "--only", "4601")
    (here,) = json.loads(out)["municipalities"]
    assert (code, here["result"]["state"], here["seconds"] > 0) == (0, "delivered", True)


def test_journals_in_files_or_in_two_databases_are_refused(
    tmp_path: Path, own_postgres: Database, command: Command
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    code, _, err = command(*options(fleet(tmp_path / "a", "1103")), "fleet", "worker")
    assert (code, "workers share a database" in err) == (78, True)
    other = f'[municipality.journal]\nurl = "{own_postgres.url}2"\n'
    made = in_database(tmp_path / "b", own_postgres, "1103", "4601", own=other)
    code, _, err = command(*options(made), "fleet", "worker")
    assert (code, "two databases" in err) == (78, True)


@pytest.mark.nightly
def test_a_worker_killed_in_the_middle_of_a_transfer_doubles_nothing_and_another_goes_on(
    tmp_path: Path, own_postgres: Database, command: Command
) -> None:
    names = ("1103", "4601", "5001", "5501")
    made = in_database(tmp_path, own_postgres, *names)
    text = made.path.read_text("utf-8")
    made.path.write_text(text.replace("[fleet]\n", '[fleet]\nevery = "2s"\nstalled_after = "3s"\n'), "utf-8")
    assert command(*options(made), "--municipality", "1103", "journal", "migrate")[0] == 0

    with worker(made, "--jobs", "2") as killed, worker(made, "--jobs", "1") as other:
        begun(killed)
        begun(other)
        assert killed.stderr is not None
        assert any('"publishing"' in line for line in killed.stderr)
        killed.kill()

        def states() -> set[str]:
            out = command("--json", *options(made), "fleet", "status")[1]
            return {str(one["result"]["state"]) for one in json.loads(out)["municipalities"]}

        until(lambda: states() == {"delivered"})
        other.send_signal(signal.SIGTERM)
        assert other.wait(60) == 0

    for name in names:
        (ledger,) = (tmp_path / name).rglob("ledger.jsonl")
        taken = [json.loads(line) for line in ledger.read_text("utf-8").splitlines()]
        assert len({one["msg_id"] for one in taken}) == len(taken) == 2, "both shipments, each once"


@pytest.mark.nightly
def test_a_worker_whose_server_is_gone_ends_with_73_and_the_next_one_goes_on(
    tmp_path: Path, own_postgres: Database, command: Command
) -> None:
    """It does not connect again by itself: systemd starts it again, as often as it takes."""
    made = in_database(tmp_path, own_postgres, "1103")
    assert command(*options(made), "--municipality", "1103", "journal", "migrate")[0] == 0
    waits = '[municipality.files]\nfagmelding = "later/fagmelding.xml"\nidentmelding = "later/identmelding.xml"\n'
    usual = made.path.read_text("utf-8")
    made.path.write_text(f"{usual}{waits}", "utf-8")
    with worker(made) as process:
        begun(process)
        own_postgres.server.kill()
        out, err = process.communicate(timeout=60)
    error = json.loads(out)["error"]
    assert (process.returncode, error["code"], "start the worker again" in error["next_step"]) == (
        73,
        "journal-unwritable",
        True,
    ), err
    with worker(made) as process:  # and again, while the server is still gone
        out, err = process.communicate(timeout=60)
    assert process.returncode == 73, err
    own_postgres.server.start()
    made.path.write_text(usual, "utf-8")
    with worker(made) as process:
        begun(process)
        assert process.stderr is not None
        assert any('"delivered"' in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.nightly
def test_a_worker_waits_for_receipts_so_shortly_that_others_and_a_person_have_their_turn(
    tmp_path: Path, own_postgres: Database, command: Command
) -> None:
    ensure_pki(tmp_path, now=datetime.now(UTC))
    with country(tmp_path, own_postgres, tmp_path, 2, first="no-answer") as land:
        silent, other = land.names
        made = Fleet(land.fleet_file(tmp_path / "own").parent)
        assert command(*options(made), "--municipality", other, "journal", "migrate")[0] == 0
        land.export(silent)

        def state(name: str) -> object:
            out = command("--json", *options(made), "fleet", "status", "--only", name)[1]
            return json.loads(out)["municipalities"][0]["result"]["state"]

        with worker(made, "--jobs", "1") as process:
            begun(process)
            until(lambda: state(silent) == "published")
            land.export(other)
            until(lambda: state(other) == "delivered")  # by the one place that there is
            one = (*options(made), "--municipality", silent)
            status = json.loads(command("--json", *one, "status")[1])
            said = ("--not-arrived", "--reason", "FHI has it not", "--by", "Kari Vakt", "--yes")
            until(lambda: command(*one, "resolve", status["shipments"][0]["msg_id"], *said)[0] != 87)


@pytest.mark.nightly
def test_after_a_worker_was_killed_each_municipality_is_looked_after_again_within_two_minutes(
    tmp_path: Path, own_postgres: Database, command: Command
) -> None:
    """With the settings as they are: a look a minute, and a worker counts as silent after half of one."""
    ensure_pki(tmp_path, now=datetime.now(UTC))
    with country(tmp_path, own_postgres, tmp_path, 4) as land, own_postgres.boss() as boss:
        made = Fleet(land.fleet_file(tmp_path / "own").parent)
        made.path.write_text(made.path.read_text("utf-8").replace('every = "10s"\n', ""), "utf-8")
        assert command(*options(made), "--municipality", land.names[0], "journal", "migrate")[0] == 0

        def holds(statement: str) -> bool:
            return bool(boss.execute(statement.encode()).fetchall())

        with worker(made, "--jobs", "2") as killed, worker(made, "--jobs", "2") as other:
            begun(killed)
            begun(other)
            until(lambda: holds("SELECT 1 FROM lease HAVING count(since) = 4"))
            ends = time.monotonic() + 120
            while not holds(_DOES_SOMETHING):
                assert time.monotonic() < ends, "it takes no task"
            killed.kill()
            boss.execute("CREATE TABLE killed AS SELECT clock_timestamp() AS at")
            ends = time.monotonic() + 120
            while not holds("SELECT 1 FROM lease, killed HAVING bool_and(since > at)"):
                assert time.monotonic() < ends, "one of them was left alone"
                time.sleep(0.1)
            until(lambda: not holds(_LEFT_BEHIND))
