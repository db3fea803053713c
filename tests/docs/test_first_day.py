"""The first day of the README: three users, each line of it typed as it stands there, in an empty home."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.cli.main import run
from tests.helpers.command import Process, Ran, ended, kpr_send, start, until
from tests.helpers.repository import ROOT

_README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
_FIRST_DAY: Final = _README[_README.index("## The first day") : _README.index("## What it promises")]
_OPERATIONS, _CRON, _VENDOR = re.findall(r"^```sh\n(.*?)^```", _FIRST_DAY, re.DOTALL | re.MULTILINE)
_DELIVER: Final = re.search(r"```python\n(from pathlib.*?)```", _README, re.DOTALL)


class _Typing:
    """A shell as far as these lines need one: ``~``, ``&`` and comments; kpr-send is the real command."""

    def __init__(self, home: Path) -> None:
        self._environ = {"HOME": str(home), "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": "", "LC_ALL": "C.UTF-8"}
        self._home = home
        self._serving: list[Process] = []

    def lines(self, block: str) -> Iterator[tuple[str, Ran]]:
        """Yield each line and how it ended; one that goes on in the background is only started."""
        for line in block.splitlines():
            words = [
                word.replace("~", str(self._home), 1) if re.match(r"~(/|$)", word) else word
                for word in shlex.split(line, comments=True)
            ]
            assert words[0] == "kpr-send", line
            if words[1] == "init":  # as root it would write into /etc
                yield line, self._as_nobody_s_root(words[1:])
            elif words[-1] != "&":
                yield line, kpr_send(*words[1:], cwd=self._home, **self._environ)
            else:
                self._serving.append(start(*words[1:-1], cwd=self._home, **self._environ))
                until((Path(words[words.index("--dir") + 1]) / "lokal.toml").exists)

    def _as_nobody_s_root(self, arguments: list[str]) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
            patched.setattr(os, "geteuid", lambda: 1000)
            for name, value in self._environ.items():
                patched.setenv(name, value)
            return Ran(run(arguments), out.getvalue(), err.getvalue())

    def stop(self) -> None:
        for process in self._serving:
            process.send_signal(signal.SIGINT)
            ended(process)


@pytest.fixture
def typing(tmp_path: Path) -> Iterator[_Typing]:
    shell = _Typing(tmp_path)
    yield shell
    shell.stop()


def test_operations_and_cron_end_with_two_receipts_and_silence(typing: _Typing, tmp_path: Path) -> None:
    said = {}
    for line, ran in typing.lines(_OPERATIONS + _CRON):
        assert ran.code == 0, line + ran.err
        said[line.partition(" #")[0].strip().removeprefix("kpr-send ")] = ran.out + ran.err * (" -q " in line)
    for delivers in ("demo", "--env lokal send", "--env lokal status"):
        assert said[delivers].count("(status 1)") == 2, "init writes language = nb; this is the same in both"
    colours = re.findall(r"^(green|grønn|yellow|gul|red|rød) ", said["--env lokal doctor"], re.MULTILINE)
    assert len(colours) > 20
    assert set(colours) < {"green", "grønn"}
    assert [out for command, out in said.items() if " -q " in f" {command} "] == [""]
    assert "kpr-send --env lokal" in said["schedule cron --env lokal"]
    units = [path.name for path in tmp_path.iterdir() if path.name.startswith("kpr-sender-lokal.")]
    assert sorted(units) == ["kpr-sender-lokal.service", "kpr-sender-lokal.timer"]


def test_the_vendor_sees_one_receipt_that_says_no(
    typing: _Typing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block, _, last = _VENDOR.strip().rpartition("\n")
    assert [ran.code for _, ran in typing.lines(block)] == [0]
    assert last.startswith("cd ~/vendor && python deliver.py ")
    assert _DELIVER is not None
    monkeypatch.chdir(tmp_path / "vendor")
    exec(compile(_DELIVER[1], "deliver.py", "exec"), {})  # noqa: S102 - it is our own README
    printed = capsys.readouterr().out
    assert re.findall(r"^(\d) \(", printed, re.MULTILINE) == ["1", "2"]
