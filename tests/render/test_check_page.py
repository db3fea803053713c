"""A check's page: complete, self-contained, escaped, in both languages, and nobody on it."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from kpr_sender.preflight.report import CheckReport
from kpr_sender.render.check_page import check_page
from tests.helpers.check_reports import BLANK, BLANK_TYPE, DROP, NOTE, REMARK, STOP, finding, report, year
from tests.helpers.tenor import TENOR_ID

MADE_AT = datetime(2025, 1, 6, 9, 15, tzinfo=UTC)
VOID = frozenset({"meta"})
LAST = year({"3": 56, "15": 38, "29": 20}, of=2023, without=1)
FILE_LEVEL = finding(
    "year.type-vanished", line=0, path="", message="Tjenestetype 29: 20 users last year, none this year."
)
EVERYTHING = report({STOP: 1, DROP: 25, BLANK_TYPE: 2, BLANK: 3, REMARK: 4, NOTE: 5}, last=LAST, findings=(FILE_LEVEL,))
DROPPED = report({DROP: 12, BLANK_TYPE: 3})
CLEAN = report()
NOBODY = report(this=year({}), last=year({}, of=2023))

each_report = pytest.mark.parametrize(
    "made",
    [
        pytest.param(EVERYTHING, id="everything"),
        pytest.param(DROPPED, id="dropped"),
        pytest.param(CLEAN, id="clean"),
        pytest.param(NOBODY, id="nobody reported"),
    ],
)


class Parsed(HTMLParser):
    """A page's elements; fails where one is not closed in its place."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def _page(made: CheckReport, names: tuple[str, str] = ("fagmelding.xml", "identmelding.xml")) -> str:
    return check_page(made, made_at=MADE_AT, names=names)


@each_report
def test_it_parses_and_says_its_language(made: CheckReport) -> None:
    page = _page(made)

    assert page.startswith("<!DOCTYPE html>")
    assert Parsed(page).all("html") == [{"lang": "en"}]


@each_report
def test_it_refers_to_nothing_outside_itself(made: CheckReport) -> None:
    page = _page(made)
    parsed = Parsed(page)
    ids = Counter(attributes["id"] for _, attributes in parsed.elements if "id" in attributes)

    assert not parsed.all("script", "link", "img", "iframe", "object", "form")
    assert not [attributes for _, attributes in parsed.elements if "src" in attributes or "srcset" in attributes]
    assert {attributes["href"] for attributes in parsed.all("a")} == {f"#{each}" for each in ids}
    assert set(ids.values()) <= {1}
    assert not re.search(r"url\(|@import|//[a-z]|javascript:", page)


@each_report
def test_tables_can_be_read_aloud(made: CheckReport) -> None:
    parsed = Parsed(_page(made))

    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert all(heading.get("scope") for heading in parsed.all("th"))


def test_rows_are_as_wide_as_their_table() -> None:
    """A cell too few would shift this year's figures under last year's heading."""
    for made in (EVERYTHING, CLEAN):
        for table in re.findall(r"<table.*?</table>", _page(made), re.DOTALL):
            body = [len(re.findall("<t[hd]", row)) for row in re.findall("<tr>.*?</tr>", table.split("<tbody>")[1])]
            head = re.findall("<tr>.*?</tr>", table.split("<tbody>")[0])
            spans = sum(int(span) for span in re.findall(r'colspan="(\d+)"', head[0]))
            assert set(body) == {spans or len(re.findall("<t[hd]", head[0]))}


def test_the_verdict_comes_first_and_the_findings_by_what_they_lead_to() -> None:
    text = " ".join(" ".join(Parsed(_page(EVERYTHING)).text).split())
    told = ["Not to be sent: 1 finding stops it", "What stops it", "What FHI would drop", "What to look at", "Notes"]

    assert [text.index(each) for each in told] == sorted(text.index(each) for each in told)
    assert "The first 20 of 25" in text
    assert FILE_LEVEL.message in text


def test_a_clean_page_has_no_findings() -> None:
    page = _page(CLEAN)

    assert '<p class="verdict good">Nothing here would be refused, dropped or blanked.</p>' in page
    assert "<article" not in page


@pytest.mark.parametrize(("made", "numbers"), [(DROPPED, ["15"]), (EVERYTHING, []), (CLEAN, [])])
def test_how_to_accept_is_told_where_accepting_helps(made: CheckReport, numbers: list[str]) -> None:
    assert re.findall(r"kpr-send send --accept-findings (\d+)", _page(made)) == numbers


def test_both_years_stand_side_by_side() -> None:
    row = re.search(r'<tr><th scope="row" class="number">15</th>.*?</tr>', _page(EVERYTHING))

    assert row is not None
    assert re.findall(r'class="number">([^<]+)<', row[0]) == [
        *("15", "38", "40", "+5&nbsp;%"),
        *("38", "40"),
        *("133", "140", "+5&nbsp;%"),
    ]


def test_the_pictures_draw_both_years_in_proportion_with_their_numbers() -> None:
    picture = _page(EVERYTHING).split("<figcaption>Users of each tjenestetype</figcaption>")[1].split("</figure>")[0]
    rows = {
        row.split("<")[0]: row for row in picture.split('<text class="label"')[1:] for row in [row.split(">", 1)[1]]
    }
    drawn = {
        label: (
            [(kind, float(width)) for kind, width in re.findall(r'bar (\w+)" x="0.5".*? width="([\d.]+)"', row)],
            re.findall(r'class="value"[^>]*>([^<]+)<', row),
        )
        for label, row in rows.items()
    }

    widths, numbers = drawn["15 Helsetjenester i hjemmet"]
    assert ([kind for kind, _ in widths], numbers) == (["last", "this"], ["38", "40"])
    assert widths[1][1] / widths[0][1] == pytest.approx(40 / 38, abs=0.01)
    (_, longest), *_ = drawn["3 Praktisk bistand - brukerstyrt personlig assi…"][0]
    assert widths[0][1] / longest == pytest.approx(38 / 56, abs=0.01)
    ((kind, width),), counts = drawn["6 Trygghetsalarm"]
    assert (kind, counts) == ("this", ["0", "12"])
    assert width / longest == pytest.approx(12 / 56, abs=0.01)


def test_what_has_no_hours_is_left_out_of_the_picture_of_hours_and_counted() -> None:
    this = year({"15": 40, "6": 12, "29": 3})
    this.of("6").hours = this.of("29").hours = 0.0

    page = _page(report(this=this))

    picture = page.split("<figcaption>Hours a week of each tjenestetype</figcaption>")[1].split("</figure>")[0]
    assert re.findall(r'class="label"[^>]*>([^<]+)<', picture) == ["15 Helsetjenester i hjemmet"]
    assert "2 tjenestetyper without hours are left out." in picture


def test_months_without_a_start_are_seen_and_said() -> None:
    this = year({"15": 40})
    counted = this.of("15")
    counted.starts[:] = [0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 4, 4]
    gap = finding("year.month-without-start", line=0, path="", message="Not one service begins in January to June.")

    page = _page(report(this=this, findings=(gap,)))

    picture = page.split("<figcaption>Services that began in each month</figcaption>")[1].split("</figure>")[0]
    assert re.findall(r'text-anchor="middle">([^<]+)<', picture) == [
        *("0", "Jan", "0", "Feb", "0", "Mar", "0", "Apr", "0", "May", "0", "Jun"),
        *("8", "Jul", "8", "Aug", "8", "Sep", "8", "Oct", "4", "Nov", "4", "Dec"),
    ]
    assert "without a start: January, February, March, April, May, June." in picture
    assert f'<p class="gap">{gap.message}</p>' in page


def test_where_there_is_no_last_year_the_page_says_so() -> None:
    assert "There are no figures of 2023 to compare with" in _page(CLEAN)
    assert "to compare with" not in _page(EVERYTHING)


def test_whoever_corrects_finds_each_place_under_its_screen() -> None:
    made = report(
        findings=(
            finding("tjFraDato.range", path="PERSON 17 / TJENESTE 3 / tjFraDato", message="One."),
            finding("tjFraDato.range", path="PERSON 18 / TJENESTE 1 / tjFraDato", message="Two."),
            finding("structure.value", path="PERSON 19 / peKjonn", message="Three."),
            finding("structure.value", path="PERSON 19 / DIAGNOSE 2 / diFraDato", message="Four."),
            finding("header.district", path="INNHINFO / iiBydelsnr", message="Five."),
            FILE_LEVEL,
        )
    )

    page = _page(made)

    screens = dict(re.findall(r'<section id="screen-(\w+)"(.*?)</section>', page, re.DOTALL))
    assert {screen: re.findall(r"<td>(\w+\.)</td>|(20 users)", text) for screen, text in screens.items()} == {
        "person": [("Three.", "")],
        "service": [("One.", ""), ("Two.", "")],
        "diagnosis": [("Four.", "")],
        "file": [("", "20 users")],
        "extract": [("Five.", "")],
    }
    assert "<code>peKjonn</code><br>sex, M or K" in screens["person"]
    assert '<a href="#screen-person">The person</a>, <a href="#screen-diagnosis">Diagnoses</a>' in page


def test_everything_that_comes_from_outside_is_escaped() -> None:
    nasty = "<script>alert('x')</script>&\""
    made = report(findings=(finding(DROP, path=nasty, message=nasty), finding(REMARK, line=0, path="", message=nasty)))

    page = _page(made, names=(nasty, nasty))

    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&#34;") == 5


def test_g6_a_national_id_in_a_file_name_or_a_finding_is_not_shown() -> None:
    page = _page(report(findings=(finding(DROP, path=f"PERSON {TENOR_ID}", message=TENOR_ID),)), (TENOR_ID, TENOR_ID))

    assert TENOR_ID not in page
    assert page.count("[id removed]") == 4


@each_report
def test_g6_nothing_on_it_could_be_a_national_id(made: CheckReport) -> None:
    assert not re.search(r"\d{9}", _page(made))
