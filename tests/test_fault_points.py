"""The fault points themselves: nothing in the product arms them, and disarmed they do nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kpr_sender import fault_points
from kpr_sender.fault_points import FaultPoint, armed, reached
from tests.helpers.repository import ROOT

_PRODUCT = sorted((ROOT / "kpr_sender").rglob("*.py"))
_OFFERED = {"FaultPoint", "reached"}


def _taken_from_fault_points(source: Path) -> set[str]:
    """Return what a module takes from ``fault_points``; the module itself counts as everything."""
    taken: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == fault_points.__name__:
            taken |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            taken |= {alias.name for alias in node.names if alias.name.rpartition(".")[2] == "fault_points"}
    return taken


def test_nothing_in_the_product_arms_them() -> None:
    taken = {source: _taken_from_fault_points(source) for source in _PRODUCT}
    assert {source for source, names in taken.items() if names - _OFFERED} == set()


@pytest.mark.parametrize("point", FaultPoint)
def test_every_point_is_somewhere_in_the_product(point: FaultPoint) -> None:
    named = f"reached(FaultPoint.{point.name})"
    assert any(named in source.read_text("utf-8") for source in _PRODUCT)


def test_a_point_calls_back_only_while_armed() -> None:
    seen: list[FaultPoint] = []
    reached(FaultPoint.BEFORE_CONNECT)
    with armed(seen.append):
        reached(FaultPoint.BEFORE_COMMIT)
        with armed(lambda _: None):
            reached(FaultPoint.MID_TRANSFER)
        reached(FaultPoint.AFTER_COMMIT)
    reached(FaultPoint.AFTER_SETTLE)
    assert seen == [FaultPoint.BEFORE_COMMIT, FaultPoint.AFTER_COMMIT]
