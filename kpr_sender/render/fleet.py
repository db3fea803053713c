"""A fleet's screen and JSON object: a line for each municipality, those that need a person first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kpr_sender.errors import BY_CODE, EXIT_OK, EXIT_OK_MEANING, Fault, KprError, NothingSubmitted, rank, worst
from kpr_sender.lifecycle import words_of
from kpr_sender.model import SubmissionState
from kpr_sender.render import json
from kpr_sender.render.language import say
from kpr_sender.texts import Text, paragraph

_HEAD: Final = (Text("number"), Text("municipality"), Text("state"), Text("code"), Text("days left"))
_WAITING_FOR_FILES: Final = "waiting"
_GOOD: Final[Mapping[str, Text]] = {
    "check": Text("nothing keeps the pair from being sent"),
    "certs": Text("no certificate needs attention"),
    "doctor": Text("a send would work"),
}
"""What it means, by command, that a run ended with 0; else it is the submission's state."""
_LONGEST_TITLE: Final = 32


@dataclass(frozen=True, slots=True)
class FleetLine:
    """What is known of one municipality after a command.

    Attributes:
        name: ``0301``, or ``0301-03`` with its bydel.
        title: What a person calls it; may be empty.
        error: What its exit code stands for; None for 0.
        result: The object that ``--json`` prints for it alone.
        begun: Whether a process was begun for it, where the command begins one.
        timed_out: Whether it was asked to end because its time was up.
        killed: Whether it had to be ended.
        died: Whether its process ended otherwise before it could say what it found.
        seconds: How long it took; None where no process was begun.
        remarks: What its process said beside the result.
    """

    name: str
    title: str
    error: KprError | None
    result: Mapping[str, Any]
    begun: bool = True
    timed_out: bool = False
    killed: bool = False
    died: bool = False
    seconds: float | None = None
    remarks: tuple[str, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """Its exit code."""
        return EXIT_OK if self.error is None else self.error.exit_code


def fleet_error(lines: Sequence[FleetLine]) -> KprError | None:
    """Return what the exit code of all together stands for: the worst by ``errors.ORDER``; None for 0."""
    worst_of_all = worst(line.error for line in lines)
    if worst_of_all is None:
        return None
    first = next(line for line in lines if line.error is worst_of_all)
    count = sum(line.error is not None for line in lines)
    what = Text(
        "{count} municipality of {total} is not done. What counts most is {name}: {meaning}.",
        plural="{count} municipalities of {total} are not done. What counts most is {name}: {meaning}.",
        count=count,
        total=len(lines),
        name=first.name,
        meaning=worst_of_all.meaning,
    )
    next_step = Text("See it with kpr-send status --municipality {name}.", name=first.name)
    # A subclass may take other arguments; the code is what counts.
    kind = BY_CODE.get(worst_of_all.code, type(worst_of_all))
    return kind(what, next_step=next_step)


def fleet_json(command: str, environment: str, error: KprError | None, lines: Sequence[FleetLine]) -> dict[str, Any]:
    """Return the one object of a fleet's command."""
    return json.envelope(
        error,
        environment=environment,
        command=command,
        counts=counted(lines),
        municipalities=[
            {
                "municipality": line.name,
                "name": line.title,
                "exit_code": line.exit_code,
                "begun": line.begun,
                "timed_out": line.timed_out,
                "killed": line.killed,
                "died": line.died,
                "seconds": None if line.seconds is None else round(line.seconds, 3),
                "result": line.result,
            }
            for line in lines
        ],
    )


def counted(lines: Sequence[FleetLine]) -> dict[str, int]:
    """Return how many municipalities have each exit code."""
    codes = sorted(line.exit_code for line in lines)
    return {str(code): codes.count(code) for code in dict.fromkeys(codes)}


def by_urgency(lines: Sequence[FleetLine]) -> list[FleetLine]:
    """Return those that need a person first, by what counts most; alike ones as they came."""

    def urgency(line: FleetLine) -> tuple[int, int]:
        if line.error is None:
            return 2, 0
        return int(line.error.fault is Fault.NOBODY), rank(line.error)

    return sorted(lines, key=urgency)


def summary(lines: Sequence[FleetLine]) -> Text:
    """Return all of it in a sentence."""
    done = sum(line.error is None for line in lines)
    nobody = sum(line.error is not None and line.error.fault is Fault.NOBODY for line in lines)
    return Text(
        "{count} municipality: {done} done, {nobody} under way, {person} for a person to look at.",
        plural="{count} municipalities: {done} done, {nobody} under way, {person} for a person to look at.",
        count=len(lines),
        done=done,
        nobody=nobody,
        person=len(lines) - done - nobody,
    )


def fleet_screen(
    command: str, lines: Sequence[FleetLine], *, completed: Callable[[FleetLine, str], str]
) -> Iterator[str]:
    """Yield the screen: the sum, a table, and what to do for each that needs a person.

    Args:
        command: Which command it is of.
        lines: What is known.
        completed: Completes the commands of a municipality's text.
    """
    yield say(summary(lines))
    yield ""
    sorted_lines = by_urgency(lines)
    cells = [tuple(map(say, _HEAD)), *(_cells(command, line) for line in sorted_lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for line in sorted_lines:
        if text := concern(line):
            yield ""
            yield f"{line.name}  {completed(line, text)}"


def concern(line: FleetLine, *, alone: bool = False) -> str:
    """Return what a person should do about one municipality, whose name is in front; empty where that is nothing.

    Args:
        line: What is known of it.
        alone: Whether there is no table above it.
    """
    said = []
    if line.killed:
        said.append(say(Text("Its run took too long and had to be ended; this is what its journal says.")))
    elif line.died:
        said.append(say(Text("Its process ended before it could say what it found; this is what its journal says.")))
    elif line.timed_out:
        said.append(say(Text("Its run took too long and was asked to end; this is what is known.")))
    # Where nothing is submitted the table says all that there is to say.
    known = line.error is None or (isinstance(line.error, NothingSubmitted) and not alone)
    if line.error is not None and not known and line.error.fault is not Fault.NOBODY:
        # What is wrong with its configuration names it already.
        said.append(say(paragraph(line.error.placed, line.error.next_step)).removeprefix(f"{line.name}: "))
    return " ".join((*said, *line.remarks))


def progress(command: str, line: FleetLine, number: int, total: int) -> Text:
    """Return the line that is shown when one municipality's run has ended; ``total`` is 0 where there is no end."""
    if not total:
        return Text(
            "{name} {title}: {state} ({code})",
            name=line.name,
            title=line.title,
            state=_state(command, line),
            code=line.exit_code,
        )
    return Text(
        "{number}/{total}  {name} {title}: {state} ({code})",
        number=number,
        total=total,
        name=line.name,
        title=line.title,
        state=_state(command, line),
        code=line.exit_code,
    )


def _cells(command: str, line: FleetLine) -> tuple[str, ...]:
    left = line.result.get("days_left")
    title = line.title if len(line.title) <= _LONGEST_TITLE else f"{line.title[: _LONGEST_TITLE - 3]}..."
    return line.name, title, say(_state(command, line)), str(line.exit_code), "" if left is None else str(left)


def _state(command: str, line: FleetLine) -> str:
    state = line.result.get("state")
    if state in tuple(SubmissionState):
        return words_of(SubmissionState(state))
    if isinstance(line.error, NothingSubmitted):
        return Text("nothing submitted")
    if line.error is not None:
        return line.error.meaning
    if state == _WAITING_FOR_FILES:
        return Text("waiting for the files")
    return _GOOD.get(command, EXIT_OK_MEANING)
