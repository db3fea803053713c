"""The fast tests on newer Pythons than the machine's: which ones, and what is said where one cannot be had."""

from __future__ import annotations

import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest

from tests.helpers.debian_folder import DebianFolder
from tests.helpers.debian_packages import NotToBeHad, folder_of, unpacked
from tests.helpers.repository import ROOT
from tools import newest, verify


def test_the_classifiers_name_the_pythons_that_the_tests_run_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [one.rpartition(" ")[2] for one in project["classifiers"] if "Python :: 3." in one]
    assert named == ["3.11", *newest.PYTHONS.values()]
    assert any("tools.newest" in command for _, command in verify._STEPS["nightly"])
    assert "-m tools.newest" in (ROOT / "Makefile").read_text(encoding="utf-8")


def _pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *has: str) -> None:
    """Have Debian 13 have these Pythons, and testing none."""

    def made(suite: str, **_: object) -> DebianFolder:
        if suite == "forky":
            raise NotToBeHad("this machine's apt names no archive")
        for version in has:
            (tmp_path / f"usr/lib/python{version}").mkdir(parents=True)
        return DebianFolder(tmp_path)

    monkeypatch.setattr(newest, "unpacked", made)


@pytest.mark.parametrize(
    ("has", "passed", "name"),
    [
        ("3.13", True, "Python 3.13 "),
        ("3.13", False, "Python 3.13 "),
        ("3.15", True, "Python 3.15 in place of 3.13: Debian has moved on "),
    ],
)
def test_what_cannot_be_had_is_one_loud_line_and_what_is_there_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    has: str,
    passed: bool,  # noqa: FBT001 - a parameter of the test
    name: str,
) -> None:
    _pretend(tmp_path, monkeypatch, has)
    monkeypatch.setattr(newest, "_run", lambda *_: passed)
    assert newest.main() == (0 if passed else 1)
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("NOT TESTED")] == [
        "NOT TESTED: Python 3.14: this machine's apt names no archive"
    ]
    (row,) = (line.strip() for line in said.partition("Summary")[2].splitlines() if line.strip().startswith(name))
    assert ("passed" if passed else "FAILED") in row


def test_what_runs_in_another_debian_sees_the_folders_that_it_is_given() -> None:
    if not folder_of("trixie").exists():
        pytest.skip("no RabbitMQ 4 here: not unpacked yet")
    hosts = Path("/etc/hosts")
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache") as made:  # not in /dev, which is seen in there anyway
        one, other, alone = (Path(made) / name for name in ("one", "other", "alone"))
        for folder in (one, other, alone):
            folder.mkdir()
            (folder / "file").touch()
        script = f"ls {one} {other} {alone} 2>/dev/null; cat {hosts}"
        command = unpacked().command(("/bin/sh", "-c", script), shared=one, also=[other, hosts])
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": DebianFolder.PATH})
    assert ran.stdout == f"{one}:\nfile\n\n{other}:\nfile\n{hosts.read_text(encoding='utf-8')}"
