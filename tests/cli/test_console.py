"""What a terminal shows: no word is broken, commands can be pasted back, colour; questions take Norwegian answers."""

from __future__ import annotations

import io
import re
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Final

import click
import pytest

from kpr_sender.cli.called import Called
from kpr_sender.cli.console import agreed, broken, say
from kpr_sender.cli.main import COMMANDS, run
from tests.helpers.municipality import Municipality

CALLED: Final = Called(("--env", "produksjon", "--config", "/etc/kpr-sender/produksjon.toml"), tuple(COMMANDS))
ID: Final = "5bd9777d-5c66-4549-8045-02c0a6a867be"


class _Terminal(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """A terminal of 80 columns with colours."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return _Terminal()


def _rejoined(text: str) -> str:
    """What the words of broken lines are, one blank between them."""
    return " ".join(re.sub(r" \\\n", " ", text).split())


@pytest.mark.parametrize(
    "line",
    [
        "    sent      attempts 1, 4,711 bytes sealed, and a sentence that is much longer than eighty columns allow",
        "  What to do  Run kpr-send wait; if no receipt is here, ask FHI, then kpr-send resolve MSGID --arrived.",
        f"  kpr-send resolve {ID} --not-arrived --reason TEXT",
        "red     receiver's exchange  the bus lets nobody in at all. What to do: Ask the bus's operator, and wait.",
    ],
)
def test_lines_are_broken_between_words_and_commands_can_be_pasted_back(line: str) -> None:
    completed = CALLED.completed(line)
    shown = broken(CALLED, completed, 80)
    lines = shown.splitlines()

    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    assert _rejoined(shown) == _rejoined(completed)
    labels = re.match(r"\s*(?:\S+(?: \S+)* {2,})*", completed)
    assert labels is not None
    assert all(one.startswith(" " * min(len(labels[0]), 40)) for one in lines[1:])
    for command in CALLED.command.findall(completed):
        pasted = shown[shown.index(command.split()[0]) :].replace("\\\n", "")
        assert shlex.split(pasted)[:5] == shlex.split(command)[:5]


def test_a_word_wider_than_the_terminal_stays_one(terminal: _Terminal) -> None:
    with redirect_stdout(terminal):
        say(CALLED, [f"  Journal     /{'x' * 90}"])
    assert f"/{'x' * 90}\n" in terminal.shown


def test_only_a_terminal_gets_broken_lines_and_colour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    say(CALLED, ["word " * 40], colour="red")
    assert capsys.readouterr().out == f"{'word ' * 40}\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("", "")])
def test_colour_is_there_unless_it_is_unwanted(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    if name:
        monkeypatch.setenv(name, value)
    with redirect_stdout(terminal):
        say(CALLED, ["red     clock  see kpr-send: clear", "second"], colour="red")
    coloured = "\x1b[31mred\x1b[0m     clock"
    assert (coloured in terminal.shown) is not bool(name)
    assert "clock  see kpr-send: clear\nsecond\n" in terminal.shown


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [("ja\n", True), ("J\n", True), ("y\n", True), ("nei\n", False), ("\n", False), ("kanskje\nja\n", True)],
)
def test_a_question_takes_norwegian_answers(
    *, typed: str, wanted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert agreed(CALLED, "Is it so?") is wanted
    asked = capsys.readouterr()
    assert asked.out == ""
    assert asked.err.count("[y/N]") == typed.count("\n")


def test_the_end_of_input_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(click.Abort):
        agreed(CALLED, "Is it so?")


def test_no_screen_of_a_terminal_of_80_columns_breaks_inside_a_word(
    terminal: _Terminal, made: Municipality, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.folder)
    with redirect_stdout(terminal), redirect_stderr(terminal):
        for arguments in (["status"], ["config", "check"], ["certs"], ["resolve", ID]):
            run([*arguments, "--env", "lokal", "--config", made.config.name])
    plain = re.sub(r"\x1b\[\d+m", "", terminal.shown)
    wide = [line for line in plain.splitlines() if len(line) > 80 and len(line.split()[-1]) < 60]
    assert wide == []
    assert "\x1b[" in terminal.shown
