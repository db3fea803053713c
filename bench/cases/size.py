"""What a reader has to hold in the head: counted, not measured."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from bench.measure import ROOT, Count

_PRODUCT: Final = ROOT / "kpr_sender"
_IMPORTED: Final = """
import sys
from kpr_sender import Client
print(sum(name.partition(".")[0] == "kpr_sender" for name in sys.modules))
"""


def _lines() -> list[int]:
    """Count the lines of each of the product's modules; the sandbox is a part of its own."""
    modules = (path for path in _PRODUCT.rglob("*.py") if path.relative_to(_PRODUCT).parts[0] != "sandbox")
    return [len(path.read_text(encoding="utf-8").splitlines()) for path in modules]


def _client_modules() -> int:
    command = [sys.executable, "-c", _IMPORTED]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout)


COUNTS: Final = (
    Count("modules", "modules of the product without sandbox/", 165, lambda: len(_lines())),
    Count("lines", "their lines", 24_500, lambda: sum(_lines())),
    Count("client_modules", "modules of ours that 'from kpr_sender import Client' loads", 115, _client_modules),
)
