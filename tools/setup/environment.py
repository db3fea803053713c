"""The virtual environment ``.venv``, kept in step with the lock files and pyproject.toml."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
VENV: Final = Path(os.environ.get("KPR_VENV") or ROOT / ".venv")
"""KPR_VENV: another one beside it, for another Python."""
PYTHON: Final = VENV / "bin" / "python"
BUILD_LOCK: Final = ROOT / "requirements-build.lock"
LOCK: Final = ROOT / "requirements.lock"
RUNTIME_LOCK: Final = ROOT / "requirements-runtime.lock"
OFFLINE_LOCK: Final = ROOT / "requirements-offline.lock"
COMPILED: Final = "python-qpid-proton"
"""What has no wheel for most systems."""
_PROJECT: Final = ROOT / "pyproject.toml"
_STAMP: Final = VENV / "kpr-sender-setup"


def in_step() -> bool:
    """Return whether ``.venv`` was made from these very lock files, by this very Python, in this very place."""
    return PYTHON.exists() and _stamp() == _wanted()


def make(beside: Callable[[], object] | None = None) -> None:
    """Make ``.venv`` anew where the locks or the Python changed; else only install our own package again.

    Args:
        beside: Is called in a thread as soon as there is a pip that can build: pip's own work takes one core.

    Raises:
        subprocess.CalledProcessError: venv or pip failed; it has said why.
    """
    if not (PYTHON.exists() and _stamp()[:1] == _wanted()[:1]):
        # Never repaired in place: what an older lock installed would stay.
        version = sys.version.split()[0]
        print(f"Making {VENV.name} with Python {version}; compiling proton takes half a minute.", flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip("install", "--require-hashes", "-r", str(BUILD_LOCK))
        with ThreadPoolExecutor() as pool, tempfile.TemporaryDirectory() as scratch:
            # Proton is compiled while two pips install the rest, each its half: one pip keeps one core busy. Without
            # build isolation it is built with nothing but what the lock names; without dependencies pip need not solve
            # what the lock has solved, and the halves share nothing.
            hashed = ("--no-deps", "--no-build-isolation", "--require-hashes")
            compiled, *halves = (Path(scratch, f"{name}.txt") for name in ("compiled", "one-half", "other-half"))
            compiled.write_text(locked(COMPILED)[1], encoding="utf-8")
            rest = [lines for name, lines in _all_locked() if name != COMPILED]
            for at, half in enumerate(halves):
                half.write_text("".join(rest[at :: len(halves)]), encoding="utf-8")
            wheels = Path(scratch, "wheels")
            under_way: list[Future[object]] = [pool.submit(pip, "install", *hashed, "-r", str(half)) for half in halves]
            under_way.append(pool.submit(pip, "wheel", *hashed, "-r", str(compiled), "-w", str(wheels)))
            under_way += [pool.submit(beside)] if beside else []
            for each in under_way:
                each.result()
            pip("install", "--no-deps", "--no-index", *map(str, wheels.iterdir()))
    pip("install", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT))
    _STAMP.write_text("\n".join(_wanted()), encoding="ascii")


def locked(name: str) -> tuple[str, str]:
    """Return a package's locked version, and the lock's own lines for it (with hashes)."""
    lines = dict(_all_locked()).get(name)
    if lines is None:
        message = f"{LOCK.name} has no {name}: run make lock"
        raise LookupError(message)
    return lines.split()[0].split("==")[1], lines


def _all_locked() -> Iterator[tuple[str, str]]:
    """Yield each package of the lock, and its lines (with hashes)."""
    for found in re.finditer(r"^(\S+)==\S+.*(?:\n +--hash=.*)*\n", LOCK.read_text(encoding="utf-8"), re.MULTILINE):
        yield found[1], found[0]


def pip(*arguments: str, **environment: str) -> None:
    """Run the virtual environment's pip, quietly, with ``environment`` added to the present one.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "-qq", *arguments]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL)


def _stamp() -> list[str]:
    try:
        return _STAMP.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _wanted() -> list[str]:
    """First line: what ``.venv`` as a whole depends on. Second line: what our own package's installation does."""
    everything = hashlib.sha256(BUILD_LOCK.read_bytes() + LOCK.read_bytes())
    everything.update(f"{sys.version}{sys.base_prefix}{VENV}".encode())
    return [everything.hexdigest(), hashlib.sha256(_PROJECT.read_bytes()).hexdigest()]
