"""Which language a run speaks: ``--lang``, then the configuration's, then the machine's; a program reads English."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from kpr_sender.cli import main
from kpr_sender.journal.values import JournalEvent
from kpr_sender.model import Language
from kpr_sender.render.history import decision_line
from kpr_sender.render.language import speaking

_STATUS = "Vis hva som er kjent om en innsending, fra journalen alene."


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main.run(arguments)
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_help_is_in_the_language_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (("--lang", "nb", "--help"), ("--lang=nb", "--help")):
        shown = _run(capsys, *arguments)
        assert _STATUS in " ".join(shown.split())
        assert "Bruk: kpr-send" in shown
        assert "Commands" not in shown
    assert "Show what is known" in _run(capsys, "--help")
    monkeypatch.setenv("LC_ALL", "nn_NO.UTF-8")
    assert "Hvem som har sett på dem." in _run(capsys, "reviewed", "--help")
    assert "Who looked." in _run(capsys, "--lang", "en", "reviewed", "--help")


def test_what_is_wrong_with_the_command_line_is_said_in_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "nb_NO.UTF-8")
    assert "Valget '--nothing' finnes ikke." in _run(capsys, "--nothing")
    assert "-v og -q utelukker hverandre." in _run(capsys, "-v", "-q", "doctor")
    assert "'de' er ikke en av 'nb', 'en'." in _run(capsys, "--lang", "de", "status")
    assert "Mangler argumentet 'MSGID'." in _run(capsys, "resolve")
    assert "'x' er ikke et gyldig heltall." in _run(capsys, "check", "--year", "x")
    wrong = _run(capsys, "config")
    assert "kpr-send: kpr-send config trenger en av kommandoene: check.\n" in wrong
    assert "Bruk:" not in wrong


def test_what_the_system_says_of_a_file_is_said_in_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ("check", str(tmp_path / "one.xml"), str(tmp_path / "two.xml"), "--year", "2024")
    assert "kan ikke leses: No such file or directory." not in _run(capsys, "--lang", "nb", *command)
    assert "Filen kan ikke leses: filen eller mappen finnes ikke." in _run(capsys, "--lang", "nb", *command)
    assert "cannot be read: No such file or directory." in _run(capsys, "--lang", "en", *command)


def test_what_a_person_decided_is_said_in_it() -> None:
    event = JournalEvent(dt.datetime(2026, 1, 10, tzinfo=dt.UTC), "one", "person-arrived", "FHI svarte ja.", "Kari", {})
    assert "person-arrived, by Kari" in decision_line(event)
    with speaking(Language.NB):
        assert decision_line(event).endswith(" kommet fram, av Kari: FHI svarte ja.")


def test_a_program_reads_english(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "nb_NO.UTF-8")
    main.run(["--json", "--lang", "nb", "--nothing"])
    assert json.loads(capsys.readouterr().out)["error"]["text"].startswith("No such option")


def test_the_configuration_chooses_where_nobody_else_does(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    configuration = tmp_path / "lokal.toml"
    written = (Path(__file__).parents[2] / "config" / "lokal.toml").read_text(encoding="utf-8")
    written = written.replace("../.demo", str(tmp_path))
    configuration.write_text(f'language = "nb"\n{written}', encoding="utf-8")
    status = ("--env", "lokal", "--config", str(configuration), "status")
    assert "Ingenting er sendt inn for 2024 ennå" in _run(capsys, *status)
    assert "Nothing is submitted for 2024 yet" in _run(capsys, "--lang", "en", *status)
    configuration.write_text(f'language = "de"\n{written}', encoding="utf-8")
    assert "language" in _run(capsys, *status)
