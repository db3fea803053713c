"""Progress on a terminal: a line for each thing done, and one that moves while something is waited for."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from kpr_sender.events import Event, EventKind

_GOOD, _BAD, _MIND, _PLAIN = "green", "bold red", "yellow", ""
_STYLES: Final = {
    EventKind.PUBLISHED: _GOOD,
    EventKind.RECEIPT: _GOOD,
    EventKind.WARNING: _MIND,
    EventKind.NOT_SENT: _MIND,
    EventKind.FOREIGN_HELD: _MIND,
    EventKind.DUPLICATE: _MIND,
    EventKind.IN_DOUBT: _BAD,
    EventKind.RECEIPT_UNVERIFIED: _BAD,
    EventKind.CONTRADICTION: _BAD,
    EventKind.FAULTED: _BAD,
}
_GOING_ON: Final = frozenset({EventKind.CONNECTING, EventKind.PUBLISHING, EventKind.WAITING})
"""What is not done when it is told: shown by the line that moves."""


class Display:
    """Shows the engine's events on standard error while it is entered."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("Checking the files.", total=None)

    def show(self, event: Event) -> None:
        """Show one event."""
        if event.kind is EventKind.FINISHED:
            return
        if event.kind in _GOING_ON:
            self._progress.reset(self._task, description=_escaped(event.text))
            return
        mark = "!" if _STYLES.get(event.kind) in (_BAD, _MIND) else "*"
        self._progress.console.print(Text(f" {mark} {event.text}", style=_STYLES.get(event.kind, _PLAIN)))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()


def _escaped(text: str) -> str:
    """Text as it is: rich would read [...] in a description as markup."""
    return text.replace("[", r"\[")
