"""``kpr-send sample``: whose files it makes, and that check takes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.municipality import Municipality
from tests.helpers.repository import ROOT

Command = Callable[..., tuple[int, str, str]]


def validering(made: Municipality, kommunenummer: str, bydel: str = "00", year: int = 2024) -> Path:
    """The municipality's configuration for validering; returns its path."""
    made.configure({"sender": {"kommunenummer": kommunenummer, "bydel": bydel}, "report": {"year": year}})
    path = made.folder / "validering.toml"
    path.write_text(made.config.read_text("utf-8").replace('"lokal"', '"validering"', 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(("kommunenummer", "bydel"), [("0301", "00"), ("0301", "05"), ("5001", "00")])
@pytest.mark.parametrize("year", [2024, 2025])
def test_what_is_made_for_an_environment_passes_its_check(
    command: Command, made: Municipality, tmp_path: Path, kommunenummer: str, bydel: str, year: int
) -> None:
    where = "--env", "validering", "--config", validering(made, kommunenummer, bydel, year)
    assert command(*where, "sample", tmp_path / "x", "--persons", "5")[0] == 0
    code, out, err = command(*where, "check", tmp_path / "x" / "fagmelding.xml", tmp_path / "x" / "identmelding.xml")
    assert code == 0, out + err
    text = (tmp_path / "x" / "fagmelding.xml").read_text("utf-8")
    assert f"<iiKomnr>{kommunenummer}</iiKomnr><iiBydelsnr>{bydel}</iiBydelsnr>" in text


def test_the_rehearsal_of_the_readme_passes_check(
    command: Command, made: Municipality, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    lines = re.findall(r"^kpr-send --env validering ((?:sample|check) .*?)(?:  +#.*)?$", readme, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["sample", "check"]
    config = validering(made, "1103")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for line in lines:
        code, out, err = command("--env", "validering", "--config", config, *shlex.split(line))
        assert code == 0, out + err


def test_what_is_given_counts_before_what_is_configured(command: Command, made: Municipality, tmp_path: Path) -> None:
    where = "--env", "validering", "--config", validering(made, "0301", "05")
    given = "--kommunenummer", "4601", "--year", "2025"
    assert command(*where, "sample", tmp_path / "x", "--persons", "2", *given)[0] == 0
    text = (tmp_path / "x" / "fagmelding.xml").read_text("utf-8")
    assert "<iiKomnr>4601</iiKomnr><iiBydelsnr>00</iiBydelsnr>" in text
    assert "<iiFraDato>20250101</iiFraDato>" in text


def test_without_an_environment_no_configuration_is_asked(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("sample", tmp_path, "--persons", "2")[0] == 0
    assert "<iiKomnr>9999</iiKomnr>" in (tmp_path / "fagmelding.xml").read_text("utf-8")


def test_an_environment_without_a_configuration_is_an_error(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    code, _, err = command("--env", "validering", "sample", tmp_path)
    assert (code, "There is no configuration for validering" in err) == (78, True)
    assert not (tmp_path / "fagmelding.xml").exists()
