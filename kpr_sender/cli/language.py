"""The language of a command line: which was asked for, and the commands with their help in it."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Sequence
from typing import Final

import click

from kpr_sender.model import Language
from kpr_sender.render.language import of_locale, say_help
from kpr_sender.texts import Text

_OPTION: Final = "--lang"
_CLICKS: Final = (Text("required"),)
"""What click says from a variable, where the extractor of its words does not find it."""


def asked(arguments: Sequence[str]) -> Language:
    """Return the language to begin in: what a command line asks for, else the locale's.

    It is needed before the command line is understood, for what is wrong with it, and for ``--help``. With ``--json``
    it is English: a program reads it.
    """
    return Language.EN if "--json" in arguments else named(arguments) or of_locale(os.environ)


def named(arguments: Sequence[str]) -> Language | None:
    """Return the language that a command line names; None where it names none."""
    for number, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == _OPTION:
            written = value or next(iter(arguments[number + 1 :]), "")
            return Language(written) if written in tuple(Language) else None
    return None


def localized(command: click.Command) -> click.Command:
    """Return a command with its help, and that of its options and commands, in the language that is spoken."""
    localized_command = copy.copy(command)
    localized_command.help = _help(command.help)
    localized_command.short_help = _help(command.short_help)
    localized_command.params = [_parameter(each) for each in command.params]
    if isinstance(localized_command, click.Group):
        localized_command.commands = {name: localized(each) for name, each in localized_command.commands.items()}
    return localized_command


def _parameter(parameter: click.Parameter) -> click.Parameter:
    if not isinstance(parameter, click.Option):
        return parameter
    option = copy.copy(parameter)
    option.help, option.prompt = _help(option.help), _help(option.prompt)
    return option


def _help(text: str | None) -> str | None:
    """Return a help text as the catalogues have it: without the indentation, and what follows a form feed."""
    return None if text is None else say_help(inspect.cleandoc(text).partition("\f")[0])
