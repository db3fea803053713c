"""What is on the pages, in which order and language, what a reader may ask for, and that nobody is on them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from kpr_sender.errors import JournalUnwritable, RejectedByReceiver
from kpr_sender.model import ErrorMessage, MailNote, MessageType, NoteKind, Receipt, ReceiptError
from kpr_sender.report import Report
from kpr_sender.states import ReceiptStatus, ShipmentState
from kpr_sender.texts import Text, as_text
from kpr_sender.web.port import CertificateLife
from tests.helpers import planted_ids
from tests.helpers.submissions import AT, pair, receipt, shipment, told
from tests.helpers.tenor import TENOR_ID
from tests.helpers.web_page import SIGNING, Known, application, failing, line, some

OURS = "https://kpr.example.no"
S = ShipmentState
_ROW = re.compile(r'<a href="/m/([0-9-]+)')


def rows(page: str) -> list[str]:
    return _ROW.findall(page)


def get(known: Known, *paths: str, **headers: str) -> list[str]:
    with TestClient(application(known), base_url=OURS, headers=headers) as client:
        answers = [client.get(path) for path in paths]
    assert {one.status_code for one in answers} == {200}
    return [one.text for one in answers]


def test_who_needs_a_person_is_first_by_what_counts_most_and_then_by_days_left() -> None:
    more = [line("9999", "Null", error=JournalUnwritable(Text("It cannot be read.")), days_left=None)]
    more += [line("1001", "Sist", told(pair(S.PUBLISHED, S.PUBLISHED)), days_left=-1)]

    (page,) = get(Known([*some(), *more]), "/")

    assert rows(page) == ["9999", "1103", "4601", "5601", "3907", "1001", "0301-03", "0301"]
    assert page.count('class="mark"') == 5
    assert "KPR: 5 municipalities need a person" in page


def test_every_row_says_state_since_when_next_step_days_certificates_and_last_run() -> None:
    known = Known()
    rejected = next(one.error for one in known.known if one.key == "4601")
    assert rejected is not None
    (page,) = get(known, "/")
    row = page[page.index('href="/m/4601"') :].partition("</tr>")[0]
    cells = [re.sub("<[^>]+>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]

    assert cells == [
        "Needs a person rejected",
        "2025-01-10 13:00",  # in Norway
        rejected.next_step,
        "3",
        "ours for signing: 200 days left",
        "2025-01-10 12:55",
    ]


def test_a_certificate_that_ends_soon_or_must_not_be_used_is_seen() -> None:
    soon, refused = CertificateLife(SIGNING, AT + timedelta(days=13)), CertificateLife(SIGNING, AT, refused=True)
    ended, later = CertificateLife(SIGNING, AT - timedelta(days=2)), CertificateLife(SIGNING, AT + timedelta(days=90))
    published = told(pair(S.PUBLISHED, S.PUBLISHED))
    known = [
        line("0001", "A", published, certificates=(later, soon)),
        line("0002", "B", published, certificates=(soon, refused)),
        line("0003", "C", published, certificates=(ended,)),
        line("0004", "D", published, certificates=(later,)),
        line("0005", "E", published, certificates=()),
    ]

    page, one = get(Known(known), "/", "/m/0001")

    assert page.count("<strong>ours for signing: ") == 3
    assert "<strong>ours for signing: 13 days left</strong>" in page
    assert "<strong>ours for signing: must not be used</strong>" in page
    assert "<strong>ours for signing: ended 2025-01-08</strong>" in page
    assert "not known here" in page
    assert "ours for signing: 90 days left<br>ours for signing: 13 days left" in one


def test_choosing_and_searching_keep_each_other_and_the_language() -> None:
    known = Known()
    one, two, three, none = get(
        known, "/?show=open", "/?q=STAV", "/?q=0301&show=done&lang=nb&reload=off", "/?q=nowhere&show=x&lang=xx"
    )

    assert rows(one) == ["1103", "4601", "5601", "3907", "0301-03"]
    assert rows(two) == ["1103"]
    assert rows(three) == ["0301"]
    assert '<html lang="nb">' in three
    assert 'href="/?lang=nb&amp;show=open&amp;q=0301&amp;reload=off"' in three
    assert '<input type="hidden" name="reload" value="off">' in three
    assert rows(none) == []
    assert "No municipality is like that." in none


def test_it_loads_itself_again_until_a_reader_stops_it() -> None:
    with TestClient(application(), base_url=OURS) as client:
        assert client.get("/").headers["refresh"] == "15"
        assert client.get("/m/1103?lang=nb").headers["refresh"] == "15"
        assert "refresh" not in client.get("/?reload=off").headers
        assert 'href="/?reload=off"' in client.get("/").text
        assert "refresh" not in client.get("/none").headers


@pytest.mark.parametrize(
    ("accepts", "spoken"),
    [
        ("nb-NO,nb;q=0.9,en;q=0.8", "nb"),
        ("nn", "nb"),
        ("de,en;q=0.5,nb;q=0.4", "en"),
        ("de", "en"),
        ("nb;q=0", "en"),
        (";;q=x,,", "en"),
    ],
)
def test_a_browser_gets_the_language_that_it_prefers(accepts: str, spoken: str) -> None:
    pages = get(Known(), "/", "/m/1103", **{"accept-language": accepts})

    assert all(f'<html lang="{spoken}">' in page for page in pages)


def test_a_municipalitys_page_has_both_shipments_history_codes_and_the_way_on_with_complete_commands() -> None:
    rejected = shipment(
        MessageType.KPR_IPL, S.REJECTED, receipts=(receipt(verified=True, status=ReceiptStatus.REJECTED),)
    )
    report = told(pair(rejected, S.DELIVERED))
    (page,) = get(Known([line("1103", "Stavanger", report)]), "/m/1103")

    assert page.count("<article>") == 2
    assert "T02 (2.16.578.1.12.4.1.1.8221)" in page
    assert "kpr-send --env validering --municipality 1103" in page
    assert "publish-begins" in page
    assert "a-new-word" in page
    for foreign in ("KARI NORDMANN", "XML validerer ikke", "WHY"):
        assert foreign not in page


def test_pages_that_there_are_not() -> None:
    with TestClient(application(), base_url=OURS) as client:
        for path in ("/m/0302", "/m/1103/", "/m/..%2f..%2fetc", "/m/1103-1", "/m/", "/x"):
            answer = client.get(path)
            assert answer.status_code == 404, path
            assert "Stavanger" not in answer.text


def test_its_commands_are_about_the_half_that_is_in_doubt() -> None:
    (page,) = get(Known([line("1103", "Stavanger", told(pair(S.PUBLISHED, S.IN_DOUBT)))]), "/m/1103")

    doubted = pair(S.PUBLISHED, S.IN_DOUBT).shipments[1].msg_id
    assert f"resolve {doubted}" in page


@pytest.mark.parametrize("count", [600, pytest.param(planted_ids.IDS, marks=pytest.mark.nightly)])
def test_ids_wherever_others_have_a_word_and_none_on_any_page(count: int) -> None:
    ids = planted_ids.ids(count)
    drawn = ids.copy()

    def words() -> str:
        first, second = drawn.pop(), drawn.pop()
        return f"{first} og {second[:6]} {second[6:]}"

    def report_of() -> Report:
        error = ReceiptError(words(), words(), words(), words())
        came = Receipt(1, "m-1", ReceiptStatus.REJECTED, (error,) * 3, True, words(), AT)
        half = replace(
            shipment(MessageType.KPR_IPL, S.REJECTED, receipts=(came,)),
            error_message=ErrorMessage(AT, words(), words(), words()),
            alarm=words(),
            state=S.PUBLISHED,
            noted=(MailNote(NoteKind.DELAYED, AT, words(), words()),),
        )
        return told(pair(half, S.IN_DOUBT))

    known = Known([])
    while len(drawn) > count // 20 + 26 * 20:
        error = RejectedByReceiver(as_text(words()), where=words(), next_step=as_text(words()))
        reports = [report_of() for _ in range(20)]
        made = line(f"{len(known.known):04}", words(), reports[0], error=error)
        known.known, known.reports[made.key] = [*known.known, made], reports
    written = [f"{one[:6]} {one[6:]}" if number % 2 else one for number, one in enumerate(drawn)]
    searches = [f"/?q={' '.join(written[at : at + 4])}" for at in range(0, len(written), 4)]
    pages = get(known, "/", "/?lang=nb", *searches, *(f"/m/{one.key}" for one in known.known))
    failed = get(failing(JournalUnwritable(Text("It is damaged: {what}.", what=ids[0]))), "/")

    assert "[id removed]" in pages[0]
    assert "[id removed]" in pages[2], "what was searched for"
    assert "[id removed]" in pages[-1]
    assert "It is damaged: [id removed]." in failed[0]
    assert planted_ids.found_in("\n".join([*pages, *failed]), frozenset(ids)) == set()


def test_an_id_that_was_searched_for_is_in_no_link_either() -> None:
    (page,) = get(Known(), f"/?q={TENOR_ID[:6]}/{TENOR_ID[6:]}")

    assert TENOR_ID[:6] not in page
    assert "[id removed]" in page


def test_names_are_text_and_no_markup() -> None:
    (page,) = get(Known([line("1103", "<script>alert(1)</script>")]), "/?q=%3Cscript%3E")

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
