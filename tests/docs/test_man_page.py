"""docs/kpr-send.1 is what the commands say now, and roff takes it without a warning."""

from __future__ import annotations

import runpy
import shutil
import subprocess

import pytest

from kpr_sender.cli.main import COMMANDS
from tests.helpers.repository import ROOT

PAGE = ROOT / "docs" / "kpr-send.1"


def test_the_committed_page_is_current_and_has_every_command() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_man_page.py"))
    text = PAGE.read_text("utf-8")
    assert text == script["page"](), "run: python docs/make_man_page.py"
    assert [name for name in COMMANDS if f'.SS "kpr\\-send {name}' not in text] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="NOT TESTED: the man page in roff; there is no groff")
def test_roff_takes_it_in_silence() -> None:
    formatted = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", str(PAGE)], check=False, capture_output=True, text=True
    )
    assert (formatted.returncode, formatted.stderr) == (0, "")
    assert "--wait-for-files" in formatted.stdout.replace("\N{HYPHEN}", "-").replace("\N{MINUS SIGN}", "-")
