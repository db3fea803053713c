"""``send`` by a schedule: before the files are exported, and after they were taken away again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from kpr_sender.bus.port import Outcome
from kpr_sender.client import Client
from kpr_sender.operator.resolve import Decision
from kpr_sender.profiles.profile import norwegian_time
from tests.helpers.command import Ran
from tests.helpers.desk import NOT_SENT, Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import ACCEPTED


def _deadline_in(days: int) -> date:
    return datetime.now(UTC).astimezone(norwegian_time()).date() + timedelta(days=days)


def _configured(desk: Desk, days: int) -> None:
    desk.kommune.write({"report": {"year": 2024, "deadline": _deadline_in(days)}}, port=1)


def test_files_that_are_not_there_yet_are_no_error_until_a_week_before_the_deadline(desk: Desk) -> None:
    _configured(desk, 8)
    desk.kommune.identmelding.unlink()

    waiting = desk.command("send", "--wait-for-files")
    assert (waiting.code, waiting.err) == (0, "")
    assert waiting.out.startswith(f"TEST lokal: Waiting for the files of this year: {desk.kommune.identmelding} is not")
    assert desk.command("send", "--wait-for-files", "-q") == Ran(0, "", "")
    value = desk.command("send", "--wait-for-files", "--json").json()
    assert (value["exit_code"], value["state"], value["days_left"], value["submission"]) == (0, "waiting", 8, None)
    assert not desk.kommune.journal.exists()

    _configured(desk, 7)
    late = desk.command("send", "--wait-for-files", "-q")
    assert (late.code, str(desk.kommune.identmelding) in late.err) == (66, True)


def test_without_the_option_a_file_that_is_missing_is_66(desk: Desk) -> None:
    _configured(desk, 100)
    desk.kommune.fagmelding.unlink()
    assert desk.command("send").code == 66


def test_what_cannot_be_read_is_no_file_that_is_not_there_yet(desk: Desk) -> None:
    _configured(desk, 100)
    desk.kommune.fagmelding.unlink()
    desk.kommune.fagmelding.mkdir()
    assert desk.command("send", "--wait-for-files").code == 66


def test_what_was_sent_is_gone_on_with_although_its_files_are_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    desk.kommune.fagmelding.unlink()
    waited = []

    def wait(client: Client, submission_id: str | None = None, **_: object) -> object:
        waited.append(submission_id)
        return client.status(submission_id)

    monkeypatch.setattr(Client, "wait", wait)
    ran = desk.command("send", "--wait-for-files", "--wait", "0")
    assert (ran.code, waited) == (80, [first.submission_id])
    assert desk.shipment(first.msg_id).attempts == 1


@pytest.mark.parametrize("outcome", [ACCEPTED, NOT_SENT])
def test_g2_what_is_to_be_sent_and_has_no_files_any_more_is_66_and_never_silent(
    desk: Desk, fhi: Fhi, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    """A person let it go again, or the bus would not have it: the journal alone says that the next run sends it."""
    monkeypatch.setattr("kpr_sender.app.App.bus", desk.bus)
    _, second = desk.sent(ACCEPTED, outcome)
    if outcome is ACCEPTED:
        with desk.client() as client:
            client.resolve(second.msg_id, Decision.NOT_ARRIVED, reason="FHI er spurt.", by="Kari")
    desk.kommune.fagmelding.unlink()
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[0]))

    ran = desk.command("send", "--wait-for-files", "--wait", "0", "-q")

    assert (ran.code, str(desk.kommune.fagmelding) in ran.err) == (66, True)
    with desk.client() as client:
        known = client.status()
    assert known is not None
    assert [one.state.value for one in known.submission.shipments] == ["delivered", "sealed"], (
        "receipts are taken first"
    )


def test_a_replacement_is_a_persons(desk: Desk) -> None:
    assert desk.command("send", "--wait-for-files", "--replaces", "x", "--reason", "y").code == 64
