"""Runs the real ``kpr-send`` in a municipality's folder, as its users do: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpr_sender.sandbox.ledger import Ledger

SECONDS = 60.0


@dataclass(frozen=True)
class Ran:
    """What a run came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        made = json.loads(self.out)
        assert isinstance(made, dict)
        return made


def command(folder: Path, *arguments: str) -> list[str]:
    """The command line, with the configuration of a folder."""
    return [sys.executable, "-m", "kpr_sender", "--env", "lokal", "--config", str(folder / "lokal.toml"), *arguments]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start it and leave it running."""
    return subprocess.Popen(
        command(folder, *arguments),
        cwd=folder,
        env=os.environ.copy(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Ran:
    """Wait for the end of a started one."""
    out, err = process.communicate(timeout=SECONDS)
    return Ran(process.returncode, out, err)


def kpr_send(folder: Path, *arguments: str) -> Ran:
    """Run it to its end."""
    return finish(start(folder, *arguments))


def run(argv: Sequence[str], folder: Path) -> Ran:
    """Run any command line to its end."""
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def wait_for_messages(folder: Path, count: int) -> None:
    """Wait until the sandbox of a folder has received that many messages."""
    end = time.monotonic() + SECONDS
    while len(Ledger.read(folder)) < count:
        assert time.monotonic() < end, "the sandbox did not receive them in time"
        time.sleep(0.02)
