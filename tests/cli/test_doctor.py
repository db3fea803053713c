"""``kpr-send doctor`` as it is printed, with the sandbox embedded as in config/lokal.toml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.cli.main import run
from kpr_sender.model import Transport
from kpr_sender.operator.self_check import CHECKS
from tests.helpers.configuration import LOKAL
from tests.helpers.municipality import Municipality, municipality

NAMES: Final = [check.name for check in CHECKS if check.way in {None, Transport.AMQP}]
"""What is checked where a configuration sends by Tjenestebuss, in its order."""


@pytest.fixture
def made(tmp_path: Path) -> Municipality:
    made = municipality(tmp_path)
    made.config.write_text(LOKAL, "utf-8")
    return made


def doctor(made: Municipality, *arguments: str, before: tuple[str, ...] = ()) -> int:
    return run(["--env", "lokal", "--config", str(made.config), *before, "doctor", *arguments])


def test_with_the_embedded_sandbox_every_line_is_green(made: Municipality, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(made) == 0

    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "TEST lokal: self-checks; nothing is sent."
    assert [line[8:].split("  ")[0] for line in lines] == NAMES
    assert {line.split()[0] for line in lines} == {"green"}
    assert not made.journal.exists()


def test_what_is_red_is_1_with_what_to_do_on_the_same_line(
    made: Municipality, capsys: pytest.CaptureFixture[str]
) -> None:
    made.fagmelding.unlink()
    assert doctor(made) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines()[1:] if not line.startswith("green")]
    assert line.startswith("red     files")
    assert line.endswith("What to do: Make the extracts in the EPJ, and name them.")


def test_as_json_it_is_one_object(made: Municipality, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(made, before=("--json",)) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["environment"], told["exit_code"], told["error"]) == ("lokal", 0, None)
    assert [each["name"] for each in told["checks"]] == NAMES

    made.fagmelding.unlink()
    assert doctor(made, before=("--json",)) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["exit_code"], told["error"]["code"]) == (1, "not-ready")
    (red,) = [each for each in told["checks"] if each["light"] == "red"]
    assert (red["name"], bool(red["seen"]), bool(red["next_step"])) == ("files", True, True)


def test_quiet_shows_only_what_is_red(made: Municipality, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(made, before=("-q",)) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")

    made.fagmelding.unlink()
    assert doctor(made, before=("-q",)) == 1
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)


LACKING: tuple[tuple[str, str], ...] = (
    ("", ""),
    ("year = 2024", "year = 2025"),
    ('"journal.db"', '"lokal.toml/journal.db"'),
)


@pytest.mark.parametrize("arguments", [(), ("--max-wait", "0s")])
@pytest.mark.parametrize(("before", "after"), LACKING)
def test_what_was_found_ends_with_a_stop_before_what_to_do(
    made: Municipality, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], before: str, after: str
) -> None:
    made.config.write_text(LOKAL.replace(before, after), "utf-8")
    made.fagmelding.write_bytes(b"")
    assert doctor(made, *arguments) == 1
    advised = [line for line in capsys.readouterr().out.splitlines()[1:] if not line.startswith("green")]
    assert advised
    for line in advised:
        assert re.search(r"[^.:][.!?] What to do: [A-Z].*[^.]\.$", line), line


def test_the_whole_is_bounded(made: Municipality, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(made, "--max-wait", "0s") == 1
    assert "not tried: the time is up" in capsys.readouterr().out
