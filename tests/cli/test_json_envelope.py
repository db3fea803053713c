"""G5: with ``--json`` every command prints one object, whose envelope agrees with the exit code of the process."""

from __future__ import annotations

import datetime as dt
import json
import select
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from kpr_sender import errors
from kpr_sender.cli import certs
from kpr_sender.cli.main import COMMANDS, run
from kpr_sender.client import Client
from kpr_sender.journal.backup import back_up
from kpr_sender.sandbox import sandbox as sandbox_module
from kpr_sender.sandbox.faults import Faults
from tests.helpers.command import ended, start
from tests.helpers.configuration import LOKAL
from tests.helpers.fhi import Fhi
from tests.helpers.fleet import fleet, submitted
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality
from tests.helpers.tenor import TENOR_ID


@dataclass(frozen=True)
class Case:
    """One command line and how it ends."""

    command: str
    arguments: str
    code: int
    arrange: Callable[[Stage], None] = lambda _: None

    def __str__(self) -> str:
        return f"{self.command} {self.code}".strip().replace(" ", "-")


@dataclass(frozen=True)
class Stage:
    """A municipality whose configuration embeds the sandbox, as config/lokal.toml does."""

    made: Municipality
    monkeypatch: pytest.MonkeyPatch

    def filled(self, arguments: str) -> list[str]:
        """Put paths and a MsgId where their names stand."""
        names = {"DIR": self.made.folder, "MSGID": self._msg_id(), "FAG": self.made.fagmelding}
        names |= {"IDE": self.made.identmelding}
        filled = arguments
        for name, value in names.items():
            filled = filled.replace(name, str(value))
        return filled.split()

    def _msg_id(self) -> str:
        listed = self.made.folder / "msg-id"
        return listed.read_text() if listed.exists() else "00000000-0000-4000-8000-000000000000"


def _published(stage: Stage) -> None:
    _submit(stage, MemoryBus())


def _delivered(stage: Stage) -> None:
    _submit(stage, MemoryBus(Fhi(stage.made.pki).answer))


def _submit(stage: Stage, bus: MemoryBus) -> None:
    with Client(stage.made.configure(), bus=bus) as client:
        client.submit()
        shipments = client.wait(timeout=0).submission.shipments
    (stage.made.folder / "msg-id").write_text(shipments[0].msg_id)
    fhi = Fhi(stage.made.pki)
    for number, message in enumerate(bus.published):
        (stage.made.folder / f"{number}.p7m").write_bytes(fhi.answer(message)[0].body)
    stage.made.config.write_text(LOKAL, "utf-8")


def _fleet_delivered(stage: Stage) -> None:
    made = fleet(stage.made.folder, "1103")
    submitted(made, "1103", answered=True)
    made.path.rename(stage.made.config)


def _proven(stage: Stage) -> None:
    _delivered(stage)
    options = ["-q", "--env", "lokal", "--config", str(stage.made.config)]
    assert run([*options, "evidence", *stage.filled("MSGID DIR/evidence.zip")]) == 0


def _sealed(stage: Stage) -> None:
    """Nothing listens where the configuration says."""
    stage.made.configure()


def _restored(stage: Stage) -> None:
    _published(stage)
    copy = stage.made.folder / "copy.db"
    back_up(stage.made.journal, stage.made.configure().environment, copy, now=lambda: dt.datetime.now(dt.UTC))
    copy.replace(stage.made.journal)


def _listed(stage: Stage) -> None:
    (stage.made.folder / "numbers").write_text(TENOR_ID)


def _expiring(stage: Stage) -> None:
    class Later(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return dt.datetime.now(tz) + dt.timedelta(days=340)

    stage.monkeypatch.setattr(certs, "datetime", Later)


def _rejects(stage: Stage) -> None:
    init = sandbox_module.Sandbox.__init__
    defaults = {**(init.__kwdefaults__ or {}), "faults": Faults.parse(["reject"])}
    stage.monkeypatch.setattr(init, "__kwdefaults__", defaults)


def _without_fagmelding(stage: Stage) -> None:
    stage.made.fagmelding.unlink()


def _without_configuration(stage: Stage) -> None:
    stage.made.config.unlink()


def _wrong_file(stage: Stage) -> None:
    stage.made.fagmelding.write_bytes(stage.made.fagmelding.read_bytes().replace(b"</fagmelding", b"</fag", 1)[:-20])


def _spoilt_journal(stage: Stage) -> None:
    stage.made.journal.write_text("no database" * 100)


CASES = [
    Case("", "", 0),
    Case("", "", 66, _without_fagmelding),
    Case("send", "", 0),
    Case("send", "", 81, _rejects),
    Case("send", "", 69, _sealed),
    Case("send", "only-one.xml", 64),
    Case("check", "FAG IDE", 0),
    Case("check", "IDE FAG", 65),
    Case("check", "FAG none.xml", 66),
    Case("wait", "MSGID", 0, _delivered),
    Case("wait", "--wait 1s", 80, _published),
    Case("wait", "", 89),
    Case("reviewed", "--by Inga", 0, _delivered),
    Case("reviewed", "--by Inga", 64, _published),
    Case("resolve", "MSGID", 80, _published),
    Case("resolve", "MSGID --arrived --reason phone --yes", 80, _published),
    Case("resolve", "MSGID", 64),
    Case("resend", "MSGID --reason phone --yes", 64, _published),
    Case("status", "", 89),
    Case("status", "", 73, _restored),
    Case("status", "", 0, _delivered),
    Case("status", "", 80, _published),
    Case("status", "unknown", 64, _published),
    Case("receipts show", "", 89),
    Case("receipts show", "", 0, _delivered),
    Case("receipts show", "", 80, _published),
    Case("receipts add", "DIR/0.p7m DIR/1.p7m", 0, _published),
    Case("receipts add", "DIR/0.p7m", 80, _published),
    Case("receipts add", "FAG", 65, _published),
    Case("receipts add", "none.p7m", 66),
    Case("receipts accept", "99 --reason Avtalt --by Kari", 64, _published),
    Case("receipts discard", "99 --reason Avtalt --by Kari", 64, _published),
    Case("journal verify", "", 0),
    Case("journal verify", "", 0, _published),
    Case("journal verify", "", 73, _spoilt_journal),
    Case("journal verify", "--accept-restored --reason phone --by Kari --yes", 0, _restored),
    Case("journal log", "", 0, _published),
    Case("journal log", "unknown", 64, _published),
    Case("journal backup", "DIR/copy.db", 0, _published),
    Case("journal backup", "DIR/copy.db", 64),
    Case("journal backup", "DIR/copies --keep 2", 0, _published),
    *(
        Case(f"completion {shell}", words, code)
        for shell in ("bash", "fish", "zsh")
        for words, code in (("", 0), ("x", 64))
    ),
    Case("schedule systemd", "", 0),
    Case("schedule systemd", "--write DIR/none", 66),
    Case("schedule cron", "", 0),
    Case("schedule cron", "--keep 0", 64),
    Case("schedule windows", "", 0),
    Case("schedule windows", "--write none/none", 66),
    Case("schedule worker", "", 78),
    Case("journal export", "", 0),
    Case("journal export", "", 0, _published),
    Case("journal export", "", 73, _spoilt_journal),
    Case("fleet serve", "more", 64),
    Case("journal migrate", "", 0, _published),
    Case("journal migrate", "more", 64),
    Case("journal move", "--to nowhere --yes", 64),
    Case("journal release", "MSGID --reason phone --by Kari --yes", 64, _published),
    Case("journal prune", "--before 2025 --reason old --by Kari", 0, _delivered),
    Case("journal prune", "--before 2025 --reason old", 64),
    Case("evidence make", "MSGID DIR/evidence.zip", 0, _delivered),
    Case("evidence make", "MSGID DIR/none/evidence.zip", 64, _delivered),
    Case("evidence verify", "DIR/evidence.zip", 0, _proven),
    Case("evidence verify", "FAG", 76),
    Case("bundle", "DIR/bundle.zip --max-wait 1s", 0, _delivered),
    Case("bundle", "FAG --max-wait 1s", 64),
    Case("testpersons add", "DIR/numbers", 0, _listed),
    Case("testpersons add", "none", 66),
    Case("testpersons remove", "DIR/numbers", 0, _listed),
    Case("testpersons remove", "FAG IDE", 64),
    Case("testpersons list", "", 0),
    Case("testpersons list", "more", 64),
    Case("certs", "--check", 0),
    Case("certs", "--check", 85, _expiring),
    Case("notify", "--test", 78),
    Case("doctor", "", 0),
    Case("doctor", "", 1, _without_fagmelding),
    Case("config check", "", 0),
    Case("config check", "", 66, _without_fagmelding),
    *(Case(f"fleet {name}", "", 78) for name in ("send", "wait", "status", "check", "certs", "doctor", "worker")),
    Case("fleet status", "", 0, _fleet_delivered),
    Case("fleet send", "", 0, _fleet_delivered),
    Case("sandbox serve", "--dir DIR --fault nothing", 64),
    Case("init", "", 0, _without_configuration),
    Case("init", "", 78),
    Case("demo", "", 64),
    Case("sample", "DIR/sample --persons 2", 0),
    Case("sample", "DIR/sample --with-errors", 0),
    Case("sample", "FAG", 66),
]
ENDS_OTHERWISE = {
    "sandbox serve",
    "demo",
    "journal release",
    "notify",
    "resolve",
    "resend",
    "receipts accept",
    "receipts discard",
    "fleet wait",
    "fleet check",
    "fleet certs",
    "fleet doctor",
    "fleet serve",
    "fleet worker",
    "schedule worker",
    "journal move",
}
"""The first ends well below, the second in test_demo.py, the third in test_recovery.py, the fourth in test_notify.py;
those of the fleet in test_fleet.py; the others need a database, or leave a state whose code is seldom 0."""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = municipality(tmp_path)
    made.config.write_text(LOKAL, "utf-8")
    monkeypatch.chdir(tmp_path)
    return Stage(made, monkeypatch)


def assert_envelope(out: str, code: int) -> dict[str, Any]:
    """One object, and nothing else; its envelope says what the exit code says."""
    told: dict[str, Any] = json.loads(out)
    assert out == json.dumps(told, ensure_ascii=False) + "\n", "one object on one line"
    assert list(told)[:3] == ["schema", "exit_code", "error"]
    assert (told["schema"], told["exit_code"]) == (2, code)
    assert (told["error"] is None) == (code == 0)
    if code:
        assert list(told["error"]) == ["code", "text", "next_step"]
        assert all(told["error"].values())
        assert errors.BY_CODE[told["error"]["code"]].exit_code == code
        assert told["error"]["next_step"] not in told["error"]["text"]
    return told


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_command_prints_one_object_that_agrees_with_its_exit_code(
    stage: Stage, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.arrange(stage)
    capsys.readouterr()
    options = ["--json", "--env", "lokal", "--config", str(stage.made.config)]

    code = run([*options, *case.command.split(), *stage.filled(case.arguments)])

    shown = capsys.readouterr()
    assert code == case.code, shown.err
    assert_envelope(shown.out, code)


def test_a_failed_configuration_is_the_same_object_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "send", "wait", "certs", "doctor", "config check", "receipts", "journal export"):
        code = run(["--json", "--env", "lokal", "--config", "none.toml", *command.split()])

        assert list(assert_envelope(capsys.readouterr().out, code)) == [
            *("schema", "exit_code", "error", "environment", "submission", "kommunenummer", "year", "state"),
            *("replaced_by", "deadline", "days_left", "reviewed", "answers_to_others", "next_look", "shipments"),
        ]


def test_the_sandbox_announces_itself_with_one_object_and_ends_with_its_exit_code(tmp_path: Path) -> None:
    process = start("--json", "sandbox", "serve", "--dir", tmp_path)
    assert select.select([process.stdout], [], [], 60)[0], "it said nothing"
    process.send_signal(signal.SIGTERM)
    served = ended(process)

    assert_envelope(served.out, served.code)
    assert served.code == 0, served.err


def test_no_command_is_forgotten() -> None:
    shown = {(case.command, case.code == 0) for case in CASES} | {(command, True) for command in ENDS_OTHERWISE}

    for name in _leaves():
        assert (name, True) in shown
        assert (name, False) in shown


def _leaves() -> Iterator[str]:
    for name in COMMANDS:
        command = import_module(f"kpr_sender.cli.{name}").command
        if isinstance(command, click.Group):
            yield from (f"{name} {each}" for each in command.commands)
        else:
            yield name
