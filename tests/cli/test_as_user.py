"""``kpr-send doctor --as-user``: what another user may read, write and import, in a child with that user's ids."""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpr_sender.cli.main import run
from tests.helpers.municipality import Municipality, municipality
from tests.helpers.repository import ROOT

if sys.platform == "win32":
    pytest.skip("users have no numbers there", allow_module_level=True)

BY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
NOBODY = 65534
ANYBODY_S = "/usr/bin/python3"
"""Debian's, which every user may run; this test's own may lie in a home folder."""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into: pytest's own are its user's alone."""
    folder = Path(tempfile.mkdtemp(prefix="kpr-as-user-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def made(open_folder: Path) -> Municipality:
    """A municipality whose files nobody may read, as root has made them, and whose journal's folder is root's."""
    made = municipality(open_folder)
    open_folder.chmod(0o755)
    (open_folder / "journal").mkdir(mode=0o700)
    made.configure({"journal": {"path": "journal/journal.db", "receipts_dir": None}})
    return made


@pytest.fixture
def anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that the other user may run, with the packages of this one."""
    monkeypatch.setattr(sys, "executable", ANYBODY_S)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), sysconfig.get_path("purelib"))))
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib/of-root-alone")


@BY_ROOT
@pytest.mark.usefixtures("anybody")
def test_what_is_roots_alone_is_red_for_the_service_s_user_until_it_has_it(
    made: Municipality, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--env", "lokal", "--config", str(made.config), "doctor", "--lang", "en", "--as-user", "nobody"]

    def checks(code: int) -> dict[str, str]:
        assert run([*arguments, "--json"]) == code
        told = json.loads(capfd.readouterr().out)
        assert told["exit_code"] == code
        return {each["name"]: f"{each['light']} {each['seen']}" for each in told["checks"]}

    before = checks(1)
    assert before["journal folder"].startswith("red")
    assert before["secrets"].startswith("red")
    assert "Permission denied" in before["journal folder"]

    for path in made.folder.rglob("*"):
        os.chown(path, NOBODY, NOBODY)
    after = checks(1)  # no bus listens here
    assert after["journal folder"] == f"green {made.folder}/journal can be written to"
    assert after["secrets"].startswith("green")
    assert after["bus TLS"].startswith("red")


@BY_ROOT
def test_a_user_who_may_not_run_or_import_kpr_send_is_told_what_closes_it(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python3").symlink_to(ANYBODY_S)
    for executable, why, advice in (
        (str(closed / "python3"), "its Python is", "a Python that every user may run"),
        (ANYBODY_S, "it may not read all of", "umask"),
    ):
        monkeypatch.setattr(sys, "executable", executable)
        monkeypatch.setenv("PYTHONPATH", str(closed))

        assert run(["--lang", "en", "--env", "ar-test", "doctor", "--as-user", "nobody"]) == 1
        said = capfd.readouterr().err
        assert f"The user nobody cannot run kpr-send: {why}" in said
        assert advice in said


def test_whoever_is_not_root_and_a_user_who_is_not_there_are_refused_by_the_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for uid, why in ((1000, "--as-user is root's"), (0, "--as-user: there is no user nix-her here")):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        assert run(["--lang", "en", "doctor", "--as-user=nix-her"]) == 64
        assert why in capsys.readouterr().err
