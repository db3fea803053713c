"""What a text of the product tells a person to set is a key of the configuration."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import kpr_sender
from kpr_sender.settings.values import SECTIONS

ROOT: Final = Path(kpr_sender.__file__).parent


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each string literal but docstrings; what an f-string puts in has a placeholder."""
    inside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values]
            inside |= {id(one) for one in node.values}
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def test_every_key_that_a_text_names_is_one() -> None:
    keys = {key.path for section in SECTIONS.values() for key in section.keys}
    keys |= {key.removesuffix("_credential") for key in keys}  # what a secret is called wherever it lies
    roots = sorted({key.split(".")[0] for key in keys})
    named = re.compile(rf"(?<![\w./@-])(?:{'|'.join(roots)})(?:\.[a-z_]+)+(?![\w(])")
    found, wrong = 0, []
    for path in sorted(ROOT.rglob("*.py")):
        for line, text in _texts(ast.parse(path.read_text("utf-8"))):
            for name in named.findall(text):
                found += 1
                if name not in keys and name not in SECTIONS and not name.endswith((".db", ".jsonl")):
                    wrong.append(f"{path.relative_to(ROOT)}:{line} {name}")
    assert wrong == []
    assert found > 50
