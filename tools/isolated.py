"""Programs from the package registry in environments of their own: what they depend on is in nobody's way."""

from __future__ import annotations

import hashlib
import subprocess
import venv
from pathlib import Path

from tools.setup.environment import ROOT


def program(name: str, requirement: str) -> Path:
    """Return the path of a program, installed now where it is not yet.

    Args:
        name: What it is called.
        requirement: The package that has it, pinned.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    folder = ROOT / ".cache" / "tools" / requirement
    found = folder / "bin" / name
    if not found.exists():
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", requirement], check=True)
    return found


def environment(name: str, *locks: Path) -> Path:
    """Return a virtual environment with what lock files name, each file checked against its hash.

    Args:
        name: What it is for.
        locks: Installed one after the other; other contents make another environment.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:12]
    folder = ROOT / ".cache" / "tools" / f"{name}-{digest}"
    complete = folder / "complete"
    if not complete.exists():
        venv.create(folder, clear=True, with_pip=True)
        pip = (folder / "bin" / "python", "-m", "pip", "install", "-q", "--require-hashes")
        for lock in locks:
            subprocess.run([*pip, "-r", lock], check=True)
        complete.touch()
    return folder
