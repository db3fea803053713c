"""Text for a person: commands complete, lines broken between words, colour where a terminal has it, questions.

Only a terminal gets lines that are broken, at its width: a mail or a file keeps them as they are. A command is not
broken; one that is wider than the terminal goes on after a backslash, so that it can be pasted back.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Final

import click

from kpr_sender.cli.called import Called
from kpr_sender.cli.streams import as_it_is
from kpr_sender.errors import Fault, KprError
from kpr_sender.privacy import shown_text
from kpr_sender.render.language import say as spoken
from kpr_sender.texts import Text

GOOD, LATER, BAD = "green", "yellow", "red"
_HEAD: Final = re.compile(r"\s*\S+(?: \S+)*")
_LABELS: Final = re.compile(r"\s*(?:\S+(?: \S+)* {2,}){0,3}")
"""What stands in columns of its own before the text of a line: indentation, and labels with two blanks after them."""
_MOST_INDENT: Final = 40
_HELD: Final = "\0"
"""A blank that no line is broken at."""
_YES: Final = frozenset({"y", "yes", "j", "ja"})
_NO: Final = frozenset({"n", "no", "nei", ""})


def colour_of(error: KprError | None) -> str:
    """Return the colour of a result: green where nothing is wrong, yellow where it is nobody's move."""
    return GOOD if error is None else LATER if error.fault is Fault.NOBODY else BAD


def say(called: Called, lines: Iterable[str], *, err: bool = False, colour: str = "") -> None:
    """Print lines.

    Args:
        called: Completes the commands that they name.
        lines: Without line ends; a ``Text`` is said in the language that is spoken.
        err: Whether to standard error.
        colour: Of the first line up to its first column of blanks, where a terminal has colours.
    """
    stream = sys.stderr if err else sys.stdout
    terminal = stream.isatty()
    width = shutil.get_terminal_size().columns if terminal else 0
    completed = [broken(called, called.completed(spoken(line)), width) for line in lines]
    if not completed:
        return
    if colour and terminal and _has_colours():
        cleaned = shown_text("\n".join(completed))
        head = _HEAD.match(cleaned)
        end = head.end() if head else 0
        click.echo(click.style(cleaned[:end], fg=colour) + cleaned[end:], file=as_it_is(stream), color=True)
    else:
        click.echo("\n".join(completed), err=err)


def broken(called: Called, line: str, width: int) -> str:
    """Return a line broken between words, its text below itself; as it is where the width is 0 or suffices."""
    if not width or len(line) <= width:
        return line
    labels = _LABELS.match(line)
    indent = " " * min(len(labels[0]) if labels else 0, _MOST_INDENT, width // 2)
    held = called.command.sub(lambda match: match[0].replace(" ", _HELD), line)
    parts = textwrap.wrap(
        held,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        expand_tabs=False,
        replace_whitespace=False,
    )
    return "\n".join(_continued(part, indent, width) for part in parts)


def _continued(part: str, indent: str, width: int) -> str:
    """Return a line whose command, where it is too long, goes on in the next after a backslash."""
    lines, rest = [], part
    while len(rest) > width and _HELD in rest and sys.platform != "win32":  # which has no such sign
        ends = (rest.rfind(f"{_HELD}-", 0, width - 1), rest.rfind(_HELD, 0, width - 1), rest.find(_HELD))
        end = next(end for end in ends if end >= 0)  # at best before an option, not between it and its value
        lines.append(f"{rest[:end]} \\")
        rest = f"{indent}  {rest[end + 1 :]}"
    return "\n".join([*lines, rest]).replace(_HELD, " ")


def agreed(called: Called, question: str) -> bool:
    """Ask on standard error, and return whether the person agrees; no answer is no.

    Raises:
        click.Abort: The person breaks it off.
    """
    choice = spoken(Text("[y/N]"))
    while True:
        say(called, [question], err=True)
        answer = click.prompt(choice, default="", show_default=False, err=True).strip().casefold()
        if answer in _YES | _NO:
            return answer in _YES
        say(called, [Text("Answer y (or ja) or n (or nei).")], err=True)


def _has_colours() -> bool:
    # https://no-color.org: whatever it is set to, unless empty.
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
