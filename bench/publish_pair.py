"""``python -m bench.publish_pair FOLDER BROKER [SEALED]``: our side: a pair from sealed in the journal to *accepted*.

BROKER is what ``bench.broker`` prints. With SEALED the sealed bytes are written there, for the other side to publish.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from bench.memory import Growth
from bench.pair import make
from kpr_sender.app import App
from kpr_sender.client import Client
from kpr_sender.errors import BusUnreachable
from kpr_sender.model import Environment
from kpr_sender.settings import load
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.memory_bus import MemoryBus


def main(folder: Path, broker: dict[str, Any], sealed: Path | None) -> None:
    """Seal a new pair, then publish it; print seconds and memory of publishing, the connection included."""
    made = make(folder, broker)
    settings = load(made.config, Environment.LOKAL, environ=os.environ)
    down = MemoryBus()
    down.connect_error = BusUnreachable(Text("Down until it is sealed."))
    with suppress(BusUnreachable), Client(settings, bus=down) as client:
        client.submit()
    app = App(settings)
    with closing(app.session), closing(app.bus):
        (submission,) = app.session.opened().submissions()
        if sealed is not None:
            for shipment in submission.shipments:
                (sealed / f"{shipment.type}.p7m").write_bytes(app.session.opened().sealed(shipment.msg_id))
        os.sync()  # what sealing left to be written is not measured
        grown = Growth()
        began = time.perf_counter()
        submission, _ = app.publisher().publish_all(submission)
        seconds = time.perf_counter() - began
    if {shipment.state for shipment in submission.shipments} != {ShipmentState.PUBLISHED}:
        raise RuntimeError(str(submission.state))
    print(json.dumps({"seconds": seconds, "peak_mb": grown.mb()}))
    shutil.rmtree(made.folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
