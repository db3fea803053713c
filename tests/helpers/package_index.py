"""The package registry that pip asks: a test that finds it out of reach is skipped, and says so."""

from __future__ import annotations

import re
from typing import Final

UNREACHABLE: Final = re.compile(r"connection|timed? ?out|resolve|unreachable|proxy", re.IGNORECASE)
"""How pip's words begin where it has no answer; that there is no such version is one."""
