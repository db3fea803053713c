"""What mails say of a shipment that moves nothing is seen by a person on duty: a delay, a warning (EDI)."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.journal.values import Signal
from kpr_sender.model import Environment, MailNote, MessageType, NoteKind, Transport
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.faults import Faults
from kpr_sender.states import Cause, ShipmentState
from tests.helpers.command import until
from tests.helpers.edi_municipality import by_mail
from tests.helpers.fleet import fleet, submitted
from tests.helpers.municipality import SENDER_HER_ID, Municipality
from tests.helpers.submissions import AT, pair, shipment, told
from tests.helpers.web_page import Known, line
from tests.web.test_pages import get

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("faults", "kind", "english", "norwegian"),
    [
        (
            ("bounce=delayed", "no-acknowledgement"),
            "delayed",
            "    noted     mail delayed since ",
            "    notert        e-posten er forsinket siden ",
        ),
        (
            ("warning=Inconsistent",),
            "warning",
            "    noted     KPR's message server warns, since ",
            "    notert        KPRs meldingstjener advarer, siden ",
        ),
    ],
)
def test_it_is_on_the_screen_in_both_languages_and_in_json(
    faults: tuple[str, ...], kind: str, english: str, norwegian: str, made: Municipality, command: Command
) -> None:
    options = ("--env", "lokal", "--config", made.config)
    active = Faults.parse([*faults, "no-answer"], Transport.EDI)
    with EdiSandbox(made.folder, sender_her_id=SENDER_HER_ID, faults=active) as box:
        with Client(by_mail(made, box)) as client:
            report = client.submit()
            until(lambda: all(one.noted for one in client.wait(timeout=0).submission.shipments))

        code, out, _ = command(*options, "status")
        assert (code, out.count(english)) == (80, 2)
        assert command(*options, "resolve", report.submission.shipments[0].msg_id)[1].count(english) == 1
        assert command(*options, "--lang", "nb", "status")[1].count(norwegian) == 2
        for half in json.loads(command(*options, "--json", "status")[1])["shipments"]:
            (noted,) = half["noted"]
            assert (noted["kind"], bool(noted["condition"])) == (kind, True)
            assert noted["since"].endswith("Z")
    archive = made.folder / "evidence.zip"
    assert command(*options, "evidence", report.submission.submission_id, archive)[0] == 0
    with zipfile.ZipFile(archive) as opened:
        assert opened.read("index.html").count(b">Noted<") == 2


def _note(journal: Path, msg_id: str, message_id: str, cause: Cause, kind: NoteKind | None) -> None:
    at = datetime.now(UTC)
    digest = hashlib.sha256(str(at).encode()).hexdigest()
    said = Signal(message_id=message_id, sha256=digest, condition="4.4.1", description="No answer from host", kind=kind)
    with SqliteJournal.open(journal, Environment.LOKAL, now=lambda: at, who="vakt") as opened:
        assert opened.note_signal(msg_id, cause, said)


def test_it_is_on_the_screens_of_a_fleet(tmp_path: Path, command: Command) -> None:
    """Nobody need decide anything; whoever looks sees it."""
    made = fleet(tmp_path, "1103", "4601")
    half = submitted(made, "1103", answered=False).shipments[0]
    submitted(made, "4601", answered=False)
    _note(made.of("1103").journal, half.msg_id, half.message_id, Cause.SIGNAL_NOTED, NoteKind.DELAYED)

    options = ("--env", "lokal", "--config", made.path)
    commands = ("fleet", "status"), ("fleet", "wait", "--wait", "0"), ("fleet", "send", "--wait", "0")
    for words in commands:
        code, out, _ = command(*options, *words)
        assert (code, out.count("\n1103  Noted of the fagmelding: mail delayed since 20")) == (80, 1), words
        assert "\n4601  Noted" not in out
        out = command(*options, "--lang", "nb", *words)[1]
        assert out.count("\n1103  Notert om fagmeldingen: e-posten er forsinket siden 20") == 1, words
    found = json.loads(command(*options, "--json", "fleet", "status")[1])["municipalities"]
    notes = {one["municipality"]: one["result"]["shipments"][0]["noted"] for one in found}
    assert [one["description"] for one in notes["1103"]] == ["No answer from host"]
    assert notes["4601"] == []


def test_it_is_on_the_page_without_the_words_of_others() -> None:
    note = MailNote(NoteKind.DELAYED, AT, "4.4.1", "Kari Nordmann is on leave")
    half = replace(shipment(MessageType.KPR_IPL, ShipmentState.PUBLISHED), noted=(note,))
    known = Known([line("1103", "Stavanger", told(pair(half, ShipmentState.PUBLISHED)))])
    english, norwegian = get(known, "/m/1103", "/m/1103?lang=nb")
    assert "<dt>Noted</dt><dd>mail delayed since 2025-01-10T12:00:00Z (4.4.1)</dd>" in english
    assert "<dt>Notert</dt><dd>e-posten er forsinket siden 2025-01-10T12:00:00Z (4.4.1)</dd>" in norwegian
    assert "Kari" not in english


@pytest.mark.parametrize(
    ("kind", "then", "lines"),
    [
        (NoteKind.DELAYED, None, 1),
        (NoteKind.DELAYED, Cause.ACKNOWLEDGED, 0),
        (NoteKind.WARNING, Cause.ACKNOWLEDGED, 1),
        (NoteKind.WARNING, Cause.BOUNCED, 0),
        (NoteKind.DELAYED, Cause.PERSON_NOT_ARRIVED, 0),
    ],
)
def test_it_is_shown_while_it_may_matter(
    kind: NoteKind,
    then: Cause | None,
    lines: int,
    made: Municipality,
    command: Command,
) -> None:
    """JSON and evidence have it for good, but for what is sent again: what was said was said of another mail."""
    active = Faults.parse(["no-answer"], Transport.EDI)
    with (
        EdiSandbox(made.folder, sender_her_id=SENDER_HER_ID, faults=active) as box,
        Client(by_mail(made, box)) as client,
    ):
        half = client.submit().submission.shipments[0]
    options = ("--env", "lokal", "--config", made.config)
    _note(made.journal, half.msg_id, "an-earlier-one", Cause.SIGNAL_NOTED, NoteKind.OTHER)
    _note(made.journal, half.msg_id, half.message_id, Cause.SIGNAL_NOTED, kind)
    if then is Cause.PERSON_NOT_ARRIVED:
        assert (
            command(
                *(*options, "resolve", half.msg_id, "--not-arrived", "--reason", "FHI svarte", "--by", "Kari", "--yes")
            )[0]
            == 90
        )
    elif then is not None:
        _note(made.journal, half.msg_id, half.message_id, then, None)
    assert command(*options, "status")[1].count("    noted ") == lines
    noted = json.loads(command(*options, "--json", "status")[1])["shipments"][0]["noted"]
    assert len(noted) == (then is not Cause.PERSON_NOT_ARRIVED)
