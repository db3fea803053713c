"""How far a process's peak memory grew, told by itself: nothing that its parent or its imports held is in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_KIB: Final = 1024
_MB: Final = 1_000_000


class Growth:
    """Begins where it is made; ``mb`` tells how much higher the peak is since."""

    def __init__(self) -> None:
        self._before = _status_kib("VmRSS")

    def mb(self) -> float:
        """Return the growth of the peak over the memory in use at the beginning, in MB."""
        return max(_status_kib("VmHWM") - self._before, 0) * _KIB / _MB


def peak_mb() -> float:
    """Return this process's peak memory so far, in MB."""
    return _status_kib("VmHWM") * _KIB / _MB


def _status_kib(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        message = f"{_STATUS} has no {field}"
        raise LookupError(message)
    return int(found[1])
