# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes the generated parts of docs/guarantees.md: the state diagram, and what the counted proofs counted.

The diagram comes from the tables of ``kpr_sender/states.py``; the figures from ``docs/suite.json`` and
``docs/nightly.json``, which a test run leaves with ``--figures``. Each stands between two comments that name it;
everything else on the page is written by hand. Run it after a change: ``python docs/make_guarantees.py``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script, it is in docs/ that Python looks first

from docs.make_state_diagram import diagram  # noqa: E402 - after the path is set

TARGET: Final = ROOT / "docs" / "guarantees.md"
_PART: Final = re.compile(r"<!-- (?P<name>diagram|suite|nightly) -->\n.*?<!-- end -->", re.DOTALL)


def filled(page: str) -> str:
    """Return the page with its generated parts made anew."""
    return _PART.sub(
        lambda found: "\n".join([f"<!-- {found['name']} -->", *_part(found["name"]), "<!-- end -->"]), page
    )


def _part(name: str) -> Iterator[str]:
    if name == "diagram":
        yield from ("```mermaid", *diagram(), "```")
        return
    source = ROOT / "docs" / f"{name}.json"
    if not source.exists():
        yield "`make test` prints them."
        return
    made = json.loads(source.read_text("utf-8"))
    scale = "" if made["scale"] == "1" else f", with SCALE={made['scale']}"
    yield f"{made['date']}, commit `{made['commit']}`{scale}:"
    yield ""
    yield "| proof | counted |"
    yield "| --- | --- |"
    for proof, counts in sorted(made["figures"].items()):
        yield f"| {proof} | {', '.join(f'{key} {_number(value)}' for key, value in counts.items())} |"


def _number(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


if __name__ == "__main__":
    TARGET.write_text(filled(TARGET.read_text("utf-8")), "utf-8")
