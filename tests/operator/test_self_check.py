"""``kpr-send doctor``: green when a send would work, and each check red when what it looks at is broken."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

from kpr_sender.cms.port import Decrypter, Signer
from kpr_sender.keys.configured import ConfiguredKeys
from kpr_sender.keys.files import KeyPair, SoftwareDecrypter, load_pkcs12
from kpr_sender.model import Environment
from kpr_sender.operator.machine_checks import Seen, Setup
from kpr_sender.operator.self_check import CHECKS, Check, Light, Line, examine
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings.values import Settings
from tests.helpers import pki
from tests.helpers.municipality import SENDER_HER_ID, Changes, Municipality, municipality
from tests.helpers.pki import Kind
from tests.helpers.scripted_bus import ScriptedBus

NAMES: Final = [check.name for check in CHECKS]
AFTER_TLS: Final = {"bus login", "receipts queue", "error queue", "receiver's exchange"}
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


def lights(lines: Sequence[Line], light: Light) -> set[str]:
    return {line.name for line in lines if line.light is light}


def only(name: str) -> tuple[Check, ...]:
    return tuple(replace(check, needs=()) for check in CHECKS if check.name == name)


def test_where_a_send_would_work_every_line_is_green(stage: Stage) -> None:
    lines = list(examine(stage.settings()))

    assert [line.name for line in lines] == NAMES
    assert lights(lines, Light.GREEN) == set(NAMES)
    assert not any(line.next_step for line in lines)
    seen = {line.name: line.seen for line in lines}
    assert "TLSv1.3" in seen["bus TLS"]
    assert "attached, nothing sent" in seen["receiver's exchange"]
    assert not stage.made.journal.exists()
    assert not (stage.made.folder / "ledger.jsonl").exists()


RED: Final[dict[str, tuple[Changes, set[str], set[str], str]]] = {
    "a register of another environment": (
        {"registry": {"kind": "soap", "url": "https://ws.nhn.no/v1/AR/Basic", "user": "kommune"}},
        {"environment"},
        {"clock", "receiver", "sender", "certificates", "bus TLS"} | AFTER_TLS,
        "belong",
    ),
    "no password": ({"bus": {"password_file": "none"}}, {"secrets", "bus login"}, AFTER_TLS - {"bus login"}, "none"),
    "wrong password": ({"bus": {"password_file": "wrong"}}, {"bus login"}, AFTER_TLS - {"bus login"}, "login"),
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
        {"signing key"},
        {"self-sealed message"},
        "No such file",
    ),
    "wrong passphrase": (
        {"keys.signing": {"passphrase_file": "wrong"}},
        {"signing key"},
        {"self-sealed message"},
        "passphrase",
    ),
    "an expired signing certificate": (
        {"keys.signing": EXPIRED_SIGNER},
        {"signing key", "certificates"},
        {"self-sealed message"},
        "expired",
    ),
    "no decryption key": (
        {"keys.decryption": {"pkcs12": "none.p12"}},
        {"decryption keys"},
        {"self-sealed message"},
        "No such file",
    ),
    "no certificate of FHI's": (
        {"receiver": {"encryption_certificate": "none.pem"}},
        {"receiver"},
        {"receiver's exchange"},
        "No such file",
    ),
    "an expired certificate of FHI's": (
        {"receiver": {"signing_certificates": ["expired.pem"]}},
        {"certificates"},
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
    lines = list(examine(stage.settings(changes)))

    assert lights(lines, Light.RED) == red
    assert lights(lines, Light.YELLOW) == not_tried
    assert any(said in line.seen for line in lines if line.light is Light.RED)
    assert all(line.next_step for line in lines if line.light is not Light.GREEN)
    assert all(line.seen == "not tried" for line in lines if line.name in not_tried)
    assert "feil" not in str(lines)


def test_our_queues_may_be_named_by_their_whole_addresses(stage: Stage) -> None:
    whole: dict[str, object] = {"receipts_queue": "/queue/900002_async", "error_queue": "host/Exchange/900002_error"}
    lines = {line.name: line for line in examine(stage.settings({"bus": whole}))}
    assert lines["receipts queue"].seen == "900002_async: attached, nothing taken"
    assert lines["error queue"].seen == "900002_error: attached, nothing taken"


def test_nobody_listens(stage: Stage) -> None:
    lines = list(examine(stage.settings(port=1)))
    assert (lights(lines, Light.RED), lights(lines, Light.YELLOW)) == ({"bus TLS"}, AFTER_TLS)


def test_no_tls_where_it_is_demanded(stage: Stage) -> None:
    with ScriptedBus() as server:
        (line,) = examine(stage.settings(port=server.port), checks=only("bus TLS"))
    assert line.light is Light.RED


def test_a_disk_that_is_full(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    (line,) = examine(stage.settings(), checks=only("journal folder"))
    assert line.light is Light.RED
    assert "No space left" in line.seen


@pytest.mark.parametrize(("free", "light"), [(79, Light.RED), (81, Light.YELLOW), (321, Light.GREEN)])
def test_room_on_the_disk(stage: Stage, monkeypatch: pytest.MonkeyPatch, free: int, light: Light) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free * 1_000_000))
    (line,) = examine(stage.settings(), checks=only("disk space"))
    assert line.light is light
    assert f"{free} MB free, 80 MB may be needed" in line.seen


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(stage: Stage, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    settings = stage.settings({"journal": {"path": str(tmp_path / "journal.db")}})
    (line,) = examine(settings, checks=only("journal folder"))
    assert line.light is Light.RED


def test_a_year_that_no_letter_confirms_is_yellow_and_red_in_produksjon(stage: Stage) -> None:
    settings = stage.settings({"report": {"year": 2026}})
    (line,) = examine(settings, checks=only("year"))
    assert (line.light, "no letter confirms them" in line.seen) == (Light.YELLOW, True)

    (line,) = examine(replace(settings, environment=Environment.PRODUKSJON), checks=only("year"))
    assert line.light is Light.RED


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
    lines = list(examine(settings, keys=OtherKey(ConfiguredKeys(settings), other)))
    assert lights(lines, Light.RED) == {"self-sealed message"}
    assert any("What is sealed for our certificate" in line.seen for line in lines)
    assert lights(lines, Light.GREEN) == set(NAMES) - {"self-sealed message"}


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
    lines = list(examine(stage.settings(changes), checks=only(name)))
    assert [(line.light, said in line.seen) for line in lines] == [(Light.YELLOW, True)]
    assert lines[0].next_step


def check(look: Callable[[Setup], Seen], seconds: float = 5.0) -> tuple[Check, ...]:
    return (Check("one", look, "Do something.", seconds=lambda _settings: seconds),)


def test_a_check_that_hangs_is_red_when_its_time_is_up(stage: Stage) -> None:
    over = threading.Event()

    def hang(_setup: Setup) -> Seen:
        over.wait(30)
        return Seen("at last")

    (line,) = examine(stage.settings(), checks=check(hang, 0.05))
    over.set()
    assert (line.light, line.seen, line.next_step) == (Light.RED, "no answer in 0 seconds", "Do something.")


def test_what_there_is_no_time_left_for_is_red(stage: Stage) -> None:
    lines = list(examine(stage.settings(), max_seconds=0))
    assert lights(lines, Light.GREEN) == set()
    assert lines[0].seen == "not tried: the time is up"


def test_an_error_in_a_check_is_red_and_says_nothing_of_what_it_held(stage: Stage) -> None:
    def fail(_setup: Setup) -> Seen:
        raise ValueError("hemmelig-i-test")

    (line,) = examine(stage.settings(), checks=check(fail))
    assert (line.light, line.seen) == (Light.RED, "an error in kpr-sender (ValueError)")


def test_no_line_shows_a_secret(stage: Stage) -> None:
    settings = stage.settings()
    told = str(list(examine(settings)))
    for secret in (settings.bus.password, settings.keys.signing.secret):
        assert secret is not None
        assert secret.reveal() not in told
