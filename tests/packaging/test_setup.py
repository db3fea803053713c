"""Set-up on a machine that lacks something, and the commands that people and CI call."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers.repository import ROOT
from tools.setup import machine


def test_without_root_it_names_the_packages_and_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda *_args, **_keywords: None)
    with pytest.raises(machine.Missing, match=r"As root: apt-get update && apt-get install .*gcc"):
        machine.require()


def test_what_only_tests_use_is_missed_loudly_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda *_args, **_keywords: None)
    machine.want()
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == ["NOT TESTED"] * 15
    assert "rabbitmq-server" in said[1]


def test_the_python_that_is_named_is_taken() -> None:
    command = [str(ROOT / "tools" / "python"), "-c", "import sys; print(sys.executable)"]
    environment = {**os.environ, "PYTHON": sys.executable}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == sys.executable


def test_a_python_that_is_too_old_is_passed_over() -> None:
    command = [str(ROOT / "tools" / "python"), "-c", "import sys; print(sys.version_info >= (3, 11))"]
    told = subprocess.run(command, env={**os.environ, "PYTHON": "false"}, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "True"


def test_ci_runs_what_a_developer_runs() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "exec make test"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
