"""A process of one thread that has everything loaded and forks a crowd of runs at once: ``python -m`` runs it.

It reads one JSON object a line: the configuration, the journal's folder, how many, what persons decide, and whether
they wait for receipts. The children wait at a gate, start at the same moment and send the same two files. Every other
one is as patient as a cron job: it comes again while another run holds the journal. Where persons decide, each child is
one who does, for both shipments. It answers with each child's exit code and how many shipments the bus took from it.
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

from kpr_sender.app import journal_storage
from kpr_sender.client import Client
from kpr_sender.errors import JournalLocked, KprError, UsageError
from kpr_sender.operator.resolve import Decision
from kpr_sender.report import Report
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import Settings
from kpr_sender.states import awaits_answer
from tests.helpers.loaded import all_loaded

_HANGS_AFTER: Final = 60  # seconds
_COMES_AGAIN_AFTER: Final = 0.1  # seconds
_COMES_AGAIN_TO_A_DATABASE_AFTER: Final = 2.0  # to look there takes a connection
_ASKED, _PERSON = "FHI er spurt.", "Kari Vakt"


def _serve() -> None:
    for line in sys.stdin:
        order = Order(**json.loads(line))
        settings = all_loaded(order.config)
        folder = Path(order.folder)
        own = dataclasses.replace(settings.journal, path=folder / "journal.db", receipts_dir=folder / "receipts")
        if order.database is not None:
            url, password = order.database
            own = dataclasses.replace(own, url=url, password=Secret(password))
        told = _crowd(dataclasses.replace(settings, journal=own), order)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


@dataclasses.dataclass(frozen=True)
class Order:
    """What a crowd does.

    Attributes:
        runs: How many they are.
        decision: What each of them decides as a person, of both shipments; empty for runs of cron.
        waits: How long each waits for receipts, at most; None for not at all.
        waits_first: Whether every third one does so before it decides, too.
        heard: Whether it waits until each of the pair has an answer, verified or not, however long it takes.
        database: The address and the password of the database that the journal is in; None where it is a file.
    """

    config: str
    folder: str
    runs: int
    decision: str = ""
    waits: float | None = None
    waits_first: bool = False
    heard: bool = False
    database: tuple[str, str] | None = None


def _crowd(settings: Settings, order: Order) -> list[list[int]]:
    gate, opened = os.pipe()
    reading, writing = os.pipe()
    sends = [functools.partial(_send, settings, number, order) for number in range(order.runs)]
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


def _send(settings: Settings, number: int, order: Order) -> list[int]:
    while True:
        try:
            with Client(settings) as client:
                return _run(client, number, order)
        except JournalLocked as error:
            if number % 2:  # not patient
                return [error.exit_code, 0]
            time.sleep(_COMES_AGAIN_AFTER if order.database is None else _COMES_AGAIN_TO_A_DATABASE_AFTER)
        except KprError as error:
            return [error.exit_code, 0]


def _run(client: Client, number: int, order: Order) -> list[int]:
    if order.waits_first and number % 3 == 0:
        _wait(client, order)
    _decide(client, order.decision, settles=number % 3 == 0)
    report = client.submit()
    sent = report.sent
    return [(report if order.waits is None else _wait(client, order)).exit_code, sent]


def _wait(client: Client, order: Order) -> Report:
    """Wait for receipts; what is not verified must not keep us from looking."""
    assert order.waits is not None
    looks = journal_storage(client.settings).document("looks")
    while True:
        client.wait(timeout=order.waits)
        looks.remove()
        report = client.status()
        assert report is not None
        if not order.heard or all(one.receipts or not awaits_answer(one) for one in report.submission.shipments):
            return report


def _decide(client: Client, decision: str, *, settles: bool) -> None:
    """Decide as one who does not know of the others: what another has decided already is refused."""
    report = client.status() if decision else None
    for shipment in report.submission.shipments if report else ():
        msg_id = shipment.msg_id
        if decision == "resend" and settles:
            with suppress(UsageError):
                client.settle(msg_id, reason=_ASKED, by=_PERSON)
        with suppress(UsageError):
            if decision == "resend":
                client.resend(msg_id, reason=_ASKED, by=_PERSON)
            elif decision == "not-arrived":
                client.resolve(msg_id, Decision.NOT_ARRIVED, reason=_ASKED, by=_PERSON)
        for receipt in shipment.receipts if decision == "accept" else ():
            with suppress(UsageError):
                client.accept_receipt(receipt.receipt_id, reason=_ASKED, by=_PERSON)


if __name__ == "__main__":
    _serve()
