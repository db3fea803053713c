"""A fleet's page under its readers: ``python -m bench.page FOLDER MUNICIPALITIES`` prints what its answers took.

As many municipalities as there are in the country, each with a journal in which a pair is delivered or published;
fifty people read, each of them a page every five seconds, as browsers that load it again.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Final

from bench.measure import python
from kpr_sender.preflight.catalogue.codes import rows
from tests.helpers.fleet import Fleet, fleet, submitted

READERS: Final = 50
_EVERY: Final = 5.0
_SECONDS: Final = 30.0
_PAGES: Final = ("", "?lang=nb", "?show=open", "?q=12", "m/{key}", "m/{key}?lang=nb")
_DAY: Final = "2024-12-31"
_WEB: Final = '[web]\nmetrics_listen = "127.0.0.1:0"'


def main(folder: str, municipalities: int) -> None:
    """Make the fleet, serve it, read it, and print milliseconds."""
    made, keys = _fleet(Path(folder), municipalities)
    arguments = ("--env", "lokal", "--config", str(made.path), "--json", "fleet", "serve", "--listen", "127.0.0.1:0")
    with subprocess.Popen(python("kpr_sender", *arguments), stdout=subprocess.PIPE, text=True) as serving:
        if serving.stdout is None:
            raise OSError
        address = json.loads(serving.stdout.readline())["page"]
        took = _read(address, keys)
        serving.terminate()
    ordered = sorted(took)
    p99 = ordered[int(len(ordered) * 0.99)] * 1000
    print(json.dumps({"answers": len(took), "median_ms": statistics.median(took) * 1000, "p99_ms": p99}))


def _fleet(folder: Path, count: int) -> tuple[Fleet, list[str]]:
    keys = [row["number"] for row in rows("kommuner.csv") if row["valid_from"] <= _DAY and not row["valid_to"]][:count]
    made = fleet(folder, *keys, more=_WEB)
    for number, key in enumerate(keys):
        submitted(made, key, answered=number % 3 > 0)
    return made, keys


def _read(address: str, keys: list[str]) -> list[float]:
    took: list[float] = []
    began = time.monotonic()

    def reader(number: int) -> None:
        due = began + number * _EVERY / READERS
        while due < began + _SECONDS:
            time.sleep(max(0.0, due - time.monotonic()))
            page = _PAGES[number % len(_PAGES)].format(key=keys[number % len(keys)])
            asked = time.monotonic()
            with urllib.request.urlopen(f"{address}{page}", timeout=30) as answer:  # noqa: S310 - on loopback
                answer.read()
            took.append(time.monotonic() - asked)
            due += _EVERY

    with urllib.request.urlopen(address, timeout=60) as first:  # noqa: S310 - the same; it has looked once then
        first.read()
    readers = [threading.Thread(target=reader, args=(number,)) for number in range(READERS)]
    for one in readers:
        one.start()
    for one in readers:
        one.join()
    return took


if __name__ == "__main__":
    os.environ.setdefault("XDG_STATE_HOME", str(Path(sys.argv[1], "state")))
    main(sys.argv[1], int(sys.argv[2]))
