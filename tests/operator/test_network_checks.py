"""What ``kpr-send doctor`` learns from the register: who we are, who FHI is, and what time it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, Final

import pytest

from kpr_sender.operator.self_check import CHECKS, Light, Line, examine
from tests.helpers import registry_stub
from tests.helpers.municipality import SENDER_HER_ID
from tests.helpers.register_scene import Scene
from tests.helpers.registry_stub import PASSWORD, Address, Facts, says

OWN_ADDRESSES: Final = (
    Address("E_SB_ASYNC", "127.0.0.1/NHNTESTServiceBus/900002_async"),
    Address("E_SB_ERROR", "127.0.0.1/NHNTESTServiceBus/900002_error"),
)
OWN_NAMES: Final = {"Name": "Saksbehandling pasientopplysninger", "ParentName": "Eksempel kommune"}
ASKED: Final = ("clock", "receiver", "sender")


@pytest.fixture
def registered(scene: Scene) -> Callable[..., None]:
    def register(names: Mapping[str, str] | None = None, **facts: Any) -> None:
        known: dict[str, Any] = {
            "parent": 900001,
            "addresses": OWN_ADDRESSES,
            "changes": {**OWN_NAMES, **(names or {})},
        }
        pki = scene.made.pki
        certificates = pki.certificate("kommune-encryption"), pki.certificate("kommune-signing")
        scene.stub.parties[SENDER_HER_ID] = Facts(SENDER_HER_ID, certificates=certificates, **(known | facts))

    scene.lists(changes={"Name": "KPR Validering"})
    register()
    return register


def look(scene: Scene, *names: str, **registry: object) -> dict[str, Line]:
    checks = tuple(check for check in CHECKS if check.name in ("environment", *(names or ASKED)))
    lines = examine(scene.configure(registry=registry), checks=checks, now=lambda: scene.now)
    return {line.name: line for line in lines if line.name != "environment"}


@pytest.mark.usefixtures("registered")
def test_a_register_that_agrees_is_green(scene: Scene) -> None:
    assert {name: line.light for name, line in look(scene).items()} == dict.fromkeys(ASKED, Light.GREEN)


def test_a_register_that_is_down_is_red_whatever_it_said_before(scene: Scene, registered: Callable[..., None]) -> None:
    registered()
    scene.ask()
    scene.stub.close()
    assert {name: line.light for name, line in look(scene).items()} == dict.fromkeys(ASKED, Light.RED)


@pytest.mark.usefixtures("registered")
def test_a_register_that_fails_or_refuses_our_user(scene: Scene) -> None:
    (scene.made.folder / "wrong").write_text("feil")
    refused = look(scene, "receiver", password_file="wrong")["receiver"]
    assert (refused.light, "refuses our user" in refused.seen) == (Light.RED, True)
    assert PASSWORD not in str(refused)
    scene.stub.mishap = says(502, b"<html>")
    assert look(scene, "receiver")["receiver"].light is Light.RED


@pytest.mark.parametrize(
    ("facts", "light", "said"),
    [
        ({"parent": 2397}, Light.RED, "belongs to HER-id 2397"),
        ({"changes": {"Active": "false"}}, Light.RED, "not in use"),
        ({"changes": {"Name": "Fastlege"}}, Light.YELLOW, "calls it KPR Validering"),
    ],
)
@pytest.mark.usefixtures("registered")
def test_what_is_registered_of_fhi(scene: Scene, facts: dict[str, Any], light: Light, said: str) -> None:
    scene.lists(**facts)
    line = look(scene, "receiver")["receiver"]
    assert (line.light, said in line.seen) == (light, True)
    assert line.next_step


@pytest.mark.parametrize(
    ("names", "facts", "light", "said"),
    [
        ({}, {"parent": 900009}, Light.RED, "belongs to 900009 there, not to 900001"),
        ({"Active": "false"}, {}, Light.RED, "not in use"),
        ({}, {"addresses": OWN_ADDRESSES[:1]}, Light.RED, "The queue registered for us is none"),
        ({}, {"addresses": (Address("E_SB_ASYNC", "a/b/c"), OWN_ADDRESSES[1])}, Light.RED, "registered for us is c,"),
        ({"Name": "Legevakt"}, {}, Light.YELLOW, "no Saksbehandling in it"),
        ({"ParentName": "Annen kommune"}, {}, Light.YELLOW, "calls the municipality Annen kommune"),
    ],
)
def test_what_is_registered_of_ourselves(
    scene: Scene,
    registered: Callable[..., None],
    names: dict[str, str],
    facts: dict[str, Any],
    light: Light,
    said: str,
) -> None:
    registered(names, **facts)
    line = look(scene, "sender")["sender"]
    assert (line.light, said in line.seen) == (light, True)
    assert line.next_step


@pytest.mark.usefixtures("registered")
def test_a_sender_that_the_register_does_not_know(scene: Scene) -> None:
    del scene.stub.parties[SENDER_HER_ID]
    line = look(scene, "sender")["sender"]
    assert (line.light, "does not know HER-id 900002" in line.seen) == (Light.RED, True)


@pytest.mark.parametrize(
    ("seconds", "light"),
    [(0, Light.GREEN), (3, Light.GREEN), (-8, Light.YELLOW), (30, Light.YELLOW), (90, Light.RED), (-90, Light.RED)],
)
def test_a_clock_that_is_off(scene: Scene, monkeypatch: pytest.MonkeyPatch, seconds: int, light: Light) -> None:
    def told(_handler: object, timestamp: float | None = None) -> str:
        assert timestamp is None
        return format_datetime(scene.now + timedelta(seconds=seconds), usegmt=True)

    monkeypatch.setattr(registry_stub._Handler, "date_time_string", told)
    line = look(scene, "clock")["clock"]
    assert (line.light, "the register's" in line.seen) == (light, True)
    assert ("behind" in line.seen) == (seconds >= 0)


def test_a_register_that_tells_no_time_is_no_alarm(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_stub._Handler, "date_time_string", lambda _handler: "in the evening")
    line = look(scene, "clock")["clock"]
    assert (line.light, line.seen) == (Light.GREEN, "not compared: the register does not tell the time")
