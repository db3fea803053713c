"""Progress on a terminal: a line for each thing done, and a moving one for what is under way.

It prints by itself, on standard error, which is why it is here and not in render.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text as Styled

from kpr_sender.cli.called import Called
from kpr_sender.cli.streams import as_it_is
from kpr_sender.events import Event, EventKind
from kpr_sender.render.language import say
from kpr_sender.texts import Text

_GOOD, _BAD, _WARNING, _PLAIN = "green", "bold red", "yellow", ""
_STYLES: Final = {
    EventKind.PUBLISHED: _GOOD,
    EventKind.RECEIPT: _GOOD,
    EventKind.WARNING: _WARNING,
    EventKind.NOT_SENT: _WARNING,
    EventKind.FOREIGN_HELD: _WARNING,
    EventKind.DUPLICATE: _WARNING,
    EventKind.IN_DOUBT: _BAD,
    EventKind.RECEIPT_UNVERIFIED: _BAD,
    EventKind.CONTRADICTION: _BAD,
    EventKind.FAULTED: _BAD,
}
_UNDER_WAY: Final = frozenset({EventKind.CONNECTING, EventKind.PUBLISHING, EventKind.WAITING})
"""What is under way when its event comes: shown by the moving line."""


class Display:
    """Shows a run's events on standard error while it is entered.

    Args:
        called: Completes the commands that an event's text names.
    """

    def __init__(self, called: Called) -> None:
        self._called = called
        console = Console(file=as_it_is(sys.stderr), highlight=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task(say(Text("Checking the files.")), total=None)

    def show(self, event: Event) -> None:
        """Show one event."""
        if event.kind is EventKind.FINISHED:
            return
        if event.kind in _UNDER_WAY:
            self._progress.reset(self._task, description=_escaped(say(event.text)))
            return
        style = _STYLES.get(event.kind, _PLAIN)
        mark = "!" if style in (_BAD, _WARNING) else "*"
        self._progress.console.print(Styled(f" {mark} {self._called.completed(say(event.text))}", style=style))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()


def _escaped(text: str) -> str:
    """Return text that rich does not read as markup: in a description [...] would be."""
    return text.replace("[", r"\[")
