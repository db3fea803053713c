"""What is left of a flood of claims that are never verified: 10,000 of them, 2 GB in all (``bench.flood``)."""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from typing import Any, Final

from bench.measure import DATA, ROOT, Count, python


@functools.cache
def _flooded() -> dict[str, Any]:
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flood-", dir=DATA) as folder:
        filled = _printed("fill", folder)
        return filled | _printed("open", filled["config"])


def _printed(what: str, where: str) -> dict[str, Any]:
    ended = subprocess.run(python("bench.flood", what, where), check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


COUNTS: Final = (
    Count("flood_journal", "MB of journal after it", 100, lambda: round(_flooded()["journal_mb"])),
    Count("flood_open", "ms to open that journal and read what is known", 500, lambda: _milliseconds("open_seconds")),
    Count("flood_open_peak", "MB of that process's memory", 80, lambda: round(_flooded()["open_peak_mb"])),
    Count("flood_again", "ms to evaluate what is stored again", 5_000, lambda: _milliseconds("again_seconds")),
)


def _milliseconds(name: str) -> int:
    return int(_flooded()[name] * 1000)
