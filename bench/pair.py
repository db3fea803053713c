"""``python -m bench.pair FOLDER BROKER [--delivered]``: a municipality in a new folder, with a pair of 10 MB to send.

BROKER is what ``bench.broker`` prints. With --delivered the pair is sent and answered, by a bus in memory. Prints one
line of JSON: the configuration, the fagmelding and the official schema, or what is missing in its place.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from kpr_sender.client import Client
from kpr_sender.model import Environment
from kpr_sender.sandbox.sample import write_pair
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import YEAR, Municipality, municipality
from tests.helpers.shared import NO_SHARED, SHARED

_PERSONS: Final = 2_360  # makes about 10 MB of fagmelding and identmelding together


def make(folder: Path, broker: dict[str, Any]) -> Municipality:
    """Write a pair, and a configuration that sends it to the broker."""
    made = municipality(Path(tempfile.mkdtemp(dir=folder)))
    write_pair(made.folder, year=YEAR, persons=_PERSONS)
    (made.folder / "bus-password").write_text(broker["password"], encoding="ascii")
    bus = {key: broker[key] for key in ("host", "port", "ca_file", "username", "exchange")}
    made.configure({"bus": bus, "sender": {"service_her_id": broker["sender_her_id"]}})
    os.sync()  # what making the files left to be written is not measured
    return made


def _deliver(made: Municipality) -> None:
    settings = Client.from_config(made.config, Environment.LOKAL).settings
    with Client(settings, bus=MemoryBus(Fhi(made.pki).answer)) as client:
        client.submit()
        report = client.wait(timeout=60)
    if report.exit_code:
        raise RuntimeError(report.text())
    os.sync()


def main(folder: Path, broker: dict[str, Any], *, delivered: bool) -> None:
    """Make it, and print where it is."""
    made = make(folder, broker)
    if delivered:
        _deliver(made)
    shared: object = SHARED  # a stand-in where there is none
    schema = (
        {"schema": str(shared / "schemas" / "kpr" / "iplos-3.x" / "iplos_2019.xsd")}
        if isinstance(shared, Path)
        else {"missing": NO_SHARED}
    )
    print(json.dumps({"config": str(made.config), "fagmelding": str(made.fagmelding), **schema}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), delivered="--delivered" in sys.argv)
