"""What a person reads is what is known: command, JSON and library say the same of the same journal (G5)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.bus.port import Inbound, Outbound, Outcome, Source
from kpr_sender.client import Client
from kpr_sender.errors import AlreadySubmitted, InDoubt, NothingSubmitted, UsageError
from kpr_sender.inbound.look_memory import LookMemory, beside
from kpr_sender.inbound.looks import LAST_TAKE, Seen
from kpr_sender.inbound.receipt import Handling
from kpr_sender.operator.resolve import Decision
from kpr_sender.states import ShipmentState
from tests.helpers.desk import NO_OUTCOME, NOT_SENT, Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import ACCEPTED, MemoryBus, error_queue_message

REASON = "FHI, e-post 10.1.2025 kl. 12:30"
S = ShipmentState


def answer(desk: Desk, fhi: Fhi, *messages: Outbound, status: str = "1") -> None:
    """Let FHI answer, and a run take it."""
    for message in messages:
        desk.bus.inbox.extend(fhi.answer(message, status))
    with desk.client() as client:
        client.wait(timeout=0)


def status(desk: Desk, *arguments: str) -> tuple[int, str]:
    """Run ``status`` as a screen, and see that ``--json`` ends with the same code."""
    ran = desk.command("status", *arguments)
    assert desk.command("--json", "status", *arguments).code == ran.code
    return ran.code, ran.out


def test_what_a_first_run_leaves_in_doubt_is_not_called_unsent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.bus.outcomes.extend([NO_OUTCOME, ACCEPTED])
    monkeypatch.setattr("kpr_sender.app.App.bus", desk.bus)

    first = desk.command("send", "--wait", "0")
    again = desk.command("send", "--wait", "0")

    assert (first.code, again.code) == (83, 83)
    assert first.out.startswith("TEST lokal: It is not known whether the bus has KPR_IPL")
    assert "Nothing was sent by this run" not in first.out
    assert "Nothing was sent by this run" in again.out


def test_a_restored_journal_is_73_and_shown_all_the_same(desk: Desk) -> None:
    desk.sent(ACCEPTED, ACCEPTED)
    copy = desk.kommune.folder / "copy.db"
    shutil.copy(desk.kommune.journal, copy)
    copy.replace(desk.kommune.journal)  # another file: the mark beside it says so

    code, out = status(desk)

    assert code == 73
    assert "restored or copied" in out.splitlines()[0]
    assert out.count("published: the bus has taken it") == 2
    desk.kommune.journal.unlink()
    assert status(desk)[0] == 73, "a journal that is gone is no empty year"


def test_last_year_s_delivery_says_nothing_of_this_year_and_its_doubt_does(desk: Desk, fhi: Fhi) -> None:
    desk.sent(ACCEPTED, ACCEPTED)
    this_year = {"report": {"year": 2025}}
    desk.kommune.configure(this_year)
    assert status(desk)[0] == 80, "what waits is shown, whichever year it is"
    desk.kommune.configure()
    answer(desk, fhi, *desk.bus.taken)
    desk.kommune.configure(this_year)
    code, out = status(desk)
    assert code == 89
    assert "Nothing is submitted for 2025 yet" in out
    assert "Earlier submissions" in out


def test_nothing_submitted_is_an_error_of_its_own_for_programs(desk: Desk) -> None:
    with desk.client() as client:
        assert client.status() is None
        with pytest.raises(NothingSubmitted, match="Nothing is submitted for 2024"):
            client.wait(timeout=0)


def test_g1_what_has_no_answer_is_not_replaced_and_the_queue_is_read_first(
    desk: Desk, fhi: Fhi, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = desk.sent(ACCEPTED, ACCEPTED)
    original = {name: (desk.kommune.folder / name).read_bytes() for name in ("fagmelding.xml", "identmelding.xml")}
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[0], "2"))
    desk.kommune.new_extract()

    with desk.client() as client, pytest.raises(InDoubt, match=second.msg_id) as refused:
        client.submit(replaces=first.submission_id, reason=REASON)
    assert refused.value.exit_code == 83
    assert first.msg_id not in refused.value.what, "its answer lay on the queue"
    with monkeypatch.context() as patched:
        patched.setattr("kpr_sender.app.App.bus", desk.bus)
        ran = desk.command("--json", "send", "--replaces", first.submission_id, "--reason", REASON)
    assert (ran.code, ran.json()["error"]["code"]) == (83, "in-doubt"), "not the 81 of the half that is answered"
    assert len(desk.bus.published) == 2

    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[1], "2"))
    with desk.client() as client:
        newer = client.submit(replaces=first.submission_id, reason=REASON).submission
    # Cron sends the old files all the while: that is what became of them.
    for name, content in original.items():
        (desk.kommune.folder / name).write_bytes(content)
    with desk.client() as client:
        pending = client.submit()
    assert (pending.exit_code, pending.sent) == (80, 0)
    assert f"is replaced by {newer.submission_id}" in pending.text()
    answer(desk, fhi, *desk.bus.taken[2:])
    with desk.client() as client:
        report = client.submit()
    assert (report.exit_code, report.sent) == (0, 0)
    assert f"is replaced by {newer.submission_id}, which is delivered" in report.text()
    assert report.as_json()["replaced_by"] == newer.submission_id
    code, out = status(desk, first.submission_id)
    assert code == 0
    assert "--replaces" not in out


def test_what_replaced_another_and_is_settled_is_not_called_delivered(desk: Desk, fhi: Fhi) -> None:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    answer(desk, fhi, *desk.bus.taken, status="2")
    desk.kommune.new_extract()
    with desk.client() as client:
        newer, other = client.submit(replaces=first.submission_id, reason=REASON).submission.shipments
        client.handle(error_queue_message(desk.bus.taken[2]))
        client.handle(fhi.answer(desk.bus.taken[3])[0])
        client.settle(newer.msg_id, reason=REASON, by="Kari Vakt")

    code, out = status(desk, first.submission_id)

    assert code == 0
    assert "delivered" not in out.splitlines()[0]
    assert out.startswith(
        f"TEST lokal: {first.submission_id} is replaced by {other.submission_id}. A person has settled it, nothing is "
        f"left to do: KPR_IPL (MsgId {newer.msg_id}) is faulted."
    )


def test_a_shared_queue_keeps_nothing_sealed_from_being_sent(desk: Desk) -> None:
    desk.sent(ACCEPTED, NOT_SENT)
    memory = LookMemory(beside(desk.kommune.journal))
    for _ in range(LAST_TAKE):
        looks = memory.looks[Source.RECEIPTS].after([Seen("another system's", 0)], datetime.now(UTC))
        memory.keep(Source.RECEIPTS, looks)
    with desk.client() as client:
        waited = client.wait(timeout=0)
        assert waited.exit_code == 77, "why it was not sent counts as much, and is the first of the two"
        sent = client.submit()
    assert (sent.sent, [one.state for one in sent.submission.shipments]) == (1, [S.PUBLISHED, S.PUBLISHED])


def test_state_evidence_and_advice_go_by_what_happened(desk: Desk, fhi: Fhi) -> None:
    first, second = desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client:
        client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason=REASON)
    code, out = status(desk)
    assert code == 90, "69 said that the bus was away"
    assert "sealed to be sent again: the bus may have had it before, under another message-id" in out
    assert "not under its present message-id" in out
    assert "never offered" not in out

    # A receipt comes to what the journal holds as sealed: delivered, though no run of ours published it.
    answer(desk, fhi, desk.bus.taken[0])
    _, out = status(desk)
    assert "fagmelding (KPR_IPL): delivered" in out
    assert "not published" not in out

    # One that cannot be read is no matter of certificates.
    broken = fhi.inbound(desk.bus.taken[1], fhi.sealed(b"<AppRec"))
    desk.bus.inbox.append(broken)
    with desk.client() as client:
        report = client.wait(timeout=0)
    assert report.exit_code == 76
    assert "certificates" not in report.next_step.replace("no matter of certificates", "")
    assert report.submission.shipments[1].msg_id == second.msg_id


@pytest.mark.parametrize(("status_code", "said"), [("2", "Read the receipt's errors"), ("error", "resend")])
def test_what_was_rejected_is_read_where_there_is_something_to_read(
    desk: Desk, fhi: Fhi, status_code: str, said: str
) -> None:
    desk.sent(ACCEPTED, ACCEPTED)
    for message in desk.bus.taken:
        answers = [error_queue_message(message)] if status_code == "error" else fhi.answer(message, status_code)
        desk.bus.inbox.extend(answers)
    with desk.client() as client:
        report = client.wait(timeout=0)
    assert report.exit_code == 81
    assert said in report.next_step
    assert ("Read the receipt's errors" in report.next_step) == (status_code == "2")


def test_a_person_s_word_keeps_the_time_of_publishing_and_starts_the_wait_anew(desk: Desk) -> None:
    now = datetime.now(UTC)
    first, _ = desk.sent(ACCEPTED, ACCEPTED)

    def at(later: timedelta) -> Client:
        return Client(desk.kommune.configure(), bus=desk.bus, now=lambda: now + later, by="vakt")

    with at(timedelta(hours=30)) as client:
        late = client.status()
        assert late is not None
        assert late.exit_code == 84
        decided = client.resolve(first.msg_id, Decision.ARRIVED, reason=REASON).submission.shipments[0]
        assert decided.published_at == first.published_at
        assert decided.arrived_at == now + timedelta(hours=30)
    with at(timedelta(hours=31)) as client:
        known = client.status()
        assert known is not None
        assert f"MsgId {first.msg_id}" not in known.text(), "only the other half is overdue"
    assert "to have arrived" in status(desk)[1]


def alien(desk: Desk, fhi: Fhi, message: Outbound) -> Inbound:
    """FHI's verified answer to a message of this municipality's that another machine sent."""
    other = fhi.apprec(message, msg_id="11111111-2222-4333-8444-555555555555")
    return fhi.inbound(message, fhi.sealed(other), correlation_id="other")


def test_an_answer_to_what_somebody_else_sent_for_us_alarms_and_is_left(desk: Desk, fhi: Fhi) -> None:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    desk.bus.put(alien(desk, fhi, desk.bus.taken[0]))
    answer(desk, fhi, *desk.bus.taken)
    assert not [one for one in desk.bus.settled if one.correlation_id == "other"], "left unsettled"

    code, out = status(desk)
    assert code == 82
    assert "11111111-2222-4333-8444-555555555555" in out
    assert "another machine, program or journal delivers for this municipality" in out
    with desk.client() as client:
        client.resolve(first.msg_id, Decision.SETTLED, reason="Maskin B var ikke stoppet.", by="Kari Vakt")
        assert client.wait(timeout=0).exit_code == 0, "the same answer alarms once"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(NOT_SENT, S.SEALED), (ACCEPTED, S.PUBLISHED), (NO_OUTCOME, S.IN_DOUBT)],
    ids=["sealed", "published", "in_doubt"],
)
def test_an_alarm_is_settled_alone_in_every_state(desk: Desk, fhi: Fhi, outcome: Outcome, state: ShipmentState) -> None:
    """G1, G2: it is about somebody else's message, so that what this shipment waits for stays as it was."""
    first, second = desk.sent(outcome, ACCEPTED)
    before, _ = status(desk)
    with desk.client() as client:
        assert client.handle(alien(desk, fhi, desk.bus.published[0])) is Handling.HOLD
        assert status(desk)[0] == (83 if state is S.IN_DOUBT else 82)
        offered = len(desk.bus.published)
        client.submit()
        assert len(desk.bus.published) == offered, "nothing of it goes, the other half neither"
    _, out = status(desk)
    assert "alarm     FHI has answered a KPR_IPL with MsgId 11111111-2222-4333-8444-555555555555" in out
    assert ("not sent until a person has settled the alarm" in out) == (state is S.SEALED)
    assert "--settled" in desk.command("resolve", first.msg_id).out

    with desk.client() as client:
        settled = client.settle(first.msg_id, reason="Maskin B er stoppet.", by="Kari Vakt")
        now = settled.submission.shipments[0]
        assert (now.state, now.settled, now.alarm) == (state, False, "")
        assert (settled.exit_code, status(desk)[0]) == (before, before)
        assert "person-settles (settled the alarm), by Kari Vakt" in desk.command("journal", "log").out
        client.submit()
    if state is S.SEALED:
        again = [one.message_id for one in desk.bus.published[offered:]]
        assert again == [first.message_id, second.message_id], "it was never about these"
    # What is contradicted later does not bring the old alarm back.
    sent = next(one for one in desk.bus.published if one.message_id == first.message_id)
    answer(desk, fhi, sent)
    answer(desk, fhi, sent, status="2")
    code, out = status(desk)
    assert code == 82
    assert "contradict each other" in out.splitlines()[0]
    assert "does not know" not in out


def test_g1_an_alarm_stops_the_half_beside_and_what_would_replace_both_until_either_is_settled(
    desk: Desk, fhi: Fhi
) -> None:
    first, second = desk.sent(ACCEPTED, NOT_SENT)
    answer(desk, fhi, desk.bus.taken[0])
    with desk.client() as client:
        client.handle(alien(desk, fhi, desk.bus.taken[0]))
        report = client.submit()
        assert (report.sent, report.exit_code) == (0, 82)
        assert [bool(one.alarm) for one in report.submission.shipments] == [True, True]
        desk.kommune.new_extract()
        with pytest.raises(AlreadySubmitted, match="Nothing takes the place of") as raised:
            client.submit(replaces=first.submission_id, reason=REASON)
        for said in (report.error, raised.value):
            assert said is not None
            assert f"resolve {first.msg_id} --settled" in said.next_step, "the answer names a MsgId that is not here"
        report = client.settle(second.msg_id, reason="Maskin B er stoppet.", by="Kari Vakt")
        assert [one.alarm for one in report.submission.shipments] == ["", ""]
        replaced = client.submit(replaces=first.submission_id, reason=REASON)
        assert (replaced.sent, len(desk.bus.taken)) == (2, 3)


def test_g1_an_alarm_stops_what_goes_beside_a_half_that_is_kept(desk: Desk, fhi: Fhi) -> None:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    answer(desk, fhi, *desk.bus.taken)
    desk.kommune.corrected()
    desk.bus.outcomes.append(NOT_SENT)
    with desk.client() as client:
        assert client.submit(replaces=first.submission_id, reason=REASON).submission.own[0].state is S.SEALED
        client.handle(alien(desk, fhi, desk.bus.taken[0]))
        report = client.submit()
        assert (report.sent, report.exit_code) == (0, 82)


def test_so_does_one_that_another_message_server_laid_into_our_folder(desk: Desk, fhi: Fhi) -> None:
    desk.sent(ACCEPTED, ACCEPTED)
    inbox = desk.kommune.folder / "inn"
    inbox.mkdir()
    (inbox / "1.p7m").write_bytes(alien(desk, fhi, desk.bus.taken[0]).body)
    os.utime(inbox / "1.p7m", (1_700_000_000, 1_700_000_000))
    settings = desk.kommune.configure({"bus": {"receipts_from": "folder", "receipts_inbox": "inn"}})
    with Client(settings, bus=desk.bus) as client:
        assert client.wait(timeout=0).exit_code == 82
    assert (inbox / "not-ours" / "1.p7m").exists()


def test_who_decided_what_and_why_is_in_status_and_in_the_log(desk: Desk, fhi: Fhi) -> None:
    first, second = desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client:
        client.resolve(first.msg_id, Decision.ARRIVED, reason=REASON, by="Kari Vakt")
    answer(desk, fhi, *desk.bus.taken, status="2")
    desk.kommune.new_extract()
    with desk.client() as client:
        client.submit(replaces=first.submission_id, reason="Nytt uttrekk avtalt.", by="Ola Vakt")

    _, shown = status(desk, second.submission_id)
    assert f"person-arrived, by Kari Vakt: {REASON}" in shown
    log = desk.command("journal", "log")
    assert log.code == 0
    for part in ("by Kari Vakt", REASON, "Nytt uttrekk avtalt.", "by Ola Vakt", f"replaces {first.submission_id}"):
        assert part in log.out
    assert "Ola Vakt" not in desk.command("journal", "log", first.msg_id).out.replace("replaced", "").split("\n")[1]
    told = json.loads(desk.command("--json", "journal", "log", first.submission_id).out)["decisions"]
    assert told[0] | {"at": "", "details": {}} == {
        "at": "",
        "what": "person-arrived",
        "msg_id": first.msg_id,
        "by": "Kari Vakt",
        "reason": REASON,
        "details": {},
    }


ID = "010100 99999"


@pytest.mark.parametrize(
    "arguments",
    [
        ("resolve", "MSGID", "--cancel", "--reason", ID, "--yes"),
        ("resend", "MSGID", "--reason", ID, "--yes"),
        ("send", "--replaces", "2024-12345678", "--reason", ID),
        ("wait", "--look-anyway", "--reason", ID, "--by", "Kari"),
        ("reviewed", "--by", "Kari", "--note", ID),
        ("receipts", "discard", "1", "--reason", ID, "--by", "Kari"),
        ("receipts", "accept", "1", "--reason", ID, "--by", "Kari"),
        ("journal", "release", "MSGID", "--reason", ID, "--by", "Kari", "--yes"),
        ("journal", "verify", "--accept-restored", "--reason", ID, "--by", "Kari", "--yes"),
    ],
    ids=lambda arguments: "-".join(arguments[:2]),
)
def test_g6_a_reason_with_something_like_a_national_id_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    monkeypatch.setattr("kpr_sender.app.App.bus", MemoryBus())

    ran = desk.command(*(one.replace("MSGID", first.msg_id) for one in arguments))

    assert ran.code == 64, ran.err
    assert "99999" not in ran.out + ran.err
    assert ID not in desk.command("journal", "log").out


def test_json_names_the_municipality_and_the_files_as_they_lie_on_the_disk(desk: Desk) -> None:
    path = desk.kommune.fagmelding
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # a BOM is no part of what is spliced in
    desk.sent(ACCEPTED, ACCEPTED)

    told = json.loads(desk.command("--json", "status").out)

    assert told["kommunenummer"] == "9999"
    for one, file in zip(told["shipments"], (path, desk.kommune.identmelding), strict=True):
        assert one["file"] == {"name": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        assert len(one["payload_sha256"]) == 64
    assert told["shipments"][0]["payload_sha256"] != told["shipments"][0]["file"]["sha256"]


def test_g6_a_file_s_name_is_stored_clean(desk: Desk, tmp_path: Path) -> None:
    named = tmp_path / "uttrekk 01010099999.xml"
    shutil.copy(desk.kommune.fagmelding, named)
    with desk.client() as client:
        report = client.submit(named, desk.kommune.identmelding)
    assert "01010099999" not in json.dumps(report.as_json())
    file = report.submission.shipments[0].file
    assert file is not None
    assert file.name.endswith(".xml")


def test_only_production_s_results_do_not_begin_with_test(desk: Desk, tmp_path: Path) -> None:
    desk.sent(ACCEPTED, ACCEPTED)
    first = desk.command("status")
    assert first.out.startswith("TEST lokal: ")
    for command in (
        *(("receipts",), ("journal", "log"), ("journal", "verify"), ("journal", "backup", str(tmp_path / "copy.db"))),
        *(("check",), ("config", "check"), ("certs",), ("doctor",)),
    ):
        assert desk.command(*command).out.startswith("TEST lokal: "), command
        as_json = desk.command("--json", *(one.replace("copy", "json") for one in command)).out
        assert "TEST" not in as_json.splitlines()[0]
    assert desk.command("status", "unknown").err.startswith("TEST lokal: kpr-send: ")
    with desk.client() as client:
        report = client.status()
    assert report is not None
    production = replace(report.submission, environment=type(report.submission.environment)("produksjon"))
    assert not replace(report, submission=production).text().startswith("TEST")


def test_an_unclean_reason_is_no_reason_for_programs_either(desk: Desk) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    with desk.client() as client:
        for reason in (ID, "", "fnr. 01.01.00-999 99"):
            with pytest.raises(UsageError):
                client.resolve(first.msg_id, Decision.CANCEL, reason=reason)
        uuid = "MsgId 12345678-1234-4234-8234-123456789012, 2025-01-10 12:30:00"
        client.resolve(first.msg_id, Decision.CANCEL, reason=uuid)


def test_the_days_left_stand_wherever_a_submission_is_shown(desk: Desk) -> None:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    told = json.loads(desk.command("--json", "status").out)
    for command in (("status",), ("receipts",), ("resolve", first.msg_id)):
        out = desk.command(*command).out
        assert f"Deadline    it was due by {told['deadline']}" in out, command
        shown = json.loads(desk.command("--json", *command).out)
        assert (shown["deadline"], shown["days_left"]) == (told["deadline"], told["days_left"]), command
        assert ".." not in out, "a thumbprint's end is one sign"
