"""The table of checks: green when a send would work, each red when what it looks at is broken; who selects which."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from kpr_sender.bus.port import Source
from kpr_sender.checking import certificates_in_use, run_checks
from kpr_sender.client import Client
from kpr_sender.events import Event, EventKind
from kpr_sender.inbound.look_memory import LookMemory, beside
from kpr_sender.inbound.looks import Looks, Seen
from kpr_sender.model import Transport
from kpr_sender.operator.self_check import (
    CHECKS,
    WITHOUT_BUS,
    Check,
    CheckContext,
    CheckResult,
    Place,
    Status,
)
from kpr_sender.report import deadline_of
from tests.helpers.municipality import Changes
from tests.helpers.scripted_bus import ScriptedBus
from tests.helpers.self_checks import Stage, lights, only

NAMES: Final = [check.name for check in CHECKS if check.way is not Transport.EDI]
AFTER_TLS: Final = {"bus certificate", "bus login", "receipts queue", "error queue", "receiver's exchange"}
AFTER_LOGIN: Final = AFTER_TLS - {"bus certificate", "bus login"}
EXPIRED_SIGNER: Final = {"pkcs12": "expired.p12", "passphrase_file": "test.passphrase"}


def test_where_a_send_would_work_every_line_is_green(stage: Stage) -> None:
    lines = list(run_checks(stage.settings()))

    assert [line.name for line in lines] == NAMES
    assert lights(lines, Status.GREEN) == set(NAMES)
    assert not any(line.next_step for line in lines)
    seen = {line.name: line.text for line in lines}
    assert "TLSv1.3" in seen["bus TLS"]
    assert "attached, nothing sent" in seen["receiver's exchange"]
    assert not stage.made.journal.exists()
    assert not (stage.made.folder / "ledger.jsonl").exists()


RED: Final[dict[str, tuple[Changes, set[str], set[str], str]]] = {
    "a register of another environment": (
        {"registry": {"kind": "soap", "url": "https://ws.nhn.no/v1/AR/Basic", "user": "kommune"}},
        {"environment"},
        {"register", "clock", "receiver", "receiver's certificates", "sender", "bus TLS"} | AFTER_TLS,
        "belong",
    ),
    "no password": ({"bus": {"password_file": "none"}}, {"secrets"}, {"bus login"} | AFTER_LOGIN, "none"),
    "wrong password": ({"bus": {"password_file": "wrong"}}, {"bus login"}, AFTER_LOGIN, "login"),
    "no fagmelding": ({"files": {"fagmelding": "none.xml"}}, {"files"}, set(), "No such file"),
    "no identmelding": ({"files": {"identmelding": "none.xml"}}, {"files"}, set(), "No such file"),
    "a fagmelding that is too large": (
        {"limits": {"warn_bytes": 1, "refuse_bytes": 4_500}},
        {"files"},
        set(),
        "The sealed fagmelding would be at least",
    ),
    "receipts where nothing can be written": (
        {"journal": {"receipts_dir": "/proc/receipts"}},
        {"journal folder"},
        set(),
        "Nothing can be written in /proc",
    ),
    "a damaged journal": ({"journal": {"path": "damaged.db"}}, {"journal"}, set(), "journal"),
    "no signing key": (
        {"keys.signing": {"pkcs12": "none.p12"}},
        {"signing key"},
        {"self-sealed message", "our certificates"},
        "No such file",
    ),
    "wrong passphrase": (
        {"keys.signing": {"passphrase_file": "wrong"}},
        {"signing key"},
        {"self-sealed message", "our certificates"},
        "passphrase",
    ),
    "an expired signing certificate": (
        {"keys.signing": EXPIRED_SIGNER},
        {"signing key"},
        {"self-sealed message", "our certificates"},
        "expired",
    ),
    "no decryption key": (
        {"keys.decryption": {"pkcs12": "none.p12"}},
        {"decryption keys"},
        {"self-sealed message", "our certificates"},
        "No such file",
    ),
    "no authorities' file": (
        {"protection": {"roots": ["none.pem"]}},
        {"trust"},
        {"signing key", "self-sealed message", "our certificates", "receiver's certificates"},
        "No such file",
    ),
    "no certificate of FHI's": (
        {"receiver": {"encryption_certificate": "none.pem"}},
        {"receiver"},
        {"receiver's certificates", "receiver's exchange"},
        "No such file",
    ),
    "an expired certificate of FHI's": (
        {"receiver": {"signing_certificates": ["expired.pem"]}},
        {"receiver's certificates"},
        set(),
        "expired",
    ),
    "another authority than the bus's": (
        {"bus": {"ca_file": "expired.pem"}},
        {"bus TLS"},
        AFTER_TLS,
        "not issued by an authority that we know",
    ),
    "no such receipts queue": ({"bus": {"receipts_queue": "1_async"}}, {"receipts queue"}, set(), "1_async"),
    "no such error queue": ({"bus": {"error_queue": "1_error"}}, {"error queue"}, set(), "1_error"),
    "no such folder for receipts": (
        {"bus": {"receipts_from": "folder", "receipts_inbox": "none"}},
        {"receipts"},
        set(),
        "no such folder",
    ),
    "a folder for receipts in which nothing can be written": (
        {"bus": {"receipts_from": "folder", "receipts_inbox": "/proc/self/task"}},
        {"receipts"},
        set(),
        "Nothing can be written in /proc/self/task",
    ),
    "no such exchange": ({"bus": {"exchange": "Nowhere"}}, {"receiver's exchange"}, set(), "Nowhere"),
}
"""What is changed; what turns red, what is not tried therefore (the rest stays green), and what is said."""


@pytest.mark.parametrize("case", RED)
def test_what_is_broken_turns_its_line_red_and_the_others_stay(stage: Stage, case: str) -> None:
    changes, red, not_tried, said = RED[case]
    lines = list(run_checks(stage.settings(changes)))

    assert lights(lines, Status.RED) == red
    assert lights(lines, Status.YELLOW) == not_tried
    assert any(said in line.text for line in lines if line.status is Status.RED)
    assert all(line.next_step for line in lines if line.status is not Status.GREEN)
    assert all(line.text == "not tried" for line in lines if line.name in not_tried)
    assert "feil" not in str(lines)


def test_our_queues_may_be_named_by_their_whole_addresses(stage: Stage) -> None:
    whole: dict[str, object] = {"receipts_queue": "/queue/900002_async", "error_queue": "host/Exchange/900002_error"}
    lines = {line.name: line for line in run_checks(stage.settings({"bus": whole}))}
    assert lines["receipts queue"].text == "900002_async: attached, nothing taken"
    assert lines["error queue"].text == "900002_error: attached, nothing taken"


def test_it_says_where_receipts_come_from_and_which_queues_are_read(stage: Stage) -> None:
    names = ("receipts", "receipts queue", "error queue", "sender", "bus login", "bus TLS", "environment", "addresses")
    checks = tuple(check for check in CHECKS if check.name in names)
    lines = {line.name: line for line in run_checks(stage.settings(), checks=checks)}
    assert lines["receipts"].text == "from the queue 900002_async"
    inbox = stage.made.folder / "inbox"
    inbox.mkdir()
    (inbox / "receipt.p7m").touch()
    folder: dict[str, object] = {"receipts_from": "folder", "receipts_inbox": "inbox"}
    lines = {line.name: line for line in run_checks(stage.settings({"bus": folder}), checks=checks)}
    assert lights([*lines.values()], Status.GREEN) == set(names)
    assert lines["receipts"].text == f"from the folder {inbox}: 1 file to take"
    assert "not read" in lines["receipts queue"].text
    assert "not read" in lines["error queue"].text
    (inbox / "unverified").mkdir()
    (inbox / "unverified" / "receipt.p7m").touch()
    folder["error_queue"] = "900002_error"
    lines = {line.name: line for line in run_checks(stage.settings({"bus": folder}), checks=checks)}
    assert lights([*lines.values()], Status.YELLOW) == {"receipts"}
    assert "1 file in unverified" in lines["receipts"].text
    assert lines["error queue"].text == "900002_error: attached, nothing taken"


def test_messages_of_others_on_a_queue_that_we_read_make_that_queue_yellow(stage: Stage) -> None:
    memory = LookMemory.load(beside(stage.made.journal))
    memory.keep(
        Source.ERRORS, Looks().after([Seen("theirs", 0), Seen("theirs, too", 0)], datetime(2025, 1, 6, tzinfo=UTC))
    )
    checks = only("bus login") + only("receipts queue") + only("error queue")
    lines = {line.name: line for line in run_checks(stage.settings(), checks=checks)}
    assert lights([*lines.values()], Status.YELLOW) == {"error queue"}
    assert (
        "2 messages of others lay on our error queue at the last look (2025-01-06T00:00:00Z)"
        in lines["error queue"].text
    )
    assert lines["error queue"].next_step


def test_a_hold_time_is_one_warning_and_nothing_else(stage: Stage) -> None:
    names = ("addresses", "receipts", "bus login", "receipts queue")
    settings = stage.settings({"bus": {"hold_time": "10m"}})
    lines = {line.name: line for check in names for line in run_checks(settings, checks=only(check))}
    assert lights([*lines.values()], Status.YELLOW) == {"addresses"}
    assert "bus.hold_time does nothing any more" in lines["addresses"].text
    told: list[Event] = []
    with Client(settings, on_event=told.append) as client:
        client.status()
    assert [event.kind for event in told if "bus.hold_time" in event.text] == [EventKind.WARNING]


def test_nobody_listens(stage: Stage) -> None:
    lines = list(run_checks(stage.settings(port=1)))
    assert (lights(lines, Status.RED), lights(lines, Status.YELLOW)) == ({"bus TLS"}, AFTER_TLS)
    assert all("reaches the address" in line.next_step for line in lines if line.status is Status.RED)


def test_no_tls_where_it_is_demanded(stage: Stage) -> None:
    with ScriptedBus() as server:
        (line,) = run_checks(stage.settings(port=server.port), checks=only("bus TLS"))
    assert line.status is Status.RED


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("secrets", {"bus": {"password_file": "open"}}, "open"),
        ("files", {"files": {"identmelding": None}}, "files.identmelding not named"),
        ("sender", {"sender": {"service_name": "Legevakt"}}, "no Saksbehandling in it"),
    ],
)
def test_what_is_only_unwise_is_yellow(stage: Stage, name: str, changes: Changes, said: str) -> None:
    (stage.made.folder / "open").write_text("hemmelig-i-test")
    (stage.made.folder / "open").chmod(0o644)
    lines = list(run_checks(stage.settings(changes), checks=only(name)))
    assert [(line.status, said in line.text) for line in lines] == [(Status.YELLOW, True)]
    assert lines[0].next_step


def check(carry_out: Callable[[CheckContext], CheckResult]) -> tuple[Check, ...]:
    return (Check("one", Place.MACHINE, carry_out, "Do something."),)


def test_a_check_that_hangs_is_red_when_its_time_is_up(stage: Stage) -> None:
    over = threading.Event()

    def hang(_context: CheckContext) -> CheckResult:
        over.wait(30)
        return CheckResult(Status.GREEN, "at last")

    (line,) = run_checks(stage.settings(), checks=check(hang), max_seconds=0.05)
    over.set()
    assert (line.status, line.text, line.next_step) == (Status.RED, "no answer in 1 second", "Do something.")


def test_what_there_is_no_time_left_for_is_red(stage: Stage) -> None:
    lines = list(run_checks(stage.settings(), max_seconds=0))
    assert lights(lines, Status.GREEN) == set()
    assert lines[0].text == "not tried: the time is up"


def test_an_error_in_a_check_is_red_and_says_nothing_of_what_it_held(stage: Stage) -> None:
    def fail(_context: CheckContext) -> CheckResult:
        raise ValueError("hemmelig-i-test")

    (line,) = run_checks(stage.settings(), checks=check(fail))
    assert (line.status, line.text) == (Status.RED, "an error in kpr-sender (ValueError)")


def test_no_line_shows_a_secret(stage: Stage) -> None:
    settings = stage.settings()
    told = str(list(run_checks(settings)))
    for secret in (settings.bus.password, settings.keys.signing.secret):
        assert secret is not None
        assert secret.reveal() not in told


def test_where_no_certificate_is_found_no_line_is_green_about_them(stage: Stage) -> None:
    changes: Changes = {
        "keys.signing": {"pkcs12": "none.p12"},
        "keys.decryption": {"pkcs12": "none.p12"},
        "receiver": {"encryption_certificate": "none.pem"},
    }
    lines = [line for line in run_checks(stage.settings(changes, port=1)) if "certificate" in line.name]
    assert len(lines) == 3
    for line in lines:
        assert line.status is not Status.GREEN
        assert line.next_step
        assert "ends" not in line.text


def test_a_bus_that_is_not_reached_leaves_its_certificate_unknown(stage: Stage) -> None:
    (line,) = run_checks(stage.settings(port=1), checks=only("bus certificate"))
    assert (line.status, line.text[:20]) == (Status.YELLOW, "no certificate found")
    assert line.next_step


@pytest.mark.parametrize(("days", "text"), [(59, "60"), (29, "30"), (13, "14"), (6, "7"), (1, "7"), (0, "7")])
def test_certificates_are_warned_of_by_the_limits_of_certs(stage: Stage, days: int, text: str) -> None:
    """One limit for each of them: ``doctor``, ``config check`` and ``certs``."""
    settings = stage.settings()
    ends = stage.made.pki.certificate("kommune-signing").not_valid_after_utc
    now = ends - timedelta(days=days, hours=1)
    chosen = tuple(
        each for each in WITHOUT_BUS if each.name in ("our certificates", "receiver", "receiver's certificates")
    )
    rows = certificates_in_use(settings, now=lambda: now, observe=lambda _event: None)
    own, _receiver, receivers = run_checks(settings, checks=chosen, now=lambda: now)
    for line, row in ((own, rows[0]), (receivers, rows[2])):
        concern = row.concern(now, deadline_of(settings, settings.report.year))
        assert f"within {text} days" in concern
        assert (line.status, concern in line.text) == (Status.YELLOW, True)
        assert ("ends today" if days == 0 else f"in {days} day") in line.text
        assert "1 days" not in line.text.replace("21 days", "")


def test_config_check_asks_everybody_but_the_bus(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = stage.settings()
    asked: list[tuple[Any, ...]] = []
    resolve = socket.getaddrinfo

    def noted(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments)
        return resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    lines = list(run_checks(settings, checks=WITHOUT_BUS))

    places = {check.name: check.place for check in CHECKS}
    assert {places[line.name] for line in lines} == {Place.MACHINE, Place.KEYS, Place.REGISTER}
    assert [line for line in lines if line.status is Status.RED] == []
    assert settings.bus.port not in {one[1] for one in asked}
