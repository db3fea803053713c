"""How long ``fleet status`` of the whole country takes: milliseconds without process start, 357 municipalities."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.measure import DATA, ROOT, Count, python

_MUNICIPALITIES: Final = int(os.environ.get("KPR_BENCH_FLEET", "357"))
_YEARS: Final = 10


def _status() -> int:
    folder = DATA / f"fleet-{_MUNICIPALITIES}-{_YEARS}"
    environ = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    if not (folder / "fleet.toml").exists():  # written last: else an earlier run was cut off
        shutil.rmtree(folder, ignore_errors=True)
        _run(environ, "make", folder, _MUNICIPALITIES, _YEARS)
    return min(int(_run(environ, "time", folder)) for _ in range(3))


def _run(environ: dict[str, str], *arguments: str | int | Path) -> str:
    command = python("bench.fleet_status", *arguments)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ).stdout


COUNTS: Final = (
    Count(
        "fleet_status_357",
        "milliseconds of fleet status: 357 municipalities, 10 years, without process start",
        500,
        _status,
    ),
)
