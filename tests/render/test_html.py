"""A page from a template: said in its language, escaped, without ids, and with a policy that forbids all else."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys

import pytest
from jinja2 import UndefinedError

from kpr_sender.model import Language
from kpr_sender.render.html import page
from kpr_sender.render.language import speaking
from kpr_sender.texts import Text
from tests.helpers.tenor import TENOR_ID


def test_what_is_shown_is_said_cleaned_and_escaped() -> None:
    with speaking(Language.NB):
        made = page("page.html", title=Text("Could not connect to {host}.", host=f"<b>{TENOR_ID}</b>"))

    assert '<html lang="nb">' in made
    assert "<b>" not in made
    assert TENOR_ID not in made
    assert "&lt;b&gt;[id removed]&lt;/b&gt;" in made


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        page("page.html")


def test_the_policy_admits_the_pages_own_style_and_nothing_else() -> None:
    made = page("page.html", title="x")

    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', made)
    style = re.search(r"<style>(.*?)</style>", made, re.DOTALL)
    assert policy is not None
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1] == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_jinja2_is_loaded_where_a_page_is_made_and_nowhere_else() -> None:
    program = "import sys, kpr_sender.cli.check, kpr_sender.render.check; print('jinja2' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
