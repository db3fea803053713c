"""``kpr-send fleet worker``, and ``fleet send`` where workers live: over a real database, with real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_fleet import by_name, options
from tests.helpers.fleet import Fleet, fleet
from tests.helpers.postgres import PASSWORD, Database

Command = Callable[..., tuple[int, str, str]]


def in_database(folder: Path, database: Database, *names: str, own: str = "") -> Fleet:
    """Set a fleet up whose journals are in a database."""
    made = fleet(folder, *names, own=own)
    common = f'[journal]\nurl = "{database.url}"\npassword_env = "KPR_DATABASE"\n'
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


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPR_DATABASE", PASSWORD)


def test_send_asks_the_workers_follows_them_and_a_worker_ends_with_0(
    tmp_path: Path, own_postgres: Database, command: Command
) -> None:
    made = in_database(tmp_path, own_postgres, "1103", "4601", "5001", own='[municipality.report]\nyear = "none"')
    code, _, err = command(*options(made), "fleet", "worker")
    assert (code, "journal migrate" in err) == (78, True)
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
