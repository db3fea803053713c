"""A process of one thread that has everything loaded and forks a run whenever it is told to: ``python -m`` runs it.

It reads one JSON object a line and answers with one. The forked child sends and waits as ``kpr-send send`` does; at
the fault point it is told, it kills itself with SIGKILL, as nothing else may end it: no ``finally``, no ``atexit``; or
it stops itself there with SIGSTOP.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from kpr_sender.app import journal_storage
from kpr_sender.bus import transfer_tracker
from kpr_sender.client import Client
from kpr_sender.fault_points import FaultPoint, armed
from kpr_sender.journal import postgres_lease, postgres_server, postgres_storage
from kpr_sender.journal.postgres import PostgresJournal
from kpr_sender.model import ARRIVED, Shipment, Transport
from kpr_sender.operator.resolve import Decision
from kpr_sender.sandbox.ledger import Ledger
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import Settings
from kpr_sender.states import AWAITING_RECEIPT, ShipmentState
from tests.helpers.loaded import all_loaded
from tests.proofs.kill_wires import has_taken

_HANGS_AFTER: Final = 60  # seconds
_LOOK: Final = 0.02  # seconds
_LOOK_IN_DATABASE: Final = 0.5  # to begin one takes several connections
_PIECE: Final = 4096  # bytes to the socket at once: a small message is on its way for long enough to be cut off
_RESULT: Final = "="
AFTER_LOOK: Final = "after-look"
"""Where a run may be stopped that is no fault point: it has looked at its lease, and no byte has left."""
_LOOK_BEFORE_FIRST_BYTE: Final = 2  # the first one is before it is committed that the transfer begins
_ASKED, _PERSON = "FHI er spurt.", "Kari Vakt"


def _serve() -> None:
    transfer_tracker.LARGEST_CHUNK = _PIECE  # type: ignore[misc]
    for line in sys.stdin:
        order = json.loads(line)
        sys.stdout.write(json.dumps(_fork(order, all_loaded(order["config"]))) + "\n")
        sys.stdout.flush()


def _fork(order: dict[str, Any], settings: Settings) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(order.get("hangs_after", _HANGS_AFTER))
        try:
            result = _run(order, settings, writing)
        except BaseException as error:  # noqa: BLE001 - the test shall see what it was
            result = {"failed": f"{type(error).__name__}: {error}"}
        os.write(writing, f"{_RESULT}{json.dumps(result)}\n".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        told = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    results = [json.loads(line.removeprefix(_RESULT)) for line in told if line.startswith(_RESULT)]
    return {
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "points": [line for line in told if not line.startswith(_RESULT)],
        "result": results[0] if results else None,
    }


def _run(order: dict[str, Any], settings: Settings, tell: int) -> dict[str, Any]:
    folder = Path(order["folder"])
    own = dataclasses.replace(settings.journal, path=folder / "journal.db", receipts_dir=folder / "receipts")
    if order.get("database"):
        url, password = order["database"]
        own = dataclasses.replace(own, url=url, password=Secret(password))
    stop_at, stop_after = order["stop"] or ("", 0)
    count = dict.fromkeys(["", *FaultPoint], 0)  # "" counts whatever point it is

    def on_point(point: FaultPoint) -> None:
        os.write(tell, f"{point}\n".encode())
        for counted in ("", point):
            count[counted] += 1
            if stop_at == counted and count[counted] == stop_after:
                if order.get("stopped"):
                    _stop_here()
                else:
                    os.kill(os.getpid(), signal.SIGKILL)

    if stop_at == AFTER_LOOK:
        _stop_after_look()
    if order.get("lease"):
        shorten_lease(*order["lease"])
    way = Transport(order.get("transport", settings.transport))
    with armed(on_point):
        return _send_and_wait(dataclasses.replace(settings, journal=own, transport=way), order)


def shorten_lease(seconds: float, heartbeat: float) -> None:
    """Let leases of this process be over sooner than those of the program are."""
    for module in (postgres_lease, postgres_server, postgres_storage):
        module.LEASE_SECONDS = seconds  # type: ignore[attr-defined]
    postgres_lease.HEARTBEAT_SECONDS = heartbeat  # type: ignore[misc]


def _stop_here() -> None:
    """Stop this process before this thread does anything more; another thread would take its time to."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _stop_after_look() -> None:
    """Stop this process between its last look at the lease and the first byte."""
    looks, real = itertools.count(1), PostgresJournal.require_transfer_may_begin

    def look(self: PostgresJournal) -> None:
        real(self)
        if next(looks) == _LOOK_BEFORE_FIRST_BYTE:
            _stop_here()

    PostgresJournal.require_transfer_may_begin = look  # type: ignore[method-assign]


def _send_and_wait(settings: Settings, order: dict[str, Any]) -> dict[str, Any]:
    """Send, and wait until every answer that will come is here; the ledgers of the other side say which."""
    deadline = time.monotonic() + _HANGS_AFTER / 2

    def due(shipment: Shipment) -> bool:
        if shipment.state not in AWAITING_RECEIPT or shipment.receipts:
            return False
        to_acknowledge = shipment.transport is Transport.EDI and bool(order.get("acknowledged"))
        awaited = shipment.type in order["answered"] or (to_acknowledge and shipment.acknowledged_at is None)
        lines = (line for folder in order["ledgers"] for line in Ledger.read(Path(folder)) if has_taken(line))
        return awaited and any(line.message_id == shipment.message_id for line in lines)

    look = _LOOK if settings.journal.url is None else _LOOK_IN_DATABASE
    with Client(settings) as client:
        _decide(client, order["decision"])
        report = client.submit()
        while any(map(due, report.submission.shipments)) and time.monotonic() < deadline:
            journal_storage(settings).document("looks").remove()  # a look need not wait for another
            report = client.wait(report.submission.submission_id, timeout=look)
        if report.submission.transport is Transport.EDI:  # as kpr-send send does: a receipt may still lie there
            report = client.wait(report.submission.submission_id, timeout=0)
    return {"exit_code": report.exit_code}


def _decide(client: Client, decision: str) -> None:
    """Let a person decide what is still open, as often as a killed run makes it necessary."""
    report = client.status() if decision else None
    for shipment in report.submission.shipments if report else ():
        state, msg_id = shipment.state, shipment.msg_id
        if decision == "resend" and state in {ShipmentState.FAULTED, ShipmentState.REJECTED}:
            client.resend(msg_id, reason=_ASKED, by=_PERSON)
        elif decision == "settle" and state is ShipmentState.DELIVERED_WITH_ERRORS and not shipment.settled:
            client.settle(msg_id, reason=_ASKED, by=_PERSON)
        elif decision == "not-arrived" and state in AWAITING_RECEIPT and not client.case(msg_id).times_sent_again:
            client.resolve(msg_id, Decision.NOT_ARRIVED, reason=_ASKED, by=_PERSON)
        elif decision in set(Transport) and client.case(msg_id).shipment.transport != decision:
            if state not in ARRIVED and state not in AWAITING_RECEIPT:
                client.resend(msg_id, reason=_ASKED, by=_PERSON, transport=Transport(decision))
        elif decision == "in-doubt" and state is ShipmentState.IN_DOUBT:
            client.resolve(msg_id, Decision.NOT_ARRIVED, reason=_ASKED, by=_PERSON, again=True)
        for receipt in shipment.receipts if decision == "accept" else ():
            if receipt.in_question:
                client.accept_receipt(receipt.receipt_id, reason=_ASKED, by=_PERSON)


if __name__ == "__main__":
    _serve()
