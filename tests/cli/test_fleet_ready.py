"""What a fleet's runs begin with: the rules of the check are read and compiled once for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kpr_sender.cli import fleet_ready
from kpr_sender.cli.fleet_run import PRELOAD
from kpr_sender.preflight import check
from kpr_sender.sandbox.sample import write_pair


def test_a_run_compiles_no_rules_to_check_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fleet_ready.__name__ in PRELOAD
    files = [path.read_bytes() for path in write_pair(tmp_path, year=2024, persons=3)]
    re.purge()
    fleet_ready.make_ready()
    compiled: list[str] = []
    real: Callable[..., object] = re._compiler.compile  # type: ignore[attr-defined]

    def compile_counted(pattern: str, *given: object) -> object:
        compiled.append(pattern)
        return real(pattern, *given)

    monkeypatch.setattr("re._compiler.compile", compile_counted)
    assert check([files[0]], [files[1]], 2024).payloads
    assert max(map(len, compiled), default=0) < 100, "a small one here and there, and none of those of the rules"
