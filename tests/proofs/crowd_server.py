"""A process of one thread that has everything loaded and forks a crowd of runs at once: ``python -m`` runs it.

It reads one JSON object a line: the configuration, the journal's folder, how many. The children wait at a gate, start
at the same moment and send the same two files. Every other one is as patient as a cron job: it comes again while
another run holds the journal. It answers with each child's exit code and how many shipments the bus took from it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from kpr_sender.client import Client
from kpr_sender.errors import JournalLocked, KprError
from kpr_sender.keys import configured
from kpr_sender.model import Environment
from kpr_sender.settings import load
from kpr_sender.settings.values import Settings
from tests.helpers.loaded import load_all

_HANGS_AFTER: Final = 60  # seconds
_COMES_AGAIN_AFTER: Final = 0.1  # seconds


def _serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        settings = _loaded(order["config"])
        folder = Path(order["folder"])
        own = dataclasses.replace(settings.journal, path=folder / "journal.db", receipts_dir=folder / "receipts")
        sys.stdout.write(json.dumps(_crowd(dataclasses.replace(settings, journal=own), order["runs"])) + "\n")
        sys.stdout.flush()


_known: dict[str, Settings] = {}


def _loaded(config: str) -> Settings:
    """Load configuration and keys once: opening a PKCS#12 file takes longer than all the rest of a run."""
    if config not in _known:
        settings = _known[config] = load(Path(config), Environment.LOKAL, environ={})
        pair = configured.load_key(settings.keys.signing)
        configured.load_key = lambda source: pair  # noqa: ARG005 - called by position, and typed by name
        load_all(settings)
    return _known[config]


def _crowd(settings: Settings, runs: int) -> list[list[int]]:
    gate, opened = os.pipe()
    reading, writing = os.pipe()
    children = [_fork(settings, number, gate, opened, reading, writing) for number in range(runs)]
    os.close(gate)
    os.close(writing)
    os.close(opened)  # now
    with os.fdopen(reading, encoding="utf-8") as pipe:
        told = [json.loads(line) for line in pipe]
    for child in children:
        os.waitpid(child, 0)
    return told


def _fork(settings: Settings, number: int, gate: int, opened: int, reading: int, writing: int) -> int:
    child = os.fork()
    if child:
        return child
    signal.alarm(_HANGS_AFTER)
    os.close(opened)
    os.close(reading)
    os.read(gate, 1)
    os.write(writing, (json.dumps(_send(settings, patient=number % 2 == 0)) + "\n").encode())
    os._exit(0)


def _send(settings: Settings, *, patient: bool) -> list[int]:
    while True:
        try:
            with Client(settings) as client:
                report = client.submit()
        except JournalLocked as error:
            if not patient:
                return [error.exit_code, 0]
            time.sleep(_COMES_AGAIN_AFTER)
        except KprError as error:
            return [error.exit_code, 0]
        else:
            return [report.exit_code, report.sent]


if __name__ == "__main__":
    _serve()
