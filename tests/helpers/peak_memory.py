"""How much memory something takes, that of C libraries included."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path


def grown_mb(run: Callable[[], object]) -> float:
    """Return how far the peak of this process's memory rose."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = _status_kb("VmRSS")
    run()
    return (_status_kb("VmHWM") - before) / 1_000


def _status_kb(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1])
