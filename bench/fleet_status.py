"""A fleet of ``lokal`` with years of history in every journal; and ``fleet status`` of it, without process start.

``python -m bench.fleet_status make DIR MUNICIPALITIES YEARS`` makes it; ``python -m bench.fleet_status time DIR``
prints the milliseconds of one ``kpr-send fleet status --json``, from the command line to the last byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kpr_sender.cli.main import run
from kpr_sender.journal.port import Journal
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.journal.values import NewShipment, NewSubmission
from kpr_sender.model import CertificateName, Certificates, Envelope, Environment, MessageType
from kpr_sender.states import CAUSE_OF_STATUS, Cause, ReceiptStatus

_LAST_YEAR: Final = 2024
_NOTHING_SUBMITTED: Final = 89
_SEALED: Final = os.urandom(4_000)
_COMMON: Final = """\
environment = "lokal"
[report]
year = 2024
[journal]
path = "{municipality}/journal.db"
[sandbox]
embedded = true
dir = "{municipality}"
"""
_CERTIFICATES: Final = Certificates(CertificateName("e" * 40, "01"), CertificateName("5" * 40, "02"))


def make(folder: Path, municipalities: int, years: int) -> None:
    """Write the fleet file, and a journal for each municipality, with so many years that are delivered."""
    text = [_COMMON]
    for number in range(municipalities):
        name = f"{1000 + number}"
        text.append(
            f'[[municipality]]\nname = "KOMMUNE {name}"\nkommunenummer = "{name}"\n'
            f"her_id = {500_000 + number}\nservice_her_id = {600_000 + number}\n"
        )
        place = folder / name
        place.mkdir(parents=True)
        clock = lambda: datetime.now(UTC)  # noqa: E731 - a clock
        with SqliteJournal.open(place / "journal.db", Environment.LOKAL, now=clock, who="bench") as journal:
            late = number % 2  # half of them have not handed in this year
            for year in range(_LAST_YEAR - years + 1 - late, _LAST_YEAR + 1 - late):
                _deliver(journal, name, year, 600_000 + number)
    (folder / "fleet.toml").write_text("\n".join(text), "utf-8")


def _deliver(journal: Journal, name: str, year: int, her_id: int) -> None:
    shipments = tuple(_shipment(kind, f"{name} {year} {kind}", her_id) for kind in MessageType)
    journal.create(
        NewSubmission(
            accepted={},
            submission_id=f"{year}-{name}",
            environment=Environment.LOKAL,
            sender_her_id=her_id,
            kommunenummer=name,
            bydel="00",
            year=year,
            replaces=None,
            reason="",
            by="bench",
            shipments=shipments,
        )
    )
    for one in shipments:
        journal.begin_publish(one.msg_id)
        journal.end_publish(one.msg_id, Cause.ACCEPTED, evidence={}, error=None)
        journal.add_receipt(
            one.msg_id,
            status=ReceiptStatus.OK,
            errors=(),
            verified=True,
            problem="",
            xml=b"<AppRec/>",
            sealed=one.msg_id.encode(),
            cause=CAUSE_OF_STATUS[ReceiptStatus.OK],
        )


def _shipment(kind: MessageType, seed: str, her_id: int) -> NewShipment:
    digest = hashlib.sha256(seed.encode()).hexdigest()
    msg_id = f"{digest[:8]}-{digest[8:12]}-4000-8000-{digest[12:24]}"
    return NewShipment(
        type=kind,
        msg_id=msg_id,
        message_id=f"bus-{msg_id}",
        receiver_her_id=171479,
        envelope=Envelope("171479_async", kind.value, f"{her_id}_async", msg_id, "application/pkcs7-mime", {}),
        payload_sha256=digest,
        payload_bytes=4_000,
        lopenr="7",
        hodemelding_sha256=digest,
        certificates=_CERTIFICATES,
        sealed_bytes=len(_SEALED),
        sealed=[_SEALED],
    )


def timed(folder: Path) -> float:
    """Return how long one status takes, in seconds: the second one, where everything is imported."""
    took = 0.0
    for _ in range(2):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            began = time.perf_counter()
            code = run(["--json", "--env", "lokal", "--config", str(folder / "fleet.toml"), "fleet", "status"])
            took = time.perf_counter() - began
        if code != _NOTHING_SUBMITTED:
            raise RuntimeError(printed.getvalue()[:2_000])
    return took


def main() -> None:
    """Make it, or time it."""
    match sys.argv[1:]:
        case ["make", folder, municipalities, years]:
            make(Path(folder), int(municipalities), int(years))
        case ["time", folder]:
            print(round(1_000 * timed(Path(folder))))


if __name__ == "__main__":
    main()
