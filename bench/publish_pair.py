"""``python -m bench.publish_pair FOLDER BROKER [SEALED]``: our side: a pair checked, sealed, journaled, published.

BROKER is what ``bench.broker`` says. With SEALED the sealed bytes are written there, for the other side to publish.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.memory import Growth
from kpr_sender.client import Client
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.states import ShipmentState
from tests.helpers.municipality import YEAR, municipality

_PERSONS = 2_360  # makes about 10 MB of fagmelding and identmelding together


def main(folder: Path, broker: dict[str, Any], sealed: Path | None) -> None:
    """Publish from a new folder; print seconds and memory from the first step to the second *accepted*."""
    home = Path(tempfile.mkdtemp(dir=folder))
    made = municipality(home)
    write_pair(home, year=YEAR, persons=_PERSONS)
    (home / "bus-password").write_text(broker["password"], encoding="ascii")
    bus = {key: broker[key] for key in ("host", "port", "ca_file", "username", "exchange")}
    made.configure({"bus": bus, "sender": {"service_her_id": broker["sender_her_id"]}})
    os.sync()  # what making the files left to be written is not measured
    grown = Growth()
    began = time.perf_counter()
    with Client.from_config(made.config, Environment.LOKAL) as client:
        report = client.submit()
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak_mb": grown.mb()}))
    shipments = report.submission.shipments
    if {shipment.state for shipment in shipments} != {ShipmentState.PUBLISHED}:
        raise RuntimeError(report.text())
    if sealed is not None:
        journal = SqliteJournal.open_readonly(made.journal, Environment.LOKAL)
        assert journal is not None
        with journal:
            for shipment in shipments:
                (sealed / f"{shipment.type}.p7m").write_bytes(journal.sealed(shipment.msg_id))
    shutil.rmtree(home)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
