"""Chromium without a screen: a page is loaded from a file, and whatever it asks of a network is refused and counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import Browser, Page, sync_playwright

NO_CHROMIUM: Final = "no Chromium here: apt-get install chromium"
"""Begins as tests/conftest.py knows it, which sees to it that the run says so aloud."""

_PROGRAM: Final = Path("/usr/bin/chromium")
_QUIET: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_WCAG: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
_HEIGHT: Final = 900


@dataclass
class LoadedPage:
    """A page in the browser.

    Attributes:
        page: Playwright's.
        asked: Every address that it asked for, its own file left out.
        complaints: What the browser wrote to its console, among it what the page's own policy refused.
    """

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def barriers(self, *rules: str) -> list[str]:
        """Return what axe-core finds against WCAG 2.2 AA: the rule, and the first element that breaks it.

        Args:
            rules: Only these of its rules; all of them where none is named.
        """
        asked = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": list(_WCAG)}
        found = Axe().run(self.page, options={"runOnly": asked}).response["violations"]
        return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]

    @property
    def sticks_out(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module's tests."""
    if not _PROGRAM.exists():
        pytest.skip(NO_CHROMIUM)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_PROGRAM, args=[*sandbox, *_QUIET])
        yield browser
        browser.close()


def load(browser: Browser, file: Path, *, width: int = 1280, dark: bool = False) -> LoadedPage:
    """Load a file in a window of a width, with the screen's setting light or dark."""
    return open_address(browser, file.as_uri(), width=width, dark=dark)


def open_address(browser: Browser, own: str, *, width: int = 1280, dark: bool = False) -> LoadedPage:
    """Load an address likewise; the browser's language says nothing of the page's."""
    context = browser.new_context(
        viewport={"width": width, "height": _HEIGHT}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    loaded = LoadedPage(page)
    page.on("request", lambda asked: loaded.asked.append(asked.url) if asked.url != own else None)
    page.on("console", lambda line: loaded.complaints.append(line.text))
    page.goto(own)
    return loaded
