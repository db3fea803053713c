"""A run of the tests must not be read differently because the run before left its figures."""

from __future__ import annotations

import pytest

from tools import verify


@pytest.mark.parametrize("step", ["test", "nightly"])
def test_no_file_of_a_run_is_an_argument_of_its_own(step: str) -> None:
    """Once such a file exists, pytest takes it for a place to look for tests and no longer knows our options."""
    command = verify._STEPS[step][-1][1]
    assert command[-1] == "tests"
    assert [each for each in command if "/" in each and not each.startswith("--")] == []
