"""The checks of this machine: the year, the two files, the disk, the journal, and whether the keys do their work."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from kpr_sender.checking import run_checks
from kpr_sender.client import Client
from kpr_sender.cms.port import Decrypter, Signer
from kpr_sender.keys.configured import ConfiguredKeys
from kpr_sender.keys.files import KeyPair, load_pkcs12
from kpr_sender.model import Environment, Transport
from kpr_sender.operator.self_check import CHECKS, CheckResult, Status
from kpr_sender.outbound.payload_file import PayloadFile
from kpr_sender.preflight.payload import LEAST_AROUND
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from tests.helpers import pki
from tests.helpers.municipality import SENDER_HER_ID, Changes, municipality
from tests.helpers.pki import Kind
from tests.helpers.self_checks import Stage, lights, only
from tests.helpers.watcher import SECRET, Watcher
from tests.journal.builders import created, open_journal


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


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_g6_secrets_that_others_may_read_are_red_where_they_are_worth_something(stage: Stage, tmp_path: Path) -> None:
    shutil.copy(stage.made.folder / "bus-password", tmp_path / "password")
    (tmp_path / "password").chmod(0o644)
    settings = stage.settings({"bus": {"password_file": str(tmp_path / "password")}})
    for environment, light in ((Environment.LOKAL, Status.YELLOW), (Environment.VALIDERING, Status.RED)):
        (line,) = run_checks(replace(settings, environment=environment), checks=only("secrets"))
        assert line.status is light
        assert "password may be read by others than its owner (mode 0644): chmod 600 it" in line.text
        assert line.error is None or line.error.exit_code == 78


def test_a_folder_where_one_may_not_look_is_red(stage: Stage) -> None:
    settings = stage.settings({"journal": {"path": f"/proc/1/{'x' * 300}/journal.db"}})
    for name in ("journal folder", "disk space"):
        (line,) = run_checks(settings, checks=only(name))
        assert (line.status, "an error in kpr-sender" in line.text) == (Status.RED, False)


@pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX")
def test_a_log_that_a_run_would_refuse_is_red_and_none_is_made(stage: Stage, tmp_path: Path) -> None:
    def line(name: str) -> CheckResult:
        settings = stage.settings({"log": {"file": name if name.startswith("/") else str(tmp_path / name)}})
        (found,) = run_checks(settings, checks=only("journal folder"))
        return found

    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link.log").symlink_to("elsewhere")
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("open/kpr.log", "link.log", "pipe", ".", "file/kpr.log", "/dev/stdout"):
        found = line(name)
        assert found.status is Status.RED, name
        assert found.error is not None
        assert (found.error.exit_code, found.error.where) == (78, "log.file")
    (tmp_path / "kpr.log").touch(0o644)
    for name in ("kpr.log", "new/kpr.log", "/dev/stderr"):
        assert line(name).status is Status.GREEN, name
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "kpr.log").stat().st_mode & 0o777 == 0o644


def test_a_year_that_no_letter_confirms_is_yellow_and_red_in_produksjon(stage: Stage) -> None:
    settings = stage.settings({"report": {"year": 2026}})
    (line,) = run_checks(settings, checks=only("year"))
    assert (line.status, "no letter confirms them" in line.text) == (Status.YELLOW, True)

    (line,) = run_checks(replace(settings, environment=Environment.PRODUKSJON), checks=only("year"))
    assert line.status is Status.RED


@pytest.mark.parametrize(
    ("environment", "days", "light", "said"),
    [
        (Environment.PRODUKSJON, -1, Status.GREEN, "is due by 2025-01-15"),
        (Environment.PRODUKSJON, 1, Status.YELLOW, "The deadline is past"),
        (Environment.PRODUKSJON, 31, Status.YELLOW, "The deadline is past"),
        (Environment.PRODUKSJON, 32, Status.RED, "reception period"),
        (Environment.VALIDERING, 683, Status.YELLOW, "683 days ago"),
        (Environment.LOKAL, 683, Status.GREEN, "was due by 2025-01-15"),
    ],
)
def test_a_deadline_that_is_past_is_yellow_and_red_in_produksjon_after_the_reception_period(
    stage: Stage, environment: Environment, days: int, light: Status, said: str
) -> None:
    now = datetime(2025, 1, 15, 12, tzinfo=UTC) + timedelta(days=days)
    settings = replace(stage.settings(), environment=environment)

    (line,) = run_checks(settings, checks=only("year"), now=lambda: now)

    assert (line.status, said in line.text) == (light, True)


def test_an_extension_moves_the_deadline(stage: Stage) -> None:
    told = {"report": {"extended_to": "2025-02-10", "extension_letter": "24/04733-9"}}
    settings = replace(stage.settings(told), environment=Environment.PRODUKSJON)

    (line,) = run_checks(settings, checks=only("year"), now=lambda: datetime(2025, 2, 10, 12, tzinfo=UTC))

    assert (line.status, "2025-02-10 (extended from 2025-01-15 by letter 24/04733-9), today" in line.text) == (
        Status.GREEN,
        True,
    )


@pytest.mark.parametrize("environment", [Environment.VALIDERING, Environment.PRODUKSJON])
def test_without_authorities_and_revocation_it_is_yellow_where_it_is_real(
    stage: Stage, environment: Environment
) -> None:
    settings = stage.settings()
    (line,) = run_checks(settings, checks=only("trust"))
    assert line.status is Status.GREEN

    (line,) = run_checks(replace(settings, environment=environment), checks=only("trust"))

    assert line.status is Status.YELLOW
    assert "protection.roots" in line.text
    assert "protection.revocation" in line.text


def test_clear_text_that_counts_as_a_receipt_is_yellow(stage: Stage) -> None:
    (line,) = run_checks(stage.settings(), checks=only("receipts"))
    assert line.status is Status.GREEN

    (line,) = run_checks(stage.settings({"receiver": {"unsealed_receipts": True}}), checks=only("receipts"))

    assert (line.status, "receiver.unsealed_receipts is on" in line.text) == (Status.YELLOW, True)


@dataclass(frozen=True)
class OtherKey:
    """Our keys, but for the one that must open: another's, under our certificate."""

    ours: ConfiguredKeys
    other: KeyPair

    def signer(self, *, at: datetime) -> Signer:
        return self.ours.signer(at=at)

    def decrypters(self) -> Sequence[Decrypter]:
        (own,) = self.ours.decrypters()
        return [replace(self.other, certificate=own.certificate)]


def test_a_key_that_does_not_open_what_is_sealed_for_its_certificate(stage: Stage) -> None:
    settings = stage.settings()
    other = load_pkcs12(pki.p12(Kind.SIGNER), pki.PASSPHRASE, name="other")
    lines = list(run_checks(settings, keys=OtherKey(ConfiguredKeys(settings), other)))
    assert lights(lines, Status.RED) == {"self-sealed message"}
    assert any("What is sealed for our certificate" in line.text for line in lines)
    assert lights(lines, Status.GREEN) == {check.name for check in CHECKS if check.way is not Transport.EDI} - {
        "self-sealed message"
    }


@pytest.mark.parametrize("extract", ["fagmelding", "identmelding"])
def test_an_extract_of_no_bytes_is_red(stage: Stage, extract: str) -> None:
    (stage.made.folder / "empty.xml").touch()
    (line,) = run_checks(stage.settings({"files": {extract: "empty.xml"}}), checks=only("files"))
    assert (line.status, "is empty" in line.text) == (Status.RED, True)


def test_an_extract_that_is_too_large_is_red_and_the_largest_is_green(stage: Stage) -> None:
    length = PayloadFile.hashed(stage.made.fagmelding).length + LEAST_AROUND

    def line(limit: int) -> CheckResult:
        settings = stage.settings({"limits": {"warn_bytes": 1, "refuse_bytes": limit}})
        return next(run_checks(settings, checks=only("files")))

    assert line(length).status is Status.GREEN
    red = line(length - 1)
    assert red.status is Status.RED
    assert f"fagmelding would be at least {length:,} bytes; limits.refuse_bytes is {length - 1:,}." in red.text
    assert "Agree on the size" in red.next_step


def test_what_is_larger_than_the_bus_takes_is_red(tmp_path: Path) -> None:
    made = municipality(tmp_path)
    for limit, light in ((4_500, Status.RED), (10_000_000, Status.GREEN)):
        behaviour = Behaviour(version="4.0.5", max_message_size=limit)
        with Sandbox(made.folder, sender_her_id=SENDER_HER_ID, behaviour=behaviour) as sandbox:
            lines = {line.name: line for line in run_checks(made.configure(port=sandbox.port))}

        assert (lines["receiver's exchange"].status, lines["files"].status) == (light, Status.GREEN)
        if light is Status.RED:
            assert "the largest message that the bus takes is 4,500." in lines["receiver's exchange"].text


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


def test_an_alarm_that_would_stop_a_send_is_red(stage: Stage, tmp_path: Path) -> None:
    settings = stage.settings({"journal": {"path": str(tmp_path / "journal.db")}})
    with open_journal(settings.journal.path) as journal:
        ours = created(journal).msg_id
        journal.note_unknown_receipt(ours, original_msg_id="another", text="FHI has answered another.")
    (line,) = run_checks(settings, checks=only("journal"))
    said = "FHI has answered another. Nothing new is submitted before a person has settled that."
    assert (line.status, line.text) == (Status.RED, said)
    assert f"kpr-send resolve {ours} --settled" in line.next_step
    assert line.error is not None
    assert line.error.exit_code == 82


def _told(stage: Stage, name: str, changes: Changes) -> CheckResult:
    (line,) = run_checks(stage.settings(changes), checks=only(name))
    return line


def test_addresses_for_notices_are_read_and_nothing_is_sent(stage: Stage, watcher: Watcher) -> None:
    changes = watcher.write(stage.made.folder, "a", "b")
    assert _told(stage, "notices", {}).text == "not configured: nobody is told ([notify])"
    line = _told(stage, "notices", changes)
    assert (line.status, line.text) == (Status.GREEN, "2 addresses")

    urls = stage.made.folder / "notify-urls"
    urls.chmod(0o644)
    assert "others" in _told(stage, "notices", changes).text
    assert "notify-urls" not in _told(stage, "secrets", changes).text  # one cause, one line
    urls.chmod(0o600)
    urls.write_text(f"{watcher.notify_url()}\nnonsense://{SECRET}\n")
    line = _told(stage, "notices", changes)
    assert (line.status, "Line 2 is no address" in line.text, SECRET in line.text) == (Status.YELLOW, True, False)
    urls.unlink()
    line = _told(stage, "notices", changes)
    assert (line.status, "cannot be read" in line.text) == (Status.YELLOW, True)
    assert watcher.notices == []


def test_what_watches_is_looked_at_and_nothing_is_sent(stage: Stage, watcher: Watcher) -> None:
    changes = watcher.write(stage.made.folder)
    assert "not configured" in _told(stage, "monitoring", {}).text
    line = _told(stage, "monitoring", changes)
    assert (line.status, line.text) == (
        Status.GREEN,
        f"a ping address, and metrics go to {stage.made.folder / 'kpr.prom'}",
    )
    (stage.made.folder / "ping-url").write_text(f"http://example.org/{SECRET}\n")
    line = _told(stage, "monitoring", {**changes, "monitor": {**changes["monitor"], "metrics_file": "none/kpr.prom"}})
    assert (line.status, SECRET in line.text) == (Status.YELLOW, False)
    assert "https://" in line.text
    assert "Nothing can be written in" in line.text
    assert (watcher.pings, list(stage.made.folder.glob("*.prom"))) == ([], [])
