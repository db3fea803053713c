"""``python -m tools.verify [check|fast|quick|test|nightly]``: run the linters, then tests; sum up in one table.

``check`` runs the linters alone, ``fast`` the fast tests alone (no real broker, nothing marked slow, no counted proof),
``quick`` both.

``nightly`` runs the fast tests on the newest Pythons (``tools.newest``), then the long proofs alone, and leaves what
these counted in ``docs/nightly.json``. A part of a night: ``pytest --nightly -m nightly --add-figures=docs/nightly.json
tests/proofs/test_fuzz.py``.

Every step runs, also after one failed: a person fixes all of it in one go.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from tools.setup.environment import ROOT, VENV

# Beside the tests and two at a time, the longest first. What one finds is shown at once; who finds nothing is in the
# summary alone.
_LINTERS: Final = (
    ("mypy", ("mypy",)),
    # Another cache: the two platforms' results must not push each other out.
    ("mypy win32", ("mypy", "--platform", "win32", "--cache-dir", ".cache/mypy-win32", "kpr_sender")),
    ("ruff check", ("ruff", "check")),
    ("ruff format", ("ruff", "format", "--check")),
    ("texts", ("python", "-m", "tools.texts", "check")),
    ("import-linter", ("lint-imports", "--no-logo", "--cache-dir", ".cache/import_linter")),
)
_SITE: Final = (("site", ("python", "-m", "tools.site", "check")),)
_BESIDE: Final = _LINTERS + _SITE
_AT_ONCE: Final = 2
# More workers than the two cores: a part of what one does is waiting for brokers. A fourth begins later than it gains
# where the tests are few and fast. What shares a server (a real RabbitMQ) is one group and stays in one of them.
_THREE: Final = ("pytest", "-n", "3", "--dist", "loadgroup", "-q")
_FOUR: Final = ("pytest", "-n", "4", "--dist", "loadgroup", "-q")
_TESTS: Final = (("pytest", (*_FOUR, "--figures=.cache/figures.json", "tests")),)
# With names: in some hours a person wants to know how far it is, and what failed first.
_NIGHTLY: Final = (
    ("newest Pythons", ("python", "-m", "tools.newest")),
    ("nightly", (*_THREE, "-vv", "--nightly", "-m", "nightly", "--add-figures=docs/nightly.json", "tests")),
)
_QUICK: Final = (("quick tests", (*_THREE, "-m", "not slow and not rabbitmq", "--ignore=tests/proofs", "tests")),)
_STEPS: Final = {
    "check": _LINTERS,
    "fast": _QUICK,
    "quick": _LINTERS + _QUICK,
    "test": _BESIDE + _TESTS,
    "nightly": _NIGHTLY,
}


def main(arguments: Sequence[str]) -> int:
    """Run the steps; return 0 when all passed, else 1."""
    steps = _STEPS[arguments[0] if arguments else "test"]
    beside = [step for step in steps if step in _BESIDE]
    # Beside the tests: those wait for brokers in their first minutes, and a core would idle.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        under_way = [pool.submit(_run_quietly, *step) for step in beside]
        rows = []
        for name, command in steps[len(beside) :]:
            print(f"== {name}", flush=True)
            rows.append(_run(name, command)[0])
    rows[:0] = [each.result() for each in under_way]
    print("\nSummary")
    for row in rows:
        print(f"  {row.name:<14} {'passed' if row.passed else 'FAILED':<7} {row.seconds:6.1f} s")
    return 0 if all(row.passed for row in rows) else 1


@dataclass(frozen=True)
class _Row:
    name: str
    passed: bool
    seconds: float


def _run_quietly(name: str, command: Sequence[str]) -> _Row:
    """Run what goes beside the tests; show what it said as soon as it has failed, whole."""
    row, said = _run(name, command, subprocess.PIPE)
    if not row.passed:
        print(f"\n== {name}\n{said}", end="", flush=True)
    return row


def _run(name: str, command: Sequence[str], out: int | None = None) -> tuple[_Row, str]:
    """Run a step; return how it ended, and what it said where that goes to a pipe."""
    # The virtual environment's programs first, for tests that call kpr-send by name.
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    whole = [str(VENV / "bin" / command[0]), *command[1:]]
    # With compiled modules, as they are installed: hundreds of the tests' processes would else compile them anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PATH"] = path
    err = None if out is None else subprocess.STDOUT
    began = time.monotonic()
    ended = subprocess.run(whole, cwd=ROOT, env=environment, check=False, stdout=out, stderr=err, encoding="utf-8")
    return _Row(name, ended.returncode == 0, time.monotonic() - began), ended.stdout or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
