"""Two machines are upgraded one after the other, as docs/fleet.md says, while FHI's municipalities go on.

The new version is ``tests.helpers.next_version``: with it, what the old one would write after the migration fails.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.sandbox.pki import ensure_pki
from tests.cli.test_fleet_worker import begun
from tests.helpers.postgres import Database
from tests.helpers.repository import ROOT
from tests.proofs.machines_play import country

_PATIENCE: Final = 120.0  # seconds
OLD: Final = "kpr_sender"
NEW: Final = "tests.helpers.next_version"


@contextmanager
def machine(config: Path, version: str) -> Iterator[subprocess.Popen[str]]:
    """Run a machine's worker until the block ends."""
    with (config.parent / "log").open("ab") as log:
        process = subprocess.Popen(
            _command(config, version, "fleet", "worker"), stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _command(config: Path, version: str, *command: str) -> list[str]:
    return [sys.executable, "-m", version, "--json", "--env", "lokal", "--config", str(config), *command]


def _ran(config: Path, version: str, *command: str) -> tuple[int, dict[str, object]]:
    done = subprocess.run(_command(config, version, *command), capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, json.loads(done.stdout)


def _delivered(database: Database, municipalities: int) -> Callable[[], bool]:
    """Tell whether so many have delivered both; read by neither version."""

    def is_so() -> bool:
        with database.boss() as boss:
            found = boss.execute("SELECT state FROM shipment").fetchall()
        return found == [("delivered",)] * 2 * municipalities

    return is_so


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, also on a busy machine: a worker has to begin first."""
    ends = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < ends, "the condition did not come true in time"
        time.sleep(0.05)


@pytest.mark.nightly
def test_two_machines_are_upgraded_one_after_the_other_and_nothing_is_lost_or_doubled(
    tmp_path: Path, own_postgres: Database
) -> None:
    ensure_pki(tmp_path, now=datetime.now(UTC))
    with country(tmp_path, own_postgres, tmp_path, 4) as land, ExitStack() as running:
        a, b = (land.fleet_file(tmp_path / name) for name in ("a", "b"))
        _stalled_soon(a, b)
        first, second, third, fourth = land.names
        migrate = ("--municipality", first, "journal", "migrate")
        assert _ran(a, OLD, *migrate)[0] == 0
        on_a = running.enter_context(machine(a, OLD))
        on_b = running.enter_context(machine(b, OLD))
        begun(on_a)
        begun(on_b)
        land.export(first)
        until(_delivered(own_postgres, 1))

        on_a.send_signal(signal.SIGTERM)  # step 1
        assert on_a.wait(_PATIENCE) == 0
        refused, said = _ran(a, NEW, "fleet", "worker")
        assert (refused, "earlier version" in str(said["error"])) == (73, True), "installed, and not migrated yet"
        land.export(second)
        code, migrated = _ran(a, NEW, *migrate)  # step 2, while runs of the other machine are under way
        assert code == 0, migrated
        assert on_b.wait(_PATIENCE) == 73, "it ends by itself"
        assert "newer version" in (b.parent / "log").read_text("utf-8")

        on_a = running.enter_context(machine(a, NEW))  # step 3
        begun(on_a)
        refused, said = _ran(b, OLD, "fleet", "worker")
        assert (refused, "newer version" in str(said["error"])) == (73, True), "as systemd starts it again"
        assert _ran(b, OLD, "--municipality", third, "send", "--wait", "0")[0] == 73, "and so does whoever asks it"
        land.export(third)
        until(_delivered(own_postgres, 3))

        on_b = running.enter_context(machine(b, NEW))  # step 4
        begun(on_b)
        land.export(fourth)
        until(_delivered(own_postgres, len(land.names)))
        assert [land.arrived(name) for name in land.names] == [Counter({"KPR_IPL": 1, "KPR_IDE": 1})] * 4


def _stalled_soon(*configs: Path) -> None:
    for one in configs:
        text = one.read_text("utf-8").replace('every = "10s"\n', 'every = "2s"\nstalled_after = "6s"\n')
        one.write_text(text, "utf-8")
