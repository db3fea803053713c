"""``kpr-send testpersons``: the municipality's own list of test persons, none of whom may be sent to production."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from kpr_sender.cli import output
from kpr_sender.cli.invocation import PATH, Invocation
from kpr_sender.errors import InputMissing, InputRefused, UsageError
from kpr_sender.model import Environment
from kpr_sender.operator import testpersons
from kpr_sender.preflight.person_ids import kind_of
from kpr_sender.privacy import redact_text
from kpr_sender.regular_file import NotRegular, TooLarge, read_bounded, read_regular
from kpr_sender.render import json
from kpr_sender.render.language import say
from kpr_sender.texts import Text, paragraph

_MOST_BYTES: Final = 10_000_000

# Takes any number of them: click would repeat a second one in its error, and it may be a national id.
_file: Final = click.argument("files", metavar="[FILE]", type=PATH, nargs=-1)


@click.group("testpersons")
def command() -> None:
    """Keep the list of test persons: those whose number looks real. No number is stored or shown."""


@command.command("add")
@_file
@click.option("--note", metavar="TEXT", default="", help="Why they are listed; no number in it.")
@click.pass_obj
def add(invocation: Invocation, *, files: tuple[Path, ...], note: str) -> int:
    """Put the numbers in FILE, or on standard input, on the list: one a line.

    Numbers are not taken from the command line, where process lists and the shell's history would show them.
    """
    settings = invocation.own_settings()
    numbers = _numbers(files)
    path = testpersons.beside(settings.journal.path)
    change = testpersons.add(path, numbers, on=datetime.now(UTC).date(), note=note)
    impossible = sum(kind_of(number, settings.report.year) is None for number in numbers)
    text = paragraph(
        Text("{changed} added, {unchanged} were there already.", changed=change.changed, unchanged=change.unchanged),
        Text("{count} of them can be no person's number: perhaps mistyped.", count=impossible) if impossible else "",
    )
    counts = {"added": change.changed, "there_already": change.unchanged, "impossible": impossible}
    return _answer(invocation, settings.environment, text, counts | {"persons": change.listed})


@command.command("remove")
@_file
@click.pass_obj
def remove(invocation: Invocation, *, files: tuple[Path, ...]) -> int:
    """Take the numbers in FILE, or on standard input, off the list: one a line."""
    settings = invocation.own_settings()
    change = testpersons.remove(testpersons.beside(settings.journal.path), _numbers(files))
    text = Text("{changed} removed, {unchanged} were not there.", changed=change.changed, unchanged=change.unchanged)
    counts = {"removed": change.changed, "not_there": change.unchanged, "persons": change.listed}
    return _answer(invocation, settings.environment, text, counts)


@command.command("list")
@click.pass_obj
def list_command(invocation: Invocation) -> int:
    """Show how many are on the list, since when and why; never who."""
    settings = invocation.settings()
    path = testpersons.beside(settings.journal.path)
    counted = Counter((one.added, one.note) for one in testpersons.load(path).entries.values())
    groups = sorted(counted.items())
    how_many = Text(
        "{count} test person in {path}", plural="{count} test persons in {path}", count=counted.total(), path=path
    )
    lines = [say(how_many)]
    lines += [f"  {added}  {count:>6,}  {note}".rstrip() for (added, note), count in groups]
    listed = [{"added": added.isoformat(), "note": note, "persons": count} for (added, note), count in groups]
    text = "\n".join(lines)
    return _answer(invocation, settings.environment, text, {"persons": counted.total(), "listed": listed})


def _answer(invocation: Invocation, environment: Environment, text: str, counts: Mapping[str, object]) -> int:
    return output.answer(invocation, json.envelope(None, environment=environment.value, **counts), [text])


def _numbers(files: tuple[Path, ...]) -> tuple[str, ...]:
    # What is there is a file, whatever its name looks like.
    if len(files) > 1 or any(redact_text(str(file)) != str(file) and not os.path.exists(file) for file in files):  # noqa: PTH110 - never raises
        raise UsageError(
            Text("Numbers are not taken from the command line."),
            next_step=Text(
                "Name one file with a number a line, or write them to standard input. What was typed is now in "
                "your shell's history: delete it there."
            ),
        )
    file = files[0] if files else None
    where = Text("standard input") if file is None else str(file)
    try:
        content = read_bounded(sys.stdin.buffer, _MOST_BYTES) if file is None else read_regular(file, most=_MOST_BYTES)
    except TooLarge:
        raise InputRefused(
            Text("This is no list of numbers: it is too large."),
            where=where,
            next_step=Text("Write one number a line."),
        ) from None
    except NotRegular as error:
        raise InputMissing(
            Text("The numbers cannot be read: {reason}.", reason=error.strerror),
            where=where,
            next_step=Text("Write them to standard input, and name no file."),
        ) from None
    except OSError as error:
        raise InputMissing(Text("The numbers cannot be read: {reason}.", reason=error.strerror), where=where) from None
    try:
        numbers = testpersons.numbers_in(content.decode("utf-8-sig", "replace"))
    except InputRefused as error:
        raise InputRefused(error.what, where=where, next_step=error.next_step) from None
    if not numbers:
        raise InputRefused(Text("There is no number in it."), where=where, next_step=Text("Write one number a line."))
    return numbers
