"""The page in a real browser: what a person does on it, with the keyboard alone, on a telephone and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.web import Allowed
from kpr_sender.web.login import BACK
from tests.helpers.browser import LoadedPage, open_address
from tests.helpers.openid_provider import CLIENT, SECRET, provider
from tests.helpers.tls_certificates import make_authority
from tests.helpers.web_page import LOOPBACK, Known, served

NARROW, WIDE = 320, 1280
FOCUSED = "() => document.activeElement.textContent.trim() || document.activeElement.name"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served() as addresses:
        yield addresses.page


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator until something has the focus, which can be seen."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == name:
            assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none", name
            return
    raise AssertionError(name)


def numbers(page: Page) -> list[str]:
    return [one.partition(" ")[0] for one in page.locator("table.fleet tbody th").all_inner_texts()]


def test_on_a_telephone_and_on_paper_axe_finds_nothing_and_all_of_it_is_there(chromium: Browser, address: str) -> None:
    loaded = open_address(chromium, f"{address}?lang=nb&reload=off", width=NARROW, dark=True)
    page = loaded.page

    assert page.evaluate("document.documentElement.lang") == "nb"
    assert loaded.barriers() == []
    assert not loaded.sticks_out
    assert loaded.complaints == [], "the policy lets all of the page pass"
    assert loaded.asked == [], "nothing but the page itself"
    row = page.locator("table.fleet tbody tr").first
    headings = row.locator("td").evaluate_all(
        "all => all.map(each => getComputedStyle(each, '::before').content.replaceAll('\"', ''))"
    )
    assert [one.removesuffix(": ") for one in headings] == [
        "Tilstand", "Siden", "Gjør dette", "Dager til fristen", "Sertifikater", "Siste kjøring"
    ]  # fmt: skip
    boxes = [cell.bounding_box() for cell in row.locator("td").all()]
    assert all(box is not None and box["x"] >= 0 and box["x"] + box["width"] <= NARROW for box in boxes)

    page.set_viewport_size({"width": 794, "height": 1123})
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not loaded.sticks_out
    assert page.locator("nav").is_hidden()
    assert page.locator("form.search").is_hidden()
    assert page.locator(".test").is_visible()
    hidden = "all => all.filter(each => !each.checkVisibility()).length"
    assert page.locator("table.fleet *").evaluate_all(hidden) == 0
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.context.close()


@pytest.mark.nightly
def test_axe_finds_nothing_on_any_page_in_either_language_light_or_dark_at_any_width(
    chromium: Browser, address: str
) -> None:
    for path in ("", "m/4601", "m/3907", "m/0302"):
        for language, width, dark in (
            ("nb", WIDE, True),
            ("en", NARROW, False),
            ("nb", 800, False),
            ("en", 1000, False),
        ):
            loaded = open_address(chromium, f"{address}{path}?lang={language}&reload=off", width=width, dark=dark)
            assert loaded.barriers() == [], (path, width)
            assert not loaded.sticks_out, (path, width)
            loaded.page.context.close()


def test_a_person_without_a_mouse_searches_chooses_reads_one_and_comes_back(chromium: Browser, address: str) -> None:
    page = open_address(chromium, f"{address}?lang=en&reload=off").page
    assert numbers(page) == ["1103", "4601", "5601", "3907", "0301-03", "0301"]

    tab_to(page, "Not delivered: 5")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}?lang=en&show=open&reload=off")
    tab_to(page, "q")
    page.keyboard.type("stav")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "q=stav" in url and "show=open" in url)
    assert numbers(page) == ["1103"]

    tab_to(page, "1103 Stavanger")
    page.keyboard.press("Enter")
    page.wait_for_url("**/m/1103**")
    assert page.locator("article h3").all_inner_texts() == ["fagmelding (KPR_IPL)", "identmelding (KPR_IDE)"]
    tab_to(page, "Norsk")
    page.keyboard.press("Enter")
    page.wait_for_url("**/m/1103?lang=nb**")
    tab_to(page, "Alle kommuner")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}?lang=nb&show=open&q=stav&reload=off")
    assert numbers(page) == ["1103"], "what was asked for"
    page.context.close()


@pytest.mark.nightly  # the suite sees the header, test_pages.py
def test_it_loads_itself_again_without_a_script_and_stops_where_a_reader_says_so(
    chromium: Browser, address: str
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    loads: list[str] = []

    def sooner(route: Route) -> None:
        answer = route.fetch()
        loads.append(route.request.url)
        headers = {**answer.headers, **({"refresh": "0"} if "refresh" in answer.headers and len(loads) < 3 else {})}
        route.fulfill(response=answer, headers=headers)

    page.route("**/*", sooner)
    page.goto(f"{address}?lang=en")
    for _ in range(100):
        if len(loads) >= 3:
            break
        page.wait_for_timeout(50)
    assert loads == [f"{address}?lang=en"] * 3

    page.get_by_text("Stop that").click()
    page.wait_for_url("**reload=off**")
    assert page.get_by_text("This page stays as it is.").is_visible()
    context.close()


@pytest.mark.nightly  # test_login.py has it without a browser
@pytest.mark.parametrize("name", ["__Host-kpr", "kpr"])
def test_a_person_logs_in_and_out_over_tls_and_on_this_machine(chromium: Browser, tmp_path: Path, name: str) -> None:
    tls = name.startswith("__Host-")
    authority = make_authority(tmp_path)
    certificate, key = authority.issue(tmp_path / "page", "127.0.0.1") if tls else (None, None)
    with provider(authority, tmp_path) as idp:
        web = replace(
            LOOPBACK,
            issuer=idp.issuer,
            client_id=CLIENT,
            client_secret=Secret(SECRET),
            allow=Allowed("groups", ("kpr-drift",)),
            session_secret=Secret("a-test-secret-that-sessions-are-signed-with"),
            ca_file=authority.ca_file,
            certificate=certificate,
            key=key,
        )
        with served(web, Known()) as addresses:
            idp.back = f"{addresses.page.rstrip('/')}{BACK}"
            context = chromium.new_context(ignore_https_errors=True)
            page = context.new_page()
            page.goto(f"{addresses.page}m/1103?lang=en")
            assert page.get_by_text("Stavanger").count() == 0
            assert LoadedPage(page).barriers() == []
            page.get_by_role("link", name="Log in").click()

            page.wait_for_url("**/m/1103")
            assert page.get_by_role("heading", name="Stavanger").is_visible()
            (cookie,) = context.cookies()
            assert cookie["name"] == name
            assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
            page.get_by_role("button", name=re.compile("Log out")).click()

            page.wait_for_url(addresses.page)
            assert page.get_by_text("Stavanger").count() == 0
            assert context.cookies() == []
            context.close()
