"""A login that was refused is not repeated for a while; whoever corrects it, or asks whether it works, is not kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.checking import run_checks
from kpr_sender.client import Client
from kpr_sender.errors import AccessRefused, ConfigInvalid, LoginRefused
from kpr_sender.logins import PAUSE, Login, RefusedLogins, beside
from kpr_sender.operator.self_check import Status
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text
from tests.helpers.municipality import SENDER_HER_ID, Municipality, municipality
from tests.helpers.self_checks import only

SECRET = "hemmelig-ord"
START = datetime(2025, 1, 10, 8, 0, tzinfo=UTC)


@dataclass
class Scene:
    """Somebody whose login is refused unless it is the right one, and who counts the attempts."""

    path: Path
    right: tuple[str, str] = ("kommune", "riktig")
    now: datetime = START
    attempts: list[tuple[str, str]] = field(default_factory=list)

    def memory(self, *, anyway: bool = False) -> RefusedLogins:
        return RefusedLogins(self.path, lambda: self.now, anyway=anyway)

    def run(
        self, secret: str = SECRET, user: str = "kommune", service: str = "bus", memory: RefusedLogins | None = None
    ) -> None:
        login = Login(service, "tb.nhn.no:5671", ("tb.nhn.no:5671", user), lambda: secret)
        with (memory or self.memory()).attempt(login):
            self.attempts.append((user, secret))
            if (user, secret) != self.right:
                raise LoginRefused(Text("The bus refused the login."), where="tb.nhn.no:5671")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(beside(tmp_path / "journal.db"))


def test_a_refused_login_is_not_repeated_for_a_quarter_of_an_hour_and_says_until_when(scene: Scene) -> None:
    with pytest.raises(LoginRefused):
        scene.run()
    for minutes in (0, 10):
        scene.now = START + timedelta(minutes=minutes)
        with pytest.raises(AccessRefused, match="refused at 2025-01-10 08:00:00 UTC") as refused:
            scene.run()
        assert "is not repeated before 2025-01-10 08:15:00 UTC" in refused.value.what
        assert (refused.value.where, refused.value.exit_code) == ("tb.nhn.no:5671", 77)
    assert len(scene.attempts) == 1

    scene.now = START + PAUSE
    with pytest.raises(LoginRefused):
        scene.run()
    assert len(scene.attempts) == 2


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"secret": "annet-ord"}, id="another secret"),
        pytest.param({"user": "annen-kommune"}, id="another user"),
        pytest.param({"service": "register"}, id="another service"),
    ],
)
def test_what_was_corrected_is_tried_at_once(scene: Scene, changed: dict[str, str]) -> None:
    for arguments in ({}, changed):
        with pytest.raises(LoginRefused):
            scene.run(**arguments)  # type: ignore[arg-type]  # texts all
    assert len(scene.attempts) == 2


def test_who_asks_whether_it_works_is_answered_once_and_a_login_that_works_lifts_it(scene: Scene) -> None:
    with pytest.raises(LoginRefused):
        scene.run()
    doctor = scene.memory(anyway=True)
    with pytest.raises(LoginRefused):
        scene.run(memory=doctor)
    with pytest.raises(AccessRefused, match="not repeated before"):
        scene.run(memory=doctor)
    assert len(scene.attempts) == 2

    scene.right = ("kommune", SECRET)  # somebody has unlocked the account
    with pytest.raises(AccessRefused, match="not repeated before"):
        scene.run()
    scene.run(memory=scene.memory(anyway=True))
    assert not scene.path.exists()
    scene.run()
    assert len(scene.attempts) == 4


def test_a_program_that_runs_on_hears_that_another_process_lifted_it(scene: Scene) -> None:
    memory = scene.memory()
    with pytest.raises(LoginRefused):
        scene.run(memory=memory)
    scene.right = ("kommune", SECRET)
    scene.run(memory=scene.memory(anyway=True))
    scene.run(memory=memory)


def test_one_login_that_works_leaves_what_is_remembered_of_another(scene: Scene) -> None:
    for service in ("bus", "register"):
        with pytest.raises(LoginRefused):
            scene.run(service=service)
    scene.run("riktig")
    assert set(json.loads(scene.path.read_bytes())) == {"register"}


def test_g6_no_secret_is_stored_nor_the_same_digest_twice(scene: Scene) -> None:
    stored = []
    for _ in range(2):
        with pytest.raises(LoginRefused):
            scene.run(memory=scene.memory(anyway=True))
        stored.append(scene.path.read_text())
        assert SECRET not in stored[-1]
        assert scene.path.stat().st_mode & 0o077 == 0
    assert stored[0] != stored[1]
    assert SECRET not in repr(Login("bus", "", (), lambda: SECRET)) + repr(scene.memory())


@pytest.mark.parametrize(
    "content", [b"", b"no JSON", b"[]", b'{"bus": 1}', b'{"bus": {"at": "x", "salt": "y", "digest": 1}}', b"[" * 60_000]
)
def test_a_damaged_memory_keeps_nobody_from_working(scene: Scene, content: bytes) -> None:
    scene.path.write_bytes(content)
    scene.run("riktig")


def test_a_clock_that_was_set_back_keeps_nobody_from_working(scene: Scene) -> None:
    with pytest.raises(LoginRefused):
        scene.run()
    scene.now = START - timedelta(days=1)
    with pytest.raises(LoginRefused):
        scene.run()


def test_where_nothing_can_be_written_one_run_still_asks_once(scene: Scene) -> None:
    scene.path = scene.path.parent / "none" / "journal.db.logins.json"
    memory = scene.memory()
    with pytest.raises(LoginRefused):
        scene.run(memory=memory)
    with pytest.raises(AccessRefused, match="not repeated before"):
        scene.run(memory=memory)


@pytest.fixture
def made(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


def _settings(made: Municipality, port: int) -> Settings:
    """The sandbox reads its own file: this one is the municipality's."""
    return made.configure({"bus": {"password_file": "password"}}, port=port)


def _send(made: Municipality, port: int) -> None:
    with Client(_settings(made, port)) as client:
        client.submit()


def test_cron_does_not_repeat_a_refused_login_and_doctor_lifts_it(made: Municipality) -> None:
    password, repeated = made.folder / "password", "is not repeated before"
    password.touch(0o600)
    password.write_text("feil")
    with Sandbox(made.folder, sender_her_id=SENDER_HER_ID) as sandbox, pytest.raises(LoginRefused, match="refused"):
        _send(made, port := sandbox.port)
    with pytest.raises(AccessRefused, match=repeated):
        _send(made, port)  # nothing listens there any more: nobody was asked
    with Sandbox(made.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        settings = _settings(made, sandbox.port)
        (line,) = run_checks(settings, checks=only("bus login"))
        assert (line.status, "refused the login" in line.text) == (Status.RED, True)
        with pytest.raises(AccessRefused, match=repeated):
            _send(made, sandbox.port)
        password.write_text((made.folder / "bus-password").read_text())
        (line,) = run_checks(settings, checks=only("bus login"))
        assert line.status is Status.GREEN
        assert not beside(made.journal).exists()
        _send(made, sandbox.port)


def test_g6_a_secret_that_is_none_is_no_refused_login(made: Municipality) -> None:
    (made.folder / "password").write_text("to\nlinjer")
    with pytest.raises(ConfigInvalid, match="second line"):
        _send(made, 1)
    assert not beside(made.journal).exists()
