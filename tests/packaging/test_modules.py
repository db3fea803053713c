"""One subject a module: sizes that make it hard to hide two in one. The arrows between them: import-linter."""

from __future__ import annotations

import statistics
from typing import Final

from tests.helpers.repository import ROOT

_LONGEST: Final = 500  # lines
_TYPICAL: Final = 200  # lines


def _lines() -> dict[str, int]:
    product = ROOT / "kpr_sender"
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in product.rglob("*.py")}


def test_no_module_is_long() -> None:
    assert {name: lines for name, lines in _lines().items() if lines > _LONGEST} == {}


def test_the_typical_module_is_short() -> None:
    assert statistics.median(_lines().values()) < _TYPICAL
