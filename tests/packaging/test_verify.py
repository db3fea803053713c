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
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def step(said: str, code: int) -> tuple[str, tuple[str, ...]]:
        return said, ("python", "-c", f"import sys; print({said!r}, 'says'); sys.exit({code})")

    linters = (step("right", 0), step("wrong", 1), step("last", 0))
    monkeypatch.setattr(verify, "_BESIDE", linters)
    monkeypatch.setitem(verify._STEPS, "check", linters)
    monkeypatch.setitem(verify._STEPS, "quick", (*linters[::2], step("tests", 0)))
    monkeypatch.setattr(verify, "VENV", Path(sys.prefix))
    assert verify.main(["check"]) == 1
    told, summary = capfd.readouterr().out.split("\nSummary\n")
    assert told == "\n== wrong\nwrong says\n"
    assert [line.split()[:2] for line in summary.splitlines()] == [
        *(["right", "passed"], ["wrong", "FAILED"], ["last", "passed"])
    ]
    assert verify.main(["quick"]) == 0
    told, summary = capfd.readouterr().out.split("\nSummary\n")
    assert told == "== tests\ntests says\n"
    assert [line.split()[:2] for line in summary.splitlines()] == [
        *(["right", "passed"], ["last", "passed"], ["tests", "passed"])
    ]
