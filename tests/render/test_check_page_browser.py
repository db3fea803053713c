"""A check's page in a real browser: at three widths, light and dark, on paper, and read aloud."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from kpr_sender.model import Language
from kpr_sender.render.check_page import check_page
from kpr_sender.render.language import speaking
from tests.helpers.browser import load
from tests.helpers.check_reports import BLANK, BLANK_TYPE, DOUBT, DROP, NOTE, REMARK, STOP, finding, report, year

WIDTHS = (360, 768, 1280)
MADE_AT = datetime(2025, 1, 6, 9, 15, tzinfo=UTC)
ALL_KINDS = {STOP: 1, DROP: 2, BLANK_TYPE: 1, BLANK: 1, REMARK: 1, NOTE: 1, DOUBT: 1}
LONG = "En svært lang setning om akkurat denne raden, som ikke skal stikke ut av noen telefon eller noe ark."


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all that a page can have, in Norwegian."""
    this = year({"1": 140, "3": 51, "18": 1_410, "29": 1, "": 3}, without=31)
    last = year({"1": 120, "3": 56, "29": 20}, of=2023, without=11)
    elsewhere = finding("tjFraDato.range", path="PERSON 1700012 / TJENESTE 30000 / tjFraDato", message=LONG)
    whole = finding("year.type-vanished", line=0, path="", message=LONG)
    file = tmp_path_factory.mktemp("page") / "check.html"
    with speaking(Language.NB):
        made = report(ALL_KINDS, this=this, last=last, findings=(elsewhere, whole))
        file.write_text(check_page(made, made_at=MADE_AT, names=("fagmelding.xml", "identmelding.xml")), "utf-8")
    return file


def test_it_can_be_read_at_every_width_in_light_and_dark_and_asks_for_nothing(chromium: Browser, page: Path) -> None:
    for width in WIDTHS:
        loaded = load(chromium, page, width=width, dark=width == WIDTHS[1])

        assert not loaded.sticks_out, width
        assert (loaded.asked, loaded.complaints) == ([], [])
        sizes = loaded.page.eval_on_selector_all(
            "svg.chart text", "all => all.map(each => each.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 9, "what is written in a picture is large enough at any width"
        loaded.page.context.close()


def test_axe_finds_nothing_against_wcag_2_2_aa_in_light_or_dark(chromium: Browser, page: Path) -> None:
    light, dark = load(chromium, page), load(chromium, page, dark=True, width=WIDTHS[0])

    assert light.barriers() == []
    assert dark.barriers("color-contrast", "scrollable-region-focusable") == [], "all that differs"


def test_axe_would_find_what_is_wrong(chromium: Browser, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text("<!DOCTYPE html><html><head><title>x</title></head><body><h1>x</h1></body></html>", "utf-8")

    assert [each.partition(":")[0] for each in load(chromium, broken).barriers()] == ["html-has-lang"]


def test_pictures_are_whole_and_say_in_words_what_they_show(chromium: Browser, page: Path) -> None:
    shown = load(chromium, page).page

    names = shown.eval_on_selector_all("figure > svg[role=img]", "all => all.map(each => each.ariaLabel)")
    outside = shown.eval_on_selector_all(
        "figure > svg",
        """all => all.flatMap(svg => [...svg.querySelectorAll("rect, text")].filter(each => {
            const [box, its] = [svg.getBoundingClientRect(), each.getBoundingClientRect()];
            return its.left < box.left - 2 || its.right > box.right + 2 || its.bottom > box.bottom + 2;
        }).map(each => each.outerHTML))""",
    )
    assert len(names) == 4
    assert len(set(names)) == 4
    assert outside == []


def test_on_paper_it_is_light_keeps_its_colours_and_loses_nothing(chromium: Browser, page: Path) -> None:
    shown = load(chromium, page, dark=True, width=794).page
    shown.emulate_media(media="print")

    background, hidden, wide = shown.evaluate(
        """() => [getComputedStyle(document.body).backgroundColor,
            [...document.querySelectorAll("main *, header *")].filter(each => !each.checkVisibility()).length,
            document.documentElement.scrollWidth > document.documentElement.clientWidth]"""
    )
    assert (background, hidden, wide) == ("rgb(255, 255, 255)", 0, False)
    assert shown.pdf(prefer_css_page_size=True).startswith(b"%PDF")
