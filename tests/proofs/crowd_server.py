"""A process of one thread that has everything loaded and forks a crowd of runs at once: ``python -m`` runs it.

It reads one JSON object a line: the configuration, the journal's folder, how many, and whether persons decide. The
children wait at a gate, start at the same moment and send the same two files. Every other one is as patient as a cron
job: it comes again while another run holds the journal. Where persons decide, both shipments have faulted before, and
each child is a person who sends them again; every third one settles them first. It answers with each child's exit code
and how many shipments the bus took from it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from kpr_sender.client import Client
from kpr_sender.errors import JournalLocked, KprError, UsageError
from kpr_sender.keys import configured
from kpr_sender.model import Environment
from kpr_sender.settings import load
from kpr_sender.settings.values import Settings
from tests.helpers.loaded import load_all

_HANGS_AFTER: Final = 60  # seconds
_COMES_AGAIN_AFTER: Final = 0.1  # seconds
_ASKED, _PERSON = "FHI er spurt.", "Kari Vakt"


def _serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        settings = _loaded(order["config"])
        folder = Path(order["folder"])
        own = dataclasses.replace(settings.journal, path=folder / "journal.db", receipts_dir=folder / "receipts")
        own_settings = dataclasses.replace(settings, journal=own)
        if order["persons"]:
            _fault(own_settings)
        sys.stdout.write(json.dumps(_crowd(own_settings, order["runs"], persons=order["persons"])) + "\n")
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


def _fault(settings: Settings) -> None:
    """Send, and wait until the error queue has said of both that they could not be taken; in a process of its own."""
    child = os.fork()
    if child == 0:
        signal.alarm(_HANGS_AFTER)
        with Client(settings) as client:
            client.submit()
            client.wait(timeout=_HANGS_AFTER)
        os._exit(0)
    os.waitpid(child, 0)


def _crowd(settings: Settings, runs: int, *, persons: bool) -> list[list[int]]:
    gate, opened = os.pipe()
    reading, writing = os.pipe()
    sends = [functools.partial(_send, settings, number, persons=persons) for number in range(runs)]
    children = [_fork(send, gate, opened, reading, writing) for send in sends]
    os.close(gate)
    os.close(writing)
    os.close(opened)  # now
    with os.fdopen(reading, encoding="utf-8") as pipe:
        told = [json.loads(line) for line in pipe]
    for child in children:
        os.waitpid(child, 0)
    return told


def _fork(send: Callable[[], list[int]], gate: int, opened: int, reading: int, writing: int) -> int:
    child = os.fork()
    if child:
        return child
    signal.alarm(_HANGS_AFTER)
    os.close(opened)
    os.close(reading)
    os.read(gate, 1)
    os.write(writing, (json.dumps(send()) + "\n").encode())
    os._exit(0)


def _send(settings: Settings, number: int, *, persons: bool) -> list[int]:
    while True:
        try:
            with Client(settings) as client:
                if persons:
                    _decide(client, settles=number % 3 == 0)
                report = client.submit()
        except JournalLocked as error:
            if number % 2:  # not patient
                return [error.exit_code, 0]
            time.sleep(_COMES_AGAIN_AFTER)
        except KprError as error:
            return [error.exit_code, 0]
        else:
            return [report.exit_code, report.sent]


def _decide(client: Client, *, settles: bool) -> None:
    """Decide as one who does not know of the others: what another has decided already is refused."""
    report = client.status()
    for shipment in report.submission.shipments if report else ():
        if settles:
            with suppress(UsageError):
                client.settle(shipment.msg_id, reason=_ASKED, by=_PERSON)
        with suppress(UsageError):
            client.resend(shipment.msg_id, reason=_ASKED, by=_PERSON)


if __name__ == "__main__":
    _serve()
