"""The language of a command line: which was asked for, and the commands with their help in it."""

from __future__ import annotations

import copy
import inspect
import os
import re
from collections.abc import Sequence
from typing import Final

import click

from kpr_sender.model import Language
from kpr_sender.render.language import of_locale, say, say_help
from kpr_sender.texts import Text

_OPTION: Final = "--lang"
_CLICKS: Final = (Text("required"),)
"""What click says from a variable, where the extractor of its words does not find it."""
_WHOLE_NUMBER: Final = Text("whole number")
_PLACES: Final = {
    str(text): text
    for text in (
        *(Text("ADDRESS"), Text("ARGS"), Text("COMMAND"), Text("DIGITS"), Text("DIR"), Text("DURATION"), Text("FILE")),
        *(Text("FOLDER"), Text("INTEGER"), Text("INTEGER RANGE"), Text("NAME"), Text("NUMBER"), Text("NUMBERS")),
        *(Text("OPTIONS"), Text("TEXT"), Text("TYPE"), Text("VALUE"), Text("WHERE"), Text("YEAR")),
    )
}
"""What stands in a command's line for what a person types, ours and click's; HER-ID, ID, MSGID, N, PORT and URL are the
same in both, as are the two messages' names."""
_PLACE: Final = re.compile(r"INTEGER RANGE|[A-Z]+")


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
    localized_command.options_metavar = _places(command.options_metavar)
    localized_command._help_option = None  # noqa: SLF001 - click keeps -h with its help as it was first said
    context = click.Context(command)
    localized_command.params = [_parameter(each, context) for each in command.params]
    if isinstance(localized_command, click.Group):
        localized_command.subcommand_metavar = _places(localized_command.subcommand_metavar) or ""
        localized_command.commands = {name: localized(each) for name, each in localized_command.commands.items()}
    return localized_command


def _parameter(parameter: click.Parameter, context: click.Context) -> click.Parameter:
    localized_parameter = copy.copy(parameter)
    if isinstance(localized_parameter, click.Option):
        localized_parameter.help = _help(localized_parameter.help)
        localized_parameter.prompt = _help(localized_parameter.prompt)
    if isinstance(parameter.type, click.IntRange):
        localized_parameter.type = copy.copy(parameter.type)
        localized_parameter.type.name = say(_WHOLE_NUMBER)  # click calls it "integer range" in every language
    if not (isinstance(parameter, click.Option) and parameter.is_flag):
        localized_parameter.metavar = _places(parameter.make_metavar(context))
    return localized_parameter


def _places(metavar: str | None) -> str | None:
    return None if metavar is None else _PLACE.sub(lambda word: say(_PLACES.get(word[0], word[0])), metavar)


def _help(text: str | None) -> str | None:
    """Return a help text as the catalogues have it: without the indentation, and what follows a form feed."""
    return None if text is None else say_help(inspect.cleandoc(text).partition("\f")[0])
