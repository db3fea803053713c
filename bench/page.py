"""A fleet's page under its readers: ``python -m bench.page FOLDER MUNICIPALITIES`` prints what its answers took.

As many municipalities as there are in the country, each with a journal in which a pair is delivered or published;
fifty people read, each of them a page every five seconds, as browsers that load it again, while ``fleet send`` looks
after all of them. It does so without page and readers as well: how much longer it takes beside them is printed, too.
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
_SECONDS: Final = 30.0  # at least
_ENDS: Final = (0, 80)  # delivered, or published and not answered
_PAGES: Final = ("", "?lang=nb", "?show=open", "?q=12", "m/{key}", "m/{key}?lang=nb")
_DAY: Final = "2024-12-31"
_WEB: Final = '[web]\nmetrics_listen = "127.0.0.1:0"'


def main(folder: str, municipalities: int) -> None:
    """Make the fleet, run it alone, serve it, read it while it runs, and print milliseconds and seconds."""
    made, keys = _fleet(Path(folder), municipalities)
    _run(made)  # brings every journal to where a second run finds it
    alone = _run(made)
    arguments = ("--env", "lokal", "--config", str(made.path), "--json", "fleet", "serve", "--listen", "127.0.0.1:0")
    with subprocess.Popen(python("kpr_sender", *arguments), stdout=subprocess.PIPE, text=True) as serving:
        if serving.stdout is None:
            raise OSError
        address = json.loads(serving.stdout.readline())["page"]
        ran: list[float] = []
        running = threading.Thread(target=lambda: ran.append(_run(made)))
        took = _read(address, keys, running)
        serving.terminate()
    ordered = sorted(took)
    p99 = ordered[int(len(ordered) * 0.99)] * 1000
    figures = {"answers": len(took), "median_ms": statistics.median(took) * 1000, "p99_ms": p99}
    print(json.dumps({**figures, "alone_s": alone, "beside_s": ran[0]}))


def _run(made: Fleet) -> float:
    """Look after all of them, two at once; return the seconds that it took."""
    arguments = ("--env", "lokal", "--config", str(made.path), "-q", "fleet", "send", "--wait", "0s", "--jobs", "2")
    began = time.monotonic()
    ended = subprocess.run(python("kpr_sender", *arguments), check=False, stderr=subprocess.DEVNULL)
    if ended.returncode not in _ENDS:
        raise RuntimeError(f"fleet send ended with {ended.returncode}")
    return time.monotonic() - began


def _fleet(folder: Path, count: int) -> tuple[Fleet, list[str]]:
    keys = [row["number"] for row in rows("kommuner.csv") if row["valid_from"] <= _DAY and not row["valid_to"]][:count]
    made = fleet(folder, *keys, more=_WEB)
    for number, key in enumerate(keys):
        submitted(made, key, answered=number % 3 > 0)
    return made, keys


def _read(address: str, keys: list[str], running: threading.Thread) -> list[float]:
    """Read until the fleet has run; return how long each answer took."""
    took: list[float] = []

    def reader(number: int) -> None:
        due = began + number * _EVERY / READERS
        while due < began + _SECONDS or running.is_alive():
            time.sleep(max(0.0, due - time.monotonic()))
            page = _PAGES[number % len(_PAGES)].format(key=keys[number % len(keys)])
            asked = time.monotonic()
            with urllib.request.urlopen(f"{address}{page}", timeout=30) as answer:  # noqa: S310 - on loopback
                answer.read()
            took.append(time.monotonic() - asked)
            due += _EVERY

    with urllib.request.urlopen(address, timeout=60) as first:  # noqa: S310 - the same; it has looked once then
        first.read()
    began = time.monotonic()
    running.start()
    readers = [threading.Thread(target=reader, args=(number,)) for number in range(READERS)]
    for one in readers:
        one.start()
    for one in (*readers, running):
        one.join()
    return took


if __name__ == "__main__":
    os.environ.setdefault("XDG_STATE_HOME", str(Path(sys.argv[1], "state")))
    main(sys.argv[1], int(sys.argv[2]))
