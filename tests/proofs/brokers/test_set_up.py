"""How RabbitMQ 4 comes about: once for all runs of a machine, whole or not at all, and loudly not where it cannot."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import debian_packages as set_up
from tests.helpers.debian_folder import DebianFolder
from tests.helpers.rabbitmq import RabbitMq
from tests.helpers.repository import ROOT


def test_it_is_rabbitmq_4_and_its_processes_see_nothing_else_of_the_machine(
    rabbitmq4: RabbitMq, tmp_path: Path
) -> None:
    assert rabbitmq4.major == 4
    assert rabbitmq4.evaluate("rabbit:is_running()") == "true"
    seen = DebianFolder(set_up.unpacked().path).command(("/bin/sh", "-c", f"ls {ROOT} || echo none"), shared=tmp_path)
    ran = subprocess.run(seen, capture_output=True, text=True, check=True, env={"PATH": DebianFolder.PATH})
    assert ran.stdout == "none\n"


def test_a_second_run_fetches_nothing(rabbitmq4: RabbitMq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "archives", lambda: pytest.fail("asked for an archive"))
    assert set_up.unpacked().path.is_dir()


def test_an_archive_out_of_reach_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "archives", lambda: [f"file://{tmp_path}/no-archive"])
    with pytest.raises(set_up.NotToBeHad) as caught:
        set_up.unpacked(within=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert [one.name for one in (tmp_path / "cache").iterdir()] == ["lock"]


def test_a_machine_that_allows_no_mounts_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "way_in", lambda: None)
    with pytest.raises(set_up.NotToBeHad, match="neither root nor user namespaces"):
        set_up.unpacked(within=tmp_path)


def test_where_it_is_not_to_be_had_one_line_says_how_much_went_untested(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text("def test_a(rabbitmq4): pass\ndef test_b(rabbitmq4): pass\n", "utf-8")
    (tmp_path / "conftest.py").write_text(
        "import tests.helpers.debian_packages as set_up\nset_up.archives = lambda: []\nfrom tests.conftest import *\n",
        "utf-8",
    )
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {ROOT}\nmarkers =\n  nightly\n  rabbitmq\n", "utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": DebianFolder.PATH, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    said = re.findall("NOT TESTED.*", ran.stdout)
    assert said == ["NOT TESTED: 2 tests, no RabbitMQ 4 here: this machine's apt names no archive"], ran.stdout
