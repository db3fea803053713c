"""The evidence page in a real browser: at three widths, light and dark, on A4, and read aloud."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from kpr_sender.operator.resolve import Decision
from tests.helpers.browser import load
from tests.helpers.desk import NOT_SENT, Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import municipality

_LONG = "Avtalt med FHI etter at en svært lang forklaring om akkurat denne meldingen var gitt per telefon og brev."


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all that it can have, in Norwegian: sent in a second attempt, rejected with errors, settled, long."""
    folder = tmp_path_factory.mktemp("evidence")
    kommune = municipality(folder)
    fhi = Fhi(kommune.pki)
    desk = Desk(kommune, MemoryBus(lambda message: fhi.answer(message, status="2")), [])
    desk.sent(NOT_SENT)
    with desk.client("Kari Nordmann") as client:
        client.submit()
        report = client.wait(timeout=5)
        for shipment in report.submission.shipments:
            client.resolve(shipment.msg_id, Decision.SETTLED, reason=_LONG)
    archive = folder / "evidence.zip"
    assert desk.command("--lang", "nb", "evidence", report.submission.submission_id, str(archive)).code == 0
    with zipfile.ZipFile(archive) as opened:
        (folder / "index.html").write_bytes(opened.read("index.html"))
    return folder / "index.html"


def test_it_can_be_read_at_every_width_and_asks_for_nothing(chromium: Browser, page: Path) -> None:
    for width in (360, 768, 1280):
        loaded = load(chromium, page, width=width, dark=width == 768)
        assert not loaded.sticks_out, width
        assert (loaded.asked, loaded.complaints) == ([], [])
        if width == 768:
            assert loaded.barriers() == []
        loaded.page.context.close()


def test_it_prints_on_a4_and_loses_nothing(chromium: Browser, page: Path) -> None:
    shown = load(chromium, page, dark=True, width=794).page
    shown.emulate_media(media="print")
    background, hidden, wide = shown.evaluate(
        """() => [getComputedStyle(document.body).backgroundColor,
            [...document.querySelectorAll("main *, header *")].filter(each => !each.checkVisibility()).length,
            [...document.querySelectorAll("main *")].filter(each => each.scrollWidth > each.clientWidth + 1
              && each.clientWidth).map(each => each.outerHTML.slice(0, 80))]"""
    )
    assert (background, hidden, wide) == ("rgb(255, 255, 255)", 0, [])
    printed = shown.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594" in printed or b"/MediaBox [0 0 595" in printed
