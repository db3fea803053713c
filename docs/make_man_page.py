# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes docs/kpr-send.1, the man page, from the commands themselves and the classes of ``kpr_sender/errors.py``.

Run it after a change there: ``python docs/make_man_page.py``. The wheel installs it as ``share/man/man1/kpr-send.1``.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from kpr_sender.cli.main import cli
from kpr_sender.errors import ERRORS, EXIT_OK, EXIT_OK_MEANING

TARGET: Final = Path(__file__).resolve().parent / "kpr-send.1"
_PROJECT: Final = TARGET.parent.parent / "pyproject.toml"
_EVERYWHERE: Final = {"environment", "config", "journal", "as_json", "verbose", "quiet", "language", "version"}
_FILES: Final = (
    ("~/.config/kpr-sender/<env>.toml, /etc/kpr-sender/<env>.toml", "The configuration, the first that is there."),
    ("~/.local/state/kpr-sender", "The journal's second witness; with lokal also the sandbox."),
)
_ENVIRONMENT: Final = (
    ("XDG_CONFIG_HOME, XDG_STATE_HOME", "Folders in place of ~/.config and ~/.local/state."),
    ("CREDENTIALS_DIRECTORY", "The folder of the secrets that the configuration names as credentials."),
    ("LC_ALL, LC_MESSAGES, LANG", "The language, where neither --lang nor the configuration says it."),
    ("NO_COLOR", "No colours on a terminal, whatever it is set to."),
)


def page() -> str:
    """Return the whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    version = tomllib.loads(_PROJECT.read_text("utf-8"))["project"]["version"]
    yield r".\" Written by docs/make_man_page.py."
    yield f'.TH KPR\\-SEND 1 "" "kpr\\-sender {version}" "kpr\\-sender"'
    summary, *description = _paragraphs(cli.help)
    yield from (".SH NAME", _text(f"kpr-send - {summary.rstrip('.')}"))
    yield from (".SH SYNOPSIS", r".B kpr\-send", _text("[OPTIONS] [COMMAND] [ARGS]..."))
    yield from (".SH DESCRIPTION", *_joined(description))
    yield from (".SH OPTIONS", *_options(cli, everywhere=True))
    yield from (*_entry("-h, --help", "Show a command's arguments and options, and exit."), ".SH COMMANDS")
    context = click.Context(cli, info_name="kpr-send")
    yield from _below(cli, context)
    yield from (".SH EXIT STATUS", *_entry(str(EXIT_OK), f"{EXIT_OK_MEANING}."))
    for error in ERRORS:
        yield from _entry(str(error.exit_code), f"{error.meaning}.")
    yield ".SH FILES"
    for name, text in _FILES:
        yield from _entry(name, text)
    yield ".SH ENVIRONMENT"
    for name, text in _ENVIRONMENT:
        yield from _entry(name, text)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield a command's part; those of the commands below it in its place, where it is a group of them."""
    if isinstance(command, click.Group):
        yield from _below(command, context)
        return
    arguments = [part for part in command.collect_usage_pieces(context) if part != "[OPTIONS]"]
    yield f'.SS "{_escaped(" ".join([context.command_path, *arguments]))}"'
    yield from _joined(_paragraphs(command.help))
    yield from _options(command, everywhere=False)


def _below(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield from _command(command, click.Context(command, info_name=name, parent=context))


def _options(command: click.Command, *, everywhere: bool) -> Iterator[str]:
    context = click.Context(command)
    for option in command.params:
        if isinstance(option, click.Option) and (everywhere or option.name not in _EVERYWHERE):
            record = option.get_help_record(context)
            if record is not None:
                yield from _entry(*record)


def _paragraphs(text: str | None) -> list[str]:
    cleaned = inspect.cleandoc(text or "").partition("\f")[0]
    return [" ".join(paragraph.split()) for paragraph in cleaned.split("\n\n") if paragraph.strip()]


def _joined(paragraphs: list[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        yield from (".PP", _text(paragraph))


def _entry(name: str, text: str) -> Iterator[str]:
    yield from (".TP", rf"\fB{_escaped(name)}\fR", _text(" ".join(text.split())))


def _text(text: str) -> str:
    """Return a line of text that is no request of roff's."""
    escaped = _escaped(text)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    return (
        text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq").replace("`", r"\(ga").replace("~", r"\(ti")
    )


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
