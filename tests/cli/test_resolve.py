"""``kpr-send resolve``: what it shows, when it asks, and what it never does without a yes."""

from __future__ import annotations

import getpass
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from kpr_sender.journal.lock import JournalLock
from kpr_sender.model import Shipment
from kpr_sender.states import ShipmentState
from tests.helpers.command import Ran
from tests.helpers.desk import NO_OUTCOME, Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import ACCEPTED, error_queue_message

S = ShipmentState
BECAUSE = ("--reason", "FHI svarte på e-post")
Typing = Callable[[str], None]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--arrived",),
        ("--arrived", "--yes"),
        ("--arrived", "--reason", " ", "--yes"),
        ("--arrived", "--cancel", *BECAUSE, "--yes"),
        ("--arrived", "--not-arrived", *BECAUSE, "--yes"),
        ("--yes",),
        ("--by", "Kari"),
        BECAUSE,
        ("--not-arrived", *BECAUSE),
        ("--not-arrived", *BECAUSE, "--by", "Kari"),
    ],
)
def test_what_is_not_a_whole_decision_is_64_and_changes_nothing(desk: Desk, arguments: tuple[str, ...]) -> None:
    """No terminal here, as for cron: without --yes nothing is decided."""
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    msg_id = (first.msg_id,) if arguments else ()
    ran = desk.command("resolve", *msg_id, *arguments)
    assert ran.code == 64
    assert "What to do" in ran.err
    assert desk.shipment(first.msg_id) == first


@pytest.mark.parametrize(
    ("option", "state", "code"),
    [("--arrived", S.PUBLISHED, 80), ("--not-arrived", S.SEALED, 90), ("--cancel", S.CANCELLED, 82)],
)
def test_a_whole_decision_is_taken_and_told_like_any_state(
    desk: Desk, option: str, state: ShipmentState, code: int
) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    ran = desk.command("--json", "resolve", first.msg_id.upper(), option, *BECAUSE, "--yes")
    told = ran.json()
    assert (ran.code, told["exit_code"], told["shipments"][0]["state"]) == (code, code, state.value), ran.err
    status = desk.command("--json", "status")
    assert (status.code, status.json()) == (code, told), "G5"
    with desk.client() as client:
        (event,) = client.case(first.msg_id).decided
    assert (event.who, event.why) == (getpass.getuser(), BECAUSE[1])


def test_the_name_may_be_another_than_the_login(desk: Desk) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    ran = desk.command("resolve", first.msg_id, "--arrived", *BECAUSE, "--by", "Kari fra vakt", "--yes")
    assert "Decided: arrived." in ran.out
    assert "Kari fra vakt" in desk.command("resolve", first.msg_id).out


@pytest.mark.parametrize(("typed", "state"), [("y\n", S.SEALED), ("n\n", S.IN_DOUBT), ("\n", S.IN_DOUBT), ("", None)])
def test_on_a_terminal_it_shows_the_case_and_asks(
    desk: Desk, typing: Typing, typed: str, state: ShipmentState | None
) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    typing(typed)
    ran = desk.command("--json", "resolve", first.msg_id, "--not-arrived", *BECAUSE)
    assert f"has NOT ARRIVED? The next kpr-send {desk.prefix} send sends the same bytes again" in ran.err
    now = desk.shipment(first.msg_id).state
    if state is None:
        assert (ran.code, now) == (130, S.IN_DOUBT), "the end of input is no answer"
        return
    assert now is state
    assert ran.json()["shipments"][0]["state"] == state.value
    assert ("Nothing was decided." in ran.err) == (state is S.IN_DOUBT)
    assert ran.code == (83 if state is S.IN_DOUBT else 90)


def test_without_a_decision_it_shows_everything_and_what_to_write_to_fhi(desk: Desk) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    ran = desk.command("resolve", first.msg_id)
    assert ran.code == 83
    wanted = (
        "in doubt",
        first.msg_id,
        "reach handed-over",
        "bytes handed over 4711",
        "condition amqp:connection:forced",
        "description the node went down",
        first.sealed_sha256,
        "Til: kpr@fhi.no",
        f"kpr-send {desk.prefix} resolve {first.msg_id} --not-arrived --reason TEXT",
        f"kpr-send {desk.prefix} wait",
    )
    assert [one for one in wanted if one not in ran.out] == []
    assert desk.command("--json", "resolve", first.msg_id).json()["exit_code"] == 83
    quiet = desk.command("-q", "resolve", first.msg_id)
    assert (quiet.code, quiet.out) == (83, "")
    assert desk.shipment(first.msg_id) == first


def test_what_to_do_names_the_shipment_in_doubt(desk: Desk) -> None:
    _, second = desk.sent(ACCEPTED, NO_OUTCOME)
    wanted = f"kpr-send {desk.prefix} resolve {second.msg_id}"
    for arguments in (("status",), ("status", "-q"), ("status", "--json")):
        ran = desk.command(*arguments)
        assert wanted in ran.out + ran.err
    refused = desk.command("resend", second.msg_id, *BECAUSE, "--yes")
    assert (refused.code, f"resolve {second.msg_id} --not-arrived --reason TEXT" in refused.err) == (64, True)


def _cancelled(desk: Desk, fhi: Fhi) -> Shipment:
    _, second = desk.sent(ACCEPTED, NO_OUTCOME)
    assert desk.command("resolve", second.msg_id, "--cancel", *BECAUSE, "--yes").code == 82
    return second


def _faulted(desk: Desk, fhi: Fhi) -> Shipment:
    _, second = desk.sent(ACCEPTED, ACCEPTED)
    with desk.client() as client:
        client.handle(error_queue_message(desk.bus.taken[1]))
    return second


def _faulted_beside_errors(desk: Desk, fhi: Fhi) -> Shipment:
    second = _faulted(desk, fhi)
    with desk.client() as client:
        client.handle(fhi.answer(desk.bus.taken[0], "3")[0])
    return second


@pytest.mark.parametrize(
    ("brought", "command"),
    [
        (_cancelled, "resolve {} --not-arrived"),
        (_faulted, "resend {} --reason"),
        (_faulted_beside_errors, "resend {} --reason"),
    ],
)
def test_g1_what_to_do_names_the_half_that_it_is_about_and_never_the_one_that_waits(
    desk: Desk, fhi: Fhi, brought: Callable[[Desk, Fhi], Shipment], command: str
) -> None:
    second = brought(desk, fhi)
    with desk.client() as client:
        known = client.status()
    assert known is not None
    assert known.error is not None
    assert known.error.about == second.msg_id
    wanted = f"kpr-send {desk.prefix} {command.format(second.msg_id)}"
    for arguments in (("status",), ("status", "--json")):
        assert wanted in desk.command(*arguments).out


def test_what_to_do_after_a_replacement_names_the_one_that_counts(desk: Desk, fhi: Fhi) -> None:
    """Whichever is looked at: ``--replaces`` takes the latest, and its halves are what a person decides on."""
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    for status in ("3", "2"):
        with desk.client() as client:
            for message in desk.bus.taken[-2:]:
                client.handle(fhi.answer(message, status)[0])
            if status == "3":
                desk.kommune.new_extract()
                latest = client.submit(replaces=first.submission_id, reason="Etter avtale.").submission
    ran = desk.command("status", first.submission_id)
    assert (ran.code, f"send --replaces {latest.submission_id} --reason" in ran.out) == (81, True)
    assert f"send --replaces {first.submission_id}" not in ran.out


def test_q_is_silent_for_what_is_nobodys_move_and_still_ends_with_the_code(desk: Desk) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    assert "in doubt" in desk.command("-q", "status").err
    desk.command("resolve", first.msg_id, "--arrived", *BECAUSE, "--yes")
    assert desk.command("-q", "status") == Ran(80, "", "")
    assert desk.command("status", "-q", "--json").json()["exit_code"] == 80, "JSON is what was asked for"
    with JournalLock.acquire(desk.kommune.journal, now=lambda: datetime.now(UTC)):
        assert desk.command("-q", "wait", "--wait", "0") == Ran(87, "", "")
    desk.command("resolve", first.msg_id, "--not-arrived", *BECAUSE, "--yes")
    assert desk.command("-q", "status") == Ran(90, "", "")


def test_another_run_that_holds_the_journal_is_87_and_looking_is_allowed(desk: Desk) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    with JournalLock.acquire(desk.kommune.journal, now=lambda: datetime.now(UTC)):
        assert desk.command("resolve", first.msg_id).code == 83
        assert desk.command("resolve", first.msg_id, "--arrived", *BECAUSE, "--yes").code == 87
    assert desk.shipment(first.msg_id) == first


def test_any_other_state_is_64_with_what_is_known(desk: Desk, fhi: Fhi) -> None:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    desk.bus.inbox.extend(fhi.answer(desk.bus.taken[0]))
    with desk.client() as client:
        client.wait(timeout=0)
    ran = desk.command("resolve", first.msg_id)
    assert ran.code == 64
    assert "is delivered: there is nothing to decide. The last that is known" in ran.err
    assert desk.command("resolve", "nobody").code == 64


def test_what_is_sealed_is_to_be_sent_and_may_be_given_up(desk: Desk) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    desk.command("resolve", first.msg_id, "--not-arrived", *BECAUSE, "--yes")
    shown = desk.command("resolve", first.msg_id)
    assert shown.code == 90
    _, sending, after = shown.out.partition("\n  Send it with kpr-send ")
    assert sending
    assert re.findall(r"--(\S+) --reason", after) == ["cancel"]
    assert "the other half stays as it is" in after
    with JournalLock.acquire(desk.kommune.journal, now=lambda: datetime.now(UTC)):
        assert desk.command("resolve", first.msg_id, "--cancel", *BECAUSE, "--yes").code == 87
    assert "send with the same files" in desk.command("status").out
    assert desk.command("resolve", first.msg_id, "--cancel", *BECAUSE, "--yes").code == 82
    assert desk.shipment(first.msg_id).state is S.CANCELLED


def test_what_is_cancelled_shows_the_ways_on(desk: Desk) -> None:
    """G2: no state is a dead end."""
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    desk.command("resolve", first.msg_id, "--cancel", *BECAUSE, "--yes")
    ran = desk.command("resolve", first.msg_id)
    assert (ran.code, "--not-arrived" in ran.out, "--settled" in ran.out) == (82, True, True)
    again = desk.command("resolve", first.msg_id, "--not-arrived", *BECAUSE, "--yes")
    assert again.code == 90
    desk.command("resolve", first.msg_id)


def test_the_real_command_on_a_real_terminal(desk: Desk) -> None:
    first, _ = desk.sent(NO_OUTCOME, ACCEPTED)
    ours, theirs = pty.openpty()
    start = (sys.executable, "-m", "kpr_sender", "--env", "lokal", "--config", str(desk.kommune.config))
    process = subprocess.Popen(
        [*start, "resolve", first.msg_id, "--arrived", *BECAUSE],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, b"y\n")
    out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 80, err
    assert "HAS ARRIVED?" in err
    assert "Decided: arrived." in out
