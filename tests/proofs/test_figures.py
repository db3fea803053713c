"""The counted proofs' own machinery: a breach that nobody sees would prove nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.helpers.figures import Run, added, closing_line, runs_in
from tests.helpers.repository import ROOT

PROOF = """
import pytest
from tests.helpers.figures import figure

@pytest.mark.parametrize("duplicated", {duplicated})
def test_counts(duplicated):
    figure("a proof", runs=10, lost=0, duplicated=duplicated, broker="memory")

@pytest.mark.nightly
def test_long():
    figure("a long proof", runs=1000, lost=0)
"""


def run(folder: Path, duplicated: list[int], *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_proof.py").write_text(PROOF.format(duplicated=duplicated))
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {ROOT}\nmarkers =\n  nightly\n  rabbitmq\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_figures_are_added_up_over_tests_and_processes(tmp_path: Path) -> None:
    ran = run(tmp_path, [0, 0, 0], "-n", "2", "--figures", str(tmp_path / "figures.json"))
    assert ran.returncode == 0, ran.stdout
    assert "a proof: runs 30, lost 0, duplicated 0, broker memory" in ran.stdout
    assert "lost: 0, duplicated: 0, misclassified: 0, dead_ends: 0" in ran.stdout
    assert "long" not in ran.stdout
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["figures"] == {"a proof": {"runs": 30, "lost": 0, "duplicated": 0, "broker": "memory"}}
    assert set(written) == {"date", "commit", "scale", "figures"}


def test_a_counted_breach_fails_the_run_though_every_test_passed(tmp_path: Path) -> None:
    ran = run(tmp_path, [0, 1])
    assert ran.returncode == 1, ran.stdout
    assert "2 passed" in ran.stdout
    assert "lost: 0, duplicated: 1, misclassified: 0, dead_ends: 0" in ran.stdout


def test_the_long_proofs_run_when_asked_for_and_count_beside_those_of_other_nights(tmp_path: Path) -> None:
    path = tmp_path / "nightly.json"
    other: Run = {"date": "2026-01-01", "commit": "0" * 12, "scale": "1", "figures": {"another": {"runs": 2}}}
    earlier = other | {"figures": {"a long proof": {"runs": 1}}}
    path.write_text(json.dumps(other | {"figures": other["figures"] | earlier["figures"]}))  # as --figures writes it
    ran = run(tmp_path, [0], "--nightly", "-m", "nightly", "--add-figures", str(path))
    assert ran.returncode == 0, ran.stdout
    assert "a long proof: runs 1000, lost 0" in ran.stdout
    assert "a proof" not in ran.stdout
    left, made = runs_in(path)
    assert left == other
    assert made["figures"] == {"a long proof": {"runs": 1000, "lost": 0}}
    assert added([left, made], earlier) == [left, earlier], "a run of which nothing is left is gone"

    night: Run = other | {"figures": {"spoilt": {"cms": 3, "in_all": 3}}}
    once_more = added([left, *added([], night)], night)
    assert [one["figures"] for one in once_more] == [other["figures"], {"spoilt": {"cms": 3, "in_all": 6}}]


def test_the_closing_line_sums_over_all_figures() -> None:
    assert closing_line({"a": {"lost": 1, "runs": 5}, "b": {"lost": 2, "misclassified": 1}}) == (
        "lost: 3, duplicated: 0, misclassified: 1, dead_ends: 0",
        False,
    )
    assert closing_line({})[1]
