"""A fleet's page under fifty readers, while the fleet runs (``bench.page``)."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from typing import Any, Final

from bench.measure import DATA, ROOT, Count, python

_MUNICIPALITIES: Final = int(os.environ.get("KPR_BENCH_FLEET", "357"))  # all of Norway


@functools.cache
def _figures() -> dict[str, Any]:
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="page-", dir=DATA) as folder:
        command = python("bench.page", folder, str(_MUNICIPALITIES))
        ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(ended.stdout)
    print(
        f"  {found['answers']} answers, half of them within {found['median_ms']:.0f} ms; "
        f"the fleet {found['alone_s']:.1f} s alone, {found['beside_s']:.1f} s beside the readers",
        flush=True,
    )
    return found


def _p99() -> float:
    return float(_figures()["p99_ms"])


def _slowed() -> float:
    return float(_figures()["beside_s"] / _figures()["alone_s"])


COUNTS: Final = (
    Count("page_p99", "ms to answer 50 readers while the fleet runs, 99 of 100 answers", 300, _p99),
    Count("page_slows_runs", "the fleet's runs beside 50 readers; alone", 1.1, _slowed),
)
