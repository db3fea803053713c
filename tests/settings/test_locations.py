"""Which of several configurations counts, and where state lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpr_sender.durable import state_home
from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from kpr_sender.settings import locations, rehearsal


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locations, "MACHINE", tmp_path / "etc")
    return {"HOME": str(tmp_path / "home")}


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_user_s_own_comes_before_the_machine_s(environ: dict[str, str], tmp_path: Path) -> None:
    machine = written(tmp_path / "etc" / "produksjon.toml")
    assert locations.find(Environment.PRODUKSJON, environ) == machine
    own = written(tmp_path / "home" / ".config" / "kpr-sender" / "produksjon.toml")
    assert locations.find(Environment.PRODUKSJON, environ) == own
    named = written(tmp_path / "xdg" / "kpr-sender" / "produksjon.toml")
    assert locations.find(Environment.PRODUKSJON, environ | {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}) == named
    assert locations.find(Environment.PRODUKSJON, environ | {"XDG_CONFIG_HOME": "relative"}) == own


def test_g7_that_of_the_current_folder_counts_without_real_data_alone(environ: dict[str, str], tmp_path: Path) -> None:
    for environment in Environment:
        written(tmp_path / "config" / f"{environment.value}.toml")
    for environment in (Environment.LOKAL, Environment.AR_TEST):
        assert locations.find(environment, environ) == Path("config", f"{environment.value}.toml")
    for environment in (Environment.VALIDERING, Environment.PRODUKSJON):
        with pytest.raises(ConfigInvalid, match="is not used by itself"):
            locations.find(environment, environ)


def test_only_lokal_needs_none(environ: dict[str, str], tmp_path: Path) -> None:
    assert locations.find(Environment.LOKAL, environ) is None
    with pytest.raises(ConfigInvalid, match="There is no configuration for ar-test") as missing:
        locations.find(Environment.AR_TEST, environ)
    assert "kpr-send --env ar-test init" in missing.value.next_step

    settings = rehearsal.rehearsal(environ)
    state = tmp_path / "home" / ".local" / "state" / "kpr-sender" / "lokal"
    assert settings.journal.path == state / "journal.db"
    assert settings.sandbox is not None
    assert (settings.sandbox.embedded, settings.sandbox.dir) == (True, state / "sandbox")
    assert settings.files.fagmelding is None
    for name in rehearsal.FILES.values():
        written(state / name)
    assert rehearsal.rehearsal(environ).files.fagmelding == state / "fagmelding.xml"


def test_without_a_home_the_state_s_folder_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert state_home({"XDG_STATE_HOME": "relative"}) is None
    with pytest.raises(ConfigInvalid, match="home folder"):
        locations.state_folder(Environment.LOKAL, {})
