"""G1, G2: a fleet for a minute over a real database, while its runs and its workers are killed at random.

12 municipalities whose files come one by one, two workers, an own bus for each. Runs are killed (SIGKILL) at whatever
they just said, workers in the middle of their work. Then a person answers for what is in doubt, from the bus's ledger.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from kpr_sender.cli.main import run
from tests.cli.test_fleet import by_name, options
from tests.cli.test_fleet_worker import begun, in_database, worker
from tests.helpers.figures import figure
from tests.helpers.fleet import Fleet
from tests.helpers.postgres import Database

Command = Callable[..., tuple[int, str]]

_NAMES: Final = ("0301", "1103", "1505", "1804", "3101", "3301", "3907", "4204", "4601", "5001", "5501", "5601")
_SECONDS: Final = 60.0
_FILES_WITHIN: Final = 30.0
_KILLS_WITHIN: Final = 52.0
_WORKERS_KILLED_AT: Final = (18.0, 36.0)
_KILLED_AT_A_LINE: Final = 0.1
_KILLED_AT_PUBLISHING: Final = 0.4
_ON_ITS_WAY: Final = 0.2  # seconds
"""How likely a run is killed when one has said something, and when that was that it publishes."""


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a whole command line; returns exit code and standard output."""

    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        return run(list(arguments)), capsys.readouterr().out

    return call


@dataclass
class Minute:
    """What happens to the fleet.

    Attributes:
        kills: Of runs and of workers.
    """

    made: Fleet
    random: Random
    began: float = field(default_factory=time.monotonic)
    kills: Counter[str] = field(default_factory=Counter)
    _readers: list[threading.Thread] = field(default_factory=list)

    def files_come(self, name: str) -> None:
        """Let the EPJ export a municipality's pair."""
        for file in ("fagmelding.xml", "identmelding.xml"):
            (self.made.of(name).folder / f"{file}.later").rename(self.made.of(name).folder / file)

    def start(self, stack: ExitStack) -> subprocess.Popen[str]:
        """Start a worker, and have its runs killed now and then."""
        process = stack.enter_context(worker(self.made, "--jobs", "2"))
        begun(process)
        reader = threading.Thread(target=self._read, args=(process,))
        reader.start()
        self._readers.append(reader)
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            publishes = '"publishing"' in line
            likely = _KILLED_AT_PUBLISHING if publishes else _KILLED_AT_A_LINE
            if time.monotonic() - self.began < _KILLS_WITHIN and self.random.random() < likely:
                time.sleep(self.random.uniform(0, _ON_ITS_WAY) if publishes else 0)
                self._kill_a_run(process.pid)

    def _kill_a_run(self, worker: int) -> None:
        runs = [run for server in _children(worker) for run in _children(server)]
        if runs:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(runs), signal.SIGKILL)
                self.kills["runs"] += 1

    def sleep_until(self, second: float) -> None:
        """Wait for a moment of the minute."""
        time.sleep(max(0.0, self.began + second - time.monotonic()))

    def ended(self) -> None:
        """Wait for all that was read."""
        for reader in self._readers:
            reader.join(30)


def _children(pid: int) -> Iterator[int]:
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            yield from map(int, thread.read_text("ascii").split())


def test_each_shipment_reaches_the_bus_once_and_everything_ends_delivered(
    tmp_path: Path, own_postgres: Database, command: Command
) -> None:
    made = in_database(tmp_path, own_postgres, *_NAMES, every="15s")
    text = made.path.read_text("utf-8")
    made.path.write_text(text.replace("[fleet]\n", '[fleet]\nstalled_after = "6s"\n'), "utf-8")
    assert command(*options(made), "--municipality", _NAMES[0], "journal", "migrate")[0] == 0
    for name in _NAMES:
        for file in (made.of(name).fagmelding, made.of(name).identmelding):
            file.rename(f"{file}.later")

    random = Random()
    with ExitStack() as stack:
        minute = Minute(made, random)
        workers = [minute.start(stack), minute.start(stack)]
        minute.began = time.monotonic()
        coming = [(random.uniform(0, _FILES_WITHIN), "files", name) for name in _NAMES]
        coming += [(second, "worker", "") for second in _WORKERS_KILLED_AT]
        for second, what, name in sorted(coming):
            minute.sleep_until(second)
            if what == "files":
                minute.files_come(name)
            else:
                workers.pop(random.randrange(2)).kill()
                minute.kills["workers"] += 1
                workers.append(minute.start(stack))
        minute.sleep_until(_SECONDS)
        seconds = time.monotonic() - minute.began
        for process in workers:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in workers] == [0, 0]
    minute.ended()

    by_workers = sum(len(_ledger(made, name)) for name in _NAMES)
    code, found = _send(made, command)
    doubted = _answered(made, own_postgres, command, found)
    if doubted:
        code, found = _send(made, command)
    states = {name: one["state"] for name, one in found.items()}
    taken = {name: Counter(line["type"] for line in _ledger(made, name)) for name in _NAMES}
    figure(
        "PostgreSQL: the fleet for a minute",
        municipalities=len(_NAMES),
        seconds=int(seconds),
        workers=2,
        runs_killed=minute.kills["runs"],
        workers_killed=minute.kills["workers"],
        sent_by_workers=by_workers,
        in_doubt=doubted,
        lost=sum(2 - len(one) for one in taken.values()),
        duplicated=sum(one.total() - len(one) for one in taken.values()),
        dead_ends=sum(state != "delivered" for state in states.values()),
    )
    assert (code, set(states.values())) == (0, {"delivered"})
    assert {tuple(sorted(one.items())) for one in taken.values()} == {(("KPR_IDE", 1), ("KPR_IPL", 1))}
    assert minute.kills["workers"] == len(_WORKERS_KILLED_AT)
    assert minute.kills["runs"] > 0


def _send(made: Fleet, command: Command) -> tuple[int, dict[str, Any]]:
    """Look after all once more, on this machine; return the exit code, and what is known of each."""
    code, out = command("--json", *options(made), "fleet", "send", "--here", "--wait", "20s")
    return code, {name: one["result"] for name, one in by_name(json.loads(out)).items()}


def _answered(made: Fleet, database: Database, command: Command, found: dict[str, Any]) -> int:
    """Let a person answer for what is in doubt, from what the bus has; return how many there were."""
    database.time_passes(seconds=1_000)  # whoever had begun it may certainly not be sending any more
    doubted = [(name, one) for name in found for one in found[name]["shipments"] if one["state"] == "in_doubt"]
    for name, one in doubted:
        taken = {line["message_id"] for line in _ledger(made, name)}
        said = "--arrived" if one["message_id"] in taken else "--not-arrived"
        asked = ("resolve", one["msg_id"], said, "--reason", "FHI er spurt.", "--by", "Kari Vakt", "--yes")
        code, out = command("--json", *options(made), "--municipality", name, *asked)
        decided = {each["msg_id"]: each["state"] for each in json.loads(out)["shipments"]}
        assert decided.get(one["msg_id"]) in {"published", "sealed"}, (code, out)
    return len(doubted)


def _ledger(made: Fleet, name: str) -> list[dict[str, Any]]:
    ledgers = made.of(name).folder.rglob("ledger.jsonl")
    return [json.loads(line) for ledger in ledgers for line in ledger.read_text("utf-8").splitlines()]
