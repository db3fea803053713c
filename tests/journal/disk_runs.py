"""Runs on a failing disk: ``python -m`` starts it with ``disk.c`` preloaded, and every run is a fork of it.

It reads one order a line (which call fails, how) and answers with one JSON object: what the first run said and what
the bus got from it, what was on disk at the moment of each transfer, and what a second run made of it with the disk
sound again.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from kpr_sender.app import journal_storage
from kpr_sender.bus.port import Outbound
from kpr_sender.client import Client
from kpr_sender.errors import KprError
from kpr_sender.events import ignore
from kpr_sender.inbound.archive import ReceiptCopies
from kpr_sender.model import Envelope
from kpr_sender.operator import retention
from kpr_sender.settings.values import Settings
from tests.helpers import keys_once, schema_once  # noqa: F401 - a process of its own
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality

_HANGS_AFTER: Final = 60  # seconds
_RESULT: Final = "="
_Look = Callable[[str], bool]
"""Tells of a message-id whether a byte copy of the journal's files, as they are now, knows of its transfer."""
_disk: Final = ctypes.CDLL(None)


def _serve() -> None:
    base = Path(tempfile.mkdtemp(prefix="kpr-disk-"))
    try:
        kommune = municipality(base / "kommune")
        settings = kommune.configure()
        own = _fresh(base, settings)
        _run(own, kommune, base / "run", None)  # whatever a run loads once
        _verified(own)  # and a check of its journal
        gc.collect()
        gc.freeze()  # and it stays shared between the processes
        for line in sys.stdin:
            sys.stdout.write(json.dumps(_play(json.loads(line), base, kommune, settings)) + "\n")
            sys.stdout.flush()
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _fresh(base: Path, settings: Settings) -> Settings:
    folder, home = base / "run", base / "home"
    for each in (folder, home):
        shutil.rmtree(each, ignore_errors=True)
    os.environ["XDG_STATE_HOME"] = str(home)  # what was sent from here before is nobody's to know
    state = folder / "state"
    state.mkdir(parents=True, mode=0o700)
    journal = dataclasses.replace(settings.journal, path=state / "journal.db", receipts_dir=folder / "receipts")
    return dataclasses.replace(settings, journal=journal)


def _play(order: dict[str, Any], base: Path, kommune: Municipality, settings: Settings) -> dict[str, Any]:
    folder = base / "run"
    own = _fresh(base, settings)
    if order.get("prunes"):
        return _play_pruned(order, kommune, folder, own)
    first = _forked(lambda look: _run(own, kommune, folder, order, look), lambda one: _durable(one, own, folder))
    left = _journal_states(own.journal.path)
    second = _forked(lambda _: _run(own, kommune, folder, None))
    ledger = [line.split()[0] for line in _lines(folder / "ledger")]
    return {"first": first, "left": left, "second": second, "published": ledger, "early": _lines(folder / "early")}


def _play_pruned(order: dict[str, Any], kommune: Municipality, folder: Path, own: Settings) -> dict[str, Any]:
    """Deliver a pair, prune it on the failing disk, and run once more on a sound one."""
    before = _forked(lambda _: _delivered(own, kommune, folder))
    assert before is not None
    there = b"\0".join(file.read_bytes() for file in own.journal.path.parent.iterdir())
    pieces = [piece for piece in map(bytes.fromhex, before["pieces"]) if piece in there]  # not over the end of a page
    first = _forked(lambda _: _prune(own, order))
    second = _forked(lambda _: _run(own, kommune, folder, None))
    left = b"\0".join(file.read_bytes() for file in own.journal.path.parent.iterdir())
    return {
        "first": first,
        "second": second,
        "pieces": len(pieces),
        "left": sum(piece in left for piece in pieces),
        "sound": _forked(lambda _: _verified(own)),
    }


def _delivered(settings: Settings, kommune: Municipality, folder: Path) -> dict[str, Any]:
    """Deliver and review a pair; return pieces of all that pruning removes, each on one page of the file."""
    _run(settings, kommune, folder, None)
    with Client(settings, by="vakt") as client:
        client.reviewed(by="Inga")
        found = [one.sealed for one in client.receipts()]
        journal = client._app.session.opened()
        found += [journal.sealed(one.msg_id) for one in journal.submissions()[0].shipments]
    return {"pieces": [one[at : at + 48].hex() for one in found for at in range(0, len(one) - 48, 900)]}


def _prune(settings: Settings, order: dict[str, Any]) -> dict[str, Any]:
    copies = ReceiptCopies(settings.journal.receipts_dir, ignore)
    _disk.disk_watch(str(settings.journal.path.parent).encode())
    _disk.disk_arm(ctypes.c_long(order["at"]), order["errno"], int(order["persistent"]), int(order["deadly"]))
    told: dict[str, Any] = {"code": None, "text": ""}
    try:
        with closing(journal_storage(settings).open(who="kari")) as journal:
            retention.prune(journal, copies, journal.submissions(), reason="fristen er ute", by="Kari")
    except KprError as error:
        told = {"code": error.code, "text": str(error)}
    told["calls"] = _disk.disk_count()
    _disk.disk_arm(ctypes.c_long(0), 0, 0, 0)
    return told


def _verified(settings: Settings) -> dict[str, Any]:
    verified = journal_storage(settings).verify()
    with journal_storage(settings).reading() as journal:
        assert verified is not None
        assert journal is not None
        shipments = journal.submissions()[0].shipments
    return {"findings": [one.text for one in verified.findings], "pruned": [bool(one.pruned_at) for one in shipments]}


def _run(
    settings: Settings, kommune: Municipality, folder: Path, order: dict[str, Any] | None, look: _Look | None = None
) -> dict[str, Any]:
    """Send and take the receipts; the bus's ledger outlives the process, and so do FHI's answers."""
    fhi = Fhi(kommune.pki)
    bus = MemoryBus(fhi.answer)
    for line in _lines(folder / "ledger"):
        for inbound in fhi.answer(_message(folder, line.split()[1])):
            bus.put(inbound)
    bus.on_publish = lambda message: _taken(message, folder)
    if order is not None and look is not None:
        bus.on_publish = lambda message: _published(message, look, folder)
        _disk.disk_watch(str(settings.journal.path.parent).encode())
        _disk.disk_arm(ctypes.c_long(order["at"]), order["errno"], int(order["persistent"]), int(order["deadly"]))
    told: dict[str, Any] = {"code": None, "exit_code": None, "text": ""}
    try:
        with Client(settings, bus=bus, by="vakt") as client:
            report = client.submit(kommune.fagmelding, kommune.identmelding)
            if any(shipment.state.value in {"published", "in_doubt"} for shipment in report.submission.shipments):
                report = client.wait(timeout=0)
        told |= {"exit_code": report.exit_code, "text": report.text()}
    except KprError as error:
        told |= {"code": error.code, "exit_code": error.exit_code, "text": str(error)}
    told["calls"] = _disk.disk_count()
    _disk.disk_arm(ctypes.c_long(0), 0, 0, 0)
    return told


def _published(message: Outbound, look: _Look, folder: Path) -> None:
    unsynced = _disk.disk_unsynced()
    if unsynced or not look(message.message_id):
        _append(folder / "early", f"{message.message_id} {unsynced} unsynced")
    _taken(message, folder)


def _taken(message: Outbound, folder: Path) -> None:
    number = len(_lines(folder / "ledger"))
    (folder / f"message-{number}").write_text(
        json.dumps(
            {
                "message_id": message.message_id,
                "envelope": dataclasses.asdict(message.envelope),
                "body": message.body.hex(),
            }
        ),
        encoding="utf-8",
    )
    _append(folder / "ledger", f"{message.message_id} {number}")


def _durable(message_id: str, settings: Settings, folder: Path) -> bool:
    """Tell whether a byte copy of the files, as they are, knows of the transfer."""
    journal, copies = settings.journal.path, folder / "copy"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir()
    try:
        for name in (journal.name, f"{journal.name}-wal", f"{journal.name}.mark"):
            shutil.copyfile(journal.with_name(name), copies / name)
        marked = json.loads((copies / f"{journal.name}.mark").read_text("utf-8"))
        with closing(sqlite3.connect(copies / journal.name)) as connection:
            sql = "SELECT state, attempts, msg_id FROM shipment WHERE message_id = ?"
            row = connection.execute(sql, (message_id,)).fetchone()
            step = connection.execute("SELECT step FROM journal").fetchone()[0]
    except (OSError, ValueError, sqlite3.Error):
        return False
    begun = {one["msg_id"]: one["attempts"] for one in marked["begun"]}
    return row is not None and row[0] == "publishing" and begun.get(row[2]) == row[1] and marked["step"] == step


def _message(folder: Path, number: str) -> Outbound:
    kept = json.loads((folder / f"message-{number}").read_text("utf-8"))
    envelope = Envelope(**kept["envelope"])
    return Outbound(kept["message_id"], envelope, bytes.fromhex(kept["body"]))


def _journal_states(journal: Path) -> list[str]:
    if not journal.exists() or journal.stat().st_size == 0:
        return []
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        try:
            return [row[0] for row in connection.execute("SELECT state FROM shipment ORDER BY shipment_id")]
        except sqlite3.OperationalError:
            return []  # its tables were not there yet


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines() if file.exists() else []


def _append(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def _forked(work: Callable[[_Look], dict[str, Any]], looked: _Look = lambda _: False) -> dict[str, Any] | None:
    """Return what work returned in a process of its own; None where that was killed.

    Args:
        work: What is done there. What it is given asks this process, and waits for what it sees.
        looked: Looks from here: closing a file of SQLite's in the process that has it open would give up its locks.
    """
    reading, writing = os.pipe()
    hearing, answering = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(answering)
        signal.alarm(_HANGS_AFTER)

        def look(message_id: str) -> bool:
            os.write(writing, f"{message_id}\n".encode())
            return os.read(hearing, 1) == b"y"

        try:
            result = work(look)
        except BaseException as error:  # noqa: BLE001 - the test shall see what it was
            result = {"code": "failed", "text": f"{type(error).__name__}: {error}"}
        os.write(writing, f"{_RESULT}{json.dumps(result)}\n".encode())
        os._exit(0)
    os.close(writing)
    os.close(hearing)
    told = None
    with os.fdopen(reading, encoding="utf-8") as pipe:
        for line in pipe:
            if line.startswith(_RESULT):
                told = json.loads(line.removeprefix(_RESULT))
            else:
                os.write(answering, b"y" if looked(line.rstrip("\n")) else b"n")
    os.close(answering)
    os.waitpid(child, 0)
    return told


if __name__ == "__main__":
    _serve()
