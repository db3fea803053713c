"""One subject a module, and its tests where its name says. The arrows between modules: import-linter."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
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


_CALLED_BY_OTHERS: Final = {
    *("connect_tcp", "get_extra_info"),  # httpcore
    *("format_commands", "format_epilog"),  # click
    "get_root",  # signxml
    *("handleError", "writable"),  # the standard library's logging and io
    *("_create_IMAP4", "_set_read_timeout", "_create_socket"),  # imapclient and poplib
    "armed",  # of fault_points, which are there for the proofs
}


def _used(tree: ast.AST) -> Iterator[str]:
    """Yield the names that code uses: called, handed on, imported, or written as one word of a text."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name.rpartition(".")[2]
            case ast.Constant(value=str(name)) if name.isidentifier():
                yield name
            case _:
                pass


def test_what_the_product_defines_it_uses() -> None:
    """A function that tests alone call is no behaviour of the product's. The sandbox is theirs, too."""
    product = [path for path in (ROOT / "kpr_sender").rglob("*.py") if "sandbox" not in path.parts]
    beside = [path for room in ("docs", "tools", "kpr_sender/sandbox") for path in (ROOT / room).rglob("*.py")]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in [*product, *beside]}
    used = {name for tree in trees.values() for name in _used(tree)} | _CALLED_BY_OTHERS
    for page in [*(ROOT / "kpr_sender").rglob("*.html"), ROOT / "docs/public-api.txt"]:
        used |= set(re.findall(r"\w+", page.read_text(encoding="utf-8")))
    unused = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in product
        for node in ast.walk(trees[path])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.name not in used
        and not node.name.startswith("__")
        and not any(".command(" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    assert unused == []
