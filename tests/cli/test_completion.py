"""What a shell is given to complete commands with, and what it gets when it asks."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

import pytest

from kpr_sender.cli.completion import VARIABLE
from kpr_sender.cli.main import COMMANDS, run

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
