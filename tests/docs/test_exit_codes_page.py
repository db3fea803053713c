"""docs/exit-codes.md follows the classes in errors.py."""

from __future__ import annotations

import runpy
from pathlib import Path

from kpr_sender.errors import ERRORS, BusUnreachable, RegistryUnreachable

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_document_is_current() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_exit_codes.py"))

    assert (ROOT / "docs" / "exit-codes.md").read_text("utf-8") == script["documentation"]()


def test_only_the_two_services_that_may_be_out_of_reach_share_an_exit_code() -> None:
    assert len({error.code for error in ERRORS}) == len(ERRORS)
    apart = [error.exit_code for error in ERRORS if error is not RegistryUnreachable]
    assert len(set(apart)) == len(apart)
    assert RegistryUnreachable.exit_code == BusUnreachable.exit_code
