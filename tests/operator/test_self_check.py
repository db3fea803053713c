"""``kpr-send doctor``: green when a send would work, and each check red when what it looks at is broken."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

from kpr_sender import profiles
from kpr_sender.client import Client
from kpr_sender.cms.port import Decrypter, Signer
from kpr_sender.keys.configured import ConfiguredKeys
from kpr_sender.keys.files import KeyPair, SoftwareDecrypter, load_pkcs12
from kpr_sender.model import Environment
from kpr_sender.operator.certificates import in_use
from kpr_sender.operator.self_check import (
    CHECKS,
    Check,
    CheckContext,
    CheckResult,
    Place,
    Status,
    run_checks,
    without_network,
)
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings.values import Settings
from tests.helpers import pki
from tests.helpers.municipality import SENDER_HER_ID, Changes, Municipality, municipality
from tests.helpers.pki import Kind
from tests.helpers.scripted_bus import ScriptedBus

NAMES: Final = [check.name for check in CHECKS]
AFTER_TLS: Final = {"bus certificate", "bus login", "receipts queue", "error queue", "receiver's exchange"}
AFTER_LOGIN: Final = AFTER_TLS - {"bus certificate", "bus login"}
EXPIRED_SIGNER: Final = {"pkcs12": "expired.p12", "passphrase_file": "test.passphrase"}


@dataclass(frozen=True)
class Stage:
    """A municipality and the bus it can reach; each test configures it anew."""

    made: Municipality
    port: int

    def settings(self, changes: Changes | None = None, *, port: int | None = None) -> Settings:
        return self.made.configure(changes, port=port or self.port)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = municipality(tmp_path_factory.mktemp("kommune"))
    for name, content in {
        "wrong": b"feil",
        "test.passphrase": pki.PASSPHRASE.encode(),
        "expired.p12": pki.p12(Kind.EXPIRED_SIGNER),
        "expired.pem": pki.certificate_pem(Kind.EXPIRED_SIGNER),
        "damaged.db": b"no journal at all" * 500,
    }.items():
        (made.folder / name).write_bytes(content)
        (made.folder / name).chmod(0o600)
    with Sandbox(made.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        yield Stage(made, sandbox.port)


def lights(lines: Sequence[CheckResult], light: Status) -> set[str]:
    return {line.name for line in lines if line.status is light}


def only(name: str) -> tuple[Check, ...]:
    return tuple(replace(check, needs=()) for check in CHECKS if check.name == name)


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
        {"clock", "receiver", "receiver's certificates", "sender", "bus TLS"} | AFTER_TLS,
        "belong",
    ),
    "no password": ({"bus": {"password_file": "none"}}, {"secrets", "bus login"}, AFTER_LOGIN, "none"),
    "wrong password": ({"bus": {"password_file": "wrong"}}, {"bus login"}, AFTER_LOGIN, "login"),
    "no fagmelding": ({"files": {"fagmelding": "none.xml"}}, {"files"}, set(), "No such file"),
    "no identmelding": ({"files": {"identmelding": "none.xml"}}, {"files"}, set(), "No such file"),
    "receipts where nothing can be written": (
        {"journal": {"receipts_dir": "/proc/receipts"}},
        {"journal folder"},
        set(),
        "Nothing can be written in /proc",
    ),
    "a damaged journal": ({"journal": {"path": "damaged.db"}}, {"journal"}, set(), "journal"),
    "no signing key": (
        {"keys.signing": {"pkcs12": "none.p12"}},
        {"signing key", "our certificates"},
        {"self-sealed message"},
        "No such file",
    ),
    "wrong passphrase": (
        {"keys.signing": {"passphrase_file": "wrong"}},
        {"signing key", "our certificates"},
        {"self-sealed message"},
        "passphrase",
    ),
    "an expired signing certificate": (
        {"keys.signing": EXPIRED_SIGNER},
        {"signing key", "our certificates"},
        {"self-sealed message"},
        "expired",
    ),
    "no decryption key": (
        {"keys.decryption": {"pkcs12": "none.p12"}},
        {"decryption keys", "our certificates"},
        {"self-sealed message"},
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


def test_nobody_listens(stage: Stage) -> None:
    lines = list(run_checks(stage.settings(port=1)))
    assert (lights(lines, Status.RED), lights(lines, Status.YELLOW)) == ({"bus TLS"}, AFTER_TLS)
    assert all("reaches the address" in line.next_step for line in lines if line.status is Status.RED)


def test_no_tls_where_it_is_demanded(stage: Stage) -> None:
    with ScriptedBus() as server:
        (line,) = run_checks(stage.settings(port=server.port), checks=only("bus TLS"))
    assert line.status is Status.RED


def test_a_disk_that_is_full(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    (line,) = run_checks(stage.settings(), checks=only("journal folder"))
    assert line.status is Status.RED
    assert "No space left" in line.text


@pytest.mark.parametrize(("free", "light"), [(79, Status.RED), (81, Status.YELLOW), (321, Status.GREEN)])
def test_room_on_the_disk(stage: Stage, monkeypatch: pytest.MonkeyPatch, free: int, light: Status) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free * 1_000_000))
    (line,) = run_checks(stage.settings(), checks=only("disk space"))
    assert line.status is light
    assert f"{free} MB free, 80 MB may be needed" in line.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(stage: Stage, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    settings = stage.settings({"journal": {"path": str(tmp_path / "journal.db")}})
    (line,) = run_checks(settings, checks=only("journal folder"))
    assert line.status is Status.RED


def test_a_year_that_no_letter_confirms_is_yellow_and_red_in_produksjon(stage: Stage) -> None:
    settings = stage.settings({"report": {"year": 2026}})
    (line,) = run_checks(settings, checks=only("year"))
    assert (line.status, "no letter confirms them" in line.text) == (Status.YELLOW, True)

    (line,) = run_checks(replace(settings, environment=Environment.PRODUKSJON), checks=only("year"))
    assert line.status is Status.RED


@dataclass(frozen=True)
class OtherKey:
    """Our keys, but for the one that must open: another's, under our certificate."""

    ours: ConfiguredKeys
    other: KeyPair

    def signer(self, *, at: datetime) -> Signer:
        return self.ours.signer(at=at)

    def decrypters(self) -> Sequence[Decrypter]:
        (own,) = self.ours.decrypters()
        return [SoftwareDecrypter(replace(self.other, certificate=own.certificate))]


def test_a_key_that_does_not_open_what_is_sealed_for_its_certificate(stage: Stage) -> None:
    settings = stage.settings()
    other = load_pkcs12(pki.p12(Kind.SIGNER), pki.PASSPHRASE, name="other")
    lines = list(run_checks(settings, keys=OtherKey(ConfiguredKeys(settings), other)))
    assert lights(lines, Status.RED) == {"self-sealed message"}
    assert any("What is sealed for our certificate" in line.text for line in lines)
    assert lights(lines, Status.GREEN) == set(NAMES) - {"self-sealed message"}


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


@pytest.mark.parametrize("extract", ["fagmelding", "identmelding"])
def test_an_extract_of_no_bytes_is_red(stage: Stage, extract: str) -> None:
    (stage.made.folder / "empty.xml").touch()
    (line,) = run_checks(stage.settings({"files": {extract: "empty.xml"}}), checks=only("files"))
    assert (line.status, "is empty" in line.text) == (Status.RED, True)


@pytest.mark.parametrize(("days", "text"), [(59, "60"), (29, "30"), (13, "14"), (6, "7"), (1, "7"), (0, "7")])
def test_certificates_are_warned_of_by_the_limits_of_certs(stage: Stage, days: int, text: str) -> None:
    """One limit for each of them: ``doctor``, ``config check`` and ``certs``."""
    settings = stage.settings()
    ends = stage.made.pki.certificate("kommune-signing").not_valid_after_utc
    now = ends - timedelta(days=days, hours=1)
    silent, offline = without_network(settings)
    chosen = tuple(each for each in offline if each.name in ("our certificates", "receiver", "receiver's certificates"))
    rows = in_use(settings, now=now, observe=lambda _event: None)
    own, _receiver, receivers = run_checks(silent, checks=chosen, now=lambda: now)
    for line, row in ((own, rows[0]), (receivers, rows[2])):
        concern = row.concern(now, settings_deadline(settings))
        assert f"within {text} days" in concern
        assert (line.status, concern in line.text) == (Status.YELLOW, True)
        assert ("ends today" if days == 0 else f"in {days} day") in line.text
        assert "1 days" not in line.text.replace("21 days", "")


def settings_deadline(settings: Settings) -> date:
    return profiles.load(settings.report.year).deadline


@pytest.mark.parametrize(
    ("registry", "register"),
    [
        ({}, {"clock", "receiver", "receiver's certificates", "sender"}),
        ({"kind": "soap", "url": "https://localhost:1/AR", "user": "kommune", "password_file": "wrong"}, set()),
    ],
)
def test_without_network_nobody_is_asked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, registry: dict[str, object], register: set[str]
) -> None:
    """Neither bus, register nor who issued a certificate."""
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_options: asked.append(arguments))
    protection = {"roots": ["pki/ca.pem", "pki/issuing.pem"], "revocation": "require"}
    settings, checks = without_network(stage.settings({"protection": protection, "registry": registry}))
    lines = list(run_checks(settings, checks=checks))

    places = {check.name: check.place for check in CHECKS}
    assert {line.name for line in lines if places[line.name] in (Place.REGISTER, Place.BUS)} == register
    assert {line.name for line in lines} >= {name for name, place in places.items() if place is Place.KEYS}
    assert [line for line in lines if line.status is Status.RED] == []
    assert asked == []


def test_every_line_counts_in_words_that_fit(stage: Stage) -> None:
    """A 1 before a plural, or a 0 that looks like a result."""
    with Client(stage.settings()) as client:
        client.submit()
    try:
        lines = list(run_checks(stage.settings()))
    finally:
        for path in stage.made.folder.glob("journal*"):
            path.unlink()
    assert next(line.text for line in lines if line.name == "journal") == "complete: 1 submission, 0 receipts"
    assert [line.text for line in lines if re.search(r"(?<![\d,])1 [a-z]+s\b", line.text)] == []
