"""What ``make site`` says of a site whose links lead nowhere, or that loads something from elsewhere."""

from __future__ import annotations

import re

import pytest

from tests.helpers.repository import ROOT
from tools import site, verify

_PAGES = {
    "index.html": '<a href="docs/a.html">a</a> <link rel="stylesheet" href="_static/print.css">',
    "docs/a.html": '<h1 id="top">A</h1><a href="#top"></a><a href="b.html?x=1#p%C3%A5"></a><img src="../p.svg">',
    "docs/b.html": '<h2 id="p%C3%A5">B</h2><a class="external" href="https://example.org/#x">elsewhere</a>',
}
_FILES = {*_PAGES, "_static/print.css", "p.svg"}


def test_a_site_that_is_right_has_no_flaws() -> None:
    assert list(site.flaws(_PAGES, _FILES)) == []


@pytest.mark.parametrize(
    ("added", "flaw"),
    [
        ('<a href="c.html">', "docs/a.html: c.html leads nowhere"),
        ('<a title="x" href="b.html#bottom">', "docs/a.html: b.html#bottom: no such place on that page"),
        ('<a href="#bottom">', "docs/a.html: #bottom: no such place on that page"),
        ('<img src="q.svg">', "docs/a.html: q.svg is not there"),
        ('<script src="https://cdn.example.org/x.js"></script>', "docs/a.html: loads https://cdn.example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "docs/a.html: loads //example.org/x.css"),
    ],
)
def test_each_flaw_is_named_with_its_page(added: str, flaw: str) -> None:
    assert list(site.flaws({**_PAGES, "docs/a.html": _PAGES["docs/a.html"] + added}, _FILES)) == [flaw]


def test_it_is_checked_with_the_tests_and_every_page_is_in_it() -> None:
    assert ("site", ("python", "-m", "tools.site", "check")) in verify._STEPS["test"]
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    assert re.search(r"^nb/\*$", index, re.MULTILINE), "whoever writes a Norwegian page need not name it here"
    named = set(re.findall(r"^([a-z][\w-]*)$", index, re.MULTILINE))
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} == named | {"index"}
