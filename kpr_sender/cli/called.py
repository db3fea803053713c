"""How this run was called: what a text that names a command needs, and what is known before the parser has read it.

A text says ``kpr-send wait``. What is printed says ``kpr-send --env produksjon --config FILE wait`` where this run was
called so: pasted back it does what the text means, on the same journal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from kpr_sender.cli.documents import located
from kpr_sender.model import Environment

_MUNICIPALITY: Final = "--municipality"
_WITH_VALUE: Final = ("--env", "--config", "--journal", _MUNICIPALITY)
_FLEET: Final = "fleet"
_OF_ONE: Final = frozenset(
    {"journal", "send", "status", "wait", "receipts", "resolve", "resend", "reviewed", "evidence"}
)
"""Commands of one municipality: a fleet file has several."""
_ANY_OF_A_FLEET: Final = f"{_MUNICIPALITY} NUMBER "
_SAME_COMMAND: Final = "..."
_UNNAMED: Final = "send"
"""The command of a line that names none."""
_PLACE: Final = " MSGID"
_REPLACED: Final = re.compile(r"(?<= send --replaces )ID\b")
_MSG_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
BELOW: Final = (
    *("accept", "add", "backup", "bash", "certs", "check", "cron", "discard", "doctor", "export", "fish", "list"),
    *(
        "log",
        "make",
        "migrate",
        "move",
        "prune",
        "release",
        "remove",
        "send",
        "serve",
        "show",
        "status",
        "systemd",
        "verify",
        "wait",
    ),
    *("windows", "worker", "zsh"),
)
"""The names of commands below another."""
_NAMED: Final = re.compile(r"\bkpr-send (\.\.\.|--journal(?= )|[a-z]+(?![\w-]))")
"""A command in a text, from its first word on; three points stand for the command line of this run."""


@dataclass(frozen=True, slots=True)
class Called:
    """A command line, as far as it can be known without its parser.

    Args:
        arguments: What follows ``kpr-send``.
        commands: The names of all commands; an option that comes later than ``--`` is none.
        msg_id: Of the shipment that the result is about; else the one that was named.
        submission: Id of the submission that the result is about.
    """

    arguments: tuple[str, ...] = ()
    commands: Collection[str] = ()
    msg_id: str = ""
    submission: str = ""

    def option(self, name: str) -> str | None:
        """Return the value of an option that every command takes; None where it was not given."""
        written = self.arguments[: self.arguments.index("--")] if "--" in self.arguments else self.arguments
        for number, argument in enumerate(written):
            before, equals, value = argument.partition("=")
            if before == name:
                return value if equals else next(iter(written[number + 1 :]), None)
        return None

    def has(self, *flags: str) -> bool:
        """Return whether one of these flags was given."""
        return any(flag in self.arguments for flag in flags)

    @property
    def environment(self) -> str | None:
        """The environment; None where none was given, or none that there is."""
        written = self.option("--env")
        return written if written in tuple(Environment) else None

    @property
    def prefix(self) -> str:
        """The options that decide on which journal a command works, and a blank; empty where none was given."""
        given = [(name, self.option(name)) for name in _WITH_VALUE]
        words = [word for name, value in given if value for word in (name, value)]
        return f"{_joined(words)} " if words else ""

    @property
    def command(self) -> re.Pattern[str]:
        """What matches a command in a text, complete or not: names, options, and values as texts write them."""
        names = "|".join((*self.commands, *BELOW))
        quoted = r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"]*[^\s'\".,;:)])+"
        valued = rf"(?:{'|'.join(_WITH_VALUE)}) {quoted}"
        placed = rf"[A-ZÆØÅ]+\b|\d+\b|[0-9a-f]+-[0-9a-f-]*[0-9a-f]|(?=[/'\"]){quoted}"
        return re.compile(
            rf"\bkpr-send(?: (?:{valued}|-{{1,2}}[a-z][a-z-]*[a-z]|-[vq]|(?:{names})(?![\w-])|{placed}))+"
        )

    def completed(self, text: str) -> str:
        """Return a text in which each command that it names has this run's options, and each page its path here."""
        text = located(text)
        if "kpr-send " not in text:
            return text
        named = next((one for one in self.arguments if one in self.commands), None)
        of_all = named == _FLEET and self.option(_MUNICIPALITY) is None

        def names_one(match: re.Match[str]) -> bool:
            whole = self.command.match(text, match.start())
            return whole is not None and _MUNICIPALITY in whole[0].split()

        def complete(match: re.Match[str]) -> str:
            if match[1] == _SAME_COMMAND:
                return f"kpr-send {_joined(self.arguments if named else (*self.arguments, _UNNAMED))}"
            of_one = _ANY_OF_A_FLEET if of_all and match[1] in _OF_ONE and not names_one(match) else ""
            return (
                f"kpr-send {self.prefix}{of_one}{match[1]}" if match[1] in {*self.commands, "--journal"} else match[0]
            )

        completed = _NAMED.sub(complete, text)
        if self.submission:
            completed = _REPLACED.sub(self.submission, completed)
        msg_id = self.msg_id or next((one for one in self.arguments if _MSG_ID.fullmatch(one)), "")
        if msg_id and _PLACE in completed:
            return self.command.sub(lambda match: match[0].replace(_PLACE, f" {msg_id}"), completed)
        return completed

    def about(self, msg_id: str, submission: str = "") -> Called:
        """Return the same for a result about one shipment and its submission: commands in its texts name them."""
        return replace(self, msg_id=msg_id, submission=submission)

    def completed_steps(self, value: Any) -> Any:
        """Return an object of ``--json`` in which every ``next_step`` names complete commands; all else as it is."""
        if isinstance(value, Mapping):
            return {
                key: (self.completed(one) if key == "next_step" else one)
                if isinstance(one, str)
                else one
                if one is None or isinstance(one, int)
                else self.completed_steps(one)
                for key, one in value.items()
            }
        return [self.completed_steps(one) for one in value] if isinstance(value, list | tuple) else value


def _joined(words: Collection[str]) -> str:
    if sys.platform == "win32":
        from subprocess import list2cmdline as join  # noqa: PLC0415 - only where a command is shown
    else:
        from shlex import join  # noqa: PLC0415 - the same
    return join(words)
