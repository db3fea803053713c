"""A fleet with a pair for each municipality, handed in to a real RabbitMQ: made, and sent in three ways.

``python -m bench.fleet_send make FOLDER COUNT LARGEST BROKER`` makes it: pairs from 0.2 MB to LARGEST MB, 1.2 GB in all
of 357 municipalities up to 20 MB. Two fleet files have the same pairs and journals of their own, so that the same
submissions go twice. ``... one FOLDER NAME`` hands in those of a fleet file one after the other, in this process;
``... sealed FOLDER NAME OUT`` writes the sealed bytes that it has sent. BROKER is what ``bench.broker`` prints.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kpr_sender.cli.fleet_run import FleetOrder, carry_out
from kpr_sender.fleet.file import FleetFile
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment
from kpr_sender.preflight.catalogue.codes import rows
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.settings.values import Settings
from tests.helpers.fleet import seal_keys_anew
from tests.helpers.municipality import YEAR, Municipality, municipality

FILES: Final = ("fleet.toml", "again.toml")
SEND: Final = ("send", "--wait", "0s")
PENDING: Final = 80
"""Nobody answers here: the exit code of what is published."""
_SMALLEST: Final = 0.2  # MB
_PERSONS_PER_MB: Final = 236
_SHAPES: Final = 8
_MOSTLY_SMALL: Final = 1.3  # so that 357 of them are 1.2 GB
_DAY: Final = f"{YEAR}-12-31"
_COMMON: Final[dict[str, dict[str, object]]] = {
    "files": {"fagmelding": "{municipality}/fagmelding.xml", "identmelding": "{municipality}/identmelding.xml"},
    "sender": dict.fromkeys(("name", "her_id", "service_her_id", "kommunenummer")),
}
_MUNICIPALITY: Final = """
[[municipality]]
name = "KOMMUNE {name}"
kommunenummer = "{name}"
her_id = {her_id}
service_her_id = {service_her_id}
"""


def kommuner() -> list[str]:
    """Return the numbers of all municipalities of the year."""
    return [row["number"] for row in rows("kommuner.csv") if row["valid_from"] <= _DAY and not row["valid_to"]]


def make(folder: Path, count: int, largest: float, broker: dict[str, Any]) -> None:
    """Write pairs, keys and both fleet files."""
    names = kommuner()[:count]
    shapes: dict[int, tuple[bytes, bytes]] = {}
    for number, name in enumerate(names):
        made = municipality(folder / name)
        seal_keys_anew(made.pki)
        (made.folder / "inbox").mkdir()
        (made.folder / "bus-password").write_text(broker["password"], encoding="ascii")
        shape = round(number * (_SHAPES - 1) / max(count - 1, 1))
        if shape not in shapes:
            megabytes = _SMALLEST * (largest / _SMALLEST) ** ((shape / (_SHAPES - 1)) ** _MOSTLY_SMALL)
            persons = max(1, round(megabytes * _PERSONS_PER_MB))
            files = write_pair(made.folder, year=YEAR, persons=persons, kommunenummer=name)
            shapes[shape] = (
                files[0].read_bytes().replace(f"Komnr>{name}<".encode(), b"Komnr>....<"),
                files[1].read_bytes(),
            )
        fagmelding, identmelding = shapes[shape]
        made.fagmelding.write_bytes(fagmelding.replace(b"Komnr>....<", f"Komnr>{name}<".encode()))
        made.identmelding.write_bytes(identmelding)
    # The largest and the smallest take turns, as municipalities do.
    spread = [names[place * len(names) // 2 + step] for step in range(len(names) // 2) for place in (0, 1)]
    sections = "".join(
        _MUNICIPALITY.format(name=name, her_id=500_000 + int(name), service_her_id=600_000 + int(name))
        for name in [*spread, *(name for name in names if name not in spread)]
    )
    for file in FILES:
        (folder / file).write_text(_common(folder, file, broker) + sections, "utf-8")
    os.sync()  # what making it left to be written is not measured


def _common(folder: Path, file: str, broker: dict[str, Any]) -> str:
    """Return what is said of all: a municipality's configuration, with a placeholder in place of its folder."""
    bus = {key: broker[key] for key in ("host", "port", "ca_file", "username", "exchange")}
    folder_of_answers = {"receipts_from": "folder", "receipts_inbox": "{municipality}/inbox"}
    own = f"{{municipality}}/{file}"
    journal = {"path": f"{own}.db", "receipts_dir": f"{own}.receipts"}
    common = Municipality(folder / "{municipality}")
    common.folder.mkdir(exist_ok=True)
    common.write({**_COMMON, "bus": bus | folder_of_answers, "journal": journal}, port=1)
    return common.config.read_text("utf-8")


def read(file: Path) -> FleetFile:
    """Read a fleet file."""
    return FleetFile.load(file, Environment.LOKAL)


def one_by_one(file: Path) -> None:
    """Hand in all of a fleet, one after the other in this process."""
    for one in read(file).municipalities:
        found = carry_out(FleetOrder(one, SEND))
        if found.error is None or found.error.exit_code != PENDING:
            raise RuntimeError(f"{one.name}: {found.error}")


def sealed(file: Path) -> Iterator[bytes]:
    """Yield the sealed bytes that a fleet has sent."""
    for one in read(file).municipalities:
        if isinstance(one.known, Settings):
            journal = SqliteJournal.open_readonly(one.known.journal.path, Environment.LOKAL)
            if journal is not None:
                with journal:
                    for submission in journal.submissions():
                        yield from (journal.sealed(half.msg_id) for half in submission.shipments)


def main() -> None:
    """Do what is asked for."""
    match sys.argv[1:]:
        case ["make", folder, count, largest, broker]:
            make(Path(folder), int(count), float(largest), json.loads(broker))
        case ["one", file]:
            began = time.process_time()
            one_by_one(Path(file))
            print(json.dumps({"cpu": time.process_time() - began}))
        case ["sealed", file, out]:
            for number, content in enumerate(sealed(Path(file))):
                (Path(out) / f"{number:04d}.p7m").write_bytes(content)


if __name__ == "__main__":
    main()
