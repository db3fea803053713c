"""docs/fleet.md, two machines step by step: its commands are run as they stand there, on both, in their order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.cli.test_fleet_worker import begun, in_database, worker
from tests.helpers.fleet import Fleet
from tests.helpers.postgres import Database
from tests.helpers.repository import ROOT

_SECTION: Final = (ROOT / "docs" / "fleet.md").read_text("utf-8").partition("\n## Several machines: workers\n")[2]
_COMMANDS: Final = tuple(
    dict.fromkeys(
        found.strip("`").strip()
        for found in re.findall(r"`kpr-send --env [^`]*`|^ +kpr-send --env .*$", _SECTION, re.MULTILINE)
    )
)
MIGRATE: Final = "kpr-send --env produksjon --municipality 0301 journal migrate"
DOCTOR: Final = "kpr-send --env produksjon fleet doctor"
SERVICE: Final = (
    "kpr-send --env produksjon --config /etc/kpr-sender/fleet.toml schedule worker --user kpr --jobs 4 "
    "--write /etc/systemd/system"
)
SEND: Final = "kpr-send --env produksjon fleet send"


def test_every_command_of_the_section_is_run_below() -> None:
    assert _COMMANDS == (MIGRATE, DOCTOR, SERVICE, SEND)


def _said(written: str, made: Fleet, units: Path) -> list[str]:
    """Return a command line of the page, for a fleet of the tests."""
    given = {"produksjon": "lokal", "/etc/kpr-sender/fleet.toml": str(made.path), "/etc/systemd/system": str(units)}
    words = [given.get(word, word) for word in shlex.split(written)[1:]]
    return words if "--config" in words else [*words[:2], "--config", str(made.path), *words[2:]]


@pytest.mark.nightly
def test_two_machines_are_set_up_by_the_commands_of_the_page(tmp_path: Path, own_postgres: Database) -> None:
    machines = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        machines.append(in_database(tmp_path / name, own_postgres, "0301", "4601"))
    first, second = machines

    def ran(written: str, made: Fleet) -> tuple[int, str]:
        units = made.folder / "units"
        units.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "kpr_sender", *_said(written, made, units)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        return done.returncode, f"{done.stdout}{done.stderr}"

    assert ran(MIGRATE, first)[0] == 0
    for made in machines:
        code, said = ran(DOCTOR, made)
        assert code == 0, said
        code, said = ran(SERVICE, made)
        assert code == 0, said
        assert _started(made.folder / "units" / "kpr-sender-worker-lokal.service")[-4:] == [
            "fleet",
            "worker",
            "--jobs",
            "4",
        ]
    with worker(first, "--jobs", "4") as one, worker(second, "--jobs", "4") as other:
        begun(one)
        begun(other)
        code, said = ran(SEND, second)
        assert (code, said.count(": delivered")) == (0, 2), said


def _started(unit: Path) -> list[str]:
    (line,) = [one for one in unit.read_text("utf-8").splitlines() if one.startswith("ExecStart=")]
    return shlex.split(line.partition("=")[2])
