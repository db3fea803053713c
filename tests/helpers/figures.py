"""Counted proofs: one line each at the end of the run, and a run that fails when one of them counted a breach.

    figure("kill points", points=27, runs=312, lost=0, duplicated=0, misclassified=0)

prints ``kill points: points 27, runs 312, lost 0, duplicated 0, misclassified 0``. The same name again adds up, also
over the processes of ``pytest -n``. ``--figures FILE`` writes them as JSON, with the date and the commit.
``--add-figures FILE`` puts them in the place of the same figures of earlier runs there and leaves the others with their
own date and commit: a night may be any part of the long proofs.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

Counts = dict[str, int | str]
Run = dict[str, Any]
"""``date``, ``commit``, ``scale``, and ``figures``: counts by name."""

BREACHES: Final = ("lost", "duplicated", "misclassified", "dead_ends")
"""What no proof may ever count; each is summed over all figures in the closing line."""

IN_ALL: Final = "in_all"

_OUTPUT: Final = "kpr_figures"
_collected: dict[str, Counts] = {}
_begun_at = ""


def figure(name: str, **counts: int | str) -> None:
    """Note what a proof counted.

    Args:
        name: What was done, in words: the figure's name in the summary.
        counts: What was counted. Numbers of the same name and key are added; of words the last one stays.
    """
    _add(_collected, name, counts)


def _add(figures: dict[str, Counts], name: str, counts: Counts) -> None:
    known = figures.setdefault(name, {})
    for key, value in counts.items():
        before = known.get(key, 0)
        known[key] = before + value if isinstance(before, int) and isinstance(value, int) else value


def closing_line(figures: dict[str, Counts]) -> tuple[str, bool]:
    """Sum the breaches up.

    Returns:
        ``lost: 0, duplicated: 0, misclassified: 0, dead_ends: 0``, and whether all of them are 0.
    """
    sums = {key: sum(int(counts.get(key, 0)) for counts in figures.values()) for key in BREACHES}
    return ", ".join(f"{key}: {total}" for key, total in sums.items()), not any(sums.values())


# -- as a plugin of pytest, loaded by tests/conftest.py -----------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run leave its figures in a file."""
    parser.addoption("--figures", metavar="FILE", help="write the counted proofs to FILE as JSON")
    parser.addoption("--add-figures", metavar="FILE", help="put them into FILE beside other runs'")


def pytest_sessionstart() -> None:
    """Note which commit is tested: it may have moved on when a long night is over."""
    global _begun_at  # noqa: PLW0603 - one run, one commit
    _begun_at = _commit()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what one of ``pytest -n``'s processes counted."""
    for name, counts in getattr(node, "workeroutput", {}).get(_OUTPUT, {}).items():
        figure(name, **counts)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures on where this is one of several processes; else fail the run for a breach."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OUTPUT] = _collected
        return
    if not closing_line(_collected)[1]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    scale = os.environ.get("KPR_NIGHTLY_SCALE", "1")
    made = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": _begun_at, "scale": scale, "figures": _collected}
    if path := session.config.getoption("--figures"):
        _write(Path(path), made)
    if (path := session.config.getoption("--add-figures")) and _collected:
        _write(Path(path), {"runs": added(runs_in(Path(path)), made)})


def runs_in(path: Path) -> list[Run]:
    """Return the runs whose figures a file holds: one of ``--figures``, any number of ``--add-figures``; none yet."""
    if not path.exists():
        return []
    made = json.loads(path.read_text("utf-8"))
    runs: list[Run] = made.get("runs", [made])
    return runs


def added(runs: Sequence[Run], made: Run) -> list[Run]:
    """Return the runs with this one: what it counted takes the place of what earlier ones counted of the same.

    A count that is called ``in_all`` goes on from run to run.
    """
    figures = {name: dict(counts) for name, counts in made["figures"].items()}
    for name, counts in figures.items():
        if IN_ALL in counts:
            counts[IN_ALL] += sum(run["figures"].get(name, {}).get(IN_ALL, 0) for run in runs)
    left = [
        run | {"figures": {name: counts for name, counts in run["figures"].items() if name not in made["figures"]}}
        for run in runs
    ]
    return [*(run for run in left if run["figures"]), made | {"figures": figures}]


def _write(path: Path, made: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made, indent=2) + "\n", "utf-8")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each proof, and the sum of all breaches."""
    if not _collected:
        return
    terminalreporter.section("counted proofs")
    for name, counts in sorted(_collected.items()):
        terminalreporter.write_line(f"{name}: " + ", ".join(f"{key} {value}" for key, value in counts.items()))
    line, clean = closing_line(_collected)
    terminalreporter.write_line(line, green=clean, red=not clean, bold=True)


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
