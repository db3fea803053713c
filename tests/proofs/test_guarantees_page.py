"""``docs/guarantees.md`` names tests that exist, and shows the table's own diagram and the runs' own figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.make_guarantees import TARGET, filled
from tests.helpers.figures import closing_line, runs_in
from tests.helpers.repository import ROOT

PAGE = TARGET.read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_it_names_exists(path: str, name: str) -> None:
    source = (ROOT / path).read_text("utf-8")
    assert not name or f"\ndef {name}(" in source


def test_it_names_a_proof_for_every_promise() -> None:
    rows = re.findall(r"^\| (G\d) \|.*\| (.+) \|$", PAGE, re.MULTILINE)
    assert [promise for promise, _ in rows] == [f"G{number}" for number in range(1, 9)]
    sections = {f"#{re.sub(r'[^a-z0-9 ]', '', title.lower()).replace(' ', '-')}" for title in _titles()}
    links = {link for _, proofs in rows for link in re.findall(r"\((#[\w-]+)\)", proofs)}
    assert links <= sections


def test_its_generated_parts_are_current() -> None:
    assert filled(PAGE) == PAGE, "run: python docs/make_guarantees.py"


@pytest.mark.parametrize("source", sorted((ROOT / "docs").glob("*.json")), ids=lambda path: path.name)
def test_its_figures_are_of_a_run_without_a_breach(source: Path) -> None:
    for run in runs_in(source):
        assert closing_line(run["figures"])[1]
        assert re.fullmatch(r"[0-9a-f]{12}", run["commit"])


def _titles() -> list[str]:
    return re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
