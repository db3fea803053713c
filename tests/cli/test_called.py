"""Every command that a text names is complete: with this run's options in front, and pasted back it parses."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import click
import pytest

from kpr_sender.cli.called import BELOW, Called
from kpr_sender.cli.main import COMMANDS, cli, run
from tests.helpers.repository import ROOT
from tools.texts import catalogues

THIS_RUN: Final = Called(("--env", "validering", "-q", "send", "--config=/etc/kpr sender/a.toml"), tuple(COMMANDS))
PREFIX: Final = "--env validering --config '/etc/kpr sender/a.toml' "


def _strings(tree: ast.AST) -> Iterator[str]:
    """Yield what a module says, docstrings excepted: values that are put in are 1."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation | parts:
            yield node.value


def _english() -> Iterator[tuple[str, str]]:
    for path in sorted({*(ROOT / "kpr_sender").rglob("*.py")} - {ROOT / "kpr_sender/cli/called.py"}):
        source = path.read_text("utf-8")
        if "kpr-send " in source:
            yield from ((path.name, text) for text in _strings(ast.parse(source)))


def _norwegian() -> Iterator[tuple[str, str]]:
    for name in sorted(catalogues.written(catalogues.LOCALE) - {"cli/main"}):
        for said in catalogues.translations(name, catalogues.LOCALE).values():
            yield from ((f"{name}.po", text) for text in said)


def _advice() -> Iterator[tuple[str, str]]:
    """Yield every text that names a command, with values in place of what is put in."""
    for name, text in (*_english(), *_norwegian()):
        if "kpr-send " in text:
            yield name, re.sub(r"--1\b", "--settled", re.sub(r"\{\w*\}", "1", text.replace("{env}", "lokal")))


def _below(command: click.Command) -> Iterator[str]:
    for name, below in command.commands.items() if isinstance(command, click.Group) else ():
        yield name
        yield from _below(below)


def test_every_command_in_a_text_parses_when_it_is_pasted_back(monkeypatch: pytest.MonkeyPatch) -> None:
    carry_out = click.Command.invoke

    def parsed_only(self: click.Command, context: click.Context) -> object:
        return carry_out(self, context) if isinstance(self, click.Group) else 0

    monkeypatch.setattr(click.Command, "invoke", parsed_only)
    commands: dict[str, str] = {}
    flaws = []
    for name, text in _advice():
        following = {*re.findall(r"kpr-send ([a-z]+)", text)} - {*COMMANDS}
        flaws += [f"{name}: no command: {word}" for word in following if get_close_matches(word, COMMANDS, cutoff=0.8)]
        for match in THIS_RUN.command.finditer(THIS_RUN.completed(text)):
            commands.setdefault(match[0], name)
    flaws += [f"{name}: {command}" for command, name in commands.items() if run(shlex.split(command)[1:]) != 0]
    assert not flaws, "\n".join(flaws)
    assert len(commands) > 20
    without = {command for command in commands if PREFIX not in command}
    own = f"kpr-send {shlex.join(THIS_RUN.arguments)}"  # the same command once more, also with an option more
    others = {command for command in without if " --env lokal" not in command and "--help" not in command}
    assert others == {own, f"{own} --accept-findings 1"}


_REASONED: Final = re.compile(r"kpr-send(?: \S+)*? (?:resend MSGID|send --replaces \S+|resolve MSGID --\S+)(?!\S| --)")


def test_every_command_in_a_text_that_needs_a_reason_has_its_place() -> None:
    """Pasted back with the place filled in it does what the text says; an option alone is no command."""
    texts = [*_english(), *_norwegian()]
    assert [(name, text) for name, text in texts if _REASONED.search(" ".join(text.split()))] == []
    alone = re.compile(r"(?<!send )(?<!not go )(?:with|med|say|oppgi) (?:--replaces|--accept-findings)\b")
    found = [(name, text) for name, text in texts if alone.search(text) and "--wait-for-files" not in text]
    assert found == []


def test_the_submission_that_a_result_is_about_stands_in_the_command_that_replaces_it() -> None:
    text = "Then: kpr-send send --replaces ID --reason TEXT"
    assert (
        THIS_RUN.about("", "2024-1").completed(text) == f"Then: kpr-send {PREFIX}send --replaces 2024-1 --reason TEXT"
    )


def test_what_a_fleets_command_says_of_one_municipality_has_a_place_for_its_number() -> None:
    of_all = Called(("--env", "lokal", "--config", "fleet.toml", "fleet", "worker"), tuple(COMMANDS))
    said = "Run kpr-send journal migrate, then kpr-send fleet status."
    options = "--env lokal --config fleet.toml"
    wanted = f"Run kpr-send {options} --municipality NUMBER journal migrate, then kpr-send {options} fleet status."
    assert of_all.completed(said) == wanted
    assert of_all.completed(wanted) == wanted
    said = "See it with kpr-send status --municipality 1103. Run kpr-send journal migrate."
    wanted = (
        f"See it with kpr-send {options} status --municipality 1103. "
        f"Run kpr-send {options} --municipality NUMBER journal migrate."
    )
    assert of_all.completed(said) == wanted, "two values for one option would be refused"


def test_a_line_that_names_no_command_sends() -> None:
    assert (
        Called(("--env", "lokal"), tuple(COMMANDS)).completed("kpr-send ... --all") == "kpr-send --env lokal send --all"
    )


def test_the_words_below_a_command_are_known() -> None:
    context = click.Context(cli)
    names = {below for name in COMMANDS for below in _below(cli.get_command(context, name) or cli)}
    assert names <= set(BELOW)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Run kpr-send wait later.", f"Run kpr-send {PREFIX}wait later."),
        ("kpr-send: error; kpr-send-er kpr-send sendt", "kpr-send: error; kpr-send-er kpr-send sendt"),
        ("sudo -H -u kpr kpr-send ...", f"sudo -H -u kpr kpr-send {shlex.join(THIS_RUN.arguments)}"),
        ("kpr-send --env lokal --config x", "kpr-send --env lokal --config x"),
    ],
)
def test_only_commands_are_completed(text: str, wanted: str) -> None:
    assert THIS_RUN.completed(text) == wanted


def test_a_place_for_a_msg_id_is_filled_in_commands_alone() -> None:
    msg_id = "5bd9777d-5c66-4549-8045-02c0a6a867be"
    text = "whether the MsgId has arrived: MSGID; kpr-send resolve MSGID."
    wanted = f"whether the MsgId has arrived: MSGID; kpr-send {PREFIX}resolve {msg_id}."

    assert THIS_RUN.about(msg_id).completed(text) == wanted
    assert Called((*THIS_RUN.arguments, msg_id), THIS_RUN.commands).completed(text) == wanted
    assert "resolve MSGID." in THIS_RUN.completed(text)


def test_what_follows_two_dashes_is_no_option() -> None:
    assert Called(("send", "--", "--env", "lokal")).environment is None
    assert Called(("send", "--env")).prefix == ""


def test_json_completes_next_steps_and_nothing_else() -> None:
    value = {"reason": "kpr-send wait", "error": {"next_step": "kpr-send wait", "text": "kpr-send wait"}, "n": [1, {}]}

    assert THIS_RUN.completed_steps(value) == {
        **value,
        "error": {"next_step": f"kpr-send {PREFIX}wait", "text": "kpr-send wait"},
    }


def test_an_option_of_every_command_is_taken_before_and_after_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "lokal.toml").write_text("environment = 'lokal'", "utf-8")
    for arguments in (
        ["status", "--env", "lokal", "--config", str(tmp_path / "lokal.toml"), "--json"],
        ["journal", "--env", "lokal", "log", "--json", "--config", str(tmp_path / "lokal.toml")],
        ["receipts", "--env", "lokal", "--config", str(tmp_path / "lokal.toml"), "add", __file__, "--json"],
        ["receipts", "--env", "lokal", "--config", str(tmp_path / "lokal.toml"), "--json"],
    ):
        assert run(arguments) == 78  # it found that configuration, which lacks nearly all
        assert '"code": "config-invalid"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--env", "lokal", "status", "--env", "produksjon"], "--env is given twice: lokal and produksjon."),
        (["--env", "lokal", "--env", "produksjon", "status"], "--env is given twice: lokal and produksjon."),
        (["status", "--journal", "a", "--env", "lokal", "--journal", "b"], "--journal is given twice: a and b."),
        (["-v", "status", "-q"], "-v and -q exclude each other."),
        (["status", "--env", "prod"], "'prod' is not one of"),
    ],
)
def test_options_that_contradict_each_other_are_64(
    arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 64
    assert wanted in capsys.readouterr().err
