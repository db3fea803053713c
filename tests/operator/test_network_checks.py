"""What ``kpr-send doctor`` learns from the register: who we are, who FHI is, and what time it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, Final

import pytest

from kpr_sender.checking import run_checks
from kpr_sender.operator.self_check import CHECKS, CheckResult, Status
from tests.helpers import registry_stub
from tests.helpers.municipality import SENDER_HER_ID
from tests.helpers.register_scene import OWN_ADDRESSES, Scene
from tests.helpers.registry_stub import PASSWORD, Address, says

ASKED: Final = ("register", "clock", "receiver", "sender")


def look(scene: Scene, *names: str, **registry: object) -> dict[str, CheckResult]:
    checks = tuple(check for check in CHECKS if check.name in ("environment", *(names or ASKED)))
    lines = run_checks(scene.configure(registry=registry), checks=checks, now=lambda: scene.now)
    return {line.name: line for line in lines if line.name != "environment"}


@pytest.mark.usefixtures("registered")
def test_a_register_that_agrees_is_green(scene: Scene) -> None:
    assert {name: line.status for name, line in look(scene).items()} == dict.fromkeys(ASKED, Status.GREEN)


def test_a_register_that_is_down_is_one_red_line_whatever_it_said_before(
    scene: Scene, registered: Callable[..., None]
) -> None:
    registered()
    scene.ask()
    scene.stub.close()
    lines = look(scene, *ASKED, "receiver's certificates")
    cause = lines.pop("register")
    assert (cause.status, "Connection refused" in cause.text) == (Status.RED, True)
    assert "reaches the address" in cause.next_step
    assert {(line.status, line.text, line.next_step) for line in lines.values()} == {
        (Status.YELLOW, "not tried", "See to this first: register.")
    }


@pytest.mark.parametrize("does", ["fails", "refuses our user"])
@pytest.mark.usefixtures("registered")
def test_a_register_that_tells_the_time_and_then_does_not_answer_is_one_red_line(scene: Scene, does: str) -> None:
    if does == "fails":
        scene.stub.mishap = says(502, b"<html>")
    else:
        (scene.made.folder / "wrong").write_text("feil")
    lines = look(scene, **({} if does == "fails" else {"password_file": "wrong"}))
    assert {name for name, line in lines.items() if line.status is Status.RED} == {"receiver"}
    assert (lines["sender"].text, lines["sender"].next_step) == ("not tried", "See to this first: receiver.")


def test_a_register_that_is_down_says_nothing_of_the_clock_where_that_alone_is_asked(
    scene: Scene, registered: Callable[..., None]
) -> None:
    registered()
    scene.stub.close()
    lines = look(scene, "clock", "sender")
    assert {name: line.status for name, line in lines.items()} == {"clock": Status.RED, "sender": Status.YELLOW}
    assert "reaches the address" in lines["clock"].next_step


@pytest.mark.usefixtures("registered")
def test_a_register_that_fails_or_refuses_our_user(scene: Scene) -> None:
    (scene.made.folder / "wrong").write_text("feil")
    refused = look(scene, "receiver", password_file="wrong")["receiver"]
    assert (refused.status, "refuses our user" in refused.text) == (Status.RED, True)
    assert PASSWORD not in str(refused)
    scene.stub.mishap = says(502, b"<html>")
    assert look(scene, "receiver")["receiver"].status is Status.RED


@pytest.mark.parametrize(
    ("facts", "light", "said"),
    [
        ({"parent": 2397}, Status.RED, "belongs to HER-id 2397"),
        ({"changes": {"Active": "false"}}, Status.RED, "not in use"),
        ({"changes": {"Name": "Fastlege"}}, Status.YELLOW, "calls it KPR Validering"),
    ],
)
@pytest.mark.usefixtures("registered")
def test_what_is_registered_of_fhi(scene: Scene, facts: dict[str, Any], light: Status, said: str) -> None:
    scene.lists(**facts)
    line = look(scene, "receiver")["receiver"]
    assert (line.status, said in line.text) == (light, True)
    assert line.next_step


@pytest.mark.parametrize(
    ("names", "facts", "light", "said"),
    [
        ({}, {"parent": 900009}, Status.RED, "belongs to 900009 there, not to 900001"),
        ({"Active": "false"}, {}, Status.RED, "not in use"),
        ({}, {"addresses": OWN_ADDRESSES[:1]}, Status.RED, "The queue registered for us is none"),
        ({}, {"addresses": (Address("E_SB_ASYNC", "a/b/c"), OWN_ADDRESSES[1])}, Status.RED, "registered for us is c,"),
        ({"Name": "Legevakt"}, {}, Status.YELLOW, "no Saksbehandling in it"),
        ({"ParentName": "Annen kommune"}, {}, Status.YELLOW, "calls the municipality Annen kommune"),
    ],
)
def test_what_is_registered_of_ourselves(
    scene: Scene,
    registered: Callable[..., None],
    names: dict[str, str],
    facts: dict[str, Any],
    light: Status,
    said: str,
) -> None:
    registered(names, **facts)
    line = look(scene, "sender")["sender"]
    assert (line.status, said in line.text) == (light, True)
    assert line.next_step


def test_a_key_that_does_not_open_what_is_sealed_for_us_is_red(scene: Scene, registered: Callable[..., None]) -> None:
    names = ("decryption keys", "sender")
    registered()
    assert look(scene, *names)["sender"].status is Status.GREEN
    registered(certificates=(scene.made.pki.certificate("fhi-encryption"),) * 2)
    told = look(scene, *names)["sender"]
    assert told.status is Status.RED
    assert "FHI seals its receipts for" in str(told)
    registered(certificates=(None, None))
    assert look(scene, *names)["sender"].status is Status.YELLOW


@pytest.mark.usefixtures("registered")
def test_a_sender_that_the_register_does_not_know(scene: Scene) -> None:
    del scene.stub.parties[SENDER_HER_ID]
    line = look(scene, "sender")["sender"]
    assert (line.status, "does not know HER-id 900002" in line.text) == (Status.RED, True)


@pytest.mark.parametrize(
    ("seconds", "light"),
    [
        (0, Status.GREEN),
        (3, Status.GREEN),
        (-8, Status.YELLOW),
        (30, Status.YELLOW),
        (90, Status.RED),
        (-90, Status.RED),
    ],
)
def test_a_clock_that_is_off(scene: Scene, monkeypatch: pytest.MonkeyPatch, seconds: int, light: Status) -> None:
    def told(_handler: object, timestamp: float | None = None) -> str:
        assert timestamp is None
        return format_datetime(scene.now + timedelta(seconds=seconds), usegmt=True)

    monkeypatch.setattr(registry_stub._Handler, "date_time_string", told)
    line = look(scene, "clock")["clock"]
    assert (line.status, "the register's" in line.text) == (light, True)
    assert ("behind" in line.text) == (seconds >= 0)


@pytest.mark.parametrize(
    "told",
    [
        "in the evening",
        f"Mon, 01 Jan {'9' * 30} 00:00:00 GMT",
        "Mon, 01 Jan 10000 00:00:00 GMT",
        f"Mon, 01 Jan 2024 00:00:00 +{'9' * 30}",
        "Mon, 01 Jan 2024 00:00:00 +9999",
    ],
)
def test_a_register_that_tells_no_time_is_no_alarm(scene: Scene, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setattr(registry_stub._Handler, "date_time_string", lambda _handler: told)
    line = look(scene, "clock")["clock"]
    assert (line.status, line.text) == (Status.GREEN, "not compared: the register does not tell the time")
