"""How much a nightly proof does: its count times ``KPR_NIGHTLY_SCALE``, which ``make nightly SCALE=0.1`` sets."""

from __future__ import annotations

import os


def scaled(count: int) -> int:
    """Return the count for this night, at least 1."""
    return max(1, round(count * float(os.environ.get("KPR_NIGHTLY_SCALE", "1"))))
