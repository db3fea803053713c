"""``kpr-send demo``, and ``--env lokal`` without a configuration: both work with nothing but the installed package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a new user's state, who has no configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "state" / "kpr-sender" / "lokal"


def test_a_new_user_s_demo_sends_once_and_is_there_for_the_other_commands(command: Command, state: Path) -> None:
    code, out, _ = command("demo")
    assert code == 0
    assert out.count("receipt   OK (status 1)") == 2
    assert "kpr-send --env lokal status, kpr-send --env lokal receipts and kpr-send --env lokal doctor" in out

    code, out, _ = command("demo", "--json")
    assert (code, json.loads(out)["exit_code"], json.loads(out)["state"]) == (0, 0, "delivered")
    ledger = (state / "sandbox" / "ledger.jsonl").read_text("utf-8").splitlines()
    assert sorted(json.loads(line)["type"] for line in ledger) == ["KPR_IDE", "KPR_IPL"]

    code, out, _ = command("--env", "lokal", "--json", "status")
    assert (code, json.loads(out)["state"]) == (0, "delivered")
    assert not (state / "lokal.toml").exists()


def test_without_a_configuration_lokal_is_the_embedded_sandbox_in_the_user_s_state(
    command: Command, state: Path
) -> None:
    code, out, err = command("--env", "lokal", "status")
    assert code == 89
    assert f"{state}/journal.db" in out + err
    assert not state.exists()

    code, _, err = command("--env", "lokal", "send")
    assert code == 66
    assert "No fagmelding is named." in err
    assert "init writes a configuration that can name them" in err


@pytest.mark.parametrize("options", [("--env", "validering"), ("--config", "lokal.toml")])
def test_g7_the_demo_has_its_own_configuration(command: Command, state: Path, options: tuple[str, str]) -> None:
    code, _, err = command("demo", *options)
    assert code == 64
    assert "leave --env and --config out" in err
    assert not state.exists()


def test_a_configuration_that_may_not_be_read_is_not_passed_over(
    command: Command, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path.cwd() / ("x" * 300)))
    code, _, err = command("--env", "lokal", "status")
    assert code == 78
    assert "File name too long" in err


def test_the_demo_by_edi_is_acknowledged_and_acknowledges(command: Command, state: Path) -> None:
    code, out, err = command("demo", "--transport", "edi")
    assert code == 0
    assert out.count("receipt   OK (status 1)") == 2
    assert err.count('"event": "acknowledged"') == out.count("acknowledged by KPR's message server") == 2
    ledger = (state / "edi" / "sandbox" / "ledger.jsonl").read_text("utf-8").splitlines()
    lines = [json.loads(line) for line in ledger]
    assert sorted((line["type"], line["verdict"]) for line in lines) == [
        *[("Acknowledgment", "acknowledgement")] * 2,
        *[("KPR_IDE", "1"), ("KPR_IPL", "1")],
    ]
    sandbox = state / "edi" / "sandbox"
    assert not list((sandbox / "edi" / "waiting").iterdir())  # our acknowledgements are for KPR's very receipts
    assert not [path for path in (sandbox / "mailbox").rglob("*") if path.is_file()]

    code, out, _ = command("demo", "--transport", "edi", "--json")
    assert (code, json.loads(out)["state"]) == (0, "delivered")
    assert len((sandbox / "ledger.jsonl").read_text("utf-8").splitlines()) == len(ledger)

    code, _, err = command("demo", "--dir", str(state / "edi"))
    assert code == 78
    assert "another transport than amqp" in err
