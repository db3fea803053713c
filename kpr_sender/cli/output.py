"""What a command prints at its end: one JSON object, a screen, or with ``-q`` only what is wrong."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import click

from kpr_sender.cli import console
from kpr_sender.cli.called import Called
from kpr_sender.cli.ending import INTERRUPTED, Ending
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.errors import ERRORS, EXIT_OK, Fault, InternalError, KprError
from kpr_sender.render import json
from kpr_sender.render.language import say
from kpr_sender.render.text import error_text, report_screen
from kpr_sender.report import Report, deadline_of
from kpr_sender.result import environment_mark, in_question
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text


def answer(
    invocation: Invocation,
    value: Mapping[str, object],
    screen: Iterable[str],
    *,
    error: KprError | None = None,
    quiet: Iterable[str] | None = None,
) -> int:
    """Print what a command found, in the one form that was asked for.

    Args:
        invocation: Which form.
        value: The object, made by ``json.envelope`` with the same error.
        screen: The screen's lines; read only where they are printed. Empty where all of them were shown before.
        error: What the exit code stands for; None for 0.
        quiet: The lines of ``-q``, on standard error; when not given the error itself, unless it is nobody's move:
            cron would mail it at each run.

    Returns:
        The exit code.
    """
    code = invocation.ending.known(EXIT_OK if error is None else error.exit_code)
    invocation.ending.error = error
    if quiet is None:
        moved = error is not None and error.fault is not Fault.NOBODY
        quiet = [error_text(error, invocation.environment)] if error is not None and moved else []
    show(invocation, value, screen, quiet=quiet, colour=console.colour_of(error))
    invocation.ending.answered = True
    return code


def show(
    invocation: Invocation,
    value: Mapping[str, object],
    screen: Iterable[str],
    *,
    quiet: Iterable[str] = (),
    colour: str = "",
) -> None:
    """Print something in the one form that was asked for, while the result is not known."""
    if invocation.as_json:
        show_json(invocation.called.completed_steps(value))
    elif invocation.loudness is not Loudness.QUIET:
        console.say(invocation.called, _marked(invocation, screen), colour=colour)
    else:
        console.say(invocation.called, quiet, err=True)


def answer_text(invocation: Invocation, value: Mapping[str, object], text: str) -> int:
    """Print a text that is a file's, as it stands, or the JSON object; return 0."""
    code = invocation.ending.known(EXIT_OK)
    if invocation.as_json:
        show_json(value)
    else:
        click.echo(text)
    invocation.ending.answered = True
    return code


def show_json(value: object) -> None:
    """Print a value as one line of JSON: in UTF-8, whatever encoding the screen has."""
    line = json.dumps(value)
    # Text streams without bytes below them have no encoding.
    click.echo(line.encode() if hasattr(sys.stdout, "buffer") else line)


def title(invocation: Invocation, text: str) -> list[str]:
    """Return the first line of a table's screen outside production, where the table says no environment itself."""
    mark = _mark(invocation)
    return [f"{mark}{say(text)}"] if mark else []


def _marked(invocation: Invocation, screen: Iterable[str]) -> Iterator[str]:
    """Yield a screen that begins with TEST outside production, whoever made it."""
    mark = _mark(invocation)
    for number, line in enumerate(screen):
        yield line if number or line.startswith(mark) else f"{mark}{say(line)}"


def _mark(invocation: Invocation) -> str:
    return "" if invocation.environment is None else environment_mark(invocation.environment)


def report(invocation: Invocation, settings: Settings, known: Report, *, remark: str = "") -> int:
    """Print what is known of a submission, and return its exit code.

    Args:
        invocation: Which form.
        settings: Where the journal and the receipts lie.
        known: What is known.
        remark: What else a person at the screen wants to know of this run.
    """
    invocation.ending.known(known.exit_code)  # from here on it stands, whatever becomes of the screen
    journal, invocation.ending.error = settings.journal, known.error
    screen = report_screen(known, journal=journal.place, receipts=journal.receipts_dir, remark=remark)
    called = invocation.called.about(in_question(known.latest, known.error), known.latest.submission_id)
    about = replace(invocation, called=called)
    return answer(about, json.report_json(known), screen, error=known.error)


def nothing(
    invocation: Invocation,
    settings: Settings,
    text: str = "",
    error: KprError | None = None,
    *,
    state: str | None = None,
) -> int:
    """Print that there is nothing to report, and how far off the deadline is; return the exit code.

    Args:
        invocation: Which form.
        settings: Which environment and year.
        text: What to say where there is no error.
        error: Why there is nothing; None where that is as it should be.
        state: What ``--json`` calls that, where it has a name.
    """
    deadline, now = deadline_of(settings, settings.report.year), datetime.now(UTC)
    value = json.nothing(
        error,
        environment=settings.environment.value,
        deadline=deadline.day.isoformat(),
        days_left=deadline.days_left(now),
        state=state,
    )
    said = text if error is None else error.text
    screen = [
        said,
        Text("The data of {year} {now}.", year=settings.report.year, now=deadline.text(now)),
    ]
    return answer(invocation, value, screen, error=error)


class Failure:
    """Prints errors when the command line itself may not have been understood.

    Args:
        called: The command line: an error may come before, or be, its parsing.
        ending: Where the exit code is noted.
    """

    def __init__(self, called: Called, ending: Ending) -> None:
        self._called = called
        self._ending = ending

    def unexpected(self, error: BaseException) -> int:
        """Print that something unexpected was raised, by its type, and return the exit code.

        Its text is never shown: a native library quotes what it was given, which may be a passphrase. Where the result
        is known already it stands, and so does its exit code (promise G5): what failed is how it was printed.
        """
        if self._ending.code is not None and not self._ending.answered:
            return self._unprinted(self._ending.code, error)
        return self.report(InternalError(Text("An unexpected {name}.", name=type(error).__name__)), _trace(error))

    def _unprinted(self, code: int, error: BaseException) -> int:
        """Print what can be said of a result that could not be printed: its exit code, and what that means."""
        result = self._ending.error
        if code and (result is None or result.exit_code != code):
            kind = next((one for one in ERRORS if one.exit_code == code), InternalError)
            result = kind(Text("{meaning:capital}.", meaning=kind.meaning))
        self._ending.error, self._ending.answered = result, True
        if self._called.has("--json"):
            show_json(self._called.completed_steps(json.nothing(result, environment=self._called.environment)))
        if result is not None:
            self.report(result)
        self._show_trace(_trace(error))
        text = Text(
            "kpr-send: an unexpected {name} while the result was printed, which stands; kpr-send status shows it.",
            name=type(error).__name__,
        )
        console.say(self._called, [text], err=True, colour=console.BAD)
        return code

    def report(self, error: KprError, trace: str = "") -> int:
        """Print an error and return its exit code; the result's where that is printed already.

        Args:
            error: What happened.
            trace: Where, shown with ``-v`` only and redacted.
        """
        code = self._known(error)
        self._show_trace(trace)
        if error.fault is not Fault.NOBODY or not self._called.has("-q", "--quiet"):
            lines = error_text(error, self._called.environment).splitlines()
            console.say(self._called, lines, err=True, colour=console.colour_of(error))
        return code

    def _show_trace(self, trace: str) -> None:
        if trace and self._called.has("-v", "--verbose"):
            from kpr_sender.privacy import redact_text  # noqa: PLC0415 - only when something is wrong

            click.echo(redact_text(trace), err=True)

    def interrupted(self) -> int:
        """Print that the run was interrupted before anything was known, and return the exit code."""
        error = _Interrupted(Text("Interrupted before anything was known."))
        code = self._known(error)
        click.echo(say(Text("kpr-send: interrupted.")), err=True)
        return code

    def _known(self, error: KprError) -> int:
        """Note the exit code, print the JSON object where none is printed yet, and return the code."""
        if self._ending.answered and self._ending.code is not None:
            return self._ending.code
        code = self._ending.known(error.exit_code)
        self._ending.error = error
        if self._called.has("--json"):
            show_json(self._called.completed_steps(json.nothing(error, environment=self._called.environment)))
        return code


class _Interrupted(KprError):
    """The run was interrupted before anything was known."""

    code, exit_code, fault = "interrupted", INTERRUPTED, Fault.CALLER
    meaning = Text("interrupted before anything was known")
    advice = Text("Run the same command again.")


def _trace(error: BaseException) -> str:
    """Return where an exception came from and what led to it, the first cause first: types and places, no text."""
    led_to_it = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = "" if led_to_it is None else f"{_trace(led_to_it)}\n"
    places = "".join(traceback.format_tb(error.__traceback__))
    return f"{before}Traceback (most recent call last):\n{places}{type(error).__name__}"
