"""The options of every command, taken before its name and after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import click

from kpr_sender.cli.invocation import PATH, Invocation, Loudness
from kpr_sender.model import Environment, Language
from kpr_sender.texts import Text


def _into(field: str, meant: Callable[[Any], object]) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback that puts what was given into a field of the run's ``Invocation``."""

    def put(context: click.Context, parameter: click.Parameter, written: Any) -> None:
        invocation = context.obj
        if not isinstance(invocation, Invocation) or not written:
            return  # not given; or a shell asks for completions
        before = getattr(invocation, field)
        for one in written if parameter.multiple else (written,):
            value = meant(one)
            if before not in (value, None, False, Loudness.NORMAL):
                if field == "loudness":
                    raise click.UsageError(Text("-v and -q exclude each other."))
                text = Text(
                    "{option} is given twice: {one} and {other}.", option=parameter.opts[0], one=before, other=value
                )
                raise click.UsageError(text)
            before = value
        context.obj = dataclasses.replace(invocation, **dict[str, Any]({field: before}))

    return put


def _as_it_is(value: object) -> object:
    return value


def options() -> list[click.Option]:
    """Return them anew: click binds a parameter to its command.

    Those with a value are ``multiple``: of two, click would take the last without a word, and send to another place.
    """
    shared: dict[str, Any] = {"expose_value": False}
    valued: dict[str, Any] = {"multiple": True, **shared}
    return [
        click.Option(
            ["--env", "environment"],
            type=click.Choice([environment.value for environment in Environment]),
            help=Text("Where to send. There is no default."),
            callback=_into("environment", Environment),
            **valued,
        ),
        click.Option(
            ["--config"],
            type=PATH,
            metavar="FILE",
            help=Text("Configuration; else ~/.config/kpr-sender/<env>.toml and so on."),
            callback=_into("config", _as_it_is),
            **valued,
        ),
        click.Option(
            ["--journal"],
            type=PATH,
            metavar="FILE",
            help=Text("Journal; else the configuration's."),
            callback=_into("journal", _as_it_is),
            **valued,
        ),
        click.Option(
            ["--municipality"],
            metavar="NUMBER",
            help=Text("Which municipality of a fleet file: its kommunenummer, or 0301-03 with its bydel."),
            callback=_into("municipality", _as_it_is),
            **valued,
        ),
        click.Option(
            ["--json", "as_json"],
            is_flag=True,
            help=Text("Print exactly one JSON object on standard output."),
            callback=_into("as_json", _as_it_is),
            **shared,
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            help=Text("Log more, and show where an error came from."),
            callback=_into("loudness", lambda _: Loudness.VERBOSE),
            **shared,
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            help=Text("Print nothing but errors that are somebody's move: not 80, 87 and 90."),
            callback=_into("loudness", lambda _: Loudness.QUIET),
            **shared,
        ),
        click.Option(
            ["--lang", "language"],
            type=click.Choice([language.value for language in Language]),
            help=Text(
                "Language of what people read; else the configuration's, else the machine's locale. JSON is English "
                "always."
            ),
            callback=_into("language", Language),
            **valued,
        ),
    ]


def taken_by(command: click.Command) -> click.Command:
    """Let a command, and each below it, take the options of every command as well; return it."""
    if not any(parameter.name == "as_json" for parameter in command.params):
        command.params.extend(options())
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        taken_by(below)
    return command


def first_positional(command: click.Group, context: click.Context, arguments: list[str]) -> int:
    """Return where the first argument is that is neither an option of a group nor an option's value."""
    _, rest, _ = command.make_parser(context).parse_args(list(arguments))
    return len(arguments) - len(rest)
