"""A run of the tests must not be read differently because the run before left its figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import verify


@pytest.mark.parametrize("step", ["test", "nightly"])
def test_no_file_of_a_run_is_an_argument_of_its_own(step: str) -> None:
    """Once such a file exists, pytest takes it for a place to look for tests and no longer knows our options."""
    command = verify._STEPS[step][-1][1]
    assert command[-1] == "tests"
    assert [each for each in command if "/" in each and not each.startswith("--")] == []


def test_a_linter_that_finds_something_is_shown_whole_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def linter(said: str, code: int) -> tuple[str, tuple[str, ...]]:
        return said, ("python", "-c", f"import sys; print({said!r}, 'first'); sys.exit({code})")

    linters = (linter("slow", 0), linter("wrong", 1), linter("last", 0))
    monkeypatch.setattr(verify, "_LINTERS", linters)
    monkeypatch.setitem(verify._STEPS, "check", (*linters, linter("tests", 0)))
    monkeypatch.setattr(verify, "VENV", Path(sys.prefix))
    assert verify.main(["check"]) == 1
    told, summary = capsys.readouterr().out.split("\nSummary\n")
    assert (
        told == "== 3 linters, 2 at a time\n== slow\nslow first\n== wrong\nwrong first\n== last\nlast first\n== tests\n"
    )
    assert [line.split()[:2] for line in summary.splitlines()] == [
        *(["slow", "passed"], ["wrong", "FAILED"], ["last", "passed"], ["tests", "passed"])
    ]
