"""A program from the package registry in an environment of its own: what it depends on is in no lock and in no way."""

from __future__ import annotations

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
