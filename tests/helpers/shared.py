"""Where the official schemas, samples and vectors lie: beside the checkout, never in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

SHARED: Final = Path(os.environ.get("KPR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
