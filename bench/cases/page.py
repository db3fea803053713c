"""A fleet's page under fifty readers (``bench.page``)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import Final

from bench.measure import DATA, ROOT, Count, python

_MUNICIPALITIES: Final = 357  # all of Norway


def _p99() -> int:
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="page-", dir=DATA) as folder:
        command = python("bench.page", folder, str(_MUNICIPALITIES))
        ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        p99: float = json.loads(ended.stdout)["p99_ms"]
        return round(p99)


COUNTS: Final = (Count("page_p99", "ms to answer 50 readers of 357 municipalities, 99 of 100 answers", 300, _p99),)
