"""What a person reads of a submission that goes by mail is about mail: no screen of it says a word of the bus."""

from __future__ import annotations

import html
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from kpr_sender.bus.port import Outcome, Reach, Verdict
from kpr_sender.client import Client
from kpr_sender.errors import AccessRefused, BusUnreachable, InDoubt, KprError
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.journal.values import Signal
from kpr_sender.model import (
    Environment,
    ErrorMessage,
    Language,
    MailNote,
    MessageType,
    NoteKind,
    Shipment,
    Transport,
)
from kpr_sender.operator.resolve import Decision
from kpr_sender.render.language import say, speaking
from kpr_sender.render.text import report_screen
from kpr_sender.states import Cause, ReceiptStatus, ShipmentState
from kpr_sender.texts import Text
from tests.helpers.desk import Desk
from tests.helpers.edi_municipality import ACCOUNT, BY_MAIL
from tests.helpers.memory_bus import ACCEPTED, MemoryBus
from tests.helpers.municipality import Municipality
from tests.helpers.submissions import AT, pair, shipment, told
from tests.helpers.web_page import Known, line
from tests.journal.builders import add_verified
from tests.web.test_pages import get

_S = ShipmentState
_OF_THE_BUS: Final = re.compile(
    r"\b(?:bus(?:'s|sen\w*)?(?!-unreachable)|queues?|broker|AMQP|Tjenestebuss\w*|kø(?:en|er)?|feilkø\w*|exchange)\b",
    re.IGNORECASE,
)
"""In both languages; the stable code ``bus-unreachable`` is a name, for both ways."""
_IN_DOUBT: Final = Outcome(Verdict.IN_DOUBT, Reach.HANDED_OVER, 4711, error=InDoubt(Text("No answer to the mail.")))
_NOT_SENT: Final = Outcome(Verdict.NOT_SENT, Reach.NOT_BEGUN, error=AccessRefused(Text("The login was refused.")))


def _journal(kommune: Municipality) -> SqliteJournal:
    return SqliteJournal.open(kommune.journal, Environment.LOKAL, now=lambda: datetime.now(UTC), who="vakt")


@dataclass(frozen=True)
class _MailDesk(Desk):
    """The same, where submissions go by mail."""

    def client(self, by: str = "cron") -> Client:
        edi = {**ACCOUNT, "tls_ca": "pki/ca.pem", "reconnect_budget": "0.1s"}
        settings = self.kommune.configure({"": BY_MAIL, "edi": edi})
        return Client(settings, bus=self.bus, on_event=self.events.append, by=by)

    def decided(self, decision: Decision, *, by: str = "Kari") -> None:
        with self.client() as client:
            client.resolve(self.first.msg_id, decision, reason="FHI svarte", by=by)

    @property
    def first(self) -> Shipment:
        with self.client() as client:
            report = client.status()
        assert report is not None
        return report.submission.shipments[0]

    def said(self, cause: Cause, condition: str = "", description: str = "") -> None:
        """A mail says something of the first shipment."""
        first = self.first
        with _journal(self.kommune) as journal:
            signal = Signal(message_id=first.message_id, sha256="5" * 64, condition=condition, description=description)
            assert journal.note_signal(first.msg_id, cause, signal)

    def answered(self, status: ReceiptStatus) -> None:
        first = self.first
        with _journal(self.kommune) as journal:
            add_verified(journal, first.msg_id, status, sealed=b"sealed")


def _never_offered(desk: _MailDesk) -> None:
    desk.bus.connect_error = BusUnreachable(Text("No route to the mail server."))
    with pytest.raises(KprError):
        desk.sent()


def _let_go(desk: _MailDesk) -> None:
    desk.sent(_IN_DOUBT)
    desk.decided(Decision.NOT_ARRIVED)


def _let_go_acknowledged(desk: _MailDesk) -> None:
    desk.sent()
    desk.said(Cause.ACKNOWLEDGED)
    desk.decided(Decision.NOT_ARRIVED)


def _resent(desk: _MailDesk) -> None:
    desk.sent()
    desk.said(Cause.BOUNCED, "5.1.1", "no such mailbox")
    first = desk.first
    with desk.client() as client:
        client.resend(first.msg_id, reason="Rettet", by="Kari")


def _killed(desk: _MailDesk) -> None:
    desk.bus.outcomes.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt), desk.client() as client:
        client.submit()


def _cancelled_unsent(desk: _MailDesk) -> None:
    _never_offered(desk)
    first = desk.first
    with _journal(desk.kommune) as journal:
        journal.decide(first.msg_id, Cause.PERSON_CANCELS, reason="Nytt uttrekk", by="Kari")


def _after(outcome: Outcome, *then: Callable[[_MailDesk], None]) -> Callable[[_MailDesk], None]:
    def come_to(desk: _MailDesk) -> None:
        desk.sent(outcome)
        for step in then:
            step(desk)

    return come_to


_HISTORIES: Final[dict[str, tuple[ShipmentState, Callable[[_MailDesk], None]]]] = {
    "never offered": (_S.SEALED, _never_offered),
    "not taken": (_S.SEALED, _after(_NOT_SENT)),
    "let go as it is": (_S.SEALED, _let_go),
    "let go though acknowledged": (_S.SEALED, _let_go_acknowledged),
    "sealed in another envelope": (_S.SEALED, _resent),
    "killed": (_S.PUBLISHING, _killed),
    "in doubt": (_S.IN_DOUBT, _after(_IN_DOUBT)),
    "published": (_S.PUBLISHED, _after(ACCEPTED)),
    "published by a person's word": (_S.PUBLISHED, _after(_IN_DOUBT, lambda desk: desk.decided(Decision.ARRIVED))),
    "acknowledged": (_S.PUBLISHED, _after(ACCEPTED, lambda desk: desk.said(Cause.ACKNOWLEDGED))),
    "warned of": (
        _S.PUBLISHED,
        _after(ACCEPTED, lambda desk: desk.said(Cause.SIGNAL_NOTED, "Inconsistent", "rule 94")),
    ),
    "refused": (
        _S.FAULTED,
        _after(ACCEPTED, lambda desk: desk.said(Cause.MESSAGE_ERROR, "SecurityFailure", "unknown certificate")),
    ),
    "came back": (_S.FAULTED, _after(ACCEPTED, lambda desk: desk.said(Cause.BOUNCED, "5.1.1", "no such mailbox"))),
    "delivered": (_S.DELIVERED, _after(ACCEPTED, lambda desk: desk.answered(ReceiptStatus.OK))),
    "delivered with errors": (
        _S.DELIVERED_WITH_ERRORS,
        _after(ACCEPTED, lambda desk: desk.answered(ReceiptStatus.OK_WITH_ERRORS)),
    ),
    "rejected": (_S.REJECTED, _after(ACCEPTED, lambda desk: desk.answered(ReceiptStatus.REJECTED))),
    "cancelled": (_S.CANCELLED, _after(_IN_DOUBT, lambda desk: desk.decided(Decision.CANCEL))),
    "cancelled, never offered": (_S.CANCELLED, _cancelled_unsent),
}


_COLUMNS: Final[tuple[dict[str, Any], ...]] = (
    {"attempts": 0, "published_at": None},
    {},
    {"handed_over": True},
    {"handed_over": True, "published_at": None},
    {"handed_over": True, "earlier_attempts": 1, "published_at": None},
    {"arrived_at": AT},
    {"acknowledged_at": AT},
    {"needs_person": True},
    {"error_message": ErrorMessage(AT, "5.1.1", "no such mailbox", "", Cause.BOUNCED)},
    {"error_message": ErrorMessage(AT, "SecurityFailure", "", "", Cause.MESSAGE_ERROR)},
    {"noted": tuple(MailNote(kind, AT, "", "") for kind in NoteKind)},
)


@pytest.fixture
def mail_desk(kommune: Municipality) -> _MailDesk:
    return _MailDesk(kommune, MemoryBus(), [])


def _screens(desk: _MailDesk, language: str) -> Iterator[tuple[str, str]]:
    first = desk.first
    archive = desk.kommune.folder / f"{language}.zip"
    for arguments in (
        ("status",),
        ("status", first.submission_id),
        ("--json", "status"),
        ("receipts",),
        ("journal", "log"),
        ("journal", "verify"),
        ("resolve", first.msg_id),
        *(("resolve", first.msg_id, f"--{one.value}") for one in Decision),
        ("resend", first.msg_id),
        ("evidence", first.submission_id, str(archive)),
        ("wait", "--wait", "0", "--max-wait", "1s"),
    ):
        ran = desk.command("--lang", language, *arguments)
        yield " ".join(arguments), f"{ran.out}\n{ran.err}"
    with zipfile.ZipFile(archive) as opened:
        yield "index.html", html.unescape(re.sub(r"<[^>]*>", " ", opened.read("index.html").decode()))


@pytest.mark.parametrize("language", ["en", "nb"])
@pytest.mark.parametrize("history", _HISTORIES)
def test_no_screen_of_a_shipment_by_mail_says_a_word_of_the_bus(
    history: str, language: str, mail_desk: _MailDesk
) -> None:
    state, come_to = _HISTORIES[history]
    come_to(mail_desk)
    assert mail_desk.first.state is state
    found = [
        (name, line)
        for name, screen in _screens(mail_desk, language)
        for line in screen.splitlines()
        if _OF_THE_BUS.search(line)
    ]
    assert found == []
    events = [event.text for event in mail_desk.events]
    assert [text for text in events if _OF_THE_BUS.search(text)] == []


def test_every_state_is_looked_at() -> None:
    assert {state for state, _ in _HISTORIES.values()} == set(ShipmentState)


@pytest.mark.parametrize(
    ("history", "source", "shown", "paged"),
    [
        (
            "refused",
            ("message-error", True),
            r"KPR's message server, \S+Z \(signed, and verified\)",
            "KPR's message server",
        ),
        ("came back", ("bounced", False), r"the mail came back, \S+Z \(not signed\)", "The mail came back"),
    ],
)
def test_who_refused_it_and_whether_that_is_signed(
    history: str, source: tuple[str, bool], shown: str, paged: str, mail_desk: _MailDesk
) -> None:
    """G4. A MessageError counts only where it is verified; a bounce is evidence, no proof."""
    _HISTORIES[history][1](mail_desk)
    for command in (("status",), ("receipts",), ("resolve", mail_desk.first.msg_id)):
        assert re.search(shown, mail_desk.command(*command).out), command
    of_status = mail_desk.command("--json", "status").json()["shipments"][0]["error_message"]
    (of_receipts,) = mail_desk.command("--json", "receipts").json()["error_messages"]
    for message in (of_status, of_receipts):
        assert (message["from"], message["signed"]) == source
    assert re.search(rf"{paged}\s+\S", dict(_screens(mail_desk, "en"))["index.html"])


def test_the_text_for_fhi_names_the_mail_by_its_own_id(mail_desk: _MailDesk) -> None:
    _HISTORIES["in doubt"][1](mail_desk)
    first = mail_desk.first
    screen = mail_desk.command("resolve", first.msg_id).out
    assert "til KPR som EDI (ebXML over e-post)" in screen
    assert f"eb:MessageId            {first.message_id}" in screen
    assert "uten svar fra e-posttjeneren" in screen


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("state", ShipmentState)
def test_neither_the_page_nor_what_is_overdue_says_a_word_of_the_bus(state: ShipmentState, language: Language) -> None:
    """Each state with each history that a column of the journal may have, today and when it is late."""
    found = []
    for changes in _COLUMNS:
        by_mail = {"transport": Transport.EDI, "message_id": "eb-1", **changes}
        halves = (replace(shipment(type_, state), **by_mail) for type_ in MessageType)
        submission = pair(*halves)
        for later in (timedelta(0), timedelta(days=2), timedelta(days=5)):
            report = told(submission, later=later)
            with speaking(language):
                found += [say(report.text()), say(report.next_step)]
                found += report_screen(report, journal="journal.db", receipts=Path("receipts"))
            known = Known([line("1103", "Stavanger", report)])
            for page in get(known, f"/?lang={language}", f"/m/1103?lang={language}"):
                above_history = page.rpartition("<section>")[0] or page  # which is a made one, with every word there is
                found += re.sub(r"<[^>]*>", " ", html.unescape(above_history)).splitlines()
    assert [each for each in found if _OF_THE_BUS.search(each)] == []
