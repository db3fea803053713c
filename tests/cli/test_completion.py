"""What a shell is given to complete commands with, and what it gets when it asks."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.cli.completion import VARIABLE
from kpr_sender.cli.main import COMMANDS, run
from tests.helpers.repository import ROOT

CHECKS: Final = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


@pytest.mark.parametrize("shell", CHECKS)
def test_the_script_is_one_of_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"{VARIABLE}={shell}_complete" in script
    if shutil.which(shell) is not None:
        checked = subprocess.run(CHECKS[shell], input=script, check=False, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")


def _completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str) -> list[str]:
    monkeypatch.setenv(VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    with pytest.raises(SystemExit) as ended:
        run([])
    assert ended.value.code == 0
    return [shown.partition(",")[2] for shown in capsys.readouterr().out.split()]


def test_commands_options_and_environments_are_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(_completed(monkeypatch, capsys, "kpr-send ")) == set(COMMANDS)
    assert _completed(monkeypatch, capsys, "kpr-send jour") == ["journal"]
    assert _completed(monkeypatch, capsys, "kpr-send --env lokal journal ver") == ["verify"]
    assert _completed(monkeypatch, capsys, "kpr-send send --wait-") == ["--wait-for-files"]
    assert _completed(monkeypatch, capsys, "kpr-send status --env pro") == ["produksjon"]


_ASKED: Final = {
    "bash": """
        . ./script
        COMP_WORDS=(kpr-send --env lokal resen) COMP_CWORD=3
        _kpr_send_completion kpr-send resen lokal
        echo ${COMPREPLY[@]}
    """,
    "fish": 'source script; complete --do-complete "kpr-send --env lokal resen"',
    # compinit wants a terminal: what it would be handed is printed here.
    "zsh": """
        compdef() { true }
        _describe() { print -r -- ${(P)3} }
        . ./script
        words=(kpr-send --env lokal resen) CURRENT=4
        _kpr_send_completion
    """,
}
_WHAT_FOR: Final = "Send one half of a pair again, after a fault or a rejection."


@pytest.mark.parametrize(
    ("shell", "shown"), [("bash", "resend"), ("fish", f"resend\t{_WHAT_FOR}"), ("zsh", f"resend:{_WHAT_FOR}")]
)
def test_a_shell_that_has_the_script_completes(
    shell: str, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if (found := shutil.which(shell)) is None:
        pytest.skip(f"no {shell} here: apt-get install {shell}")
    run(["completion", shell])
    (tmp_path / "script").write_text(capsys.readouterr().out, encoding="utf-8")
    command = tmp_path / "kpr-send"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m kpr_sender "$@"\n', encoding="utf-8")
    command.chmod(0o700)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    asked = subprocess.run(
        [found, "-c", _ASKED[shell]], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (asked.stdout.strip(), asked.stderr) == (shown, "")
