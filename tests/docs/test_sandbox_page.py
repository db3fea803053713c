"""docs/sandbox.md has every fault, as ``--help`` has it."""

from __future__ import annotations

import runpy

import pytest

from kpr_sender.sandbox.faults import FAULTS, FaultName
from tests.helpers.repository import ROOT

PAGE = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
ROWS = {row.split("`")[1]: row for row in PAGE[PAGE.index("## Faults") :].splitlines() if row.startswith("| `")}


def test_the_committed_page_is_current() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_sandbox.py"))
    assert script["filled"](PAGE) == PAGE, "run: python docs/make_sandbox.py"


def test_the_page_has_the_faults_and_no_others() -> None:
    assert list(ROWS) == list(FaultName)


@pytest.mark.parametrize("name", FaultName)
def test_each_row_says_what_the_fault_does_and_takes(name: FaultName) -> None:
    kind, row = FAULTS[name], ROWS[name]
    assert kind.text in row
    assert ("For both types." in row) == (not kind.typed)
    for choice in kind.choices:
        assert f"`{choice}`" in row
    assert kind.then, "what comes of it"
    if kind.number is not None:
        assert f"a number, {kind.default} when not given" in row
