"""One subject a module, and its tests where its name says. The arrows between modules: import-linter."""

from __future__ import annotations

import re
import statistics
from typing import Final

from tests.helpers.repository import ROOT

_LONGEST: Final = 450  # lines
_TYPICAL: Final = 200  # lines


def _lines() -> dict[str, int]:
    product = ROOT / "kpr_sender"
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in product.rglob("*.py")}


def test_no_module_is_long() -> None:
    assert {name: lines for name, lines in _lines().items() if lines > _LONGEST} == {}


def test_the_typical_module_is_short() -> None:
    assert statistics.median(_lines().values()) < _TYPICAL


def test_a_class_name_means_one_thing_in_the_whole_package() -> None:
    places: dict[str, list[str]] = {}
    for path in (ROOT / "kpr_sender").rglob("*.py"):
        for name in re.findall(r"^ *class _*(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            places.setdefault(name, []).append(path.name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


_NO_ROOM: Final = {"helpers", "proofs", "packaging", "docs", "cli"}
"""``cli`` is the command as a whole, too."""


def test_the_tests_mirror_the_tree() -> None:
    """``tests/cms/test_read_vectors.py`` tests ``kpr_sender/cms/read.py``: whoever changes a module finds its tests."""
    strangers = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        place = path.relative_to(ROOT / "tests").parent
        if place.parts[:1] and place.parts[0] in _NO_ROOM:
            continue
        room = ROOT / "kpr_sender" / place
        subject = path.stem.removeprefix("test_")
        if not any(subject == one.stem or subject.startswith(f"{one.stem}_") for one in room.glob("[a-z]*.py")):
            strangers.append(str(path.relative_to(ROOT)))
    assert strangers == []
