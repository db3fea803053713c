"""How much a nightly proof does: its count times ``KPR_NIGHTLY_SCALE``, which ``make nightly SCALE=0.1`` sets."""

from __future__ import annotations

import os


def scaled(count: int) -> int:
    """Return the count for this night, at least 1."""
    return max(1, round(count * float(os.environ.get("KPR_NIGHTLY_SCALE", "1"))))


def stride() -> int:
    """Return which of a row of cases to take this night: every case at full scale, every tenth at a tenth of it."""
    return max(1, round(1 / float(os.environ.get("KPR_NIGHTLY_SCALE", "1"))))
