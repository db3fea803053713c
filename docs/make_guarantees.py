# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes the generated parts of docs/guarantees.md: the state diagram, and what the counted proofs counted.

The diagram comes from the tables of ``kpr_sender/states.py``; the figures from ``docs/suite.json`` and
``docs/nightly.json``, which test runs leave with ``--figures`` and ``--add-figures``. Each stands between two comments
that name it; everything else on the page is written by hand. Run it after a change: ``python docs/make_guarantees.py``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script, it is in docs/ that Python looks first

from docs.make_state_diagram import IMAGE  # noqa: E402 - after the path is set
from tests.helpers.figures import Run, runs_in  # noqa: E402 - the same

TARGET: Final = ROOT / "docs" / "guarantees.md"
_PART: Final = re.compile(r"<!-- (?P<name>diagram|suite|nightly) -->\n.*?<!-- end -->", re.DOTALL)


def filled(page: str) -> str:
    """Return the page with its generated parts made anew."""
    return _PART.sub(
        lambda found: "\n".join([f"<!-- {found['name']} -->", *_part(found["name"]), "<!-- end -->"]), page
    )


def _part(name: str) -> Iterator[str]:
    if name == "diagram":
        yield IMAGE
        return
    runs = runs_in(ROOT / "docs" / f"{name}.json")
    if not runs:
        yield "`make test` prints them."
        return
    if len(runs) == 1:
        yield f"{_run(runs[0])}:"
        yield ""
    yield f"| proof | counted |{' run |' * (len(runs) > 1)}"
    yield f"| --- | --- |{' --- |' * (len(runs) > 1)}"
    rows = sorted((proof, counts, _run(run)) for run in runs for proof, counts in run["figures"].items())
    for proof, counts, run in rows:
        counted = ", ".join(f"{key} {_number(value)}" for key, value in counts.items())
        yield f"| {proof} | {counted} |{f' {run} |' * (len(runs) > 1)}"


def _run(run: Run) -> str:
    scale = "" if run["scale"] == "1" else f", with SCALE={run['scale']}"
    return f"{run['date']}, commit `{run['commit']}`{scale}"


def _number(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


if __name__ == "__main__":
    TARGET.write_text(filled(TARGET.read_text("utf-8")), "utf-8")
